"""Debians in directories, for tests and for the appliance: systemd, PostgreSQL, RabbitMQ, nginx and
all that CallStash depends on, but not CallStash.

Each is built once from the mirror that this machine uses, and kept in the user's cache.
"""

import fcntl
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from devtools.setup import ROOT, SetupError, packages

MACHINE = [  # what makes a machine of a directory
    "ca-certificates", "curl", "dbus", "initramfs-tools",
    "linux-image-cloud-amd64", "mdadm", "openssh-server", "systemd", "systemd-resolved",
    "systemd-sysv", "systemd-timesyncd", "udev",
]  # fmt: skip
SOURCES = ("/etc/apt/sources.list.d/debian.sources", "/etc/apt/sources.list")
UNUSED = 30 * 86400.0  # seconds
CUSTOMIZE = """
set -eu
root="$1"
printf '%s\\n' callstash > "$root/etc/hostname"
printf '127.0.0.1 localhost callstash\\n' > "$root/etc/hosts"
printf '/dev/vda / ext4 defaults 0 1\\n' > "$root/etc/fstab"
printf '[Match]\\nName=eth*\\n[Network]\\nDHCP=yes\\n' > "$root/etc/systemd/network/80-dhcp.network"
printf '' > "$root/etc/machine-id"
chroot "$root" systemctl enable systemd-networkd
chroot "$root" systemctl mask e2scrub_reap apt-daily.timer apt-daily-upgrade.timer \\
    systemd-networkd-wait-online
mkdir -p -m 700 "$root/root/.ssh"
ssh-keygen -q -t ed25519 -N '' -f "$root/root/.ssh/tests"
cp "$root/root/.ssh/tests.pub" "$root/root/.ssh/authorized_keys"
rm -f "$root"/etc/ssh/ssh_host_*
chroot "$root" ssh-keygen -A
sed -i 's/^MODULES=.*/MODULES=list/' "$root/etc/initramfs-tools/initramfs.conf"
printf '%s\\n' virtio_blk virtio_pci virtio_net sd_mod ext4 > "$root/etc/initramfs-tools/modules"
chroot "$root" update-initramfs -u
"""


def cache() -> Path:
    """Return where what takes long to make is kept."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "callstash"


def tree() -> Path:
    """Return the directory of a machine for tests. Raises SetupError."""
    return cached("debian", [*MACHINE, *packages("run", "appliance")], CUSTOMIZE)


def cached(kind: str, wanted: list[str], customize: str) -> Path:
    """Return the directory of a Debian with these packages, on which a shell script was run with
    the directory as its argument; it is made if it isn't there. Raises SetupError.
    """
    if os.geteuid() != 0:
        raise SetupError("a Debian root file system can only be made as root")
    names = sorted(set(wanted))
    digest = hashlib.sha256("\n".join([*names, customize]).encode()).hexdigest()[:12]
    place = cache() / f"{kind}-{digest}"
    cache().mkdir(mode=0o700, parents=True, exist_ok=True)
    with (cache() / "lock").open("w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not place.exists():
            for old in cache().glob("*-*"):
                if time.time() - old.stat().st_mtime > UNUSED:
                    shutil.rmtree(old)
            _build(place, names, customize)
        os.utime(place)
    return place


def _build(place: Path, names: list[str], customize: str) -> None:
    print("dev: making a Debian root file system, which takes two minutes once", flush=True)
    suite = platform.freedesktop_os_release()["VERSION_CODENAME"]
    sources = next(name for name in SOURCES if Path(name).exists())
    part = Path(tempfile.mkdtemp(prefix="building-", dir=cache()))
    part.chmod(0o755)
    hook = part.with_suffix(".sh")
    hook.write_text(customize, encoding="ascii")
    command = [
        "mmdebstrap", "--quiet", "--mode=root", "--variant=minbase",
        f"--include={','.join(names)}", f"--customize-hook=sh {hook} \"$1\"",
        '--customize-hook=rm -rf "$1"/var/cache/apt/archives/*.deb', suite, str(part), sources,
    ]  # fmt: skip
    try:
        done = subprocess.run(
            command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            check=False,
        )  # fmt: skip
        if done.returncode:
            raise SetupError(f"mmdebstrap failed:\n{done.stdout[-2000:]}")
        part.rename(place)
    finally:
        hook.unlink()
        shutil.rmtree(part, ignore_errors=True)
