"""common/sql/schema.sql: the sum of the migrations, to read and to compare with."""

import subprocess
import sys
from pathlib import Path

from common import db as database
from devtools.postgres import Postgres
from devtools.setup import ROOT, VAR
from devtools.stack import Stack, run_directory

SCHEMA = ROOT / "common" / "sql" / "schema.sql"
TITLE = "-- The sum of the migrations, written by './dev schema': to read, never to apply.\n"


def dump(postgres: Postgres, name: str) -> str:
    """Return the schema and the grants of a database, without what differs between servers."""
    command = [str(postgres.program("pg_dump")), "--schema-only", "--no-owner"]
    command += ["--dbname", f"{postgres.dsn(name)} user=postgres"]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    lines = [
        line
        for line in text.splitlines()
        if not line.startswith(("--", "SET ", "SELECT pg_catalog.set_config", "\\")) and line
    ]
    return (
        TITLE
        + "".join(f"{line}\n" + ("\n" if line.endswith(";") else "") for line in lines).rstrip("\n")
        + "\n"
    )


def main() -> int:
    """Write the file."""
    stack = Stack(run_directory(VAR / "test"), fsync=False)
    try:
        stack.postgres.start()
        with stack.postgres.connect() as db:
            database.migrate(db)
        SCHEMA.write_text(dump(stack.postgres, "postgres"), encoding="utf-8")
    finally:
        stack.stop()
    print(f"wrote {SCHEMA.relative_to(Path.cwd())}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
