"""The web UI's certificate: checked, staged, activated in a real nginx, and obtained from a real
ACME server through certbot.
"""

import json
import os
import shlex
import signal
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import requests

from devtools.process import children, free_port, spawn
from tests.authority import DAY, Authority
from tests.waiting import until
from tools import certificate as tool
from tools.certificates import BadCertificate, load
from tools.pairs import Nginx, NotInstalled, Pairs

ROOT = Path(__file__).parents[2]
NAME = "callstash.example.com"
CONFIG = """\
user root;
pid {directory}/nginx.pid;
error_log {directory}/error.log;
worker_processes 1;
events {{ worker_connections 64; }}
http {{
    access_log off;
    client_body_temp_path {directory}/body; proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi; uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    server {{
        listen 127.0.0.1:{tls_port} ssl;
        ssl_certificate {directory}/tls/certificate.pem;
        ssl_certificate_key {directory}/tls/key.pem;
    }}
    server {{
        listen 127.0.0.1:{port};
        location /.well-known/acme-challenge/ {{ root {directory}/webroot; }}
    }}
}}
"""


class Box:
    """An nginx of this test alone with the certificate that the set-up made, and an authority."""

    def __init__(self, directory: Path) -> None:
        directory.chmod(0o755)
        self.directory, self.tls = directory, directory / "tls"
        self.tls.mkdir()
        (directory / "webroot").mkdir()
        self.authority = Authority(directory)
        key, chain = self.authority.pair("old.example.com", intermediate=False)
        (self.tls / "key.pem").write_bytes(key)
        (self.tls / "certificate.pem").write_bytes(chain[0])
        self.port, self.tls_port = free_port(), free_port()
        self.config = directory / "nginx.conf"
        self.config.write_text(
            CONFIG.format(directory=directory, port=self.port, tls_port=self.tls_port)
        )
        command = ("/usr/sbin/nginx", "-c", str(self.config))
        self.pid = directory / "nginx.pid"
        self.nginx = Nginx(
            (*command, "-t", "-q"), (*command, "-s", "reload"), ("127.0.0.1", self.tls_port),
            pid=self.pid,
        )  # fmt: skip
        self.process = spawn([*command, "-g", "daemon off;"], log=directory / "log")
        until(lambda: self.pid.exists() and self.shown(), 20)

    def shown(self) -> str:
        """Return the certificate that the web UI shows; nothing before it answers."""
        try:
            return ssl.get_server_certificate(("127.0.0.1", self.tls_port), timeout=5)
        except OSError:
            return ""

    def shows(self, certificate: bytes) -> bool:
        """Say whether the web UI shows it."""
        return self.shown().strip() == certificate.decode().strip()

    def pair(self, key: bytes, chain: list[bytes], mode: int = 0o600) -> tuple[Path, Path]:
        """Write a pair as somebody copied it to the box."""
        paths = self.directory / "priv.key", self.directory / "cert.pem"
        paths[0].write_bytes(key)
        paths[0].chmod(mode)
        paths[1].write_bytes(b"".join(chain))
        return paths

    def set_cert(self, key: Path, certificate: Path) -> subprocess.CompletedProcess[str]:
        """Run callstash-set-cert."""
        command = [sys.executable, "-m", "tools", "set-cert", str(key), str(certificate),
                   "--tls", str(self.tls), "--authorities",
                   str(self.authority.file)]  # fmt: skip
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    made = Box(tmp_path)
    yield made
    made.process.terminate()
    made.process.wait()


def test_a_pair_is_checked_kept_and_served_once_it_is_activated(box: Box) -> None:
    before = box.shown()
    key, chain = box.authority.pair(NAME)
    done = box.set_cert(*box.pair(key, chain))
    assert done.returncode == 0, done.stderr
    assert NAME in done.stdout and box.shown() == before
    pairs = Pairs(box.tls)
    staged = pairs.staged
    assert staged is not None
    assert (staged / "key.pem").stat().st_mode & 0o777 == 0o600
    assert (box.tls / "key.pem").read_bytes() != key
    pairs.activate(box.nginx)
    assert box.shows(chain[0])
    assert pairs.certificate.read_bytes() == b"".join(chain)
    assert pairs.staged is None
    assert len(list(box.tls.glob("pair-*"))) == 1
    with pytest.raises(NotInstalled, match="no certificate waits"):
        pairs.activate(box.nginx)


@pytest.mark.parametrize("refuser", ["test", "reload"])
def test_when_nginx_refuses_then_the_old_pair_serves_on(box: Box, refuser: str) -> None:
    before, kept = box.shown(), (box.tls / "certificate.pem").read_bytes()
    key, chain = box.authority.pair(NAME)
    assert box.set_cert(*box.pair(key, chain)).returncode == 0
    good = box.config.read_text()
    nginx = box.nginx
    if refuser == "test":
        box.config.write_text(good + "nonsense;\n")
    else:
        nginx = Nginx(nginx.test, ("/bin/false",), nginx.address, pid=box.pid)
    pairs = Pairs(box.tls)
    with pytest.raises(NotInstalled):
        pairs.activate(nginx)
    assert (box.tls / "certificate.pem").read_bytes() == kept
    until(lambda: box.shows(before.encode()))
    assert pairs.staged is not None
    box.config.write_text(good)
    pairs.activate(box.nginx)  # nothing was lost: it works as soon as nginx does
    assert box.shows(chain[0])


def test_it_is_not_done_while_a_process_of_nginx_may_show_the_pair_before(box: Box) -> None:
    key, chain = box.authority.pair(NAME)
    assert box.set_cert(*box.pair(key, chain)).returncode == 0
    (worker,) = children(int(box.pid.read_text()))
    activated = threading.Event()

    def wake() -> bool:
        until(lambda: box.shows(chain[0]))
        early = activated.wait(1)
        os.kill(worker, signal.SIGCONT)
        return early

    os.kill(worker, signal.SIGSTOP)  # as on a machine that is so busy that it gets no turn
    with ThreadPoolExecutor(1) as pool:
        early = pool.submit(wake)
        Pairs(box.tls).activate(box.nginx)
        activated.set()
        assert not early.result()
    assert box.shows(chain[0])


def test_a_pair_that_nginx_does_not_begin_to_show_is_taken_back(box: Box) -> None:
    kept = (box.tls / "certificate.pem").read_bytes()
    assert box.set_cert(*box.pair(*box.authority.pair(NAME))).returncode == 0
    deaf = Nginx(box.nginx.test, ("/bin/true",), box.nginx.address, 0.5, box.pid)
    with pytest.raises(NotInstalled, match="shows another one; the certificate before serves on"):
        Pairs(box.tls).activate(deaf)
    assert (box.tls / "certificate.pem").read_bytes() == kept


def test_what_is_wrong_with_a_pair_is_said_and_nothing_is_kept(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    key, chain = authority.pair(NAME)
    other, _ = authority.pair(NAME)
    stranger = tmp_path / "stranger"
    stranger.mkdir()
    others = Authority(stranger)
    files = tmp_path / "key", tmp_path / "certificate"

    def refused(words: str, key: bytes, chain: list[bytes], mode: int = 0o600) -> None:
        for path, content in zip(files, (key, b"".join(chain)), strict=True):
            path.write_bytes(content)
        files[0].chmod(mode)
        with pytest.raises(BadCertificate, match=words):
            load(*files, datetime.now(UTC), authority.file)

    refused("run 'chmod 600", key, chain, 0o644)
    refused("holds no private key", chain[0], [key])
    refused("holds no certificate", key, [key])
    refused("certificate 2 in it is damaged", key, [chain[0], chain[1][:200]])
    refused("is not for the key", other, chain)
    refused("the server's own certificate must come first", key, chain[::-1])
    refused("did not sign the one before", key, [chain[0], authority.pair("x.example")[1][0]])
    refused("append the missing certificates", key, chain[:1])
    refused("does not hold", *others.pair(NAME, intermediate=False))
    forged = others.pair(NAME)[1][1]  # of the same name, with another key
    refused("does not hold", key, [chain[0], forged])
    refused("expired on", *authority.pair(NAME, lasts=-DAY))
    locked = subprocess.run(
        ["openssl", "pkey", "-aes128", "-passout", "pass:secret"], input=key, check=True,
        capture_output=True,
    ).stdout  # fmt: skip
    refused("locked with a passphrase", locked, chain)
    refused("too long", key, [b"x" * 300_000])
    files[1].unlink()
    with pytest.raises(BadCertificate, match="can't be read: No such file"):
        load(*files, datetime.now(UTC), authority.file)
    files[1].write_bytes(b"".join(chain))
    files[0].write_bytes(key)
    with pytest.raises(BadCertificate, match="is not valid before"):
        load(*files, datetime.now(UTC) - timedelta(days=9), authority.file)
    assert load(*files, datetime.now(UTC), authority.file).names == [NAME]


@pytest.fixture
def acme(box: Box) -> Iterator[list[str]]:
    """An ACME server that looks for the box at its port; yields what certbot is told of it."""
    directory = box.directory / "acme"
    directory.mkdir()
    key, chain = box.authority.pair("localhost", intermediate=False)
    (directory / "key.pem").write_bytes(key)
    (directory / "cert.pem").write_bytes(chain[0])
    address, names, management = free_port(), free_port(), free_port()
    (directory / "pebble.json").write_text(json.dumps({"pebble": {
        "listenAddress": f"127.0.0.1:{address}",
        "managementListenAddress": f"127.0.0.1:{management}",
        "certificate": str(directory / "cert.pem"), "privateKey": str(directory / "key.pem"),
        "httpPort": box.port, "tlsPort": box.tls_port, "ocspResponderURL": "",
        "externalAccountBindingRequired": False,
    }}))  # fmt: skip
    resolver = [
        "pebble-challtestsrv", "-defaultIPv4", "127.0.0.1", "-defaultIPv6", "",
        "-dns01", f"127.0.0.1:{names}", "-management", f"127.0.0.1:{free_port()}",
        "-http01", "", "-https01", "", "-tlsalpn01", "",
    ]  # fmt: skip
    server = ["pebble", "-config", str(directory / "pebble.json"),
              "-dnsserver", f"127.0.0.1:{names}"]  # fmt: skip
    fast = {**os.environ, "PEBBLE_VA_NOSLEEP": "1", "PEBBLE_WFE_NONCEREJECT": "0"}
    running = [
        spawn(command, log=directory / command[0], env=fast) for command in (resolver, server)
    ]

    def root() -> bool:
        try:
            found = requests.get(
                f"https://localhost:{management}/roots/0", verify=str(box.authority.file), timeout=5
            )
        except requests.ConnectionError:
            return False
        (directory / "root.pem").write_bytes(found.content)
        return bool(found.ok)

    until(root, 20)
    yield [
        "--server", f"https://localhost:{address}/dir", "--config-dir", f"{directory}/etc",
        "--work-dir", f"{directory}/work", "--logs-dir", f"{directory}/logs",
    ]  # fmt: skip
    for one in running:
        one.terminate()
        one.wait()


def test_lets_encrypt_issues_a_certificate_and_renews_it(
    box: Box, acme: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(box.authority.file))
    root = box.directory / "acme" / "root.pem"
    hook = box.directory / "hook.py"
    hook.write_text(
        "import os, sys\nfrom pathlib import Path\n"
        f"sys.path.insert(0, {str(ROOT)!r})\n"
        "from tools.certificate import deploy_lineage\nfrom tools.pairs import Nginx\n"
        f"nginx = Nginx({box.nginx.test!r}, {box.nginx.reload!r}, {box.nginx.address!r},"
        f" pid=Path({str(box.pid)!r}))\n"
        "deploy_lineage(Path(os.environ['RENEWED_LINEAGE']),"
        f" Path({str(box.tls)!r}), Path({str(root)!r}), nginx)\n"
    )
    log: list[str] = []
    before = box.shown()
    command = tool.certbot(
        (NAME,), "admin@example.com", shlex.join([sys.executable, str(hook)]), *acme,
        webroot=box.directory / "webroot",
    )  # fmt: skip
    assert tool.obtain(command, box.directory / "webroot", log.append), "\n".join(log)
    assert any("Successfully received certificate" in line for line in log)
    live = box.directory / "acme/etc/live/callstash"
    until(lambda: box.shows((live / "cert.pem").read_bytes()))
    first = box.shown()
    assert first != before
    assert (box.tls / "certificate.pem").read_bytes() == (live / "fullchain.pem").read_bytes()
    renewal = ["certbot", "renew", "--force-renewal", "--no-random-sleep-on-renew", *acme]
    done = subprocess.run(renewal, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    until(lambda: box.shows((live / "cert.pem").read_bytes()))
    assert (live / "cert.pem").read_text().strip() != first.strip()
    assert (box.tls / "certificate.pem").read_bytes() == (live / "fullchain.pem").read_bytes()


def test_what_is_no_server_or_no_address_is_refused_before_lets_encrypt_is_asked() -> None:
    for domains, email, words in (
        (("localhost",), "a@example.com", "no server name"),
        (("--server",), "a@example.com", "no server name"),
        (("*.example.com",), "a@example.com", "no server name"),
        ((NAME,), "admin", "no e-mail address"),
        ((NAME,), "-a@example.com", "no e-mail address"),
    ):
        with pytest.raises(Exception, match=words):
            tool.certbot(domains, email, "true")
