"""Fixtures: the package in two versions, and a Debian on which the first one is installed."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from common import __version__
from devtools import package, rootfs
from devtools.machine import Container
from tests.vm.guest import Guest

NEWER = f"{__version__}+newer"


@pytest.fixture(scope="session")
def packages(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The package of this tree, and the same with a higher version."""
    out = tmp_path_factory.mktemp("packages")
    return package.build(out=out), package.build(NEWER, out)


@pytest.fixture(scope="module")
def guest(packages: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guest]:
    """A fresh Debian in a container that sees the packages."""
    if os.geteuid() != 0 or shutil.which("systemd-nspawn") is None:
        pytest.skip("NOT TESTED: the package on a Debian with systemd, which only root can boot")
    directory = tmp_path_factory.mktemp("guest")
    container = Container(rootfs.tree(), directory, bind=[packages[0].parent])
    made = Guest(container)
    try:
        container.start()
        made.sh("ip link set lo up")
        yield made
    finally:
        made.close()
        container.stop()
