"""Backups to a real sshd with a real rsync and to a mounted volume, killed, cancelled and refused;
and what comes back of them on an empty machine.
"""

import base64
import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from datetime import time as clock
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest

from common import backup, commands, keys, rowfile, seal
from common import db as database
from common.store import Store
from daemons.backupd import brake as brakes
from daemons.backupd import catalogue as catalogues
from daemons.backupd import compare
from daemons.backupd import run as runs
from daemons.backupd import target as targets
from daemons.backupd.backupd import Backupd, Settings
from daemons.backupd.child import progress, statistics
from daemons.backupd.pace import Pace
from daemons.backupd.queries.progress import compare_again
from daemons.backupd.target import BackupFailed, Target, host_key, reached
from daemons.housekeeper.damage import Damages
from daemons.housekeeper.queries import inspections, licences
from devtools.process import children, free_port, spawn
from devtools.stack import Stack
from tests.quiet import Quiet
from tests.service.rig import Rig
from tests.waiting import until
from tools.restore import Restore
from tools.verify import Verify

Connect = Callable[[str], psycopg.Connection[Any]]
SSHD = """\
Port {port}
ListenAddress 127.0.0.1
HostKey {directory}/host
PidFile none
AuthorizedKeysFile {directory}/authorized_keys
StrictModes no
UsePAM no
PermitRootLogin yes
PasswordAuthentication yes
KbdInteractiveAuthentication no
"""
PASSWORD = "pass word-77 $x"

KILLS = int(os.environ.get("BACKUP_KILLS", "4"))  # of backups, with a restore after each


class Server:
    """An sshd of this test alone, and a directory for backups."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.port = free_port()
        self.path = directory / "backups"
        self.path.mkdir(parents=True)
        self._process: subprocess.Popen[bytes] | None = None
        self.new_key()

    def new_key(self) -> None:
        (self.directory / "host").unlink(missing_ok=True)
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self.directory / "host")],
            check=True,
        )

    def start(self) -> None:
        """Start it; root's password is PASSWORD for it alone."""
        config = self.directory / "sshd_config"
        config.write_text(SSHD.format(port=self.port, directory=self.directory))
        Path("/run/sshd").mkdir(exist_ok=True)
        hashed = subprocess.run(
            ["openssl", "passwd", "-6", PASSWORD], check=True, capture_output=True, text=True
        ).stdout.strip()
        shadow = self.directory / "shadow"
        shadow.write_text(f"root:{hashed}:19000:0:99999:7:::\n")
        inner = 'mount --bind "$0" /etc/shadow && exec /usr/sbin/sshd -D -e -f "$1"'
        command = ["unshare", "--mount", "sh", "-c", inner, str(shadow), str(config)]
        self._process = spawn(command, log=self.directory / "log")
        until(lambda: _answers(self.port), 20)

    def signal(self, number: int) -> None:
        """Signal the server and whatever it runs."""
        assert self._process is not None
        pids = [self._process.pid]
        for pid in pids:
            pids += children(pid)
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait()
            self._process = None


def _answers(port: int) -> bool:
    try:
        return bool(host_key("127.0.0.1", port))
    except BackupFailed:
        return False


class House:
    """A backupd for the archive of a rig."""

    def __init__(self, rig: Rig, connect_as: Connect, stack: Stack, dsn: str, tmp: Path) -> None:
        self.rig = rig
        self.offset = timedelta()
        self.credentials = tmp
        self.work = tmp / "work"
        self.volume = tmp / "volume"
        self.volume.mkdir()
        self.settings = Settings(
            dsn, "", rig.root, self.volume, self.work, "UTC", "01:00",
            stack.postgres.program("pg_dump").parent,
        )  # fmt: skip
        self.prefix = stack.postgres.prefix
        self._connect = connect_as
        _, public = seal.generate()
        secret, self.line = keys.generate_ssh_key("box")
        private, public = seal.generate()
        keys.write_credential(tmp, "backup.key", private)
        keys.write_secret(tmp, "backup_ssh", secret)
        keys.write_credential(tmp, "master.key", rig.master)
        rig.db.execute("INSERT INTO sealing_key (name, public_key) VALUES ('backup', %s)", [public])
        self.public = public
        master = seal.public_key(rig.master)
        for name in ("pbx.key", "backup.key", "backup_ssh"):
            sealed = seal.seal(master, (tmp / name).read_bytes(), backup.credential(name))
            rig.db.execute("INSERT INTO sealed_credential VALUES (%s, %s)", [name, sealed])
        self.start()

    def start(self) -> None:
        """Start backupd anew, as after a crash."""
        self.backupd = Backupd(self.settings, self._connect("backupd"), self.now, self.prefix)

    def now(self) -> datetime:
        return datetime.now(UTC) + self.offset

    def ask(self, verb: str, /, **arguments: object) -> commands.Answer:
        with self.rig.db.transaction():
            command = commands.ask(self.rig.db, "backupd", verb, arguments, "sysadmin")
        self.backupd.step(Quiet())  # type: ignore[arg-type]
        answer = commands.wait(self.rig.db, command, 1)
        assert answer is not None
        return answer

    def wanted(self, server: Server, **other: object) -> dict[str, object]:
        return {
            "kind": "remote", "host": "127.0.0.1", "port": server.port, "path": str(server.path),
            "username": "root", "host_key": host_key("127.0.0.1", server.port),
            "password_sealed": None, "uses_password": False, **other,
        }  # fmt: skip

    def save(self, **wanted: Any) -> None:
        """Try a target and save it, as the web UI does."""
        answer = self.ask(backup.TRY, **wanted)
        assert answer.succeeded, answer.answer
        self.rig.db.execute(
            "INSERT INTO backup_target (kind, host, port, path, username, host_key, target,"
            " password_sealed, saved_by) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, 'x')"
            " ON CONFLICT (single) DO UPDATE SET target = excluded.target",
            [*(wanted[name] for name in ("kind", "host", "port", "path", "username", "host_key")),
             UUID(answer.answer),
             bytes.fromhex(wanted["password_sealed"]) if wanted["password_sealed"] else None],
        )  # fmt: skip

    def run(self) -> tuple[str, str | None]:
        """Run one backup to its end and return how it ended."""
        if not self.rig.value("SELECT EXISTS (SELECT FROM backup_run WHERE state = 'running')"):
            self.ask(backup.RUN)
        until(self._over, 60, doing=lambda: self.backupd.step(Quiet()))  # type: ignore[arg-type]
        (row,) = self.rig.rows("SELECT state::text, error FROM backup_run ORDER BY id DESC LIMIT 1")
        self.rig.db.execute("DELETE FROM command")
        return str(row[0]), row[1]

    def _over(self) -> bool:
        query = "SELECT state <> 'running' FROM backup_run ORDER BY id DESC LIMIT 1"
        return bool(self.rig.value(query))

    def delete(self, name: str) -> None:
        """Delete a recording as a policy does."""
        db, recording = self.rig.db, Path(name).name[:36]
        with db.transaction():
            db.execute("DELETE FROM recording_audio WHERE recording_id = %s", [recording])
            db.execute(
                "WITH p AS (INSERT INTO purge (asked_by, started_at, archive_calls, planned_calls,"
                " planned_bytes, held_calls) VALUES ('x', now(), 1, 1, 1, 0) RETURNING id)"
                " INSERT INTO tombstone (recording_id, company_id, purge_id, reason, asked_by)"
                " SELECT %s, 201, id, 'retention', 'x' FROM p",
                [recording],
            )
            db.execute("INSERT INTO unlink_pending (path) VALUES (%s)", [name])
        (self.rig.root / name).unlink()

    def copies(self, place: Path) -> set[str]:
        return {str(p.relative_to(place / "recordings")) for p in place.rglob("*.csrec")}

    def stored(self) -> set[str]:
        return {str(p.relative_to(self.rig.root)) for p in self.rig.root.rglob("*.csrec")}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    if os.getuid():
        pytest.skip("an sshd that lets us in needs root")
    made = Server(tmp_path / "server")
    made.start()
    yield made
    made.stop()


@pytest.fixture
def house(
    rig: Rig, connect_as: Connect, stack: Stack, dsn: str, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[House]:  # fmt: skip
    monkeypatch.setenv("PATH", f"{stack.postgres.program('pg_dump').parent}:{os.environ['PATH']}")
    rig.finish()
    made = House(rig, connect_as, stack, dsn, tmp_path)
    yield made
    made.backupd.close()


@pytest.fixture
def saved(house: House, server: Server) -> House:
    (server.directory / "authorized_keys").write_text(house.line + "\n")
    house.save(**house.wanted(server))
    return house


def test_a_backup_copies_what_is_new_and_a_catalogue(saved: House, server: Server) -> None:
    assert saved.run() == ("finished", None)
    assert saved.copies(server.path) == saved.stored()
    (catalogue,) = (server.path / "catalogue").iterdir()
    assert {path.name for path in catalogue.iterdir()} == {
        "db.dump", "COUNTS", "ROWS", "VERSION", "RESTORE.md", "SHA256SUMS", "COMPLETE",
    }  # fmt: skip
    figures = saved.rig.value("SELECT statistics FROM backup_run")
    assert figures["transferred"] == len(saved.stored())
    saved.rig.db.execute("UPDATE recording SET listed_size = listed_size")
    assert saved.run() == ("finished", None)
    again = saved.rig.value("SELECT statistics FROM backup_run ORDER BY id DESC LIMIT 1")
    assert again.get("transferred", 0) == 0


def test_what_is_stored_later_is_in_the_next_backup(saved: House, server: Server, sim: Any) -> None:
    saved.run()
    sim.control("add_calls", company="default", count=3, ago_s=600)
    saved.rig.finish()
    before = len(saved.copies(server.path))
    assert saved.run() == ("finished", None)
    assert len(saved.copies(server.path)) == before + 3
    assert saved.copies(server.path) == saved.stored()


def test_the_volume_must_really_be_mounted(house: House) -> None:
    wanted = {"kind": "volume", "host": "", "port": 22, "path": "", "username": "",
              "host_key": "", "password_sealed": None, "uses_password": False}  # fmt: skip
    answer = house.ask(backup.TRY, **wanted)
    assert not answer.succeeded
    assert "No volume is mounted" in answer.answer
    if os.getuid():
        pytest.skip("mounting a tmpfs needs root")
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", house.volume], check=True)
    try:
        house.save(**wanted)
        assert house.run() == ("finished", None)
        assert house.copies(house.volume) == house.stored()
    finally:
        subprocess.run(["umount", house.volume], check=True)
    state, error = house.run()
    assert state == "failed"
    assert "No volume is mounted" in str(error)


def test_what_is_wrong_with_a_server_is_said_in_words(house: House, server: Server) -> None:
    def said(**other: object) -> str:
        answer = house.ask(backup.TRY, **house.wanted(server, **other))
        assert not answer.succeeded
        return answer.answer

    assert "refuses the login of root" in said()
    (server.directory / "authorized_keys").write_text(house.line + "\n")
    assert "There is no directory /no/such at 127.0.0.1" in said(path="/no/such")
    assert "host key" in said(host_key="ssh-ed25519 " + base64.b64encode(b"x" * 51).decode())
    assert "There is no server with the name no.such.invalid" in said(host="no.such.invalid")
    assert "refuses connections on port 1" in said(port=1)
    (server.path / "holiday.jpg").write_text("x")
    assert "has other things in it, such as holiday.jpg" in said()
    (server.path / "holiday.jpg").unlink()
    identity = server.path / "callstash-target.json"
    identity.write_text(f'{{"box": "{UUID(int=1)}", "target": "{UUID(int=2)}"}}')
    assert "another CallStash" in said()
    identity.write_text("{")
    assert "can't be read" in said()
    assert [path.name for path in server.path.iterdir()] == [identity.name]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("host", "-oProxyCommand=touch /tmp/x"),
        ("host", "a\nProxyCommand touch /tmp/x"),
        ("username", "root\n  ProxyCommand x"),
        ("username", "-l"),
        ("path", "relative"),
        ("path", "/x\nProxyCommand y"),
        ("host_key", "ssh-ed25519 AAAA\n* ssh-rsa AAAA"),
    ],
)
def test_hostile_values_are_refused_before_anything_is_called(
    house: House, server: Server, field: str, value: str
) -> None:
    (server.directory / "authorized_keys").write_text(house.line + "\n")
    answer = house.ask(backup.TRY, **house.wanted(server, **{field: value}))
    assert not answer.succeeded
    assert list(server.path.iterdir()) == []


def test_strange_but_honest_paths_work(house: House, server: Server) -> None:
    (server.directory / "authorized_keys").write_text(house.line + "\n")
    odd = server.path / "a b $(touch x) 'q' \"d\" *;ü"
    odd.mkdir()
    house.save(**house.wanted(server, path=str(odd)))
    assert house.run() == ("finished", None)
    assert house.copies(odd) == house.stored()


def test_another_host_key_is_not_accepted_later(saved: House, server: Server) -> None:
    assert saved.run() == ("finished", None)
    server.stop()
    server.new_key()
    server.start()
    state, error = saved.run()
    assert state == "failed"
    assert "another one than the one that was saved" in str(error)


def test_a_password_lets_us_in_and_a_wrong_one_is_said(house: House, server: Server) -> None:
    wanted = house.wanted(server)
    bound = backup.context("127.0.0.1", server.port, "root", str(wanted["host_key"]))

    def with_password(text: str) -> dict[str, Any]:
        sealed = seal.seal(house.public, text.encode(), bound).hex()
        return {**wanted, "password_sealed": sealed, "uses_password": True}

    answer = house.ask(backup.TRY, **with_password("wrong"))
    assert not answer.succeeded
    assert "refuses the login of root" in answer.answer
    house.save(**with_password(PASSWORD))
    assert house.run() == ("finished", None)
    assert house.copies(server.path) == house.stored()


def test_a_key_that_may_only_run_rsync_in_one_directory_is_enough(
    house: House, server: Server
) -> None:
    (server.directory / "authorized_keys").write_text(
        f'restrict,command="rrsync {server.path}" {house.line}\n'
    )
    house.save(**house.wanted(server, path="/"))
    assert house.run() == ("finished", None)
    assert house.run() == ("finished", None)
    assert house.copies(server.path) == house.stored()
    assert verified(str(server.path)) == []


def test_a_full_volume_is_said_and_backups_go_on_when_there_is_room(house: House) -> None:
    if os.getuid():
        pytest.skip("mounting a tmpfs needs root")
    wanted = {"kind": "volume", "host": "", "port": 22, "path": "", "username": "",
              "host_key": "", "password_sealed": None, "uses_password": False}  # fmt: skip
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", house.volume], check=True)
    try:
        house.save(**wanted)
        filler = house.volume / ".filler"
        free = shutil.disk_usage(house.volume).free
        filler.write_bytes(bytes(free - 65536))
        state, error = house.run()
        assert state == "failed"
        assert "There is no room left at" in str(error)
        assert not list(house.volume.glob("catalogue/*/COMPLETE"))
        filler.unlink()
        assert house.run() == ("finished", None)
        assert verified(str(house.volume)) == []
    finally:
        subprocess.run(["umount", house.volume], check=True)


def test_a_server_that_hangs_is_said_in_time(
    saved: House, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(targets, "SECONDS", 2)
    server.signal(signal.SIGSTOP)
    try:
        state, error = saved.run()
    finally:
        server.signal(signal.SIGCONT)
    assert state == "failed"
    assert str(error) == f"127.0.0.1 does not answer on port {server.port}."
    assert saved.run() == ("finished", None)


def test_a_server_that_hangs_in_the_middle_is_said_in_time(
    saved: House, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(targets, "SILENCE", 4)
    saved.rig.db.execute("UPDATE backup_target SET rate_kb = 40")
    saved.ask(backup.RUN)
    until(
        lambda: saved.copies(server.path) != set(), 30,
        doing=lambda: saved.backupd.step(Quiet()),  # type: ignore[arg-type]
    )  # fmt: skip
    assert saved.backupd._running is not None
    assert saved.backupd._running.work.children.running is not None, "it copies"
    server.signal(signal.SIGSTOP)
    try:
        state, error = saved.run()
    finally:
        server.signal(signal.SIGCONT)
    assert state == "failed"
    assert "stopped answering" in str(error)
    saved.rig.db.execute("UPDATE backup_target SET rate_kb = NULL")
    assert saved.run() == ("finished", None)
    assert saved.copies(server.path) == saved.stored()


def test_killed_at_any_step_the_next_backup_is_complete(saved: House, server: Server) -> None:
    for steps in range(1, 40, 3):
        saved.ask(backup.RUN)
        for _ in range(steps):
            saved.backupd.step(Quiet())  # type: ignore[arg-type]
        running = saved.backupd._running
        if running is None or running.run is None:
            break  # the backup is over; what runs is a drill
        running.opened.pop_all()
        running.work.children.stop()
        saved.rig.db.execute("DELETE FROM command")
        saved.start()
        assert saved.rig.value("SELECT count(*) FROM backup_run WHERE state = 'running'") == 0
    assert saved.run() == ("finished", None)
    assert saved.copies(server.path) == saved.stored()
    complete = {path.parent for path in server.path.glob("catalogue/*/COMPLETE")}
    assert set((server.path / "catalogue").iterdir()) == complete


def restored(saved: House, server: Server, stack: Stack, place: Path) -> int:
    """Restore the newest complete catalogue, see every file that it lists, and count them."""
    name = f"restored_{time.time_ns()}"
    with stack.postgres.connect() as postgres:
        postgres.execute(f"CREATE DATABASE {name}")
    dsn = stack.postgres.dsn(name)
    try:
        with psycopg.connect(dsn, user="postgres", autocommit=True) as db:
            work = Restore(str(server.path), "ssh", db, f"{dsn} user=postgres", lambda _: None)
            assert work.run(saved.rig.master, place / "keys", place / "new") == 0
            rows = db.execute(
                "SELECT r.company_id, r.started_at, r.id, a.generation, a.file_sha256"
                " FROM recording r JOIN recording_audio a ON a.recording_id = r.id"
            ).fetchall()
        store = Store(place / "new")
        for *where, digest in rows:
            with store.path(*where).open("rb") as file:
                assert hashlib.file_digest(file, "sha256").digest() == digest
        return len(rows)
    finally:
        with stack.postgres.connect() as postgres:
            postgres.execute(f"DROP DATABASE {name} WITH (FORCE)")


def test_whenever_a_backup_is_killed_the_target_restores(
    saved: House, server: Server, sim: Any, stack: Stack, tmp_path: Path
) -> None:
    luck = random.Random(KILLS)
    assert saved.run() == ("finished", None)
    least = len(saved.stored())
    for number in range(KILLS):
        sim.control("add_calls", company="default", count=2, ago_s=600)
        saved.rig.finish()
        saved.ask(backup.RUN)
        for _ in range(luck.randrange(1, 45)):
            saved.backupd.step(Quiet())  # type: ignore[arg-type]
            running = saved.backupd._running
            if running is None or running.run is None:  # the backup is over
                least = len(saved.stored())
                break
        if running is None or running.run is None:
            saved.backupd.close()
        else:
            running.opened.pop_all()
            running.work.children.stop()
            running.steps.close()  # type: ignore[attr-defined]
        saved.backupd._db.close()  # the connections of a process end with it
        saved.rig.db.execute("DELETE FROM command")
        saved.start()
        assert least <= restored(saved, server, stack, tmp_path / str(number))
    saved.backupd.close()
    saved.start()
    assert saved.run()[0] == "finished"
    assert restored(saved, server, stack, tmp_path / "end") == len(saved.stored())


def test_a_backup_that_was_stopped_goes_on_at_the_next_start(saved: House) -> None:
    saved.ask(backup.RUN)
    saved.backupd.step(Quiet())  # type: ignore[arg-type]
    saved.backupd.close()
    saved.rig.db.execute("DELETE FROM command")
    assert saved.rig.rows("SELECT state::text, error FROM backup_run") == [
        ("failed", "It was interrupted.")
    ]
    saved.start()
    saved.backupd.step(Quiet())  # type: ignore[arg-type]
    assert saved.run() == ("finished", None)
    assert saved.rig.rows("SELECT asked_by, state::text FROM backup_run ORDER BY id") == [
        ("sysadmin", "failed"), ("sysadmin", "finished"),
    ]  # fmt: skip


def test_without_room_for_its_lists_a_backup_fails_and_the_daemon_lives(saved: House) -> None:
    (saved.work / "files").mkdir()
    state, error = saved.run()
    assert state == "failed"
    assert "files" in str(error)


def test_a_backup_can_be_cancelled(saved: House) -> None:
    saved.ask(backup.RUN)
    saved.rig.db.execute("UPDATE backup_run SET cancel_by = 'sysadmin'")
    assert saved.run() == ("cancelled", "sysadmin cancelled it.")
    assert saved.run() == ("finished", None)


def drilled(house: House) -> list[Any]:
    """Let a drill run to its end and return what is noted of all of them."""
    house.backupd.step(Quiet())  # type: ignore[arg-type]
    until(
        lambda: house.backupd._running is None, 60,
        doing=lambda: house.backupd.step(Quiet()),  # type: ignore[arg-type]
    )  # fmt: skip
    return house.rig.rows("SELECT recordings, sampled, error FROM restore_drill ORDER BY id")


def test_each_week_a_restore_is_tried(saved: House) -> None:
    saved.run()
    count = len(saved.stored())
    assert drilled(saved) == [(count, count, None)]
    assert drilled(saved) == [(count, count, None)]
    saved.rig.db.execute("UPDATE restore_drill SET started_at = started_at - interval '8 days'")
    assert drilled(saved) == [(count, count, None)] * 2
    assert not (saved.work / "drill").exists()


def test_a_drill_finds_what_a_restore_would_lack(saved: House, server: Server) -> None:
    saved.run()
    count = len(saved.stored())
    copies = sorted((server.path / "recordings").rglob("*.csrec"))
    copies[0].unlink()
    content = bytearray(copies[1].read_bytes())
    content[99] ^= 1
    copies[1].write_bytes(content)
    words = f"2 of {count} recordings that were read back are not as they were stored."
    assert drilled(saved) == [(count, count, words)]
    saved.rig.db.execute("DELETE FROM restore_drill")
    (catalogue,) = (server.path / "catalogue").iterdir()
    dump = bytearray((catalogue / "db.dump").read_bytes())
    dump[len(dump) // 2] ^= 1
    (catalogue / "db.dump").write_bytes(dump)
    (row,) = drilled(saved)
    assert "db.dump in catalogue" in row[2]
    saved.rig.db.execute("DELETE FROM restore_drill")
    (catalogue / "COMPLETE").unlink()
    assert drilled(saved) == [(0, 0, "There is no complete catalogue at the target.")]


def rot(copy: Path) -> None:
    """Alter a file as a dying disk does: its size and time stay."""
    stamp = copy.stat()
    copy.write_bytes(bytes(stamp.st_size))
    os.utime(copy, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))


def test_copies_that_are_damaged_at_the_target_are_copied_again(
    saved: House, server: Server
) -> None:
    saved.run()
    for copy in (server.path / "recordings").rglob("*.csrec"):
        rot(copy)
    assert saved.run() == ("finished", None)
    figures = saved.rig.value("SELECT statistics FROM backup_run ORDER BY id DESC LIMIT 1")
    assert figures["mended"] == len(saved.stored())
    assert verified(str(server.path)) == []


def test_what_is_damaged_on_both_sides_is_a_failed_backup(
    saved: House, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "SAMPLE", 100)  # all of them
    saved.run()
    first, second, *_ = sorted(saved.stored())
    whole = (server.path / "recordings" / second).read_bytes()
    rot(server.path / "recordings" / first)
    for name in (first, second):
        rot(saved.rig.root / name)
    state, error = saved.run()
    assert state == "failed"
    assert "1 recordings at the target are missing or not as they were stored" in str(error)
    assert (server.path / "recordings" / second).read_bytes() == whole


def test_the_weekly_comparison_mends_what_no_sample_need_find(
    saved: House, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "SAMPLE", 0)
    monkeypatch.setattr(compare, "PARTS", 1)
    saved.run()
    missing, cut, altered, *_ = sorted((server.path / "recordings").rglob("*.csrec"))
    missing.unlink()
    cut.write_bytes(cut.read_bytes()[:-1])
    rot(altered)
    rows, *_ = sorted((server.path / "rows").rglob("*.gz"))  # one for each day of calls
    rot(rows)
    stranger = rows.with_name(f"{rows.name[:8]}-{'0' * 64}.gz")
    stranger.write_bytes(b"what no catalogue lists any more")
    assert saved.run() == ("finished", None)
    wrong = [*(str(p.relative_to(server.path)) for p in (missing, cut, altered, rows, stranger))]
    assert set(verified(str(server.path))) >= set(wrong[3:])
    saved.rig.db.execute("UPDATE backup_progress SET compared_at = now() - interval '8 days'")
    assert saved.run() == ("finished", None)
    assert (
        saved.rig.value("SELECT statistics FROM backup_run ORDER BY id DESC LIMIT 1")["mended"] == 3
    )
    assert verified(str(server.path)) == []


def test_rows_that_changed_unseen_are_noticed(saved: House, server: Server) -> None:
    saved.run()
    db = saved.rig.db
    db.execute("SET session_replication_role = replica")
    db.execute("UPDATE recording SET caller_name = 'Zoe' WHERE id = (SELECT min(id::text)::uuid"
               " FROM recording)")  # fmt: skip
    db.execute("SET session_replication_role = DEFAULT")
    assert saved.run() == ("finished", None)
    assert "drifted" not in saved.rig.value(
        "SELECT statistics FROM backup_run ORDER BY id DESC LIMIT 1"
    )
    compare_again(db, saved.rig.value("SELECT target FROM backup_target"))
    assert saved.run() == ("finished", None)
    assert (
        saved.rig.value("SELECT statistics FROM backup_run ORDER BY id DESC LIMIT 1")["drifted"]
        == 1
    )
    assert saved.run() == ("finished", None)
    assert "drifted" not in saved.rig.value(
        "SELECT statistics FROM backup_run ORDER BY id DESC LIMIT 1"
    )


def test_an_archive_that_lost_recordings_is_not_backed_up_until_that_is_confirmed(
    saved: House, server: Server
) -> None:
    def brake() -> list[Any]:
        return saved.rig.rows("SELECT recordings, lost_rows, lost_files FROM backup_brake")

    saved.run()
    one, two, three, *_ = sorted(saved.stored())
    count = len(saved.stored())
    saved.delete(one)
    saved.offset += timedelta(days=31)
    assert saved.run() == ("finished", None)  # that was policy
    left = saved.copies(server.path)
    saved.rig.db.execute("DELETE FROM recording_audio WHERE recording_id = %s", [Path(two).stem])
    (saved.rig.root / three).rename(saved.work / "three")
    saved.rig.db.execute(
        "INSERT INTO backup_delete VALUES (%s, now() - interval '1 year')", [sorted(left)[0]]
    )
    for _ in range(2):
        state, error = saved.run()
        assert state == "failed"
        assert (
            f"Of {count - 1} recordings, 1 are gone from the database and the files of 1 are"
            in (str(error))
        )
        assert brake() == [(count - 1, 1, 1)]
    assert saved.copies(server.path) == left
    saved.rig.db.execute("UPDATE backup_brake SET confirmed_at = now(), confirmed_by = 'x'")
    assert saved.run() == ("finished", None)
    assert brake() == [(count - 1, 0, 1)]
    (saved.work / "three").rename(saved.rig.root / three)
    assert saved.run() == ("finished", None)
    assert brake() == []


def test_a_new_target_is_filled_at_its_rate_and_rests_in_its_window(
    saved: House, server: Server
) -> None:
    now = datetime.now(UTC)
    saved.offset = now.replace(hour=9, minute=0) - now
    saved.rig.db.execute(
        "UPDATE backup_target SET rate_kb = 2000, quiet_from = '08:00', quiet_until = '18:00'"
    )
    saved.ask(backup.RUN)
    resting = "SELECT phase = 'resting until 18:00' FROM backup_run"
    until(
        lambda: saved.rig.value(resting), 20,
        doing=lambda: saved.backupd.step(Quiet()),  # type: ignore[arg-type]
    )  # fmt: skip
    assert not saved.backupd.step(Quiet())  # type: ignore[arg-type]
    assert saved.rig.value(resting)
    assert saved.copies(server.path) == set()
    saved.offset += timedelta(hours=10)
    assert saved.run() == ("finished", None)
    assert saved.copies(server.path) == saved.stored()
    saved.offset += timedelta(hours=16)  # in the window again, but the target is full
    assert saved.run() == ("finished", None)


def test_windows_may_go_over_midnight() -> None:
    night = Pace(UTC, 1, (clock(22), clock(6)))
    quiet = [hour for hour in range(24) if night.is_quiet(datetime(2026, 1, 1, hour, tzinfo=UTC))]
    assert quiet == [*range(6), 22, 23]
    assert night.options == ("--bwlimit=1",)
    assert Pace(UTC, 5000).options == ("--bwlimit=4882",)
    assert Pace(UTC).options == ()


def test_what_is_damaged_here_comes_back_from_the_backup(
    saved: House, server: Server, connect_as: Connect
) -> None:
    saved.run()
    drilled(saved)
    rig, db = saved.rig, connect_as("housekeeper")
    damages = Damages(
        db, Store(rig.root), licences.box(db), lambda: datetime.now(UTC) + timedelta(days=60),
        saved.work / "repair",
    )  # fmt: skip
    assert damages.is_there()
    missing, altered, hopeless, *_ = sorted(saved.stored())
    contents = {name: (rig.root / name).read_bytes() for name in (missing, altered)}
    (rig.root / missing).unlink()
    (rig.root / altered).write_bytes(bytes(len(contents[altered])))
    (rig.root / hopeless).unlink()
    (server.path / "recordings" / hopeless).unlink()
    for name, kind in ((missing, "missing"), (altered, "mismatched"), (hopeless, "missing")):
        stored = inspections.one(db, UUID(Path(name).stem))
        assert stored is not None
        assert damages.note(kind, stored)
    drilled(saved)
    left = Store(rig.root).incoming(0) / Path(missing).name
    left.write_bytes(b"what a killed housekeeper left")
    damages._next = 0.0
    damages.turn(Quiet())  # type: ignore[arg-type]
    for name, content in contents.items():
        assert (rig.root / name).read_bytes() == content
    found = rig.rows("SELECT path, ended_by::text FROM damage ORDER BY id")
    assert found == [(missing, "backup"), (altered, "backup"), (hopeless, None)]


def test_what_is_missing_here_and_was_never_copied_is_no_finished_backup(
    saved: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(brakes, "SHARE", 0.5)
    gone, *_ = sorted(saved.stored())
    (saved.rig.root / gone).unlink()
    state, error = saved.run()
    assert state == "failed"
    assert "The files of 1 recordings are missing on this machine" in str(error)
    saved.rig.db.execute(
        "INSERT INTO damage (path, kind, recording_id, generation, found_at)"
        " VALUES (%s, 'missing', %s, 0, now())",
        [gone, Path(gone).stem],
    )
    assert saved.run() == ("finished", None), "an alert tells it now"


def test_without_a_target_nothing_is_kept_for_one(saved: House) -> None:
    assert saved.run() == ("finished", None)
    kept = "SELECT count(*) FROM {}"
    assert saved.rig.value(kept.format("backup_rows"))
    saved.rig.db.execute("UPDATE recording SET caller = 'x'")
    assert saved.rig.value(kept.format("backup_changed"))
    saved.rig.db.execute("DELETE FROM backup_target")
    until(
        lambda: not saved.rig.value(kept.format("backup_changed")), 30,
        doing=lambda: saved.backupd.step(Quiet()),  # type: ignore[arg-type]
    )  # fmt: skip
    assert not saved.rig.value(kept.format("backup_rows"))


def test_it_runs_each_night_and_once_after_the_machine_was_off(saved: House) -> None:
    def began() -> int:
        rested = 0
        while rested < 2:  # a drill may follow
            saved.backupd.step(Quiet())  # type: ignore[arg-type]
            rested = 0 if saved.backupd._running is not None else rested + 1
        return int(saved.rig.value("SELECT count(*) FROM backup_run"))

    first = began()
    assert began() == first
    saved.offset += timedelta(days=1)
    assert began() == first + 1
    saved.offset += timedelta(days=5)
    assert began() == first + 2
    assert began() == first + 2


def test_what_failed_is_tried_again_soon_and_a_few_times_a_night(
    saved: House, server: Server
) -> None:
    def began(after: timedelta) -> int:
        saved.offset += after
        saved.backupd.step(Quiet())  # type: ignore[arg-type]
        until(
            lambda: saved.backupd._running is None, 60,
            doing=lambda: saved.backupd.step(Quiet()),  # type: ignore[arg-type]
        )  # fmt: skip
        return int(saved.rig.value("SELECT count(*) FROM backup_run WHERE asked_by = 'backupd'"))

    now = datetime.now(UTC)
    saved.offset = now.replace(hour=1, minute=0, second=5) + timedelta(days=1) - now
    server.stop()
    soon, hour = timedelta(minutes=16), timedelta(hours=1, minutes=1)
    assert began(timedelta()) == 1
    assert began(timedelta(minutes=5)) == 1
    assert began(soon) == 2
    assert began(soon) == 2
    assert began(hour) == 3
    assert began(4 * hour) == 4
    assert began(8 * hour) == 4
    server.start()
    assert began(timedelta(days=1)) == 5
    states = [row[0] for row in saved.rig.rows("SELECT state::text FROM backup_run ORDER BY id")]
    assert states == ["failed"] * 4 + ["finished"]
    assert began(hour) == 5


def test_what_was_deleted_leaves_the_target_after_the_grace(saved: House, server: Server) -> None:
    saved.run()
    gone = sorted(saved.stored())[0]
    saved.delete(gone)
    saved.run()
    assert gone in saved.copies(server.path)
    saved.offset += timedelta(days=31)
    saved.run()
    assert saved.copies(server.path) == saved.stored()
    assert saved.rig.value("SELECT count(*) FROM backup_delete") == 0


def cut_off(*_: object) -> None:
    """Stand in for what is killed."""
    raise KeyboardInterrupt


def test_everything_comes_back_on_an_empty_machine_though_it_is_cut_off_twice(
    saved: House, server: Server, stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig = saved.rig
    saved.run()
    remotes = [row[0] for row in rig.rows("SELECT remote_id FROM recording WHERE state = 'stored'")]
    plain = {remote: rig.plaintext(remote) for remote in remotes}
    name = f"restored_{time.time_ns()}"
    with stack.postgres.connect() as postgres:
        postgres.execute(f"CREATE DATABASE {name}")
    try:
        with psycopg.connect(
            stack.postgres.dsn(name), user="postgres", autocommit=True
        ) as connection:
            said: list[str] = []
            dsn = f"{stack.postgres.dsn(name)} user=postgres"
            work = Restore(str(server.path), "ssh", connection, dsn, said.append)
            with pytest.raises(Exception, match="not the one of this backup"):
                work.run(seal.generate()[0], tmp_path / "keys", tmp_path / "new")
            (tmp_path / "new").mkdir()
            for owner, where in ((rowfile, "load"), (Restore, "_recordings")):
                with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
                    patch.setattr(owner, where, cut_off)
                    work.run(rig.master, tmp_path / "keys", tmp_path / "new")
            assert "a restore was cut off: beginning again" in said
            assert work.run(rig.master, tmp_path / "keys", tmp_path / "new") == 0
            assert "the database is back: going on with the recordings" in said
            assert any(line.startswith("restored in ") for line in said)
            with pytest.raises(Exception, match="not empty"):
                work.run(rig.master, tmp_path / "keys", tmp_path / "new")
            database.check_schema(connection)
            shutil.rmtree(rig.root)
            rig.db, rig.root = connection, tmp_path / "new"
            for remote, content in plain.items():
                assert rig.plaintext(remote) == content
        for credential in ("pbx.key", "backup.key", "backup_ssh", "master.key"):
            back = tmp_path / "keys" / credential
            assert back.read_bytes() == (saved.credentials / credential).read_bytes()
            assert back.stat().st_mode & 0o777 == 0o600
    finally:
        with stack.postgres.connect() as postgres:
            postgres.execute(f"DROP DATABASE {name} WITH (FORCE)")


def test_a_damaged_or_unfinished_catalogue_is_not_restored(
    saved: House, server: Server, stack: Stack, tmp_path: Path
) -> None:
    saved.run()
    (catalogue,) = (server.path / "catalogue").iterdir()
    name = f"restored_{time.time_ns()}"
    with stack.postgres.connect() as postgres:
        postgres.execute(f"CREATE DATABASE {name}")
    try:
        with psycopg.connect(stack.postgres.dsn(name), user="postgres", autocommit=True) as empty:
            dsn = f"{stack.postgres.dsn(name)} user=postgres"
            work = Restore(str(server.path), "ssh", empty, dsn, lambda _: None)
            dump = bytearray((catalogue / "db.dump").read_bytes())
            dump[len(dump) // 2] ^= 1
            (catalogue / "db.dump").write_bytes(dump)
            with pytest.raises(Exception, match="is damaged"):
                work.run(saved.rig.master, tmp_path / "keys", tmp_path / "new")
            (catalogue / "COMPLETE").unlink()
            with pytest.raises(Exception, match="no complete catalogue"):
                work.run(saved.rig.master, tmp_path / "keys", tmp_path / "new")
            tables = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"
            assert empty.execute(tables).fetchone() == (0,)
    finally:
        with stack.postgres.connect() as postgres:
            postgres.execute(f"DROP DATABASE {name} WITH (FORCE)")


def verified(target: str, rsh: str = "ssh", master: bytes | None = None) -> list[str]:
    """Return the places at a target that are wrong, and see that nothing else is said of them."""
    work = Verify(target, rsh, lambda _: None, master)
    work.run()
    return [line.partition(": ")[0] for line in work.wrong]


def hurt(path: Path, luck: random.Random) -> None:
    """Flip a bit of a file, cut it, or remove it."""
    content = bytearray(path.read_bytes())
    how = luck.choice(("flip", "cut", "remove"))
    if how == "remove":
        path.unlink()
        return
    if how == "flip":
        content[luck.randrange(len(content))] ^= 1 << luck.randrange(8)
    stamp = path.stat()
    path.write_bytes(content if how == "flip" else content[:-1])
    os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))


def test_of_a_hundred_things_that_are_wrong_at_the_target_all_are_found(
    saved: House, server: Server, sim: Any, tmp_path: Path
) -> None:
    sim.control("add_calls", company="default", count=90, ago_s=600)
    saved.rig.finish()
    for day in range(6):
        saved.offset = timedelta(days=day)
        assert saved.run() == ("finished", None)
        saved.rig.db.execute("UPDATE restore_drill SET started_at = now() + interval '9 days'")
    assert verified(str(server.path)) == []
    for seed in range(5):
        luck, target = random.Random(seed), tmp_path / f"hurt-{seed}"
        shutil.copytree(server.path, target)
        *catalogues, speaker, _newest = sorted((target / "catalogue").iterdir())
        texts = [path for place in catalogues for path in sorted(place.iterdir())]
        texts = [path for path in texts if path.name != "SHA256SUMS"]  # without, the rest is mute
        audio = sorted((target / "recordings").rglob("*.csrec"))
        chosen = [*luck.sample(texts, 19), speaker / "SHA256SUMS", *luck.sample(audio, 76)]
        for path in chosen:
            hurt(path, luck)
        strangers = [target / "x", target / "catalogue/x", audio[0].parent / "x"]
        for path in strangers:
            path.write_bytes(b"x")
            os.utime(path, (0, 0))
        (target / "callstash-target.json").write_bytes(b"{")
        hundred = [*chosen, *strangers, target / "callstash-target.json"]
        assert len(hundred) == 100
        work = Verify(str(target), "ssh", lambda _: None)
        work.run()
        names = [str(path.relative_to(target)) for path in hundred]
        for name in names:
            assert any(name in line for line in work.wrong), name
        for line in work.wrong:  # where the hashes are damaged, what they are of is suspect too
            assert speaker.name in line or any(name in line for name in names), line


def test_a_target_on_a_server_is_verified_and_decrypted(saved: House, server: Server) -> None:
    assert saved.run() == ("finished", None)
    key = saved.credentials / "backup_ssh"
    rsh = (
        f"ssh -i {key} -p {server.port} -o StrictHostKeyChecking=no -o LogLevel=ERROR"
        " -o UserKnownHostsFile=/dev/null"
    )
    target = f"root@127.0.0.1:{server.path}"
    said: list[str] = []
    Verify(target, rsh, said.append, saved.rig.master).run()
    count = len(saved.stored())
    assert said[1:] == [
        f"{count:,} recordings are as they were stored and were decrypted to their end"
    ]
    (catalogue,) = (server.path / "catalogue").iterdir()
    assert verified(target, rsh, seal.generate()[0]) == [f"catalogue/{catalogue.name}"]
    first, second, *_ = sorted((server.path / "recordings").rglob("*.csrec"))
    first.unlink()
    second.write_bytes(b"x")
    assert verified(target, rsh) == [str(p.relative_to(server.path)) for p in (first, second)]
    shutil.rmtree(catalogue)
    assert verified(target, rsh) == ["catalogue"]


def test_the_command_line_tells_whether_a_backup_is_whole(saved: House, server: Server) -> None:
    assert saved.run() == ("finished", None)

    def said(*more: str) -> tuple[int, str]:
        done = subprocess.run(
            [sys.executable, "-m", "tools", "verify", str(server.path), *more],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        return done.returncode, done.stdout + done.stderr

    count = len(saved.stored())
    status, text = said()
    assert (status, text.splitlines()[1:]) == (0, [f"{count} recordings are as they were stored"])
    status, text = said("--master-key", str(saved.credentials / "master.key"))
    assert status == 0
    assert "were decrypted to their end" in text
    rot(next(server.path.rglob("*.csrec")))
    status, text = said()
    assert status == 1
    assert "is damaged" in text
    assert f"1 things are wrong at {server.path}" in text


def test_a_recording_that_another_key_was_put_to_is_named(saved: House, server: Server) -> None:
    one, other = saved.rig.rows("SELECT recording_id, ecek FROM recording_audio LIMIT 2")
    saved.rig.db.execute(
        "UPDATE recording_audio SET ecek = %s WHERE recording_id = %s", [other[1], one[0]]
    )
    assert saved.run() == ("finished", None)
    assert verified(str(server.path)) == []
    (named,) = verified(str(server.path), master=saved.rig.master)
    assert str(one[0]) in named


def test_what_was_deleted_or_stored_since_is_not_taken_for_strange(
    saved: House, server: Server
) -> None:
    saved.run()
    gone = sorted(saved.stored())[0]
    saved.delete(gone)
    saved.run()
    later = server.path / "recordings" / Path(gone).parent / "later.csrec"
    later.write_bytes(b"stored after the catalogue was written")
    assert verified(str(server.path)) == []


def test_catalogues_are_kept_by_day_week_and_month() -> None:
    start = datetime(2024, 1, 1, 1, tzinfo=UTC)
    names = [(start + timedelta(days=day)).strftime(catalogues.FORMAT) for day in range(1100)]
    names += [names[-1].replace("T01", "T13"), "notes"]
    kept = catalogues.kept(names)
    assert "notes" in kept
    assert names[1098] in kept
    assert names[1099] not in kept  # there was a later one on that day
    assert 24 + 8 + 14 - 6 <= len(kept) - 1 <= 24 + 8 + 14
    alive: list[str] = []
    for name in names[:1100]:
        alive = sorted(catalogues.kept([*alive, name]))
    months = {name[:6] for name in alive}
    assert len(months) == 24
    assert set(names[1086:1100]) <= set(alive)


def test_a_password_is_in_no_command_line_and_no_environment(tmp_path: Path) -> None:
    target = Target("/x", "host.example.com", 22, "u", "ssh-ed25519 AAAA", "Secret-77")
    with reached(target, None) as at:
        assert "Secret-77" not in " ".join(at.command("x"))
        assert "Secret-77" not in " ".join(at.environment.values())
        askpass = Path(at.environment["SSH_ASKPASS"])
        said = subprocess.run([askpass, "Password:"], capture_output=True, text=True, check=True)
        assert said.stdout == "Secret-77\n"
        assert (askpass.parent / "askpass.secret").stat().st_mode & 0o777 == 0o600
        assert askpass.parent.stat().st_mode & 0o777 == 0o700
    assert not askpass.parent.exists()


def test_rsync_s_own_figures_are_read() -> None:
    said = (
        "      1,234  45%   10.00MB/s    0:00:12 (xfr#5, to-chk=95/100)\r"
        "\nNumber of files: 1,204 (reg: 1,000, dir: 204)\nNumber of created files: 12 (reg: 12)\n"
        "Number of deleted files: 0\nNumber of regular files transferred: 11\n"
        "Total file size: 123,456,789 bytes\nTotal transferred file size: 1,000 bytes\n"
        "Total bytes sent: 5,000\nTotal bytes received: 70\n"
    )
    assert progress(said) == (5, 100)
    assert statistics(said) == {
        "files": 1204, "created": 12, "deleted": 0, "transferred": 11, "size": 123456789,
        "transferred_size": 1000, "sent": 5000, "received": 70,
    }  # fmt: skip
    assert progress("") is None
    assert statistics("") == {}
