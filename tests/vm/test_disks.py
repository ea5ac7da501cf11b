"""callstash-config takes drives on an emulated PC: one, three as a RAID 5, and through power cuts.

The tests are one story in this order. CallStash isn't installed: its data are a few files, and a
unit of its name stands for its daemons. (What they run on would make each start minutes longer.)
"""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from devtools import rootfs
from devtools.machine import Machine
from tests.vm.terminal import Terminal
from tests.waiting import until

ROOT = Path(__file__).parents[2]
DATA = "/var/lib/callstash"
UNIT = """\
[Unit]
PartOf=callstash.target
RequiresMountsFor=/var/lib/callstash
[Service]
ExecStart=/usr/bin/tail -f /var/lib/callstash/archive/one
[Install]
WantedBy=callstash.target
"""
TARGET = "[Unit]\\nWants=callstash-reader.service\\n[Install]\\nWantedBy=multi-user.target\\n"
PREPARE = f"""\
systemctl --quiet mask --now postgresql rabbitmq-server nginx
mkdir -p {DATA}/archive/.incoming /etc/callstash
cd {DATA}/archive
head -c 3000000 /dev/urandom > one; printf two > .incoming/two; ln one link; ln -s one symbolic
chown -R 4321:4322 .incoming; chmod 2770 .
python3 -c "import os; os.setxattr('one', 'user.kind', b'evidence')"
touch /etc/callstash/configured
cat > /etc/systemd/system/callstash-reader.service
printf '{TARGET}' > /etc/systemd/system/callstash.target
systemctl enable --quiet --now callstash-reader callstash.target
echo dev.raid.speed_limit_max=500 > /etc/sysctl.d/slow.conf; sysctl -q -p /etc/sysctl.d/slow.conf
"""
# mount(8) leaves file systems to such a program where there is one
HELPER = f"""\
#!/bin/sh
[ "$1 $2" != "/dev/vdb {DATA}" ] || {{ ACTION; }}
exec mount -i -t ext4 "$@"
"""
PARTITION = """\
entry = bytes((0, 0, 2, 0, 0x83, 0, 0, 0)) + (2048).to_bytes(4, "little") * 2
open("/dev/vdf", "r+b").write(bytes(446) + entry + bytes(48) + b"\\x55\\xaa")
"""
LISTED = (
    f"cd {DATA}; find . -path ./lost+found -prune -o -type d -printf '%p %m %U:%G %T@\\n'"
    " -o -printf '%p %y %m %U:%G %n %s %T@ %l\\n' | sort; find . -type f | sort | xargs sha256sum;"
    " python3 -c \"import os; print(os.getxattr('archive/one', 'user.kind'))\""
)

ASIDE = "find /var/lib -maxdepth 1 -name 'callstash.before-*'"
READER = "systemctl is-active callstash-reader"

pytestmark = pytest.mark.timeout(1500)


@pytest.fixture(scope="module")
def pc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """A PC with four empty drives of 60 GB, the source tree, and data."""
    if os.geteuid() != 0 or shutil.which("qemu-system-x86_64") is None:
        pytest.skip("NOT TESTED: callstash-config's drives, which need root and QEMU")
    machine = Machine(rootfs.tree(), tmp_path_factory.mktemp("pc"), disks=5, disk_mb=60_000)
    machine.start()
    machine.run("mkdir -p /opt/callstash")
    for name in ("common", "tools"):
        machine.put(ROOT / name, "/opt/callstash")
    machine.run(PREPARE, stdin=UNIT)
    yield machine
    machine.stop()


class Console:
    """callstash-config on the PC, in terminals through ssh."""

    def __init__(self, pc: Machine, directory: Path) -> None:
        self._pc, self._directory, self._count = pc, directory, 0

    def open(self) -> Terminal:
        """Open it at its menu, and there the drives."""
        self._count += 1
        place = self._directory / str(self._count)
        place.mkdir()
        tool = "cd /opt/callstash; TERM=screen python3 -m tools.config"
        terminal = Terminal(place, self._pc.terminal(), tool)
        terminal.sees("Please select", timeout=120)
        terminal.press("3", "Enter")
        return terminal


@pytest.fixture
def console(pc: Machine, tmp_path: Path) -> Console:
    return Console(pc, tmp_path)


def choose(terminal: Terminal, item: str, room: str) -> None:
    """Choose where the recordings shall be kept, and agree to what is said."""
    screen = terminal.sees("Where shall they be kept?", item, timeout=120)
    line = next(line for line in screen.splitlines() if item in line)
    terminal.press(line.partition(item)[0].split()[-1], "Enter")
    terminal.sees("is erased", f"room for {room}", timeout=60)
    terminal.press("Tab", "Enter")


def source(pc: Machine) -> str:
    """Return what is mounted at the data."""
    return pc.run(f"findmnt -no SOURCE --mountpoint {DATA}", check=False).stdout.strip()


def listed(pc: Machine) -> str:
    """Return all that is known of the data, and their checksums."""
    return pc.run(LISTED).stdout


def mount_of_the_new_drive(pc: Machine, action: str) -> None:
    """Have a shell command done instead of the mount of /dev/vdb in the place of the data."""
    pc.run("cat > /sbin/mount.ext4; chmod 755 /sbin/mount.ext4",
           stdin=HELPER.replace("ACTION", action))  # fmt: skip


def as_before(pc: Machine, place: str, data: str) -> None:
    """Assert that the data lie where they did, and that what reads them runs."""
    assert source(pc) == place
    assert listed(pc) == data
    assert pc.run(READER).stdout.strip() == "active"
    assert len(pc.run(ASIDE).stdout.split()) == (1 if place else 0)
    assert pc.run("blkid -p -s LABEL -o value /dev/vdb").stdout.strip() == "callstash-new"
    pc.run("rm /sbin/mount.ext4")


def restart(pc: Machine) -> None:
    """Cut the power and start again."""
    pc.cut_power()
    pc.start()
    state = "systemctl is-system-running"
    until(lambda: "starting" not in pc.run(state, check=False).stdout, 300)


def test_dhcp_is_kept_when_the_gateway_answers(pc: Machine, console: Console) -> None:
    terminal = console.open()
    terminal.sees("Where shall they be kept?", timeout=120)
    terminal.press("C-c")
    terminal.sees("Please select", timeout=60)
    terminal.press("1", "Enter")
    terminal.sees("Which interface", "eth0", timeout=60)
    terminal.press("Enter")
    terminal.sees("How does eth0 get its address?", timeout=60)
    terminal.press("Enter")
    terminal.sees("eth0 is set up", timeout=120)
    assert "DHCP=yes" in pc.run("cat /etc/systemd/network/10-callstash-eth0.network").stdout


def test_a_power_cut_while_copying_leaves_the_data_where_they_were(
    pc: Machine, console: Console
) -> None:
    pc.run(f"head -c 300000000 /dev/zero > {DATA}/archive/much; sync")
    before = listed(pc)
    terminal = console.open()
    choose(terminal, "/dev/vdb", "63 GB")
    terminal.sees("Copying ...", timeout=180)
    restart(pc)
    assert source(pc) == ""
    assert listed(pc) == before
    pc.run(f"rm {DATA}/archive/much")
    assert pc.run(READER).stdout.strip() == "active"


def test_a_drive_that_cannot_be_mounted_changes_nothing(pc: Machine, console: Console) -> None:
    before, terminal = listed(pc), console.open()
    mount_of_the_new_drive(pc, "echo no >&2; exit 32")
    choose(terminal, "/dev/vdb", "63 GB")
    terminal.sees("mount failed", "Everything is as it was before", timeout=300)
    until(lambda: pc.run(READER, check=False).stdout.strip() == "active", 120)
    as_before(pc, "", before)


def test_one_drive_is_formatted_and_has_everything(pc: Machine, console: Console) -> None:
    before, terminal = listed(pc), console.open()
    terminal.sees("Recordings lie on the system's drive", timeout=120)
    choose(terminal, "/dev/vdb", "63 GB")  # what the power cut left on it is no obstacle
    terminal.sees("The recordings lie on the new drive", "OK", timeout=600)
    assert source(pc) == "/dev/vdb"
    assert listed(pc) == before
    assert pc.run("blkid -s LABEL -o value /dev/vdb").stdout.strip() == "callstash"
    assert pc.run(READER).stdout.strip() == "active"
    kept = pc.run(f"ls -d {DATA}.before-*").stdout.split()
    assert len(kept) == 1 and pc.run(f"cmp {kept[0]}/archive/one {DATA}/archive/one").stdout == ""
    restart(pc)
    assert pc.run(ASIDE).stdout.split() == kept
    assert source(pc) == "/dev/vdb"
    assert listed(pc) == before
    assert pc.run(READER).stdout.strip() == "active"


def test_drives_that_hold_something_are_named_with_the_reason(
    pc: Machine, console: Console
) -> None:
    pc.run("python3 -; blockdev --rereadpt /dev/vdf; udevadm settle; test -b /dev/vdf1",
           stdin=PARTITION)  # fmt: skip
    terminal = console.open()
    screen = terminal.sees("Where shall they be kept?", "RAID 5 over 3", timeout=120)
    offered = [name for name in "abcdef" if f"/dev/vd{name}" in screen]
    assert offered == ["c", "d", "e"]
    terminal.press("5", "Enter")
    terminal.sees("/dev/vda", "is in use: /", "holds CallStash's recordings now",
                  "has partitions", timeout=60)  # fmt: skip


def test_three_drives_become_a_raid_5_and_take_the_data_over(pc: Machine, console: Console) -> None:
    before, terminal = listed(pc), console.open()
    choose(terminal, "RAID 5", "126 GB")
    terminal.sees("The recordings lie on the new drive", "OK", timeout=900)
    device = source(pc)
    assert device.startswith("/dev/md")
    assert listed(pc) == before
    assert "raid5" in pc.run("cat /proc/mdstat").stdout
    restart(pc)
    assert source(pc) == device
    assert listed(pc) == before
    assert pc.run(READER).stdout.strip() == "active"


def test_a_change_of_drives_that_is_ended_on_its_last_step_changes_nothing(
    pc: Machine, console: Console
) -> None:
    before, place = listed(pc), source(pc)
    pc.run("wipefs --quiet --all /dev/vdb")
    terminal = console.open()
    mount_of_the_new_drive(pc, "sleep infinity")
    choose(terminal, "/dev/vdb", "63 GB")
    until(lambda: not pc.run("pgrep -x sleep", check=False).returncode, 600, pause=1)
    pc.run("systemctl stop config-callstash-disks")
    until(lambda: pc.run(READER, check=False).stdout.strip() == "active", 120)
    as_before(pc, place, before)


def test_without_its_drive_nothing_writes_in_its_place(pc: Machine) -> None:
    pc.run("sed -i 's/^UUID=[^ ]*/UUID=00000000-0000-4000-8000-000000000000/;"
           " s/nofail/nofail,x-systemd.device-timeout=5/' /etc/fstab; sync")  # fmt: skip
    restart(pc)
    assert source(pc) == ""
    until(lambda: "callstash-reader" not in pc.run("systemctl list-jobs").stdout, 120)
    assert pc.run(READER, check=False).stdout.strip() == "inactive"
