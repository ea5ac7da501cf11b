"""The machine is lost while it archives; a backup, the recovery kit and the PBX bring all back."""

import shutil
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from common import backup, commands
from devtools.installation import Installation
from devtools.stack import Stack
from simulators.pbx import client
from tests.drill.books import discrepancies, is_settled
from tests.waiting import until

DAEMONS = ("poller", "archiver@1", "archiver@2", "housekeeper", "backupd")


def value(ours: Installation, query: str, *arguments: Any) -> Any:
    with ours.connect() as connection:
        row = connection.execute(query, arguments).fetchone()
    assert row is not None
    return row[0]


def ask(ours: Installation, verb: str, **arguments: object) -> str:
    """Give backupd a command, as the web UI does, and return its answer."""
    with ours.connect() as connection:
        with connection.transaction():
            command = commands.ask(connection, "backupd", verb, arguments, "sysadmin")
        answer = commands.wait(connection, command, 30)
    assert answer is not None and answer.succeeded, answer
    return answer.answer


def saves_volume(ours: Installation) -> None:
    """Save the mounted volume as the target."""
    target = ask(ours, backup.TRY, kind="volume", host="", port=22, path="", username="",
                 host_key="", password_sealed=None, uses_password=False)  # fmt: skip
    with ours.connect() as connection:
        connection.execute(
            "INSERT INTO backup_target (kind, host, port, path, username, host_key, target,"
            " saved_by) VALUES ('volume', '', 22, '', '', '', %s, 'sysadmin')",
            [UUID(target)],
        )


def has_backups(ours: Installation, count: int) -> bool:
    query = "SELECT count(*) >= %s FROM backup_run WHERE state = 'finished'"
    return bool(value(ours, query, count))


@pytest.mark.timeout(600)
def test_a_lost_machine_comes_back_and_fetches_what_the_backup_does_not_have(
    synced: Stack, small_disk: Path, tmp_path: Path
) -> None:
    directory, kit = tmp_path / "callstash", tmp_path / "kit"
    directory.mkdir()
    with synced.postgres.connect() as connection:
        connection.execute("CREATE DATABASE callstash")
    archive = directory / "companies"
    ours = Installation(
        directory, synced.postgres.dsn("callstash"), synced.rabbitmq.url(), archive,
        "[poller]\nsettle_seconds = 0\n[archiver]\nretry_seconds = 1\nreserve_mb = 2\n"
        f'[backupd]\nbackup_directory = "{small_disk}"\nwork = "{directory / "work"}"\n'
        f'[housekeeper]\nrepair = "{directory / "repair"}"\n',
    )  # fmt: skip
    pbx = client.start("--scenario", "small")
    credentials = directory / "credentials/all"
    try:
        shutil.copy2(credentials / "master.key", kit)
        pbx.control("add_calls", company="default", count=400, ago_s=600)
        ours.tool("add-pbx", "--name", "Drill", "--period", "30", pbx.url, stdin=client.KEY)
        for name in DAEMONS:
            ours.start(name)
        until(lambda: value(ours, "SELECT count(*) FROM recording_audio") > 20, 60)
        saves_volume(ours)  # the first backup sees an archive that grows
        ask(ours, backup.RUN)
        until(lambda: has_backups(ours, 1), 120, doing=ours.tend)
        saved = len(list(small_disk.rglob("*.csrec")))
        assert saved > 20

        pbx.control("add_calls", company="demonstration", count=60, ago_s=300)
        ours.tool("poll-now", "10")
        until(lambda: value(ours, "SELECT count(*) FROM recording_audio") > saved, 60)
        for name in DAEMONS:
            ours.kill(name)
        for place in (archive, credentials, directory / "work"):
            shutil.rmtree(place)
        synced.rabbitmq.kill()
        synced.wipe_rabbitmq()
        synced.rabbitmq.start()
        with synced.postgres.connect() as connection:
            connection.execute("DROP DATABASE callstash WITH (FORCE)")
            connection.execute("CREATE DATABASE callstash")

        said = ours.tool("restore", str(small_disk), "--master-key", str(kit),
                         "--credentials", str(credentials))  # fmt: skip
        assert "0 are missing" in said and "restored in" in said
        assert "made" not in ours.tool("init", "--credentials", str(credentials))
        ours.hand_out()
        for name in DAEMONS:
            ours.start(name)
        ours.tool("poll-now", "10")
        offered = pbx.control("offered")["calls"]
        until(lambda: is_settled(ours, len(offered)), 180, doing=ours.tend)
        assert set(ours.stop().values()) == {0}
        assert discrepancies(ours, offered) == []
        assert len(offered) > saved + 60
    finally:
        for name in list(ours.daemons):
            ours.kill(name)
        pbx.stop()
