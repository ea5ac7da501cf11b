"""Machines of our own with a Debian from `rootfs`: a container at full speed, and an emulated PC.

The container has systemd, units, users and sandboxes as a real machine has, but no RAID, no memory
limits and no power to cut. The PC has, and runs programs about twenty times slower.
"""

import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from devtools import process

READY = 180.0


class MachineFailed(Exception):
    """A machine didn't start, or a command in it failed."""


class Container:
    """A Debian that is booted from a tree, which it doesn't change; it forgets all at its end."""

    def __init__(self, tree: Path, directory: Path, bind: Sequence[Path] = ()) -> None:
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

    def __init__(self, tree: Path, directory: Path, disks: int = 0, disk_mb: int = 256) -> None:
        self._tree = tree
        self._directory = directory
        self._log = directory / "console.log"
        self._port = 0
        self._process: subprocess.Popen[bytes] | None = None
        root = directory / "root.raw"
        with root.open("wb") as file:
            file.truncate(6 << 30)
        subprocess.run(
            ["mke2fs", "-q", "-t", "ext4", "-O", "^metadata_csum_seed", "-d", tree, root],
            check=True,
        )
        self._disks = {"root": root}
        for number in range(1, disks + 1):
            disk = directory / f"disk{number}.raw"
            with disk.open("wb") as file:
                file.truncate(disk_mb << 20)
            self._disks[f"disk{number}"] = disk
        key = directory / "key"  # ssh refuses one that others may read
        shutil.copyfile(tree / "root/.ssh/tests", key)
        key.chmod(0o600)
        hosts = (tree / "etc/ssh/ssh_host_ed25519_key.pub").read_text(encoding="ascii").split()
        (directory / "known_hosts").write_text(f"callstash {' '.join(hosts[:2])}\n")

    def start(self) -> None:
        """Switch it on and wait until one can log in. Raises MachineFailed."""
        with socket.create_server(("127.0.0.1", 0)) as free:
            self._port = free.getsockname()[1]
        command = [
            "qemu-system-x86_64", "-M", "pc", "-accel", "tcg,thread=multi", "-cpu", "max,la57=off",
            "-smp", "2", "-m", "2048", "-display", "none", "-nodefaults", "-no-reboot",
            "-kernel", str(self._tree / "vmlinuz"), "-initrd", str(self._tree / "initrd.img"),
            "-append", "root=/dev/vda rw console=ttyS0 net.ifnames=0 mitigations=off nokaslr",
            "-serial", f"file:{self._log}", "-monitor", f"unix:{self._monitor},server,nowait",
            "-netdev", f"user,id=net,hostfwd=tcp:127.0.0.1:{self._port}-:22",
            "-device", "virtio-net-pci,netdev=net",
        ]  # fmt: skip
        for name, path in self._disks.items():
            command += [
                "-drive", f"file={path},if=none,id=d{name},format=raw,cache=writeback",
                "-device", f"virtio-blk-pci,drive=d{name},id={name},serial={name}",
            ]  # fmt: skip
        self._process = process.spawn(
            command, log=self._directory / "qemu.log", pid_file=self._directory / "qemu.pid"
        )
        deadline = time.monotonic() + READY
        while self.run("true", check=False).returncode:
            if self._process.poll() is not None or time.monotonic() > deadline:
                said = self._log.read_text(errors="replace")[-2000:]
                raise MachineFailed(f"the machine didn't start: {said}")
            time.sleep(1)

    @property
    def _monitor(self) -> Path:
        return self._directory / "monitor"

    def run(
        self, command: str, *, check: bool = True, timeout: float = 300, stdin: str = ""
    ) -> subprocess.CompletedProcess[str]:
        """Run a shell command as root in it. Raises MachineFailed."""
        done = subprocess.run(
            ["ssh", *self._ssh(), "root@127.0.0.1", command], input=stdin, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, check=False, timeout=timeout,
        )  # fmt: skip
        if check and done.returncode:
            raise MachineFailed(f"{command}: {done.stdout[-4000:]}")
        return done

    def put(self, source: Path, to: str) -> None:
        """Copy a file or directory into it."""
        copy = ["tar", "--create", f"--directory={source.parent}", source.name]
        with subprocess.Popen(copy, stdout=subprocess.PIPE) as packing:
            subprocess.run(
                ["ssh", *self._ssh(), "root@127.0.0.1", f"mkdir -p {to} && tar -x -C {to}"],
                stdin=packing.stdout, check=True, timeout=300,
            )  # fmt: skip

    def terminal(self) -> list[str]:
        """Return the command that runs a shell command as root in it, in the terminal here."""
        return ["ssh", "-tt", *self._ssh(), "root@127.0.0.1"]

    def _ssh(self) -> list[str]:
        options = {
            "IdentityFile": self._directory / "key", "HostKeyAlias": "callstash",
            "UserKnownHostsFile": self._directory / "known_hosts", "BatchMode": "yes",
            "ConnectTimeout": 10, "LogLevel": "ERROR",
        }  # fmt: skip
        return [f"-p{self._port}", *(f"-o{name}={value}" for name, value in options.items())]

    def pull(self, disk: str) -> None:
        """Pull a disk out while it runs."""
        with socket.socket(socket.AF_UNIX) as monitor:
            monitor.connect(str(self._monitor))
            monitor.sendall(f"device_del {disk}\n".encode())
            monitor.recv(4096)

    def cut_power(self) -> None:
        """Switch it off hard; `start` boots it again."""
        assert self._process is not None
        process.kill([self._process.pid])
        self._process.wait()

    def stop(self) -> None:
        """Switch it off, if it is on."""
        if self._process is not None and self._process.poll() is None:
            self.cut_power()
