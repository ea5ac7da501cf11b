"""A private RabbitMQ node in one directory, on ports of 127.0.0.1 that it keeps over restarts.

It has its own epmd, cookie, user and data; nothing of the system's configuration is read.
"""

import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

from devtools import process

SERVER = "/usr/lib/rabbitmq/bin/rabbitmq-server"
USER = "callstash"
ERLANG = (
    "+S 1:1 +SDcpu 1:1 +SDio 1 +A 1 +P 65536 +sbwt none +sbwtdcpu none +sbwtdio none"
    " -kernel inet_dist_use_interface {127,0,0,1}"
)
CONFIGURATION = """\
listeners.tcp.1 = 127.0.0.1:{port}
default_user = {user}
default_pass = {password}
loopback_users.{user} = true
log.file.level = warning
disk_free_limit.absolute = 50MB
vm_memory_high_watermark.absolute = 512MB
raft.wal_max_size_bytes = 33554432
collect_statistics = none
"""


class RabbitMQ:
    """A node under `directory`."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.log = directory / "log"
        self.pid_files = (directory / "pid", directory / "epmd.pid")
        self.data = directory / "mnesia"
        self.port = 0
        self._epmd_port = 0
        self._distribution_port = 0
        self._password = ""
        self._vhosts: list[str] = []
        self._epmd: subprocess.Popen[bytes] | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def url(self, vhost: str = "") -> str:
        """Return the AMQP URL of a virtual host; the default one without a name."""
        return f"amqp://{USER}:{self._password}@127.0.0.1:{self.port}/{vhost or '%2F'}"

    @property
    def pid(self) -> int:
        """The process id of the Erlang VM; 0 when it was stopped."""
        return self._process.pid if self._process else 0

    def start(self) -> None:
        """Start the node and wait until it speaks AMQP, with the virtual hosts that were made."""
        self._prepare()
        environment = self._environment()
        self._epmd = process.spawn(
            ["epmd", "-port", str(self._epmd_port), "-address", "127.0.0.1"],
            log=self.log,
            pid_file=self.pid_files[1],
            env=environment,
        )
        self._process = process.spawn(
            [SERVER], log=self.log, pid_file=self.pid_files[0], env=environment
        )
        self._wait()
        for name in self._vhosts:
            self._declare(name)

    def stop(self) -> None:
        """Shut down cleanly."""
        if self._process is not None:
            process.stop(self._process, signal.SIGTERM)
        self._ended()

    def kill(self) -> None:
        """SIGKILL the Erlang VM."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._ended()

    def wipe(self) -> None:
        """Delete all data of a node that does not run: queues, messages, virtual hosts."""
        if self._process is not None:
            raise RuntimeError("RabbitMQ must be stopped before its data is deleted")
        shutil.rmtree(self.data, ignore_errors=True)

    def add_vhost(self, name: str) -> str:
        """Create a virtual host that lasts as long as this object, and return its URL."""
        self._declare(name)
        self._vhosts.append(name)
        return self.url(name)

    def drop_vhost(self, name: str) -> None:
        """Delete a virtual host with all that is in it."""
        self._vhosts.remove(name)
        if self._process is not None:
            self._evaluate(f'rabbit_vhost:delete(<<"{name}">>, <<"devtools">>)')

    def _declare(self, name: str) -> None:
        allowed = ", ".join(f'<<"{what}">>' for what in (USER, name, ".*", ".*", ".*", "devtools"))
        self._evaluate(
            f'ok = rabbit_vhost:add(<<"{name}">>, <<"devtools">>),'
            f" rabbit_auth_backend_internal:set_permissions({allowed})"
        )

    def _evaluate(self, expression: str) -> None:
        """Have the node evaluate Erlang: erl_call(1) takes 10 ms where rabbitmqctl takes 2 s."""
        address = f"127.0.0.1:{self._distribution_port}"
        done = subprocess.run(
            ["erl_call", "-r", "-address", address, "-timeout", "30", "-e"],
            input=expression + ".\n",
            capture_output=True,
            text=True,
            env=self._environment(),
            check=False,
        )
        if done.returncode != 0 or not done.stdout.startswith("{ok, ok"):
            raise RuntimeError(f"RabbitMQ: {expression}: {done.stdout}{done.stderr}")

    def _prepare(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        for pid_file in self.pid_files:
            process.end_leftover(pid_file)
        cookie = self.directory / ".erlang.cookie"
        if not cookie.exists():
            cookie.touch(mode=0o400)
            cookie.chmod(0o600)
            cookie.write_text(secrets.token_hex(16), encoding="ascii")
            cookie.chmod(0o400)
        self._password = cookie.read_text(encoding="ascii")
        if self.port == 0:
            self.port, self._epmd_port, self._distribution_port = (
                process.free_port() for _ in range(3)
            )
        configuration = self.directory / "rabbitmq.conf"
        configuration.touch(mode=0o600)
        configuration.write_text(
            CONFIGURATION.format(port=self.port, user=USER, password=self._password),
            encoding="ascii",
        )
        _link_home(self.directory / "home")
        (self.directory / "enabled_plugins").write_text("[].\n", encoding="ascii")

    def _environment(self) -> dict[str, str]:
        own = self.directory
        return {
            "PATH": os.environ["PATH"],
            "LANG": "C.UTF-8",
            "HOME": str(own),
            "ERL_EPMD_PORT": str(self._epmd_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RUNNING_UNDER_SYSTEMD": "true",  # makes the script become the VM instead of its parent
            "RABBITMQ_SCRIPTS_DIR": str(own / "home" / "sbin"),
            "RABBITMQ_NODENAME": "callstash@localhost",
            "RABBITMQ_DIST_PORT": str(self._distribution_port),
            "RABBITMQ_CONFIG_FILE": str(own / "rabbitmq.conf"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(own / "advanced.config"),
            "RABBITMQ_CONF_ENV_FILE": str(own / "rabbitmq-env.conf"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(own / "enabled_plugins"),
            "RABBITMQ_MNESIA_BASE": str(self.data),
            "RABBITMQ_LOG_BASE": str(own),
            "RABBITMQ_GENERATED_CONFIG_DIR": str(own / "generated"),
            "RABBITMQ_PID_FILE": str(own / "rabbitmq.pid"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": ERLANG,
        }

    def _wait(self, timeout: float = 90.0) -> None:
        assert self._process is not None
        deadline = time.monotonic() + timeout
        while not _speaks_amqp(self.port):
            if self._process.poll() is not None or time.monotonic() > deadline:
                told = process.tail(self.log)
                self.kill()
                raise RuntimeError(f"RabbitMQ did not start:\n{told}")
            time.sleep(0.05)

    def _ended(self) -> None:
        if self._epmd is not None:
            self._epmd.kill()
            self._epmd.wait()
        self._process = self._epmd = None
        for pid_file in self.pid_files:
            pid_file.unlink(missing_ok=True)


def _speaks_amqp(port: int) -> bool:
    """Does 127.0.0.1:`port` answer the protocol header with a method frame (AMQP 0-9-1, 2.2.4)?"""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
            connection.sendall(b"AMQP\x00\x00\x09\x01")
            return connection.recv(1) == b"\x01"
    except OSError:
        return False


def _link_home(own: Path) -> None:
    """Link a RabbitMQ installation that has only the applications which the broker needs.

    Erlang looks for each module in every application's directory: with the 40 plugins that nobody
    enables, a start takes three times as long.
    """
    installed = Path(SERVER).resolve().parent.parent
    shutil.rmtree(own, ignore_errors=True)
    (own / "plugins").mkdir(parents=True)
    (own / "sbin").symlink_to(installed / "sbin")
    missing, linked = ["rabbit"], set()
    while missing:
        name = missing.pop()
        for path in (installed / "plugins").glob(f"{name}-[0-9]*"):
            if name not in linked:
                linked.add(name)
                (own / "plugins" / path.name).symlink_to(path)
                resource = (path / "ebin" / f"{name}.app").read_text(encoding="utf-8")
                needs = re.search(r"\{applications,\s*\[(.*?)\]", resource, re.DOTALL)
                missing += re.findall(r"\w+", needs[1]) if needs else []
