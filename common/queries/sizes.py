"""How large the database is: names of our own tables and numbers, nothing that a table holds."""

from dataclasses import dataclass

from common.db import Connection
from common.queries.rows import rows


@dataclass(frozen=True)
class Table:
    """A table with its indexes; `rows` is PostgreSQL's own estimate, which costs nothing."""

    table: str
    bytes: int
    rows: int
    dead_rows: int


def tables(db: Connection) -> list[Table]:
    """Return the tables, the largest first."""
    query = (
        "SELECT relname::text AS table, pg_total_relation_size(relid) AS bytes, n_live_tup AS rows,"
        " n_dead_tup AS dead_rows FROM pg_stat_user_tables WHERE schemaname = 'public'"
        " ORDER BY 2 DESC, 1"
    )
    return rows(db, Table, query)


@dataclass(frozen=True)
class Database:
    """The database as a whole: bytes, the last migration, the server, and its sessions."""

    bytes: int
    migration: str
    server: int
    sessions: int


def database(db: Connection) -> Database:
    """Return what is to be said of the whole database."""
    query = (
        "SELECT pg_database_size(current_database()) AS bytes, (SELECT max(version)"
        " FROM schema_migration) AS migration, current_setting('server_version_num')::int"
        " AS server, (SELECT count(*) FROM pg_stat_activity WHERE datname = current_database())"
        " AS sessions"
    )
    return rows(db, Database, query)[0]
