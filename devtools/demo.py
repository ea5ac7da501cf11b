"""The whole archive on this machine: a simulated PBX, all daemons, the web UI, until Ctrl-C.

Everything lies in var/demo and listens on 127.0.0.1. The next run goes on where this one stopped.
"""

import argparse
import secrets
import signal
import socket
import sys
import time
from contextlib import ExitStack, suppress
from pathlib import Path

from devtools import process
from devtools.demo_check import check
from devtools.demo_watch import Watch
from devtools.installation import Installation, ToolFailed
from devtools.setup import VAR
from devtools.stack import InUse, Stack
from simulators.licence import server as licence
from simulators.licence.vendor import Vendor
from simulators.mail import server as mail
from simulators.pbx import client
from simulators.pbx.model import USERS

DIRECTORY = VAR / "demo"
CALLS, LIVE = 300, 20  # so many calls, and one more every so many seconds
ARCHIVERS = 2
PORT = 8080  # of the web UI, where it is free
METRICS = 9758


def main() -> int:
    """Run the demo."""
    parser = argparse.ArgumentParser(prog="./dev demo", description=__doc__)
    parser.add_argument("--fresh", action="store_true", help="start over with an empty archive")
    parser.add_argument("--check", action="store_true", help="check that it works, then stop")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        return _run(options.fresh, options.check)
    except (InUse, ToolFailed, RuntimeError) as error:
        print(f"\ndev: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 1 if options.check else 0


def _run(fresh: bool, is_check: bool) -> int:
    with ExitStack() as running:
        try:
            return _operate(running, fresh, is_check)
        finally:  # a second Ctrl-C must not leave half of it running
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            print("\nstopping", flush=True)


def _operate(running: ExitStack, fresh: bool, is_check: bool) -> int:
    print("starting PostgreSQL and RabbitMQ", flush=True)
    stack = Stack(DIRECTORY)
    running.callback(stack.stop)
    if fresh:
        stack.clear()
    stack.start()
    print("starting the PBX simulator; the first time, it makes its speech", flush=True)
    arguments = ["--tls", "--calls", str(CALLS), "--born", _born()]
    arguments += [] if is_check else ["--live", str(LIVE)]
    pbx = running.enter_context(client.start(*arguments))
    vendor = running.enter_context(licence.serving(Vendor(DIRECTORY / "vendor")))
    mails = running.enter_context(mail.serving(mail.Mailbox(DIRECTORY / "mails")))
    address, metrics = f"127.0.0.1:{_free(PORT)}", _free(METRICS)
    ours = _installation(stack, pbx, vendor, address, metrics)
    running.callback(ours.stop)
    web, passwords = _start(ours, address), _passwords(ours)
    watch = Watch(running.enter_context(ours.connect()))
    _activate(ours, vendor.vendor)
    _mail(ours, mails)
    _wait_for(ours, watch, web)
    _tell(web, passwords, pbx, mails, metrics, is_check)
    if is_check:
        return check(pbx, web, passwords["sysadmin"], watch, DIRECTORY, lambda: _turn(ours, watch))
    while True:
        _turn(ours, watch)


def _born() -> str:
    """Return when the PBX's calls end, so that the next run's PBX has the same ones for a week."""
    file = DIRECTORY / "born"
    if not file.exists() or time.time() - file.stat().st_mtime > 7 * 86400:
        file.write_text(str(int(time.time())), encoding="ascii")
    return file.read_text(encoding="ascii")


def _installation(
    stack: Stack, pbx: client.Running, vendor: licence.Server, web: str, metrics: int
) -> Installation:
    with stack.postgres.connect() as server:
        if not server.execute("SELECT 1 FROM pg_database WHERE datname = 'callstash'").fetchone():
            server.execute("CREATE DATABASE callstash")
    ours = Installation(
        DIRECTORY, stack.postgres.dsn("callstash"), stack.rabbitmq.url(), DIRECTORY / "archive",
        f'[housekeeper]\nlicence_server = "{vendor.url}"\n'
        f'licence_key = "{vendor.vendor.public_key}"\n'
        f'database_directory = "{DIRECTORY / "postgres"}"\n'
        f'backup_directory = "{DIRECTORY / "backup"}"\n'
        f'repair = "{DIRECTORY / "backupd" / "repair"}"\n'
        f'[backupd]\nbackup_directory = "{DIRECTORY / "backup"}"\n'
        f'work = "{DIRECTORY / "backupd"}"\n'
        f'[notifier]\nweb_url = "http://{web}"\n'
        f"[metrics]\nport = {metrics}\n",
    )  # fmt: skip
    with ours.connect() as db:  # the simulator has another port in each run
        moved = db.execute("UPDATE pbx SET url = %s RETURNING id", [pbx.url]).fetchone()
    if moved is None:
        ours.tool("add-pbx", "--name", "Demo", "--period", "30", "--pin", pbx.url, stdin=client.KEY)
    return ours


def _start(ours: Installation, address: str) -> str:
    """Start every daemon and the web UI; return the address of the latter."""
    for name in ("housekeeper", "notifier", "poller", "raidmon", "backupd", "metrics"):
        ours.start(name)
    for number in range(ARCHIVERS):
        ours.start(f"archiver@{number + 1}")
    ours.start_web(address)
    return f"http://{address}"


def _activate(ours: Installation, vendor: Vendor) -> None:
    """Activate the box in the first run, as an administrator does."""
    with ours.connect() as db:
        if not db.execute("SELECT 1 FROM licence").fetchone():
            print(ours.tool("activate", vendor.sell()).strip(), flush=True)


def _mail(ours: Installation, port: int) -> None:
    """Let mail go to our own mail server, which has another port in each run."""
    with ours.connect() as db:
        db.execute(
            "INSERT INTO mail_server (host, port, security, saved_by)"
            " VALUES ('127.0.0.1', %s, 'plain', 'demo')"
            " ON CONFLICT (single) DO UPDATE SET port = excluded.port",
            [port],
        )
        db.execute(
            "UPDATE general_settings SET sender = 'callstash@example.com',"
            " recipients = '{admin@example.com}', users_may_mail_links = true WHERE sender = ''"
        )


def _free(port: int) -> int:
    """Return this port, or another one where it is taken."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    return process.free_port()


def _passwords(ours: Installation) -> dict[str, str]:
    """Return the administrators' passwords, made in the first run and kept in a private file."""
    passwords = {}
    for name in ("sysadmin", "admin"):
        file = DIRECTORY / f"{name}.password"
        if not file.exists():
            letters = "abcdefghjkmnpqrstuvwxyz23456789"
            groups = ("".join(secrets.choice(letters) for _ in range(4)) for _ in range(4))
            password = "-".join(groups)
            ours.tool("passwd", name, stdin=password + "\n")
            file.touch(mode=0o600)
            file.write_text(password, encoding="ascii")
        passwords[name] = file.read_text(encoding="ascii")
    return passwords


def _wait_for(ours: Installation, watch: Watch, web: str) -> None:
    host, port = web.removeprefix("http://").split(":")
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with suppress(OSError), socket.create_connection((host, int(port)), timeout=1):
            return
        _tend(ours, watch)
        time.sleep(0.1)
    raise ToolFailed(f"the web UI does not answer:\n{process.tail(DIRECTORY / 'web.log')}")


def _tell(
    web: str, passwords: dict[str, str], pbx: client.Running, mails: int, metrics: int,
    is_check: bool,
) -> None:  # fmt: skip
    more = "" if is_check else f", one more every {LIVE} s; 'Poll now' fetches them"
    print(f"\n  web UI  {web}")
    for name, password in passwords.items():
        print(f"          PBX: admin   user name: {name:8}   password: {password}")
    for user in USERS[:3]:
        hears = f"hears all calls of {user.companies[0]}" if user.companies else "hears their own"
        print(f"          PBX: Demo    user name: {user.login:8}   password: {user.password:19}"
              f"   {hears}")  # fmt: skip
    print(f"  metrics http://127.0.0.1:{metrics}/metrics")
    print(f"  PBX     {pbx.url}, simulated, offers {CALLS} calls{more}")
    here = DIRECTORY.relative_to(Path.cwd())
    print(f"  mail    what is sent ends up in {here}/mails (127.0.0.1, port {mails})")
    print(f"  logs    {here}/*.log")
    print("  Ctrl-C stops everything; the next './dev demo' goes on from there.\n", flush=True)


def _tend(ours: Installation, watch: Watch) -> None:
    for name in ours.tend():
        watch.say(f"{name} died and was started again; its log says:")
        watch.say(process.tail(DIRECTORY / f"{name}.log", 3))


def _turn(ours: Installation, watch: Watch) -> None:
    _tend(ours, watch)
    watch.look()
    time.sleep(1)


if __name__ == "__main__":
    sys.exit(main())
