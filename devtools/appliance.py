"""Build the appliance: a disk that boots, var/image/callstash_VERSION.qcow2, and an OVA of it.

The disk holds a Debian with the package of this tree installed. It holds no key, password or
identity: each machine that starts from it makes its own at its first boot.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from common import __version__
from devtools import ova, package, rootfs
from devtools.appliance_check import ImageFailed, check
from devtools.setup import ROOT, SetupError, packages

OUT = ROOT / "var" / "image"
APPLIANCE = ROOT / "appliance"
GIB = 1 << 30
DISK = 30 * GIB
FIRST = 1 << 20  # byte at which the only partition begins, as partitioning tools align it
SECTOR = 512
LABEL = "callstash-root"
# What GRUB 2.06 of Debian 12 can't read is left out.
MAKE_FILE_SYSTEM = ["mke2fs", "-q", "-t", "ext4", "-O", "^metadata_csum_seed,^orphan_file"]
GRUB_MODULES = ["biosdisk", "part_msdos", "ext2", "search", "search_label", "normal", "linux"]


def build(out: Path = OUT, version: str = __version__) -> tuple[Path, Path]:
    """Return the disk and the OVA, made in `out`. Raises SetupError, NotBuilt."""
    out.mkdir(parents=True, exist_ok=True)
    base = _base()
    with _directory(out) as work:
        built = package.build(version, work)
        tree = work / "tree"
        _run("cp", "--archive", "--reflink=auto", str(base), str(tree))
        install(tree, built)
        raw = work / "disk.raw"
        _write_disk(tree, raw)
        shutil.rmtree(tree)
        disk, box = out / f"callstash_{version}.qcow2", out / f"callstash_{version}.ova"
        made = work / disk.name
        _run("qemu-img", "convert", "-c", "-O", "qcow2", str(raw), str(made))
        ova.write(raw, version, work / box.name)
        made.rename(disk)
        (work / box.name).rename(box)
    return disk, box


def _base() -> Path:
    """Return a Debian with all that the appliance needs, but not CallStash."""
    names = [*_listed(), *packages("run", "appliance")]
    return rootfs.cached("appliance", names, (APPLIANCE / "customize.sh").read_text("ascii"))


def _listed() -> list[str]:
    lines = (APPLIANCE / "packages.txt").read_text("ascii").splitlines()
    return [line for line in lines if not line.startswith("#")]


def install(tree: Path, built: Path) -> None:
    """Install the package as a user does, and take out what no two machines may share."""
    _run("cp", "--recursive", "--no-target-directory", str(APPLIANCE / "files"), str(tree))
    shutil.copy(built, tree / "root")
    shutil.copy(APPLIANCE / "finish.sh", tree / "root")
    _run(
        "systemd-nspawn", "--quiet", f"--directory={tree}", "--register=no", "--keep-unit",
        "--private-network", "--console=pipe", "--setenv=DEBIAN_FRONTEND=noninteractive",
        "sh", "/root/finish.sh", f"/root/{built.name}",
    )  # fmt: skip
    for name in (built.name, "finish.sh"):
        (tree / "root" / name).unlink()


def _write_disk(tree: Path, raw: Path) -> None:
    """Make the disk: boot sector, boot loader, one partition with the files of the tree."""
    with raw.open("wb") as file:
        file.truncate(DISK)
    grub = tree / "usr/lib/grub/i386-pc"
    _run(
        "chroot", str(tree), "grub-mkimage", "--format=i386-pc", "--prefix=(,msdos1)/boot/grub",
        "--output=/tmp/core.img", *GRUB_MODULES,
    )  # fmt: skip
    core = (tree / "tmp/core.img").read_bytes()
    (tree / "tmp/core.img").unlink()
    if SECTOR + len(core) > FIRST:
        raise package.NotBuilt("the boot loader does not fit before the first partition")
    room = (DISK - FIRST) // 1024
    _run(*MAKE_FILE_SYSTEM, "-L", LABEL, "-E", f"offset={FIRST}", "-d", str(tree), str(raw),
         f"{room}k")  # fmt: skip
    with raw.open("r+b") as file:
        file.write(_boot_sector((grub / "boot.img").read_bytes()))
        file.write(core)  # boot.img looks for it in the second sector


def _boot_sector(boot: bytes) -> bytes:
    """Return GRUB's first sector with a partition table of one bootable Linux partition."""
    chs = b"\xfe\xff\xff"  # beyond what this notation can say: the numbers of sectors count
    entry = b"\x80" + chs + b"\x83" + chs
    entry += (FIRST // SECTOR).to_bytes(4, "little")
    entry += ((DISK - FIRST) // SECTOR).to_bytes(4, "little")
    return boot[:440] + os.urandom(4) + b"\0\0" + entry + bytes(48) + b"\x55\xaa"


@contextmanager
def _directory(out: Path) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="building-", dir=out) as name:
        yield Path(name)


def _run(*command: str) -> None:
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, errors="replace", check=False,
    )  # fmt: skip
    if done.returncode:
        raise package.NotBuilt(f"{command[0]} failed:\n{done.stdout[-4000:]}")


def main() -> int:
    """Build the appliance, boot it where that is asked, and say where it is."""
    parser = argparse.ArgumentParser(prog="./dev image")
    parser.add_argument("--check", action="store_true", help="boot it, until its web UI answers")
    arguments = parser.parse_args()
    if os.geteuid() != 0:
        print("dev: only root can build an image", file=sys.stderr)
        return 1
    try:
        made = build()
        if arguments.check:
            for line in check(*made):
                print(line, flush=True)
    except (SetupError, package.NotBuilt, ImageFailed) as error:
        print(f"dev: {error}", file=sys.stderr)
        return 1
    for path in made:
        print(f"{path.relative_to(ROOT)} {path.stat().st_size >> 20} MiB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
