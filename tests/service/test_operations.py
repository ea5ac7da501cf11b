"""What an operator and the vendor look at: status, metrics, support bundle."""

import json
import os
import re
import subprocess
import sys
import tarfile
import time
import urllib.error
import urllib.request
from datetime import timedelta
from pathlib import Path
from typing import Any

import pika
import pytest

from common import figures, topology
from common.queries import health
from daemons.metrics.metrics import Server, Settings
from devtools.installation import ROOT, Installation
from devtools.process import free_port
from tests.waiting import until

RULES = ROOT / "monitoring" / "alerts.yml"
BOARD = ROOT / "monitoring" / "grafana-dashboard.json"
PERSONAL = (  # what is planted, in many places
    "02079460123", "Wilhelmina", "Featherstone", "wfeather", "wilma@example.org", "203.0.113.77",
    "t0kenOfThePbx", "hunter2Secret", "Quillfeather", "Acme-Solicitors", "pbx.acme.example",
    "fd00:abcd::77", "+44 20 7946 0123",
)  # fmt: skip


@pytest.fixture
def box(tmp_path: Path, dsn: str, broker_url: str) -> Any:
    made = Installation(
        tmp_path, dsn, broker_url, tmp_path / "companies", f"\n[metrics]\nport = {free_port()}\n"
    )
    yield made
    made.stop()


def run(box: Installation, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tools", *arguments],
        env=box.environment("all"), cwd=ROOT, check=False, capture_output=True, text=True,
    )  # fmt: skip


def report(db: Any, name: str, silent: int = 0) -> None:
    """Have a daemon report."""
    db.execute(
        "INSERT INTO daemon_status VALUES (%s, '1', now(), now() - %s, 'waiting for work')"
        " ON CONFLICT (name) DO UPDATE SET seen_at = excluded.seen_at",
        [name, timedelta(seconds=silent)],
    )


def licensed(db: Any) -> None:
    db.execute("INSERT INTO licence (document, serial, pbxs, activated, support_until)"
               " VALUES ('{}', 'CS-1', 2, '2026-01-01', '2036-01-01')")  # fmt: skip


def fill(db: Any) -> None:
    """Make a box with something of everything."""
    report(db, "notifier")
    db.execute(
               "INSERT INTO pbx (name, url, token_sealed, timezone) VALUES"
               " ('Acme-Solicitors', 'https://pbx.acme.example', 't0kenOfThePbx', 'UTC')"
    )  # fmt: skip
    db.execute("INSERT INTO poll_schedule VALUES (10, now(), NULL, 0)")
    db.execute("INSERT INTO poll (pbx_id, trigger, state, finished_at, error)"
               " VALUES (10, 'schedule', 'finished', now() - interval '190 minutes', NULL),"
               " (10, 'retry', 'failed', now(), 'Wilhelmina pulled the plug')")  # fmt: skip
    db.execute("INSERT INTO company (pbx_id, name, label, listed_until) VALUES"
               " (10, 'Quillfeather', 'Quillfeather', now())")  # fmt: skip
    db.execute(
        "INSERT INTO recording (id, pbx_id, company_id, remote_id, poll_id, started_at, duration,"
        " caller, callee, caller_name, next_try_at, waiting, last_error, listed_at)"
        " SELECT gen_random_uuid(), 10, 201, 'Featherstone' || n, 1, now() - interval '20 days', 9,"
        " '02079460123', '+44 20 7946 0123', 'Wilhelmina Featherstone', now(),"
        " CASE WHEN n > 3 THEN 'disk_full'::waiting_reason END, 'no 203.0.113.77',"
        " now() - interval '7 hours' FROM generate_series(1, 5) n"
    )
    db.execute("INSERT INTO company_usage VALUES (201, 1, 7, 7000)")
    db.execute("INSERT INTO disk VALUES ('audio', '/srv/Quillfeather', 1000, 400, now(), false)")
    db.execute("INSERT INTO raid_array VALUES ('u', 'md0', 'raid5', 'degraded', 3, 1, false,"
               " 'recover', 42, 3, now())")  # fmt: skip
    db.execute("INSERT INTO dead_letter (message_id, topic, body, queue, reason, died_at) VALUES"
               " ('m', 'x', '02079460123', 'callstash.poller', 'wfeather', now())")  # fmt: skip


def plant(db: Any, box: Installation) -> None:
    """Put personal data wherever there is room for it."""
    db.execute("INSERT INTO alert (kind, subject, rank, is_critical, title, body, raised_at,"
               " changed_at) VALUES ('mail_refused', 'wilma@example.org', 1, false,"
               " 'No mail to wilma@example.org.', 'Wilhelmina', now(), now())")  # fmt: skip
    db.execute("INSERT INTO pbx_user (pbx_id, remote_id, login, name)"
               " VALUES (10, '1', 'wfeather', 'Wilhelmina Featherstone')")  # fmt: skip
    db.execute("INSERT INTO audit (actor, action, subject, address)"
               " VALUES ('wfeather', 'call.play', 'Featherstone', '203.0.113.77')")  # fmt: skip
    db.execute("UPDATE general_settings SET recipients = '{wilma@example.org}'")
    db.execute("INSERT INTO mail_server (host, port, security, username, password_sealed,"
               " saved_by) VALUES ('203.0.113.77', 25, 'plain', 'wfeather', 'hunter2Secret',"
               " 'x')")  # fmt: skip
    db.execute("INSERT INTO backup_target (kind, host, path, username, host_key, target, saved_by)"
               " VALUES ('remote', 'pbx.acme.example', '/x', 'wfeather', 'k', gen_random_uuid(),"
               " 'x')")  # fmt: skip
    db.execute("INSERT INTO backup_run (asked_by, target, state, started_at, finished_at, error)"
               " VALUES ('wfeather', gen_random_uuid(), 'failed', now(), now(),"
               " 'wfeather@pbx.acme.example: hunter2Secret')")  # fmt: skip
    db.execute("UPDATE daemon_status SET doing = 'listing Quillfeather for Wilhelmina'")
    text = box.config.read_text()
    text += '\n[notifier]\nweb_url = "https://pbx.acme.example"\nhunter2Secret = 5\n'
    text += 'timezone = "Acme-Solicitors"\n[Quillfeather]\nt0kenOfThePbx = 1\n'
    text = text.replace(box.broker, "amqp://wfeather:hunter2Secret@127.0.0.1:1")
    box.config.with_name("planted.toml").write_text(text)


def journal(file: Path) -> None:
    """Write a journal as systemd has it, with what CallStash says and what it never should."""
    says = [
        ("poll failed, the next one is at 12:00: Wilhelmina at 203.0.113.77 says no", "PBX=10"),
        ("licence hunter2Secret is in force", "RECORDING=02079460123x"),
        ("Featherstone rang 02079460123 from fd00:abcd::77", "BY=wfeather"),
        ("Traceback (most recent call last):", ""),
        ('  File "/usr/lib/callstash/common/files.py", line 40, in write_all', ""),
        ('  File "/home/wfeather/Quillfeather.py", line 2, in Wilhelmina', ""),
        ("psycopg.errors.UniqueViolation: Key (name)=(Wilhelmina) exists", ""),
        ("wilma@example.org: t0kenOfThePbx", "LOGGER=Wilhelmina"),
        ("mail sent", "RECORDING=0190b6a0-1111-7000-8000-000000000001"),
    ]
    common = (
        "_BOOT_ID=7d1f2ad9b6f04b0e9a3a8f4f5f0f7c11\n_MACHINE_ID=1f2ad9b6f04b0e9a3a8f4f5f0f7c117d\n"
    )
    now = int(time.time() * 1_000_000)
    text = ""
    for number, (message, more) in enumerate(says):
        text += f"__REALTIME_TIMESTAMP={now + number}\nPRIORITY=3\nMESSAGE={message}\n"
        text += f"_SYSTEMD_UNIT=callstash-poller.service\n_HOSTNAME=Quillfeather\n{common}"
        text += f"{more}\n\n" if more else "\n"
    text += f"__REALTIME_TIMESTAMP={now + 99}\nPRIORITY=6\nMESSAGE=Stopped for Wilhelmina.\n"
    text += "_PID=1\n_SYSTEMD_UNIT=init.scope\nUNIT=callstash-web.service\nUNIT_RESULT=watchdog\n"
    text += f"MESSAGE_ID=d9b373ed55a64feb8242e02dbe79a49c\n_HOSTNAME=Quillfeather\n{common}\n"
    subprocess.run(
        ["/lib/systemd/systemd-journal-remote", f"--output={file}", "-"],
        input=text.encode(), check=True, capture_output=True,
    )  # fmt: skip


def unpacked(file: Path) -> dict[str, bytes]:
    with tarfile.open(file) as tar:
        found = {Path(one.name).name: tar.extractfile(one) for one in tar.getmembers()}
        return {name: stream.read() for name, stream in found.items() if stream is not None}


def test_status_says_how_the_box_is_and_whether_it_needs_a_person(
    box: Installation, db: Any
) -> None:
    fill(db)
    done = run(box, "status", "--json")
    found = json.loads(done.stdout)
    # RabbitMQ has no queues until a daemon declares them
    assert (done.returncode, found["status"]) == (1, 1), done.stderr
    assert found["stored"] == {"companies": 1, "calls": 7, "bytes": 7000}
    assert (found["waiting"]["new"], found["waiting"]["disk_full"]) == (3, 2)
    assert found["arrays"][0]["percent"] == 42
    assert found["pbxs"][0]["name"] == "Acme-Solicitors"
    text = run(box, "status").stdout
    for words in (
        "7 calls",
        "3 new, 2 disk full",
        "last polled 3 hours ago",
        "would lose calls in 23 hours",
        "2 of 3 disks",
        "400 bytes of 1 kB free (40%)",
    ):
        assert words in text, (words, text)


def test_a_box_that_is_well_says_so(box: Installation, db: Any) -> None:
    report(db, "notifier")
    licensed(db)
    with pika.BlockingConnection(pika.URLParameters(box.broker)) as connection:
        topology.declare(connection.channel())
    done = run(box, "status")
    assert done.returncode == 0, done.stdout
    assert done.stdout.startswith("All is well.\n")


def test_what_needs_a_person_follows_from_the_figures(db: Any, connect_as: Any) -> None:
    fill(db)
    assert "not activated" in " ".join(troubles(connect_as))
    assert "notifier" not in " ".join(troubles(connect_as))
    report(db, "notifier", silent=999)
    report(db, "poller", silent=999)
    found = " ".join(troubles(connect_as))
    assert "notifier does not run" in found
    assert "poller does not report" in found
    db.execute("INSERT INTO alert (kind, subject, rank, is_critical, title, body, raised_at,"
               " changed_at) VALUES ('daemon_silent', 'poller', 1, true, 'poller is away', '',"
               " now(), now())")  # fmt: skip
    assert troubles(connect_as)[0] == "poller is away"


def troubles(connect_as: Any) -> list[str]:
    """The role of the metrics may read all that the figures need, and is who reads them here."""
    return figures.troubles(figures.read(connect_as("metrics"), "amqp://127.0.0.1:1"))


def test_without_postgresql_status_can_not_tell_and_a_bundle_is_still_made(
    tmp_path: Path,
) -> None:
    config = tmp_path / "callstash.toml"
    config.write_text(
        f'[common]\ndatabase = "host={tmp_path}"\nbroker = "amqp://127.0.0.1:1"\narchive = "/x"\n'
    )
    environment = {**os.environ, "CALLSTASH_CONFIG": str(config)}
    tool = [sys.executable, "-m", "tools"]
    for settings, words in ((config, "can't tell"), (tmp_path / "none", "can't be read")):
        environment["CALLSTASH_CONFIG"] = str(settings)
        done = subprocess.run([*tool, "status", "--json"], env=environment, cwd=ROOT, check=False,
                              capture_output=True, text=True)  # fmt: skip
        assert (done.returncode, json.loads(done.stdout)["status"]) == (2, 2)
        assert words in done.stderr
    bundle = tmp_path / "bundle.tar.gz"
    subprocess.run([*tool, "support-bundle", str(bundle)], env=environment, cwd=ROOT, check=True)
    missing = json.loads(unpacked(bundle)["missing.json"])
    assert {"status.json", "database.json", "configuration.json"} <= set(missing)
    assert "versions.json" in unpacked(bundle)


def test_a_support_bundle_holds_nothing_personal(
    box: Installation, db: Any, tmp_path: Path
) -> None:
    fill(db)
    plant(db, box)
    file, bundle = tmp_path / "test.journal", tmp_path / "bundle.tar.gz"
    journal(file)
    with_secrets = box.environment("all") | {"PGPASSWORD": "hunter2Secret"}
    tool = [sys.executable, "-m", "tools", "support-bundle", str(bundle), "--journal", str(file)]
    subprocess.run(tool, env=with_secrets, cwd=ROOT, check=True, capture_output=True)
    assert bundle.stat().st_mode & 0o777 == 0o600
    members = unpacked(bundle)
    lines = [json.loads(line) for line in members["journal.jsonl"].splitlines()]
    assert [line.get("says") for line in lines] == [
        "poll failed, the next one is at %s: %s", "licence %s is in force",
        "(48 characters left out)", "Traceback", "files.py:40", "(62 characters left out)",
        "UniqueViolation", "(32 characters left out)", "mail sent", None,
    ]  # fmt: skip
    assert lines[0]["PBX"] == "10"
    assert lines[-2]["RECORDING"] == "0190b6a0-1111-7000-8000-000000000001"
    assert lines[-1]["UNIT_RESULT"] == "watchdog"
    status = json.loads(members["status.json"])
    assert status["stored"]["calls"] == 7
    assert status["alerts"][0]["kind"] == "mail_refused"
    tables = {one["table"] for one in json.loads(members["database.json"])["tables"]}
    assert {"recording", "audit"} <= tables
    # the same, where the configuration names people, too
    planted = box.environment("all") | {"CALLSTASH_CONFIG": str(tmp_path / "planted.toml")}
    tool[-3] = str(tmp_path / "other.tar.gz")
    subprocess.run(tool, env=planted, cwd=ROOT, check=True, capture_output=True)
    members |= {f"2 {name}": one for name, one in unpacked(tmp_path / "other.tar.gz").items()}
    assert json.loads(members["2 status.json"])["queues"] is None
    assert "2 configuration.json" in members
    everything = b"\n".join(members.values()).decode()
    assert [one for one in PERSONAL if one.lower() in everything.lower()] == []
    assert str(tmp_path) not in everything
    done = run(box, "support-bundle", str(bundle))
    assert (done.returncode, "already there" in done.stderr) == (1, True)


def scrape(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=20) as answer:
        assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        return str(answer.read().decode())


def answers(port: int) -> bool:
    try:
        scrape(port)
    except OSError:
        return False
    return True


def test_metrics_say_the_same_and_the_rules_and_the_board_use_what_there_is(
    box: Installation, db: Any
) -> None:
    fill(db)
    plant(db, box)
    port = int(re.findall(r"port = (\d+)", box.config.read_text())[0])
    box.start("metrics")
    until(lambda: answers(port))
    text = scrape(port)
    for line in (
        "callstash_recordings_stored 7.0",
        'callstash_recordings_waiting{reason="disk_full"} 2.0',
        'callstash_recordings_waiting{reason="bad_media"} 0.0',
        'callstash_raid_missing_disks{array="md0"} 1.0',
        "callstash_dead_letters 1.0",
        'callstash_alerts{kind="mail_refused",level="warning"} 1.0',
        "callstash_database_up 1.0",
        "callstash_backup_failed 1.0",
    ):
        assert f"\n{line}\n" in text, (line, text)
    personal = [one for one in PERSONAL if one in text and one != "Acme-Solicitors"]
    assert personal == []  # a PBX has its name, and that is all
    checked = subprocess.run(["promtool", "check", "metrics"], input=text, check=False,
                             capture_output=True, text=True)  # fmt: skip
    assert (checked.returncode, checked.stderr) == (0, "")
    with pytest.raises(urllib.error.HTTPError, match="404"):
        urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=20)
    db.execute("INSERT INTO restore_drill (target, started_at, finished_at, catalogue, recordings,"
               " sampled) VALUES (gen_random_uuid(), now(), now(), 'c', 1, 1)")  # fmt: skip
    db.execute("INSERT INTO backup_run (asked_by, target, state, started_at, finished_at)"
               " VALUES ('x', gen_random_uuid(), 'finished', now(), now())")  # fmt: skip
    licensed(db)
    there = set(re.findall(r"^# TYPE (callstash_\w+)", scrape(port), re.MULTILINE))
    for file in (RULES, BOARD):
        named = set(re.findall(r"\bcallstash_\w+", file.read_text()))
        assert named
        assert named <= there, (file.name, named - there)
    statuses = box.stop()
    assert statuses == {"metrics": 0}, box.log("metrics")


def test_the_alert_rules_are_good_and_fire() -> None:
    for what in (["check", "rules", str(RULES)],
                 ["test", "rules", str(RULES.with_name("alerts-test.yml"))]):  # fmt: skip
        done = subprocess.run(["promtool", *what], check=False, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr


def test_metrics_are_served_while_postgresql_is_away(tmp_path: Path) -> None:
    with Server(Settings(f"host={tmp_path}", "amqp://127.0.0.1:1", port=0)) as server:
        assert server.server_address[0] == "127.0.0.1"
        assert b"\ncallstash_database_up 0.0\n" in server.scrape()


def test_figures_cost_little_with_many_recordings(db: Any, connect_as: Any) -> None:
    fill(db)
    db.execute(
        "INSERT INTO recording (id, pbx_id, company_id, remote_id, poll_id, state, started_at,"
        " duration, caller, callee, stored_at) SELECT gen_random_uuid(), 10, 201, n::text, 1,"
        " 'stored', now(), 9, '1', '2', now() FROM generate_series(1, 20000) n"
    )
    db.execute("ANALYZE recording")
    reader = connect_as("metrics")
    for query in (health.waiting, health.clocks):
        query(reader)
    plans = "\n".join(
        row[0]
        for row in db.execute(
            "EXPLAIN SELECT state, waiting FROM recording WHERE next_try_at IS NOT NULL"
            f" LIMIT {health.COUNTED}"
        )
    )
    assert "Seq Scan on recording" not in plans, plans
    plans = "\n".join(row[0] for row in db.execute("EXPLAIN SELECT stuck FROM loss_clock"))
    assert "Seq Scan on recording" not in plans, plans


def test_the_shell_completes_commands(tmp_path: Path) -> None:
    command = tmp_path / "callstash"
    command.write_text(
        f"#!{sys.executable}\nimport sys\nsys.path.insert(0, {str(ROOT)!r})\n"
        "from tools.cli import cli\ncli(prog_name='callstash')\n"
    )
    command.chmod(0o755)
    script = (
        f"source {ROOT}/completion/callstash; COMP_WORDS=(callstash stat); COMP_CWORD=1;"
        " _callstash_completion callstash stat callstash; echo ${COMPREPLY[@]};"
        " complete -p callstash"
    )
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run(["bash", "-c", script], env=environment, check=True,
                          capture_output=True, text=True)  # fmt: skip
    assert done.stdout.splitlines()[0] == "status"
    assert "_callstash_completion" in done.stdout.splitlines()[1]
