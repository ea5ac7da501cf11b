"""raidmon, from the kernel's files to the mail: each change once, in a real failure's order."""

import os
import select
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from daemons.raidmon.raidmon import Raidmon
from daemons.raidmon.watch import Watch
from tests.quiet import Quiet
from tests.service.office import Office
from tests.unit.test_raid import SAMPLES, tree

Connect = Callable[[str], psycopg.Connection[Any]]


class Kernel:
    """The files of a kernel, which go from one recorded state to the next."""

    def __init__(self, directory: Path, db: psycopg.Connection[Any]) -> None:
        self.directory = directory
        self.block, self.mdstat = directory / "block", directory / "mdstat"
        self.raidmon = Raidmon(db, lambda: True, self.block, self.mdstat)

    def becomes(self, sample: str) -> None:
        shutil.rmtree(self.block, ignore_errors=True)
        tree(self.directory, sample)
        shutil.copy(SAMPLES / sample / "mdstat.txt", self.mdstat)
        self.raidmon.step(Quiet())  # type: ignore[arg-type]


@pytest.fixture
def kernel(tmp_path: Path, connect_as: Connect) -> Kernel:
    return Kernel(tmp_path, connect_as("raidmon"))


MD0 = "The disk array md0 "


def test_a_failure_and_its_repair_are_told_step_by_step(kernel: Kernel, office: Office) -> None:
    told = []
    for sample in (
        "02-clean-initial", "04-degraded-one-faulty-still-in", "05-degraded-removed",
        "06-recovering-at-6.2pct", "06-recovering-at-66.6pct", "07-clean-after-rebuild",
        "08-checking", "20-failed-two-of-three", "21-failed-after-io", "22-stopped",
    ):  # fmt: skip
        kernel.becomes(sample)
        told.append(office.work())
        for _ in range(20):  # past the time in which many become one mail
            assert office.work() == []
    lacks = MD0 + "lacks 1 of 3 disks."
    rebuilt = MD0 + "is being rebuilt onto vdd."
    assert told == [
        [], ["Critical: " + lacks], [], ["Warning: " + rebuilt], [],
        ["Over: " + lacks, "Over: " + rebuilt], [], ["Critical: " + MD0 + "has failed."], [],
        ["Critical: Worse: " + MD0 + "is not there."],
    ]  # fmt: skip


def test_an_array_that_was_degraded_at_boot_is_told(kernel: Kernel, office: Office) -> None:
    kernel.becomes("05-degraded-removed")
    assert office.work() == ["Critical: " + MD0 + "lacks 1 of 3 disks."]


def test_a_machine_without_arrays_has_nothing_to_tell(kernel: Kernel, office: Office) -> None:
    kernel.becomes("00-no-array")
    assert office.work() == []


def test_a_watch_wakes_for_what_comes_and_goes_and_once_a_minute(tmp_path: Path) -> None:
    block, mdstat = tree(tmp_path, "02-clean-initial")
    watch = Watch(block, mdstat)
    assert watch.has_changed()
    assert not watch.has_changed()
    descriptors = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    shutil.rmtree(block)
    watch._looked = -1000.0
    assert watch.has_changed()
    assert len(os.listdir("/proc/self/fd")) < descriptors  # noqa: PTH208


def test_the_kernel_s_poll_wakes_a_watch(tmp_path: Path) -> None:
    """A pipe without a reader is POLLERR, as a changed file under /sys is."""
    fifo = tmp_path / "block" / "md0" / "md" / "degraded"
    fifo.parent.mkdir(parents=True)
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    watch = Watch(tmp_path / "block", tmp_path / "mdstat")
    watch._looked = time.monotonic()
    watch._open[fifo] = os.open(fifo, os.O_WRONLY)
    watch._poll.register(watch._open[fifo], select.POLLPRI | select.POLLERR)
    assert not watch.has_changed()
    os.close(reader)
    assert watch.has_changed()
    assert not watch._open
