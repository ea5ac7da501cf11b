"""raidmon's reading of md: recorded states of real arrays, and texts that no kernel writes."""

import random
import re
from pathlib import Path

import pytest

from daemons.raidmon import arrays, mdstat
from daemons.raidmon.arrays import Array

SAMPLES = Path(__file__).resolve().parent.parent / "raid"
NAMES = sorted(path.name for path in SAMPLES.iterdir() if path.is_dir())


def tree(directory: Path, sample: str) -> tuple[Path, Path]:
    """Make /sys/block and /proc/mdstat of a recorded state again."""
    block, source = directory / "block", SAMPLES / sample
    block.mkdir(exist_ok=True)
    recorded = source / "sysfs.txt"
    for line in recorded.read_text().splitlines() if recorded.exists() else ():
        if found := re.match(r"(md/[\w./-]+): (.*)$", line):
            path = block / "md0" / found[1]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(found[2].replace("|", "\n"))
    return block, source / "mdstat.txt"


def read(directory: Path, sample: str) -> list[Array]:
    return arrays.read(*tree(directory, sample))


GONE = ["00-no-array", "22-stopped", "23-inactive-or-partial"]
EXPECTED = {  # state, disks that lack, action
    "01-initial-recovery-slow": ("degraded", 1, "recover"),
    "02-clean-initial": ("clean", 0, None),
    "03-clean-mounted": ("clean", 0, None),
    "04-degraded-one-faulty-still-in": ("degraded", 1, None),
    "05-degraded-removed": ("degraded", 1, None),
    "06-recovering-at-32.2pct": ("degraded", 1, "recover"),
    "06-recovering-at-6.2pct": ("degraded", 1, "recover"),
    "06-recovering-at-66.6pct": ("degraded", 1, "recover"),
    "06-recovering-at-94.6pct": ("degraded", 1, "recover"),
    "07-clean-after-rebuild": ("clean", 0, None),
    "08-checking": ("clean", 0, "check"),
    "09-check-stopped": ("clean", 0, None),
    "10-clean-with-bitmap": ("clean", 0, None),
    "11-readd-bitmap-recovery": ("degraded", 1, "recover"),
    "12-clean-after-readd": ("clean", 0, None),
    "12b-clean-before-unplug": ("clean", 0, None),
    "13-after-hot-unplug": ("degraded", 1, None),
    "14-new-disk-visible-not-added": ("degraded", 1, None),
    "15-recovering-onto-new-disk": ("degraded", 1, "recover"),
    "16-clean-on-new-disk": ("clean", 0, None),
    "17-with-hot-spare": ("clean", 0, None),
    "18-spare-taking-over": ("degraded", 1, "recover"),
    "19-clean-after-spare": ("clean", 0, None),
    "20-failed-two-of-three": ("failed", 2, None),
    "21-failed-after-io": ("failed", 2, None),
    "24-forced-assembled": ("degraded", 1, None),
    "25-inactive-one-of-three": ("inactive", 0, None),
    "26-readonly": ("clean", 0, None),
    "27-raid1-initial-resync": ("clean", 0, "resync"),
    "28-raid1-clean": ("clean", 0, None),
    "29-raid1-degraded": ("degraded", 1, None),
    "30-scsi-disk-offline-io-error": ("degraded", 1, None),
    "31-scsi-disk-deleted": ("degraded", 1, None),
}


def test_all_recorded_states_are_judged() -> None:
    assert sorted([*EXPECTED, *GONE]) == NAMES


@pytest.mark.parametrize("sample", EXPECTED)
def test_an_array_is_judged_as_it_was(tmp_path: Path, sample: str) -> None:
    (array,) = read(tmp_path, sample)
    assert (array.state, array.degraded, array.action) == EXPECTED[sample]
    assert array.name == "md0"
    lacking = [one for one in array.members if one.slot is not None and one.role != "in use"]
    assert array.state == "inactive" or len(lacking) == array.degraded
    assert (array.percent is not None) == (array.action is not None)
    assert all(one.is_removable == (one.role == "faulty") for one in array.members)


@pytest.mark.parametrize("sample", GONE)
def test_where_there_is_none_none_is_found(tmp_path: Path, sample: str) -> None:
    assert read(tmp_path, sample) == []


def said(array: Array) -> list[tuple[str, int | None, bool, str]]:
    return [(one.disk, one.slot, one.is_ok, one.role) for one in array.members]


def test_each_disk_is_told_with_its_place(tmp_path: Path) -> None:
    (array,) = read(tmp_path, "04-degraded-one-faulty-still-in")
    assert said(array) == [
        ("vdb", 0, True, "in use"), ("vdc", 1, True, "in use"), ("", 2, False, "missing"),
        ("vdd", None, False, "faulty"),
    ]  # fmt: skip


def test_a_spare_that_takes_over_is_rebuilding_and_the_bad_disk_can_go(tmp_path: Path) -> None:
    (array,) = read(tmp_path, "18-spare-taking-over")
    assert said(array) == [
        ("vde", 0, True, "rebuilding"), ("vdc", 1, True, "in use"), ("vdd", 2, True, "in use"),
        ("vdb", None, False, "faulty"),
    ]  # fmt: skip


def test_two_failed_disks_are_more_than_the_kernel_s_clean_admits(tmp_path: Path) -> None:
    (array,) = read(tmp_path, "20-failed-two-of-three")
    assert said(array) == [
        ("", 0, False, "missing"), ("vdc", 1, False, "faulty"), ("vdd", 2, True, "in use"),
        ("vde", None, False, "faulty"),
    ]  # fmt: skip


def test_how_far_a_rebuild_is_and_how_long_it_takes(tmp_path: Path) -> None:
    (array,) = read(tmp_path, "06-recovering-at-32.2pct")
    assert (array.percent, array.minutes_left) == (32.2, 0.6)


def test_a_read_only_array_is_clean_and_says_so(tmp_path: Path) -> None:
    (array,) = read(tmp_path, "26-readonly")
    assert array.is_read_only


def test_files_that_vanish_between_two_reads_are_no_error(tmp_path: Path) -> None:
    block, file = tree(tmp_path, "17-with-hot-spare")
    chance = random.Random(3)
    paths = [path for path in block.rglob("*") if path.is_file()]
    chance.shuffle(paths)
    for path in paths:
        path.unlink()
        for array in arrays.read(block, file):
            assert array.state in ("clean", "degraded", "failed", "inactive")


def test_ten_thousand_texts_that_no_kernel_writes_are_read_without_an_error() -> None:
    chance = random.Random(1)
    texts = [(SAMPLES / name / "mdstat.txt").read_bytes() for name in NAMES]
    for _ in range(10_000):
        text = bytearray(chance.choice(texts))
        for _ in range(chance.randrange(1, 8)):
            kind, at = chance.randrange(4), chance.randrange(len(text) + 1)
            if kind == 0:
                text[at:at] = bytes([chance.randrange(256)])
            elif kind == 1:
                del text[at : at + chance.randrange(1, 20)]
            elif kind == 2:
                text[at:at] = text[: chance.randrange(40)]
            else:
                text[at:at] = chance.choice((b"\n", b"%", b"(", b"]", b"999999999999", b"md0 : "))
        for name, progress in mdstat.parse(text.decode(errors="replace")).items():
            assert name.startswith("md")
            if progress is not None:
                assert 0 <= progress.percent <= 100
                assert progress.minutes is None or progress.minutes >= 0
