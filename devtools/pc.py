"""An emulated PC that has booted Debian from `rootfs` and has an array of three disks for the
archive, as a snapshot in the user's cache: a test goes on from there within seconds.
"""

import base64
import fcntl
import hashlib
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from devtools import machine, rootfs

SNAPSHOT = "ready"
DISKS, DISK_MB = 3, 512
FILES = ("root.qcow2", "disk1.qcow2", "disk2.qcow2", "disk3.qcow2", "vmlinuz", "initrd.img", "key",
         "known_hosts")  # fmt: skip
UNUSED = 86400.0  # seconds
# PPL: else an array that lost its power and a disk together does not start again. Disks that were
# never written are in sync. The clock of a snapshot jumps, which no timer shall notice.
PREPARE = """
set -eu
systemctl is-system-running --wait || true
systemctl is-active --quiet rabbitmq-server postgresql@15-main nginx
systemctl mask --now systemd-timesyncd
systemctl stop '*.timer'
mdadm --create /dev/md0 --run --level=5 --raid-devices=3 --consistency-policy=ppl --assume-clean \\
    /dev/vdb /dev/vdc /dev/vdd
mdadm --detail --brief /dev/md0 >>/etc/mdadm/mdadm.conf
mkfs.ext4 -q /dev/md0
mkdir -p /var/lib/callstash
echo "UUID=$(blkid -o value -s UUID /dev/md0) /var/lib/callstash ext4" \\
    "nofail,x-systemd.device-timeout=15min 0 2" >>/etc/fstab
mount /var/lib/callstash
update-initramfs -u
sync
"""


def place(directory: Path) -> machine.Machine:
    """Return a machine in a directory of its own, to be started from SNAPSHOT.

    Raises MachineFailed and what `rootfs.tree` raises.
    """
    tree = rootfs.tree()
    kept = _kept(tree)
    (directory / "root.raw").symlink_to(kept / "root.raw")  # root.qcow2 says what differs from it
    for name in FILES:
        shutil.copy2(kept / name, directory)
    return machine.Machine(tree, directory, DISKS, DISK_MB)


def _kept(tree: Path) -> Path:
    version = subprocess.run(
        ["qemu-system-x86_64", "--version"], check=True, capture_output=True, text=True
    ).stdout
    how = "\n".join([tree.name, *machine.HARDWARE, f"{DISKS} {DISK_MB}", PREPARE, version])
    name = f"pc-{hashlib.sha256(how.encode()).hexdigest()[:12]}"
    kept = rootfs.cache() / name
    with (rootfs.cache() / "pc.lock").open("w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not kept.exists():
            for old in rootfs.cache().glob("pc-*"):
                if time.time() - old.stat().st_mtime > UNUSED:
                    shutil.rmtree(old)
            _make(tree, kept)
        os.utime(kept)
    return kept


def _make(tree: Path, kept: Path) -> None:
    print("dev: booting an emulated PC, which takes three minutes once", flush=True)
    part = Path(tempfile.mkdtemp(prefix="building-", dir=rootfs.cache()))
    try:
        made = machine.Machine(tree, part, DISKS, DISK_MB)
        try:
            made.start()
            made.run("sh", "-c", PREPARE, timeout=machine.READY)
            initrd = made.run("base64", "/initrd.img").stdout
            made.tell(f"savevm {SNAPSHOT}")
        finally:
            made.stop()
        (part / "initrd.img").write_bytes(base64.b64decode(initrd))  # it knows the array
        part.rename(kept)
    finally:
        shutil.rmtree(part, ignore_errors=True)
