"""The OVA of a disk: what a hypervisor reads first, and hashes that are those of its parts."""

import hashlib
import re
import subprocess
import tarfile
from pathlib import Path
from xml.etree import ElementTree

import pytest

from devtools import appliance, ova
from devtools.package import NotBuilt

OVF = "{http://schemas.dmtf.org/ovf/envelope/1}"


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    raw = tmp_path / "disk.raw"
    raw.write_bytes(b"boots" * 1000)
    with raw.open("r+b") as file:
        file.truncate(5 << 20)
    return raw


def test_the_description_comes_first_and_tells_of_the_disk(disk: Path, tmp_path: Path) -> None:
    ova.write(disk, "1.2", tmp_path / "box.ova")
    with tarfile.open(tmp_path / "box.ova") as tar:
        assert tar.getnames() == ["callstash_1.2.ovf", "callstash_1.2.mf", "callstash_1.2.vmdk"]
        parts = {name: tar.extractfile(name).read() for name in tar.getnames()}  # type: ignore[union-attr]
    tree = ElementTree.fromstring(parts["callstash_1.2.ovf"])
    file, described = tree.find(f".//{OVF}File"), tree.find(f".//{OVF}Disk")
    assert file is not None
    assert described is not None
    assert file.attrib[f"{OVF}href"] == "callstash_1.2.vmdk"
    assert int(file.attrib[f"{OVF}size"]) == len(parts["callstash_1.2.vmdk"])
    assert int(described.attrib[f"{OVF}capacity"]) == 5 << 20
    told = dict(re.findall(r"SHA256\((.+)\)= (\w+)", parts["callstash_1.2.mf"].decode()))
    assert told == {
        name: hashlib.sha256(parts[name]).hexdigest()
        for name in ("callstash_1.2.ovf", "callstash_1.2.vmdk")
    }
    (tmp_path / "out.vmdk").write_bytes(parts["callstash_1.2.vmdk"])
    subprocess.run(["qemu-img", "compare", disk, tmp_path / "out.vmdk"], check=True)
    assert not list(tmp_path.glob("callstash_1.2.*")), "its parts are left beside it"


def test_a_disk_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(NotBuilt, match="qemu-img"):
        ova.write(tmp_path / "none.raw", "1.2", tmp_path / "box.ova")


def test_the_boot_sector_has_one_partition_that_fills_the_disk(tmp_path: Path) -> None:
    sector = appliance._boot_sector(bytes([7]) * 512)
    assert len(sector) == 512
    (tmp_path / "disk").write_bytes(sector)
    with (tmp_path / "disk").open("r+b") as file:
        file.truncate(appliance.DISK)
    told = subprocess.run(["sfdisk", "--dump", tmp_path / "disk"], check=True, capture_output=True,
                          text=True).stdout  # fmt: skip
    assert re.search(r"start=\s*2048, size=\s*62912512, type=83, bootable", told)
    assert sector[:440] == bytes([7]) * 440, "the code of the boot loader"
