"""Machines of our own with a Debian from `rootfs`: a container at full speed, and an emulated PC.

The container has systemd, units, users and sandboxes as a real machine has, but no RAID, no memory
limits and no power to cut. The PC has, and runs programs about twenty times slower.
"""

import shlex
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from devtools import process

READY = 600.0  # seconds, on a machine that is busy
HARDWARE = [
    "qemu-system-x86_64", "-M", "pc", "-accel", "tcg,thread=multi", "-cpu", "qemu64",
    "-smp", "2", "-m", "2048", "-display", "none", "-nodefaults", "-no-reboot",
    "-append", "root=/dev/vda rw console=ttyS0 net.ifnames=0 mitigations=off nokaslr",
    "-device", "virtio-net-pci,netdev=net",
]  # fmt: skip


class MachineFailed(Exception):
    """A machine didn't start, or a command in it failed."""


class Container:
    """A Debian that is booted from a tree, which it doesn't change; it forgets all at its end."""

    host = "127.0.0.1"  # where in it programs are found that run `beside` it

    def __init__(self, tree: Path, directory: Path, bind: Sequence[Path] = ()) -> None:
        self.directory = directory
        self._log = directory / "console.log"
        command = [
            "systemd-nspawn", "--quiet", f"--directory={tree}", "--volatile=overlay", "--boot",
            "--register=no", "--keep-unit", "--private-network", "--console=pipe",
            *(f"--bind={path}" for path in bind),
        ]  # fmt: skip
        self._process = process.spawn(
            command, log=self._log, pid_file=directory / "container.pid",
            death_signal=signal.SIGKILL,
        )  # fmt: skip
        self._leader = 0

    def start(self) -> None:
        """Wait until systemd has started everything. Raises MachineFailed."""
        deadline = time.monotonic() + READY
        while not self._has_bus():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise MachineFailed(f"the container didn't start: {self._said()}")
            time.sleep(0.1)
        self.run("systemctl", "is-system-running", "--wait", check=False, timeout=READY)

    def _has_bus(self) -> bool:
        """Say whether systemd is there; nspawn starts it through a process that ends."""
        children = process.children(self._process.pid)
        self._leader = children[-1] if children else 0
        bus = ("test", "-S", "/run/dbus/system_bus_socket")
        return bool(children) and not self.run(*bus, check=False).returncode

    def run(
        self, *command: str, check: bool = True, timeout: float = 120, stdin: str = ""
    ) -> subprocess.CompletedProcess[str]:
        """Run a command as root in it; output and errors are in `stdout`. Raises MachineFailed."""
        done = subprocess.run(
            self.inside(*command), input=stdin, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, check=False, timeout=timeout,
        )  # fmt: skip
        if check and done.returncode:
            raise MachineFailed(f"{' '.join(command)}: {done.stdout[-4000:]}")
        return done

    def inside(self, *command: str) -> list[str]:
        """Return the command that runs a command as root in it."""
        return ["nsenter", f"--target={self._leader}", "--all", "--", "env", "-i",
                "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8", "HOME=/root",
                *command]  # fmt: skip

    @property
    def beside(self) -> list[str]:
        """Return what lets a program of this machine listen in the container's network."""
        return ["nsenter", f"--target={self._leader}", "--net", "--"]

    def put(self, source: Path, to: str) -> None:
        """Copy a file or directory into it."""
        _copy(source, self.inside("sh", "-c", f"mkdir -p {to} && tar -x -C {to}"))

    def stop(self) -> None:
        """End it; what was written to it is gone."""
        process.kill([self._process.pid, *process.children(self._process.pid)])
        self._process.wait()

    def _said(self) -> str:
        return self._log.read_text(errors="replace")[-2000:]


class Machine:
    """An emulated PC that starts from a tree, with empty disks beside the first; it keeps what is
    written to them, also when its power is cut.
    """

    host = "10.0.2.2"  # where in it programs of this machine are found that listen on 127.0.0.1
    beside: Sequence[str] = ()

    def __init__(self, tree: Path, directory: Path, disks: int = 0, disk_mb: int = 256) -> None:
        """Make it in a directory, or find it there."""
        self.directory = directory
        self._disk_mb = disk_mb
        self._log = directory / "console.log"
        self._port = 0
        self._process: subprocess.Popen[bytes] | None = None
        names = ["root", *(f"disk{number}" for number in range(1, disks + 1))]
        self.disks = {name: directory / f"{name}.qcow2" for name in names}
        if not self.disks["root"].exists():
            self._make(tree)

    def _make(self, tree: Path) -> None:
        root = self.directory / "root.raw"
        with root.open("wb") as file:
            file.truncate(6 << 30)
        subprocess.run(
            ["mke2fs", "-q", "-t", "ext4", "-O", "^metadata_csum_seed", "-d", tree, root],
            check=True,
        )
        for name, disk in self.disks.items():
            kind = ["-b", root.name, "-F", "raw", disk] if name == "root" else self._empty(disk)
            subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", *kind], check=True)
        for name in ("vmlinuz", "initrd.img"):
            shutil.copyfile(tree / name, self.directory / name)
        key = self.directory / "key"  # ssh refuses one that others may read
        shutil.copyfile(tree / "root/.ssh/tests", key)
        key.chmod(0o600)
        hosts = (tree / "etc/ssh/ssh_host_ed25519_key.pub").read_text(encoding="ascii").split()
        (self.directory / "known_hosts").write_text(f"callstash {' '.join(hosts[:2])}\n")

    def _empty(self, disk: Path) -> list[str | Path]:
        return [disk, f"{self._disk_mb}M"]

    def start(self, snapshot: str = "", later: timedelta = timedelta()) -> None:
        """Switch it on and wait until one can log in; its clock says that it is `later` than it is.

        With a snapshot it goes on from there, if it has the disks that it had. Raises
        MachineFailed.
        """
        with socket.create_server(("127.0.0.1", 0)) as free:
            self._port = free.getsockname()[1]
        command = [
            *HARDWARE, "-rtc", f"base={datetime.now(UTC) + later:%Y-%m-%dT%H:%M:%S}",
            "-kernel", str(self.directory / "vmlinuz"),
            "-initrd", str(self.directory / "initrd.img"),
            "-serial", f"file:{self._log}", "-monitor", f"unix:{self._monitor},server,nowait",
            "-netdev", f"user,id=net,hostfwd=tcp:127.0.0.1:{self._port}-:22",
        ]  # fmt: skip
        for name, path in self.disks.items():
            command += ["-drive", f"{_drive(name, path)}", "-device", _device(name)]
        if snapshot:
            command += ["-loadvm", snapshot]
        self._process = process.spawn(
            command, log=self.directory / "qemu.log", pid_file=self.directory / "qemu.pid"
        )
        deadline = time.monotonic() + READY
        while not self._can_log_in(later):
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise MachineFailed(f"the machine didn't start: {self._said()}")
            time.sleep(1)

    def _can_log_in(self, later: timedelta) -> bool:
        """Log in, if one can, and set the clock, which a snapshot stops."""
        now = f"--set={datetime.now(UTC) + later:%F %T}"
        return not self.run("date", "--utc", now, check=False).returncode

    @property
    def _monitor(self) -> Path:
        return self.directory / "monitor"

    def run(
        self, *command: str, check: bool = True, timeout: float = 300, stdin: str = ""
    ) -> subprocess.CompletedProcess[str]:
        """Run a shell command as root in it, or a program where its arguments are given apart.

        Output and errors are in `stdout`. Raises MachineFailed.
        """
        line = command[0] if len(command) == 1 else shlex.join(command)
        done = subprocess.run(
            ["ssh", *self._ssh(), "root@127.0.0.1", line], input=stdin,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
            timeout=timeout,
        )  # fmt: skip
        if check and done.returncode:
            raise MachineFailed(f"{' '.join(command)}: {done.stdout[-4000:]}")
        return done

    def put(self, source: Path, to: str) -> None:
        """Copy a file or directory into it."""
        unpack = f"mkdir -p {to} && tar -x -C {to}"
        _copy(source, ["ssh", *self._ssh(), "root@127.0.0.1", unpack])

    def terminal(self) -> list[str]:
        """Return the command that runs a shell command as root in it, in the terminal here."""
        return ["ssh", "-tt", *self._ssh(), "root@127.0.0.1"]

    def _ssh(self) -> list[str]:
        options = {
            "IdentityFile": self.directory / "key", "HostKeyAlias": "callstash",
            "UserKnownHostsFile": self.directory / "known_hosts", "BatchMode": "yes",
            "ConnectTimeout": 20, "LogLevel": "ERROR", "ControlMaster": "auto",
            "ControlPersist": "yes", "ControlPath": self.directory / f"ssh-{self._port}",
        }  # fmt: skip
        return [f"-p{self._port}", *(f"-o{name}={value}" for name, value in options.items())]

    def tell(self, command: str) -> None:
        """Give QEMU's monitor a command and wait until it is done. Raises MachineFailed."""
        with socket.socket(socket.AF_UNIX) as monitor:
            monitor.settimeout(READY)
            monitor.connect(str(self._monitor))
            _until_prompt(monitor)
            monitor.sendall(f"{command}\n".encode())
            said = _until_prompt(monitor)
        if "Error" in said:
            raise MachineFailed(f"{command}: {said}")

    def pull(self, disk: str) -> None:
        """Pull a disk out while it runs; the machine notices it some seconds later."""
        self.tell(f"device_del {disk}")
        del self.disks[disk]

    def plug(self, disk: str) -> None:
        """Plug an empty disk in while it runs."""
        path = self.disks[disk] = self.directory / f"{disk}.qcow2"
        create = ["qemu-img", "create", "-q", "-f", "qcow2", *self._empty(path)]
        subprocess.run(create, check=True)
        self.tell(f"drive_add 0 {_drive(disk, path)}")
        self.tell(f"device_add {_device(disk)}")

    def cut_power(self) -> None:
        """Switch it off hard; `start` boots it again."""
        assert self._process is not None
        process.kill([self._process.pid])
        self._process.wait()

    def stop(self) -> None:
        """Switch it off, if it is on."""
        if self._process is not None and self._process.poll() is None:
            self.cut_power()

    def _said(self) -> str:
        return self._log.read_text(errors="replace")[-2000:]


def _copy(source: Path, unpack: list[str]) -> None:
    pack = ["tar", "--create", f"--directory={source.parent}", source.name]
    with subprocess.Popen(pack, stdout=subprocess.PIPE) as packing:
        subprocess.run(unpack, stdin=packing.stdout, check=True, timeout=READY)


def _drive(name: str, path: Path) -> str:
    return f"file={path},if=none,id=d{name},format=qcow2,cache=writeback"


def _device(name: str) -> str:
    return f"virtio-blk-pci,drive=d{name},id={name},serial={name}"


def _until_prompt(monitor: socket.socket) -> str:
    said = b""
    while not said.endswith(b"(qemu) "):
        more = monitor.recv(4096)
        if not more:
            raise MachineFailed(f"QEMU went away: {said.decode(errors='replace')}")
        said += more
    return said.decode(errors="replace")
