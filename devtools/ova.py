"""Write an OVA, the file that hypervisors import: a tar with a description first, then the hashes
of what follows, then the disk (OVF 1.1, DMTF DSP0243).
"""

import hashlib
import subprocess
import tarfile
from pathlib import Path
from string import Template

from devtools.package import NotBuilt
from devtools.setup import ROOT

MEMORY = 4096  # MiB
DESCRIPTION = ROOT / "appliance" / "callstash.ovf"


def write(raw: Path, version: str, ova: Path) -> None:
    """Write the OVA of a disk; its parts lie beside it meanwhile. Raises NotBuilt."""
    disk = ova.with_name(f"callstash_{version}.vmdk")
    options = "subformat=streamOptimized,adapter_type=lsilogic"
    done = subprocess.run(
        ["qemu-img", "convert", "-O", "vmdk", "-o", options, raw, disk],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise NotBuilt(f"qemu-img failed: {done.stderr}")
    description, manifest = disk.with_suffix(".ovf"), disk.with_suffix(".mf")
    written = Template(DESCRIPTION.read_text(encoding="utf-8")).substitute(
        disk=disk.name, size=disk.stat().st_size, capacity=raw.stat().st_size, version=version,
        memory=MEMORY,
    )  # fmt: skip
    description.write_text(written, encoding="utf-8")
    hashes = []
    for path in (description, disk):
        with path.open("rb") as file:
            hashes.append(f"SHA256({path.name})= {hashlib.file_digest(file, 'sha256').hexdigest()}")
    manifest.write_text("\n".join([*hashes, ""]), encoding="ascii")
    with tarfile.open(ova, "w", format=tarfile.USTAR_FORMAT) as tar:
        for path in (description, manifest, disk):  # the description must be the first
            tar.add(path, path.name, filter=_nobodys)
            path.unlink()


def _nobodys(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    member.mode = 0o644
    return member
