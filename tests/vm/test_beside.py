"""What stands beside the daemons, on a Debian with systemd: support, Let's Encrypt, metrics."""

import json
import re
import shutil
from pathlib import Path

import pytest

from tests.authority import Authority
from tests.vm.guest import CONFIG, Browser, Guest
from tests.waiting import until

PASSWORD = "correct-horse-battery-staple"
NAME = "calls.example.com"
ENGINEER = "ssh -i /root/.ssh/tests -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null"
CERTIFICATES = "/usr/local/share/ca-certificates"

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def box(guest: Guest, packages: tuple[Path, Path]) -> Guest:
    """The package installed, running and activated."""
    guest.install(packages[0])
    until(guest.well, 60)
    guest.activate()
    return guest


def vendor(box: Guest) -> None:
    """Start the vendor's server, which lets this CallStash in as docs/console.md says."""
    public = box.sh("callstash support key")
    box.sh("mkdir -p /run/vendor; ssh-keygen -q -t ed25519 -N '' -f /run/vendor/host")
    allowed = f'restrict,port-forwarding,permitlisten="localhost:*" {public}\n'
    box.sh("cat >/run/vendor/keys", stdin=allowed)
    box.sh(
        "systemd-run --quiet --unit=sim-sshd /usr/sbin/sshd -D -e -p 2222 -f /dev/null"
        " -h /run/vendor/host -o AuthorizedKeysFile=/run/vendor/keys -o PidFile=none"
        " -o PermitRootLogin=yes -o StrictModes=no"
    )
    until(lambda: "listening" in box.sh("journalctl -u sim-sshd -o cat"), 30)
    host_key = " ".join(box.sh("cat /run/vendor/host.pub").split()[:2])
    for key, value in {"server": '"127.0.0.1"', "port": "2222", "user": '"root"',
                       "host_key": f'"{host_key}"'}.items():  # fmt: skip
        box.sh(f"sed -i '/^.support.$/,/^.metrics.$/s|^#{key} = .*|{key} = {value}|' {CONFIG}")


def port(box: Guest) -> int:
    """Return the port that the vendor's server gave, once the tunnel is open."""
    status = "callstash support status --json"
    until(lambda: json.loads(box.sh(status))["state"] == "active", 60)
    return int(json.loads(box.sh(status))["port"])


def test_who_asks_for_support_needs_no_rights_but_a_file(box: Guest) -> None:
    vendor(box)
    assert box.property("support", "ActiveState") == "inactive"
    box.sh("callstash support connect")
    first = port(box)
    assert box.property("support", "User") == "callstash_support"
    assert f"port {first}" in box.property("support", "StatusText")
    assert box.sh(f"{ENGINEER} -p {first} root@127.0.0.1 hostname 2>/dev/null") == "callstash"
    box.sh("callstash support disconnect")
    until(lambda: box.property("support", "ActiveState") == "inactive", 30)
    assert not box.holds(f"{ENGINEER} -p {first} root@127.0.0.1 true")

    box.sh("callstash passwd sysadmin", stdin=f"{PASSWORD}\n")
    browser = Browser(box)
    browser.log_in(PASSWORD)
    page = "/settings/support"
    assert browser.send(page, f"{page}/connect") == "303"
    second = port(box)
    assert str(second) in browser.get(page)
    assert browser.send(page, f"{page}/disconnect") == "303"
    until(lambda: box.property("support", "ActiveState") == "inactive", 30)
    asked = box.sql("SELECT action FROM audit WHERE action LIKE 'support.%' ORDER BY id")
    assert asked.count("support.connect") == asked.count("support.disconnect") == 2
    assert box.sh("systemctl is-failed 'callstash-support*'", check=False) != "failed"


def authority(box: Guest, directory: Path, binaries: Path) -> str:
    """Start an ACME server that the machine trusts, and return its directory's address."""
    for name in ("pebble", "pebble-challtestsrv"):
        found = shutil.which(name)
        assert found
        shutil.copy(found, binaries)
    made = Authority(directory)
    key, chain = made.pair("localhost", intermediate=False)
    for name, content in {"key.pem": key, "cert.pem": chain[0]}.items():
        box.sh(f"mkdir -p /run/acme; cat >/run/acme/{name}", stdin=content.decode())
    box.sh(f"cat >{CERTIFICATES}/acme.crt; update-ca-certificates", stdin=made.file.read_text())
    told = {"listenAddress": "127.0.0.1:14000", "managementListenAddress": "127.0.0.1:15000",
            "certificate": "/run/acme/cert.pem", "privateKey": "/run/acme/key.pem",
            "httpPort": 80, "tlsPort": 443, "ocspResponderURL": "",
            "externalAccountBindingRequired": False}  # fmt: skip
    box.sh("cat >/run/acme/pebble.json", stdin=json.dumps({"pebble": told}))
    box.sh(
        f"systemd-run --quiet --unit=sim-dns {binaries}/pebble-challtestsrv -defaultIPv4 127.0.0.1"
        " -defaultIPv6 '' -dns01 127.0.0.1:8053 -http01 '' -https01 '' -tlsalpn01 ''"
    )
    box.sh(
        "systemd-run --quiet --unit=sim-acme -E PEBBLE_VA_NOSLEEP=1 -E PEBBLE_WFE_NONCEREJECT=0"
        f" {binaries}/pebble -config /run/acme/pebble.json -dnsserver 127.0.0.1:8053"
    )
    root = f"curl -sf https://localhost:15000/roots/0 >{CERTIFICATES}/issuer.crt"
    until(lambda: box.holds(root), 30)
    box.sh("update-ca-certificates")
    return "https://localhost:14000/dir"


def test_lets_encrypt_issues_and_certbots_timer_renews(
    box: Guest, tmp_path: Path, packages: tuple[Path, Path]
) -> None:
    assert box.sh("systemctl is-active certbot.timer") == "active"
    address = authority(box, tmp_path, packages[0].parent)
    shown = ("openssl s_client -connect 127.0.0.1:443 </dev/null 2>/dev/null"
             " | openssl x509 -noout -fingerprint -sha256")  # fmt: skip
    before = box.sh(shown)
    box.sh(f"mkdir -p /etc/letsencrypt; echo 'server = {address}' >>/etc/letsencrypt/cli.ini")
    said = box.sh(f"callstash certificate letsencrypt {NAME} --email admin@example.com --agree-tos")
    assert "Successfully received certificate" in said
    assert "The web UI shows the new certificate." in said
    first = box.sh(shown)
    assert first != before
    conf = "/etc/letsencrypt/renewal/callstash.conf"
    assert "callstash certificate deploy" in box.sh(f"cat {conf}")
    box.sh(f"sed -i '1i renew_before_expiry = 3650 days' {conf}")
    # what the timer starts, without its wait of up to 12 hours
    started = box.sh("grep ^ExecStart= /lib/systemd/system/certbot.service").partition("=")[2]
    waits = f"{started} --no-random-sleep-on-renew"
    box.sh("mkdir -p /run/systemd/system/certbot.service.d; cat >/run/systemd/system/"
           "certbot.service.d/test.conf; systemctl daemon-reload",
           stdin=f"[Service]\nExecStart=\nExecStart={waits}\n")  # fmt: skip
    box.sh("systemctl start certbot.service")
    assert box.sh(shown) not in (before, first)
    until(box.well, 30)


def test_metrics_and_status_say_the_same(box: Guest) -> None:
    box.add_pbx()
    offered = len(box.pbx("offered")["calls"])
    until(lambda: box.stored() == offered, 60)
    scraped = box.sh("curl -sf http://127.0.0.1:9758/metrics")
    found = re.search(r"^callstash_recordings_stored(?:\{[^}]*\})? (\S+)", scraped, re.MULTILINE)
    assert found
    assert float(found[1]) == offered
    told = json.loads(box.sh("callstash status --json", check=False))
    assert told["stored"]["calls"] == offered
    assert f"{offered} " in box.sh("callstash status", check=False)
