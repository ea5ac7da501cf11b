"""The first boot of the appliance: what was installed where no service ran makes its own keys."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from devtools import appliance, rootfs
from devtools.machine import Container
from devtools.package import NotBuilt
from tests.vm.guest import Guest
from tests.waiting import until

SECRETS = ("/etc/callstash/credentials/*", "/etc/callstash/tls/key.pem", "/etc/machine-id",
           "/etc/ssh/ssh_host_*_key", "/etc/ssl/private/ssl-cert-snakeoil.key",
           "/var/lib/rabbitmq/.erlang.cookie")  # fmt: skip

pytestmark = pytest.mark.timeout(600)


@pytest.fixture
def tree(packages: tuple[Path, Path], tmp_path: Path) -> Path:
    if os.geteuid() != 0 or shutil.which("systemd-nspawn") is None:
        pytest.skip("NOT TESTED: the first boot of the appliance, which only root can start")
    copy = tmp_path / "tree"
    subprocess.run(["cp", "-a", "--reflink=auto", rootfs.tree(), copy], check=True)
    appliance.install(copy, packages[0])
    return copy


@contextmanager
def booted(tree: Path, directory: Path) -> Iterator[Guest]:
    """Boot the tree for the first time, as each call does."""
    directory.mkdir()
    container = Container(tree, directory)
    try:
        container.start()
        yield Guest(container)
    finally:
        container.stop()


def secrets(guest: Guest) -> dict[str, str]:
    """Return the hash of each file that no two machines may share."""
    lines = guest.sh(f"sha256sum {' '.join(SECRETS)}").splitlines()
    return {name: digest for digest, name in (line.split() for line in lines)}


def test_each_machine_serves_with_keys_of_its_own(tree: Path, tmp_path: Path) -> None:
    found = []
    for number in (1, 2):
        with booted(tree, tmp_path / str(number)) as guest:
            until(guest.well, 120)
            until(lambda guest=guest: guest.holds("curl -skf https://localhost/login"), 30)  # type: ignore[misc]
            found.append(secrets(guest))
            assert guest.sh("systemctl --failed --plain --no-legend") == ""
    assert len(found[0]) > 10
    assert found[0].keys() == found[1].keys()
    assert [name for name in found[0] if found[0][name] == found[1][name]] == []


def test_an_image_with_a_key_in_it_is_not_built(tree: Path, packages: tuple[Path, Path]) -> None:
    (tree / "etc/callstash/credentials/master.key").write_text("secret")
    with pytest.raises(NotBuilt, match=r"keys in the image: .*master\.key"):
        appliance.install(tree, packages[0])
