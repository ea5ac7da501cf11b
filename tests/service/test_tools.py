"""The console tools, as an administrator runs them on a new machine."""

import base64
from pathlib import Path
from typing import Any

import pytest

from devtools.installation import Installation, ToolFailed
from simulators.pbx import client


@pytest.fixture
def ours(tmp_path: Path, dsn: str, broker_url: str) -> Installation:
    """A database that is set up with `callstash migrate` and `callstash init`."""
    return Installation(tmp_path, dsn, broker_url, tmp_path / "companies")


def rows(db: Any, query: str) -> list[Any]:
    return list(db.execute(query).fetchall())


def test_setting_up_again_changes_nothing(ours: Installation, db: Any) -> None:
    before = rows(db, "SELECT * FROM sealing_key")
    assert ours.tool("migrate") == ""
    assert ours.tool("init", "--credentials", str(ours.directory / "credentials/all")) == ""
    assert rows(db, "SELECT * FROM sealing_key") == before
    assert len(before) == 4


def test_a_lost_or_foreign_key_is_named_and_a_half_done_set_up_is_finished(
    ours: Installation, db: Any
) -> None:
    credentials = ours.directory / "credentials" / "all"
    init = ("init", "--credentials", str(credentials))
    master = credentials / "master.key"
    kept = master.read_text()
    master.unlink()
    with pytest.raises(ToolFailed, match="restore it from the recovery kit"):
        ours.tool(*init)
    master.write_text(base64.b64encode(bytes(range(32))).decode())
    with pytest.raises(ToolFailed, match="the key of another CallStash"):
        ours.tool(*init)
    master.write_text(kept)
    before = rows(db, "SELECT name, public_key FROM sealing_key ORDER BY name")
    db.execute("DELETE FROM sealing_key WHERE name = 'master'")
    ours.tool(*init)
    assert rows(db, "SELECT name, public_key FROM sealing_key ORDER BY name") == before


def test_a_pbx_is_added_when_its_token_is_right(ours: Installation, db: Any) -> None:
    with client.start("--scenario", "small", "--tls") as pbx:
        add = ("add-pbx", "--name", "Main", pbx.url)
        with pytest.raises(ToolFailed, match="certificate"):
            ours.tool(*add, stdin=client.KEY)
        with pytest.raises(ToolFailed, match="refuses the API token"):
            ours.tool(*add, "--pin", stdin="wrong")
        with pytest.raises(ToolFailed, match="no token"):
            ours.tool(*add, "--pin")
        assert rows(db, "SELECT 1 FROM pbx") == []
        assert "default, demonstration" in ours.tool(*add, "--pin", stdin=client.KEY)
        with pytest.raises(ToolFailed, match="is already there"):
            ours.tool(*add, "--pin", stdin=client.KEY)
    sealed = rows(db, "SELECT id, token_sealed, certificate FROM pbx")
    assert sealed[0][0] == 10
    assert client.KEY.encode() not in sealed[0][1]
    assert sealed[0][2].startswith("-----BEGIN CERTIFICATE-----")
    assert rows(db, "SELECT topic FROM outbox") == [("poller.pbx_changed.v1",)]


@pytest.mark.parametrize("url", ["ftp://pbx", "https://pbx/path", "https://", "https://me@pbx"])
def test_an_address_that_is_none_is_named(ours: Installation, url: str) -> None:
    with pytest.raises(ToolFailed, match="is not an address of a PBX|Begin with|Leave out"):
        ours.tool("add-pbx", "--name", "Main", url, stdin=client.KEY)


def test_a_poll_is_asked_for_by_a_message(ours: Installation, db: Any) -> None:
    with pytest.raises(ToolFailed, match="there is no PBX 10"):
        ours.tool("poll-now", "10")
    assert rows(db, "SELECT 1 FROM outbox") == []
    db.execute(
        "INSERT INTO pbx (name, url, token_sealed, timezone) VALUES ('x', 'http://x', '', 'UTC')"
    )
    ours.tool("poll-now", "10")
    assert rows(db, "SELECT topic FROM outbox") == [("poller.poll_now.v1",)]


def test_a_weak_password_is_refused(ours: Installation, db: Any) -> None:
    with pytest.raises(ToolFailed, match="8"):
        ours.tool("passwd", "sysadmin", stdin="short\n")
    assert rows(db, "SELECT factory FROM account") == [(True,), (True,)]
    ours.tool("passwd", "sysadmin", stdin="correct horse battery staple\n")
    assert "argon2id" in rows(db, "SELECT password_hash FROM account")[0][0]


def test_a_reset_password_is_the_factory_one_and_ends_everything(
    ours: Installation, db: Any
) -> None:
    ours.tool("passwd", "admin", stdin="Small-Otter-97\n")
    db.execute("INSERT INTO session (token_sha256, account) VALUES (sha256('x'), 'admin')")
    db.execute("UPDATE account SET totp_sealed = 'x' WHERE name = 'admin'")
    assert "'password' again" in ours.tool("resetpwd", "admin")
    query = "SELECT factory, totp_sealed FROM account WHERE name = 'admin'"
    assert rows(db, query) == [(True, None)]
    assert rows(db, "SELECT 1 FROM session") == []
    query = "SELECT action, subject FROM audit WHERE actor LIKE 'console:%'"
    assert rows(db, query) == [("account.reset", "account:admin")]
    with pytest.raises(ToolFailed, match="root"):
        ours.tool("resetpwd", "root")
