"""The database: migrations, and what each role may not do."""

import threading
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from common import db as database
from common.errors import ConfigError

Db = psycopg.Connection[Any]
Connect = Callable[[str], Db]

FORBIDDEN = [
    ("archiver", "SELECT private_sealed FROM company_key"),
    ("poller", "SELECT private_sealed FROM company_key"),
    ("housekeeper", "SELECT private_sealed FROM company_key"),
    ("housekeeper", "UPDATE company_key SET retired_at = now()"),
    ("web", "SELECT token_sealed FROM pbx"),
    ("web", "UPDATE recording SET state = 'gone'"),
    ("web", "DELETE FROM recording"),
    ("web", "UPDATE recording_audio SET ecek = ''"),
    ("web", "DELETE FROM recording_audio"),
    ("web", "INSERT INTO company_key VALUES (1, 1, repeat('0', 16), '', '', now(), null)"),
    ("poller", "SELECT password_hash FROM account"),
    ("archiver", "SELECT * FROM session"),
    ("poller", "UPDATE recording SET stored_at = now()"),
    ("poller", "DELETE FROM recording"),
    ("archiver", "DELETE FROM recording_audio"),
    ("archiver", "INSERT INTO recording (id) VALUES (gen_random_uuid())"),
    ("archiver", "UPDATE sealing_key SET public_key = ''"),
    ("web", "UPDATE sealing_key SET public_key = ''"),
    ("poller", "SELECT * FROM audit"),
    ("web", "UPDATE audit SET actor = 'somebody else'"),
    ("web", "DELETE FROM audit"),
    ("web", "TRUNCATE audit"),
]


@pytest.mark.parametrize(("role", "statement"), FORBIDDEN)
def test_a_role_may_not(connect_as: Connect, role: str, statement: str) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        connect_as(role).execute(statement)


@pytest.mark.parametrize(
    "change", ["UPDATE audit SET actor = ''", "DELETE FROM audit", "TRUNCATE audit"]
)
def test_the_audit_log_is_append_only_even_for_its_owner(db: Db, change: str) -> None:
    db.execute("INSERT INTO audit (actor, action) VALUES ('test', 'test')")
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="append-only"):
        db.execute(change)


def test_migrating_again_does_nothing(db: Db) -> None:
    assert database.migrate(db) == []
    database.check_schema(db)


def test_another_schema_is_refused(db: Db) -> None:
    db.execute("INSERT INTO schema_migration (version) VALUES ('9999_from_the_future')")
    with pytest.raises(ConfigError, match="9999_from_the_future, this release needs"):
        database.check_schema(db)


def test_an_empty_database_is_refused(db: Db) -> None:
    db.execute("DROP TABLE schema_migration")
    with pytest.raises(ConfigError, match="at schema none"):
        database.check_schema(db)


def test_every_table_says_what_it_is(db: Db) -> None:
    rows = db.execute(
        "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
        " AND obj_description(oid) IS NULL AND relname <> 'schema_migration'"
    ).fetchall()
    assert rows == []


def test_an_instance_has_one_seat(connect_as: Connect) -> None:
    database.take_instance(connect_as("archiver"), "archiver@1")
    database.take_instance(connect_as("archiver"), "archiver@2")
    with pytest.raises(ConfigError, match="another archiver@1 is running"):
        database.take_instance(connect_as("archiver"), "archiver@1")


def test_the_seat_of_one_that_was_just_killed_is_waited_for(connect_as: Connect) -> None:
    first = connect_as("archiver")
    database.take_instance(first, "archiver@1")
    threading.Timer(0.5, first.close).start()
    database.take_instance(connect_as("archiver"), "archiver@1")
    assert first.closed
