"""PostgreSQL: the connection of a process, and the migrations.

Every session works in UTC, under limits, with the role of its process: the grants in the migrations
are what keeps a daemon to its own tables.
"""

from pathlib import Path
from typing import Any

import psycopg

from common.errors import ConfigError

Connection = psycopg.Connection[Any]

MIGRATIONS = Path(__file__).parent / "sql" / "migrations"
_MIGRATING = 0x43534D49  # advisory lock: one migrator at a time
_INSTANCE = 0x43534441  # advisory lock class: one process for each daemon instance
PATIENCE = 10  # seconds that a daemon waits for the one before it to be gone


def connect(database: str, process: str, *, label: str = "", idle_seconds: int = 60) -> Connection:
    """Connect as the role of `process`; `idle_seconds` is how long a transaction may sit idle.

    Raises psycopg.OperationalError while PostgreSQL does not answer.
    """
    limits = {
        "TimeZone": "UTC",
        "jit": "off",  # its preparation takes longer than any of our queries,
        "max_parallel_workers_per_gather": "0",  # and so does that of helpers
        "statement_timeout": "60s",
        "lock_timeout": "10s",
        "idle_in_transaction_session_timeout": f"{idle_seconds}s",
        "client_connection_check_interval": "2s",  # the query of a killed process ends soon
    }
    return psycopg.connect(
        database,
        user=f"callstash_{process}",
        autocommit=True,
        connect_timeout=10,
        application_name=f"callstash-{label or process}",
        options=" ".join(f"-c {name}={value}" for name, value in limits.items()),
    )


def _numbered() -> list[Path]:
    return sorted(MIGRATIONS.glob("[0-9][0-9][0-9][0-9]_*.sql"))


def _applied(db: Connection) -> list[str]:
    return [row[0] for row in db.execute("SELECT version FROM schema_migration ORDER BY version")]


def migrate(db: Connection) -> list[str]:
    """Apply the migrations that are missing, one transaction each, and return their names.

    `db` is in autocommit mode and belongs to the owner of the schema.
    """
    done = []
    db.execute("SELECT pg_advisory_lock(%s)", [_MIGRATING])
    try:
        db.execute(
            "CREATE TABLE IF NOT EXISTS schema_migration"
            " (version text PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now())"
        )
        applied = _applied(db)
        for path in _numbered():
            if path.stem not in applied:
                with db.transaction():
                    db.execute(path.read_bytes())
                    db.execute("INSERT INTO schema_migration (version) VALUES (%s)", [path.stem])
                done.append(path.stem)
    finally:
        db.execute("SELECT pg_advisory_unlock(%s)", [_MIGRATING])
    return done


def check_schema(db: Connection) -> None:
    """Raise ConfigError unless the database has exactly the migrations of this release."""
    expected = [path.stem for path in _numbered()]
    try:
        applied = _applied(db)
    except psycopg.errors.UndefinedTable:
        applied = []
    if applied != expected:
        raise ConfigError(
            f"the database is at schema {applied[-1] if applied else 'none'}, this release needs"
            f" {expected[-1]}: run 'callstash migrate'"
        )


def take_instance(db: Connection, name: str) -> None:
    """Hold the one seat of the daemon instance `name` for the life of this connection.

    One that was killed has it until PostgreSQL notices. Raises ConfigError where another process
    has it for longer.
    """
    try:
        with db.transaction():
            db.execute(f"SET LOCAL lock_timeout = '{PATIENCE}s'")
            db.execute("SELECT pg_advisory_lock(%s, hashtext(%s))", [_INSTANCE, name])
    except psycopg.errors.LockNotAvailable as error:
        raise ConfigError(f"another {name} is running on this database: stop it first") from error
