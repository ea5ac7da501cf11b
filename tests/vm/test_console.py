"""callstash-config in a real terminal, on a Debian in a container with CallStash installed.

The tests are one story in this order: the first walk, then the menu.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.vm.guest import Guest
from tests.vm.terminal import Terminal
from tests.waiting import until

KEPT = "/etc/systemd/network/10-callstash-eth0.network"
TRIED = "/run/systemd/network/05-callstash-eth0.network"
GATEWAY = "192.168.77.1"
PASSWORD = "Sonnenblume-77"
LAN = """\
ip netns add lan
ip link add eth0 type veth peer name gw netns lan
ip -n lan address add 192.168.77.1/24 dev gw
ip -n lan link set gw up
"""

pytestmark = pytest.mark.timeout(600)
Open = Callable[..., Terminal]


@pytest.fixture(scope="module")
def box(guest: Guest, packages: tuple[Path, Path]) -> Guest:
    """CallStash installed, on a machine with a network and a gateway in it."""
    guest.sh(LAN)
    guest.install(packages[0])
    until(guest.well, 60)
    return guest


@pytest.fixture
def opened(box: Guest, tmp_path: Path) -> Iterator[Open]:
    """Open terminals in which callstash-config runs."""
    terminals: list[Terminal] = []

    def start(command: str = "callstash-config", lines: int = 24) -> Terminal:
        terminals.append(box.terminal(tmp_path / str(len(terminals)), command, lines))
        return terminals[-1]

    yield start
    for terminal in terminals:
        terminal.hang_up()


def enter(terminal: Terminal, *fields: str) -> None:
    """Fill a form in, over what it holds, and confirm it."""
    for number, field in enumerate(fields):
        if number:
            terminal.press("Down")
        terminal.press("End", *["BSpace"] * 60)
        terminal.type(field)
    terminal.press("Enter")


def addresses(box: Guest) -> str:
    return box.sh("ip -4 -brief address show eth0")


def test_it_needs_a_terminal_and_room_and_no_arguments(box: Guest, opened: Open) -> None:
    assert "needs a terminal" in box.sh("callstash-config", check=False)
    assert "takes no arguments" in box.sh("callstash-config --help", check=False)
    opened(lines=20).sees("needs a terminal of 80 columns and 24 lines", "ended with 1")
    user = opened("runuser -u nobody -- callstash-config")
    user.sees("only root can configure", "ended with 1")


def test_the_first_walk_leads_through_everything(box: Guest, opened: Open) -> None:
    box.sh("printf 'x-secret-x' > /var/lib/callstash/archive/kept")
    terminal = opened()
    terminal.sees("Which interface", "eth0", "Skip")
    terminal.press("Enter")
    terminal.sees("How does eth0 get its address?", "DHCP", "Manual")
    terminal.press("2", "Enter")
    terminal.sees("IP address:")
    enter(terminal, "192.168.77.5", "255.255.255.0", "192.168.78.1", GATEWAY)
    terminal.sees("The gateway 192.168.78.1 is outside of this machine's network")
    terminal.press("Enter")
    terminal.sees("192.168.78.1", "IP address:")
    enter(terminal, "192.168.77.5", "255.255.255.0", GATEWAY, f"{GATEWAY} 9.9.9.9")
    terminal.sees("eth0 is set up", "https://192.168.77.5/")
    assert f"Gateway={GATEWAY}" in box.sh(f"cat {KEPT}")
    assert not box.holds(f"test -e {TRIED}")
    assert "192.168.77.5/24" in addresses(box)
    assert box.sh("resolvectl dns eth0").endswith(f"{GATEWAY} 9.9.9.9")
    terminal.press("Enter")

    terminal.sees("Host name: callstash")
    enter(terminal, "call-stash")
    terminal.sees("letters from A to Z and digits")
    terminal.press("Enter")
    terminal.sees("Host name: call-stash")
    enter(terminal, "Archive2")
    terminal.sees("This machine is called archive2", timeout=60)
    terminal.press("Enter")

    terminal.sees("The password with which 'root' logs in")
    enter(terminal, PASSWORD, "Sonnenblume-78")
    terminal.sees("The two are not the same")
    terminal.press("Enter")
    for weak, words in (("", "needs at least 8"), ("Callstash1", "first that anybody would guess")):
        terminal.sees("The password with which 'root' logs in")
        enter(terminal, weak, weak)
        terminal.sees(words)
        terminal.press("Enter")
    terminal.sees("The password with which 'root' logs in")
    enter(terminal, PASSWORD, PASSWORD)
    terminal.sees("The password of root is set")
    terminal.press("Enter")

    terminal.sees("Recordings lie on the system's drive", "No drive can be taken")
    terminal.press("Enter")
    shown = terminal.sees("CallStash is configured", "https://192.168.77.5/", "callstash-config")
    fingerprint = box.sh("callstash certificate show").split("Fingerprint: ")[1].split()[0]
    assert fingerprint in shown.replace("\n", "").replace(" ", "").replace("│", "")
    terminal.press("Enter")
    terminal.sees("ended with 0")


def test_the_new_password_logs_root_in(box: Guest) -> None:
    hashed = box.sh("getent shadow root").split(":")[1]
    said = box.sh("python3 -W ignore -c 'import crypt, sys; h = sys.argv[1];"
                  f" print(crypt.crypt(\"{PASSWORD}\", h) == h)' '{hashed}'")  # fmt: skip
    assert said == "True"
    assert PASSWORD not in box.sh("journalctl --boot --output=cat")


def test_rabbitmq_keeps_its_data_when_the_host_name_changes(box: Guest) -> None:
    assert box.sh("cat /etc/hostname; hostname").split() == ["archive2", "archive2"]
    assert box.sh("getent hosts archive2").startswith("127.0.1.1")
    queues = "rabbitmqctl --quiet list_queues -p callstash name"
    assert "callstash.poller" in box.sh(queues)
    box.sh("systemctl restart rabbitmq-server", timeout=180)
    assert "callstash.poller" in box.sh(queues)
    until(box.well, 90)


def test_after_the_walk_there_is_the_menu(opened: Open) -> None:
    terminal = opened()
    terminal.sees("Configure Network", "Configure Hostname", "Configure Disks", "Setup Certificate",
                  "Request software upgrade", "Set root Password", "Exit")  # fmt: skip
    terminal.press("2", "Enter")
    terminal.sees("Host name: archive2")
    terminal.press("C-c")
    terminal.sees("Please select")
    terminal.press("Tab", "Enter")
    terminal.sees("ended with 0")


def test_ctrl_c_in_the_walk_leads_to_its_start(box: Guest, opened: Open) -> None:
    box.sh("rm /etc/callstash/configured")
    terminal = opened()
    terminal.sees("Which interface")
    terminal.press("Tab", "Enter")
    terminal.sees("Host name: archive2")
    terminal.press("C-c")
    terminal.sees("Which interface")
    terminal.press("Tab", "Enter")
    terminal.sees("Host name: archive2")
    assert not box.holds("test -e /etc/callstash/configured")
    box.sh("touch /etc/callstash/configured")


def wrong_gateway(terminal: Terminal) -> None:
    """Enter settings with which nobody answers, and wait until they have been tried."""
    terminal.sees("Please select")
    terminal.press("Enter")
    terminal.sees("Which interface", "192.168.77.5")
    terminal.press("Enter")
    terminal.sees("How does eth0 get its address?")
    terminal.press("Enter")
    terminal.sees("IP address: 192.168.77.5", "255.255.255.0", f"{GATEWAY} 9.9.9.9")
    enter(terminal, "192.168.77.6", "255.255.255.0", "192.168.77.99", GATEWAY)
    terminal.sees("No gateway answers at eth0", "Keep", "Undo", timeout=90)


def test_settings_without_a_gateway_are_undone_or_kept(box: Guest, opened: Open) -> None:
    terminal, kept = opened(), box.sh(f"cat {KEPT}")
    wrong_gateway(terminal)
    assert "192.168.77.6" in addresses(box)
    assert box.sh(f"cat {KEPT}") == kept  # a restart would fall back to it
    terminal.press("Enter")
    terminal.sees("The settings were not taken over")
    until(lambda: "192.168.77.5/24" in addresses(box))
    assert "192.168.77.6" not in addresses(box)
    assert not box.holds(f"test -e {TRIED}")
    terminal.press("Enter")
    terminal.sees("IP address: 192.168.77.6")
    enter(terminal, "192.168.77.7", "24", "192.168.77.98", GATEWAY)
    terminal.sees("No gateway answers at eth0", timeout=90)
    terminal.press("Tab", "Enter")
    terminal.sees("eth0 is set up")
    assert "Gateway=192.168.77.98" in box.sh(f"cat {KEPT}")
    box.sh(f"cat > {KEPT}; networkctl reload", stdin=f"{kept}\n")


def test_a_terminal_that_goes_away_undoes_what_nobody_confirmed(box: Guest, opened: Open) -> None:
    until(lambda: "192.168.77.5/24" in addresses(box))
    terminal, kept = opened(), box.sh(f"cat {KEPT}")
    wrong_gateway(terminal)
    assert "192.168.77.6" in addresses(box)
    terminal.hang_up()
    state = "systemctl is-active config-callstash-network"
    until(lambda: box.sh(state, check=False) == "failed", 120)
    until(lambda: "192.168.77.5/24" in addresses(box))
    assert "192.168.77.6" not in addresses(box)
    assert (box.sh(f"cat {KEPT}"), box.holds(f"test -e {TRIED}")) == (kept, False)
