"""schema.sql is what the migrations make."""

from devtools import schema
from devtools.stack import Stack


def test_schema_sql_is_the_sum_of_the_migrations(stack: Stack, template: str) -> None:
    assert schema.dump(stack.postgres, template) == schema.SCHEMA.read_text(encoding="utf-8"), (
        "run './dev schema'"
    )
