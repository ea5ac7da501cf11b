"""SQL of upgrades, run by psql as PostgreSQL's own user."""

NAME = "callstash"
FRESH, OLD = "callstash_restored", "callstash_failed"

SCHEMA = "SELECT version FROM schema_migration ORDER BY version"
SUPPORT = "SELECT support_until FROM licence"
SIZE = f"SELECT pg_database_size('{NAME}')"
THERE = f"SELECT 1 FROM pg_database WHERE datname = '{OLD}'"
DROP_OLD = f"DROP DATABASE IF EXISTS {OLD} WITH (FORCE);"
MAKE_FRESH = f"""\
DROP DATABASE IF EXISTS {FRESH} WITH (FORCE);
CREATE DATABASE {FRESH} OWNER callstash ENCODING 'UTF8' TEMPLATE template0;
REVOKE ALL ON DATABASE {FRESH} FROM PUBLIC;
"""
# Both names change in one transaction: after a power cut the database is one or the other.
SWAP = f"""\
ALTER DATABASE {NAME} ALLOW_CONNECTIONS false;
SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{NAME}';
BEGIN;
ALTER DATABASE {NAME} RENAME TO {OLD};
ALTER DATABASE {FRESH} RENAME TO {NAME};
COMMIT;
ALTER DATABASE {OLD} ALLOW_CONNECTIONS true;
"""
ALLOW = f"ALTER DATABASE {OLD} ALLOW_CONNECTIONS true;"
LAST_AUDIT = "SELECT coalesce(max(id), 0) FROM audit"
_AUDIT = "at, actor, action, subject, detail, address"
COPY_IN = f"COPY audit ({_AUDIT}) FROM STDIN;"


def copy_out(after: int) -> str:
    """Return what prints the entries of the audit log behind an id."""
    return f"COPY (SELECT {_AUDIT} FROM audit WHERE id > {after:d} ORDER BY id) TO STDOUT;"
