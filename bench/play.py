"""How soon a 2-hour call sounds: from the request to the first byte, at the start and in the
middle, beside nginx serving the same file in the clear.

CallStash checks the session, unwraps the key, decrypts and authenticates, makes it playable, and
writes the audit log; nginx does none of that.
"""

import http.client
import shutil
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.admin import PASSWORD, Visitor, connected
from bench.archive import callstash, installation
from common import passwords
from devtools.process import free_port
from devtools.stack import run_directory
from simulators.pbx import client

SECONDS, ROUNDS = 7200, 40
NGINX = """
daemon off; worker_processes 1; pid {directory}/pid; error_log {directory}/error.log;
events {{ }}
http {{
  access_log off; default_type audio/wav; sendfile on;
  client_body_temp_path {directory}/body; proxy_temp_path {directory}/proxy;
  fastcgi_temp_path {directory}/fastcgi; uwsgi_temp_path {directory}/uwsgi;
  scgi_temp_path {directory}/scgi;
  server {{ listen 127.0.0.1:{port}; root {directory}; }}
}}
"""


@contextmanager
def nginx(directory: Path) -> Iterator[int]:
    """Serve a directory; yields the port."""
    port = free_port()
    file = directory / "nginx.conf"
    file.write_text(NGINX.format(directory=directory, port=port))
    directory.chmod(0o755)
    process = subprocess.Popen(["/usr/sbin/nginx", "-c", str(file), "-g", "user root;"])
    try:
        yield port
    finally:
        process.terminate()
        process.wait()


def first_byte(
    connection: http.client.HTTPConnection, address: str, begin: int, cookie: str = ""
) -> float:
    """Return the milliseconds from the request to the first byte of the body."""
    begun = time.perf_counter()
    connection.request("GET", address, headers={"Range": f"bytes={begin}-", "Cookie": cookie})
    answer = connection.getresponse()
    answer.read(1)
    took = 1000 * (time.perf_counter() - begun)
    assert answer.status == 206, answer.status
    answer.close()
    connection.close()  # nobody wants the rest
    return took


def main() -> None:
    """Print both times at both places, and their ratios."""
    directory = run_directory(Path("var/bench").absolute())
    directory.mkdir(parents=True)
    simulated = client.start("--scenario", "small")
    try:
        simulated.control("add_calls", company="default", count=1, seconds=SECONDS, codec="ulaw",
                          ago_s=600)  # fmt: skip
        with installation(directory, simulated.url) as ours:
            for name in ("housekeeper", "poller", "archiver@1"):
                ours.start(name)
            callstash(ours, len(simulated.control("offered")["calls"]))
            with ours.connect() as db:
                passwords.set_password(db, "sysadmin", PASSWORD)
                db.execute("INSERT INTO licence (document, serial, pbxs, activated, support_until)"
                           " VALUES ('{}', '1', 3, now(), now() + interval '1 year')")  # fmt: skip
                row = db.execute(
                    "SELECT recording_id FROM recording_audio ORDER BY seconds DESC LIMIT 1"
                ).fetchone()
            assert row is not None
            port = free_port()
            ours.start_web(f"127.0.0.1:{port}")
            visitor = Visitor(connected(port))
            visitor.log_in()
            measure(directory, port, visitor, f"/recordings/{row[0]}")
    finally:
        simulated.stop()
        shutil.rmtree(directory, ignore_errors=True)


def measure(directory: Path, port: int, visitor: Visitor, call: str) -> None:
    """Ask both in turn."""
    plain = directory / "plain"
    plain.mkdir()
    visitor.connection.request("GET", f"{call}/wav", headers={"Cookie": visitor.cookie})
    with (plain / "call.wav").open("wb") as file:
        shutil.copyfileobj(visitor.connection.getresponse(), file)
    size = (plain / "call.wav").stat().st_size
    with nginx(plain) as other:
        connected(other).close()
        ours = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        theirs = http.client.HTTPConnection("127.0.0.1", other, timeout=60)
        askers: dict[str, Callable[[int], float]] = {
            "callstash": lambda at: first_byte(
                ours, f"{call}/audio?view=bench-{at}", at, visitor.cookie
            ),
            "nginx": lambda at: first_byte(theirs, "/call.wav", at),
        }
        for place, begin in (("start", 0), ("middle", size // 2)):
            spent: dict[str, list[float]] = {name: [] for name in askers}
            for number in range(ROUNDS + 3):
                for name, ask in askers.items():
                    took = ask(begin)
                    if number >= 3:
                        spent[name].append(took)
            middle = {name: statistics.median(times) for name, times in spent.items()}
            print(
                f"{place}: callstash {middle['callstash']:.1f} ms, nginx {middle['nginx']:.1f} ms"
            )
            print(f"ratio play_vs_nginx_{place} {middle['nginx'] / middle['callstash']:.2f}")


if __name__ == "__main__":
    main()
