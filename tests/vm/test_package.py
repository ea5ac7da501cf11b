"""The package's life on a fresh Debian with systemd, from its installation to its removal.

The tests are one story in this order: each goes on with the machine as the one before left it.
"""

import json
import time
from pathlib import Path

import pytest

from common import __version__
from tests.vm.conftest import NEWER
from tests.vm.guest import BALANCED, CONFIG, DAEMONS, Browser, Guest
from tests.waiting import until

PASSWORD = "correct-horse-battery-staple"
STOP = "systemctl stop callstash.target callstash-web.socket 'callstash-*.service'"
KEYS = "cd /etc/callstash/credentials; sha256sum *"

pytestmark = pytest.mark.timeout(600)


def errors(guest: Guest) -> list[str]:
    """Return what our units have complained about."""
    journal = "journalctl --unit='callstash*' --priority=err --output=cat"
    return guest.sh(journal).splitlines()


def test_apt_installs_a_running_system(guest: Guest, packages: tuple[Path, Path]) -> None:
    guest.install(packages[0])
    until(guest.well, 60)
    assert guest.sh("callstash --version").endswith(__version__)
    assert guest.sh("systemctl is-enabled callstash.target") == "enabled"
    assert guest.sh("curl -sk -o /dev/null -w '%{http_code}' https://localhost/login") in (
        "200", "303",
    )  # fmt: skip
    assert errors(guest) == []


def test_every_unit_says_in_words_what_it_does(guest: Guest) -> None:
    for name in DAEMONS:
        until(lambda name=name: guest.property(name, "StatusText") != "")  # type: ignore[misc]
        assert guest.property(name, "StatusText")[0].islower()


@pytest.mark.parametrize("name", [*DAEMONS, "migrate"])
def test_systemd_finds_that_a_unit_exposes_little(guest: Guest, name: str) -> None:
    guest.sh(f"systemd-analyze security --threshold=12 callstash-{name}.service")
    assert not guest.holds(f"systemd-analyze security --threshold=5 callstash-{name}.service")


def test_systemd_understands_the_units(guest: Guest) -> None:
    assert guest.sh("systemd-analyze verify --man=no /lib/systemd/system/callstash*") == ""


def test_each_process_has_only_its_secrets_and_its_user(guest: Guest) -> None:
    users = {guest.property(name, "User") for name in DAEMONS}
    assert users == {f"callstash_{name.partition('@')[0]}" for name in DAEMONS}
    assert guest.sh("stat -c '%a %U' /etc/callstash/credentials") == "700 root"
    for user in users:
        assert not guest.holds(f"runuser -u {user} -- ls /etc/callstash/credentials")
    poller = guest.property("poller", "MainPID")
    seen = guest.sh(f"nsenter -t {poller} -m ls /run/credentials/callstash-poller.service")
    assert seen.split() == ["broker", "pbx.key"]


def test_it_polls_stores_and_plays_over_https(guest: Guest) -> None:
    guest.activate()
    guest.add_pbx()
    offered = len(guest.pbx("offered")["calls"])
    assert offered > 10
    until(lambda: guest.stored() == offered, 60)
    assert guest.books() == BALANCED
    guest.sh("callstash passwd sysadmin", stdin=f"{PASSWORD}\n")
    browser = Browser(guest)
    browser.log_in(PASSWORD)
    served = {call["file"]: call["sha256"] for call in guest.pbx("offered")["calls"]}
    rows = guest.sql(
        "SELECT r.id, r.remote_id FROM recording r JOIN recording_audio a ON a.recording_id = r.id"
        " WHERE a.codec IN ('gsm', 'mp3', 'ulaw') ORDER BY a.codec"
    )
    for recording, file in (row.split("|") for row in rows):
        assert browser.fetch(f"/recordings/{recording}/original")[1] == served[file]
        status, _ = browser.fetch(f"/recordings/{recording}/audio", "-H 'Range: bytes=0-99'")
        assert status.startswith("206 audio/")
    until(lambda: "poll finished" in browser.get("/system/poller/journal"), 30)


def test_the_journal_has_fields(guest: Guest) -> None:
    found = [
        json.loads(line) for line in guest.sh("journalctl -u callstash-poller -o json").splitlines()
    ]
    assert any("POLL" in entry and "PBX" in entry for entry in found)
    assert {entry["SYSLOG_IDENTIFIER"] for entry in found if "LOGGER" in entry} == {
        "callstash-poller"
    }


def test_a_hung_daemon_is_started_again(guest: Guest) -> None:
    guest.sh("mkdir -p /run/systemd/system/callstash-.service.d; cd /run/systemd/system;"
             " printf '[Service]\\nWatchdogSec=12\\n' > callstash-.service.d/test.conf;"
             " systemctl daemon-reload; systemctl restart callstash.target")  # fmt: skip
    until(guest.well, 60)
    before = {name: guest.property(name, "MainPID") for name in DAEMONS}
    for name, pid in before.items():  # of the web UI that serves is the child of the main process
        guest.sh(
            f"kill -STOP $(pgrep -P {pid} || echo {pid})" if name == "web" else f"kill -STOP {pid}"
        )
    until(lambda: all(guest.property(name, "MainPID") not in (pid, "0")
                      for name, pid in before.items()), 90)  # fmt: skip
    until(guest.well, 60)
    for name in DAEMONS:
        assert "Watchdog timeout" in guest.sh(f"journalctl -b -u callstash-{name} -o cat")
    guest.sh("rm -r /run/systemd/system/callstash-.service.d; systemctl daemon-reload;"
             " systemctl restart callstash.target")  # fmt: skip
    until(guest.well, 60)


def test_a_mistake_in_the_configuration_waits_for_a_person(guest: Guest) -> None:
    guest.sh(f"cp -a {CONFIG} /run/good; sed -i 's/^.web.$/&\\nworng = 1/' {CONFIG}")
    guest.sh("systemctl restart callstash-web", check=False)
    until(lambda: guest.property("web", "ActiveState") == "failed", 30)
    assert guest.property("web", "ExecMainStatus") == "78"
    assert "unknown key 'worng'" in guest.sh("journalctl -u callstash-web -o cat")
    guest.sh(f"cp -a /run/good {CONFIG}; systemctl restart callstash-web")
    until(guest.well, 60)


def test_a_stop_under_load_is_short_and_loses_nothing(guest: Guest) -> None:
    before = guest.stored()
    guest.pbx("add_calls", company="default", count=400, ago_s=600, seconds=40)
    guest.sh("callstash poll-now $(psql -XqAt callstash -c 'SELECT min(id) FROM pbx')")
    until(lambda: guest.stored() > before + 5, 60)
    begun = time.monotonic()
    guest.sh(STOP)
    assert time.monotonic() - begun < 10
    at_stop = guest.stored()
    assert at_stop < len(guest.pbx("offered")["calls"]), "there was no load"
    for name in DAEMONS:
        assert guest.property(name, "Result") == "success"
    guest.sh("systemctl start callstash.target")
    until(lambda: guest.stored() == len(guest.pbx("offered")["calls"]), 120)
    assert guest.books() == BALANCED


def test_an_upgrade_keeps_everything(guest: Guest, packages: tuple[Path, Path]) -> None:
    guest.sql("UPDATE company SET keep_months = 6; UPDATE pbx SET keep_months = 24")
    guest.sh(f"sed -i 's/^#brake_percent = 20/brake_percent = 21/' {CONFIG}")
    kept = (guest.sql("SELECT id, keep_months FROM company ORDER BY id"), guest.stored(),
            guest.sh(KEYS), guest.sh(f"sha256sum {CONFIG}"))  # fmt: skip
    guest.install(packages[1])
    until(guest.well, 60)
    assert guest.sh("callstash --version").endswith(NEWER)
    assert (guest.sql("SELECT id, keep_months FROM company ORDER BY id"), guest.stored(),
            guest.sh(KEYS), guest.sh(f"sha256sum {CONFIG}")) == kept  # fmt: skip
    assert guest.sql("SELECT DISTINCT keep_months FROM pbx") == ["24"]
    now = "SELECT DISTINCT version FROM daemon_status WHERE seen_at > now() - '15 s'::interval"
    until(lambda: guest.sql(now) == [NEWER], 60)
    assert guest.books() == BALANCED


def test_a_set_up_that_runs_again_changes_nothing_and_brings_rabbitmq_back(guest: Guest) -> None:
    keys = guest.sh(KEYS)
    guest.sh("systemctl start callstash-setup")
    assert guest.sh(KEYS) == keys
    guest.sh(
        "rabbitmqctl --quiet delete_vhost callstash; rabbitmqctl --quiet delete_user callstash"
    )
    guest.sh("systemctl start callstash-setup")
    until(
        lambda: "callstash.poller" in guest.sh("rabbitmqctl --quiet list_queues -p callstash name"),
        60,
    )
    assert guest.sh(KEYS) == keys


def test_removal_keeps_the_data_and_a_new_installation_finds_it(
    guest: Guest, packages: tuple[Path, Path]
) -> None:
    stored, keys = guest.stored(), guest.sh(KEYS)
    guest.sh("DEBIAN_FRONTEND=noninteractive apt-get remove --yes callstash 2>&1")
    assert guest.sh("pgrep -u callstash_poller,callstash_web,callstash_archiver", check=False) == ""
    assert guest.holds("systemctl is-active --quiet nginx")
    assert not guest.holds("curl -sk https://localhost/")
    guest.install(packages[1])
    until(guest.well, 60)
    assert (guest.stored(), guest.sh(KEYS)) == (stored, keys)
    assert guest.books() == BALANCED


def test_purging_keeps_the_data_unless_told_to_delete_it(
    guest: Guest, packages: tuple[Path, Path]
) -> None:
    purge = "DEBIAN_FRONTEND=noninteractive apt-get purge --yes callstash 2>&1"
    stored, keys = guest.stored(), guest.sh(KEYS)
    guest.sh(purge)
    assert (guest.stored(), guest.sh(KEYS)) == (stored, keys)
    guest.install(packages[1])
    until(guest.well, 60)
    assert guest.books() == BALANCED
    guest.sh("debconf-set-selections", stdin="callstash callstash/delete_everything boolean true\n")
    guest.sh(purge)
    assert not guest.holds("ls /var/lib/callstash /etc/callstash")
    databases = guest.sh("runuser -u postgres -- psql -XqAt -c 'SELECT datname FROM pg_database'")
    assert "callstash" not in databases.split()
    assert "callstash" not in guest.sh("rabbitmqctl --quiet list_vhosts").split()
