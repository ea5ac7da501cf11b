"""The certificate entry of callstash-config, on a Debian in a container with CallStash installed:
one of the administrator's own, then one from a real ACME server.
"""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.authority import Authority
from tests.vm.guest import Guest
from tests.vm.terminal import Terminal
from tests.waiting import until

NAME = "callstash.example.com"
ACME = """\
server = https://localhost:14000/dir
no-verify-ssl = True
"""
PEBBLE = {"pebble": {
    "listenAddress": "127.0.0.1:14000", "managementListenAddress": "127.0.0.1:15000",
    "certificate": "/var/tmp/acme/cert.pem", "privateKey": "/var/tmp/acme/key.pem",
    "httpPort": 80, "tlsPort": 443, "ocspResponderURL": "",
    "externalAccountBindingRequired": False,
}}  # fmt: skip

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def box(guest: Guest, packages: tuple[Path, Path], authority: Authority) -> Guest:
    """CallStash installed, past the first walk, on a machine that knows the authority."""
    guest.install(packages[0])
    until(guest.well, 60)
    guest.sh("touch /etc/callstash/configured")
    trust(guest, "tests", authority.file.read_text())
    return guest


def trust(box: Guest, name: str, certificate: str) -> None:
    box.sh(f"cat > /usr/local/share/ca-certificates/{name}.crt; update-ca-certificates",
           stdin=certificate)  # fmt: skip


@pytest.fixture
def terminal(box: Guest, tmp_path: Path) -> Iterator[Terminal]:
    """callstash-config at its entry for the certificate."""
    made = box.terminal(tmp_path, "callstash-config")
    made.sees("Please select")
    made.press("4", "Enter")
    yield made
    made.hang_up()


def shown(box: Guest) -> str:
    """Return the fingerprint of the certificate that the web UI shows."""
    command = "openssl s_client -connect localhost:443 </dev/null 2>/dev/null"
    return box.sh(f"{command} | openssl x509 -noout -fingerprint -sha256").partition("=")[2]


def on_console(box: Guest, directory: Path) -> str:
    """Return what stands above the login."""
    terminal = box.terminal(directory / "console", "agetty --show-issue")
    try:
        return terminal.sees("run callstash-config", "ended with 0")
    finally:
        terminal.hang_up()


def test_the_console_names_the_certificate_above_the_login(box: Guest, tmp_path: Path) -> None:
    assert shown(box) in "".join(on_console(box, tmp_path).split())


def test_a_certificate_of_ones_own_is_activated(
    box: Guest, terminal: Terminal, authority: Authority, tmp_path: Path
) -> None:
    terminal.sees("Setup Let's Encrypt", "Use self installed cert", "SHA-256")
    terminal.press("2", "Enter")
    terminal.sees("No certificate waits to be used", "callstash-set-cert KEY CERTIFICATE")
    key, chain = authority.pair(NAME)
    box.sh("umask 077; cat > /var/tmp/key.pem", stdin=key.decode())
    box.sh("cat > /var/tmp/cert.pem", stdin=b"".join(chain).decode())
    box.sh("callstash-set-cert /var/tmp/key.pem /var/tmp/cert.pem")
    terminal.press("Enter")
    terminal.sees("Setup Let's Encrypt")
    terminal.press("2", "Enter")
    terminal.sees("Use this certificate?", f"For {NAME}")
    before = shown(box)
    terminal.press("Enter")
    terminal.sees("The web UI shows the new certificate", timeout=60)
    assert shown(box) != before
    assert shown(box) in "".join(on_console(box, tmp_path).split())


def acme(box: Guest, authority: Authority, shared: Path) -> None:
    """Start an ACME server in the box, and have certbot ask there."""
    key, chain = authority.pair("localhost", intermediate=False)
    box.sh("mkdir -p /var/tmp/acme; cat > /var/tmp/acme/key.pem", stdin=key.decode())
    box.sh("cat > /var/tmp/acme/cert.pem", stdin=chain[0].decode())
    box.sh("cat > /var/tmp/acme/pebble.json", stdin=json.dumps(PEBBLE))
    box.sh("cat > /etc/letsencrypt/cli.ini", stdin=ACME)
    for program in ("pebble", "pebble-challtestsrv"):
        found = shutil.which(program)
        assert found is not None
        shutil.copy(found, shared / program)
    names = "-defaultIPv6 '' -http01 '' -https01 '' -tlsalpn01 '' -management 127.0.0.1:8055"
    unit = "systemd-run --quiet --setenv=PEBBLE_VA_NOSLEEP=1 --setenv=PEBBLE_WFE_NONCEREJECT=0"
    box.sh(f"{unit} {shared}/pebble-challtestsrv -defaultIPv4 127.0.0.1 -dns01 127.0.0.1:8053"
           f" {names}")  # fmt: skip
    box.sh(f"{unit} {shared}/pebble -config /var/tmp/acme/pebble.json -dnsserver 127.0.0.1:8053")
    root = "curl -skf https://localhost:15000/roots/0"
    until(lambda: box.holds(root), 60)
    trust(box, "acme", box.sh(root) + "\n")


def test_lets_encrypt_in_four_steps_and_the_log(
    box: Guest, terminal: Terminal, authority: Authority, packages: tuple[Path, Path]
) -> None:
    acme(box, authority, packages[0].parent)
    before = shown(box)
    terminal.sees("Setup Let's Encrypt")
    terminal.press("1", "Enter")
    terminal.sees("port 80", "Is that so?")
    terminal.press("Enter")
    terminal.sees("https://letsencrypt.org/repository", "Agree")
    terminal.press("Enter")
    terminal.sees("E-mail:")
    terminal.type("admin.example.com")
    terminal.press("Enter")
    terminal.sees("For which names?")
    terminal.type(NAME)
    terminal.press("Enter")
    terminal.sees("'admin.example.com' is no e-mail address")
    terminal.press("Enter")
    terminal.sees("E-mail: admin.example.com")
    terminal.press("Home", *["DC"] * 6)
    terminal.type("admin@")
    terminal.press("Enter")
    terminal.sees(f"Names: {NAME}")
    terminal.press("Enter")
    terminal.sees("If you like Certbot", "The web UI shows the new certificate", "OK",
                  timeout=120)  # fmt: skip
    assert shown(box) != before
    assert "DNS:" + NAME in box.sh("openssl x509 -noout -ext subjectAltName"
                                   " -in /etc/callstash/tls/certificate.pem")  # fmt: skip
    terminal.press("Enter")
    terminal.sees("Please select")
