"""Start the appliance in an emulated PC, through its own boot loader, until its web UI answers."""

import hashlib
import re
import signal
import socket
import ssl
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from devtools import process

READY = 1500.0  # seconds; an emulated PC is about twenty times slower than this machine


class ImageFailed(Exception):
    """The image isn't what it should be."""


def check(disk: Path, ova: Path) -> Iterator[str]:
    """Say what was found to be right, thing by thing. Raises ImageFailed."""
    with tempfile.TemporaryDirectory(prefix="checking-", dir=disk.parent) as name:
        directory = Path(name)
        yield _same(disk, ova, directory)
        yield _boots(disk, directory)


def _same(disk: Path, ova: Path, directory: Path) -> str:
    """Unpack the OVA, hash its parts, and compare what is on its disk with the other disk."""
    with tarfile.open(ova) as tar:
        names = tar.getnames()
        tar.extractall(directory)  # our own, and Python 3.11.2 knows no filter
    manifest = (directory / names[1]).read_text(encoding="ascii")
    for part, told in re.findall(r"^SHA256\((.+)\)= (\w+)$", manifest, re.MULTILINE):
        with (directory / part).open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != told:
                raise ImageFailed(f"{part} is not what the manifest of the OVA says")
    compare = ["qemu-img", "compare", str(disk), str(directory / names[2])]
    done = subprocess.run(compare, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ImageFailed(f"the two disks differ: {done.stdout}{done.stderr}")
    return f"{ova.name}: {', '.join(names)}; the disk in it is {disk.name}"


def _boots(disk: Path, directory: Path) -> str:
    overlay = directory / "overlay.qcow2"
    subprocess.run(
        ["qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", disk, overlay], check=True
    )
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    log = directory / "console.log"
    machine = process.spawn(
        ["qemu-system-x86_64", "-M", "pc", "-accel", "tcg,thread=multi", "-cpu", "max,la57=off",
         "-smp", "2", "-m", "4096", "-display", "none", "-vga", "std", "-serial", f"file:{log}",
         "-monitor", f"unix:{directory}/monitor,server,nowait", "-device", "lsi53c895a",
         "-drive", f"file={overlay},if=none,id=system,format=qcow2,cache=unsafe",
         "-device", "scsi-hd,drive=system", "-device", "e1000,netdev=net",
         "-netdev", f"user,id=net,hostfwd=tcp:127.0.0.1:{port}-:443"],
        log=directory / "qemu.log", death_signal=signal.SIGKILL,
    )  # fmt: skip
    begun = time.monotonic()
    try:
        while not (answer := _asked(port)).startswith(("HTTP/1.1 200", "HTTP/1.1 303")):
            if machine.poll() is not None or time.monotonic() > begun + READY:
                said = log.read_text(errors="replace")[-3000:] if log.exists() else ""
                raise ImageFailed(f"the appliance did not start; its web UI: {answer}\n{said}")
            time.sleep(2)  # a machine that boots is no event here
        return f"{disk.name}: booted, its web UI answers after {time.monotonic() - begun:.0f} s"
    finally:
        process.kill([machine.pid])
        machine.wait()


def _asked(port: int) -> str:
    """Return the first line of the log-in page, or why there is none."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        with (
            socket.create_connection(("127.0.0.1", port), 10) as plain,
            context.wrap_socket(plain) as stream,
        ):
            stream.sendall(b"GET /login HTTP/1.0\r\nHost: callstash\r\n\r\n")
            return stream.recv(100).split(b"\r\n")[0].decode(errors="replace")
    except OSError as error:
        return str(error)
