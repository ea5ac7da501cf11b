"""The job that tries a network: `python3 -m tools.config.trial INTERFACE dhcp`, or in the place of
dhcp ADDRESS/BITS GATEWAY DNS...

Until the new settings are known to be good they stand in /run only, before those in /etc: a restart
of the machine falls back to what was. They are kept if the gateway answers, or if somebody says so.
"""

import socket
import subprocess
import sys
import time
from collections.abc import Callable
from ipaddress import ip_address, ip_interface

from common import files
from tools.config import network
from tools.config.job import RUN
from tools.config.network import KEPT, NAMES, TRIED, Manual

PATIENCE = 30.0  # seconds for the gateway: a switch may take long to open a port
ANSWER = 60.0  # seconds for somebody to say that the settings are right all the same
PAUSE = 0.5
CONFIRMED = RUN / "network.confirmed"
KEEPS, ASKS = "The new settings are kept.", "Nobody answers at the gateway."
UNDO = f"rm -f {TRIED}/{NAMES[TRIED].format('*')} && networkctl reload"


def main(arguments: list[str]) -> int:
    """Try the settings that the arguments give; 0 means that they are kept."""
    interface, *rest = arguments
    manual = None
    if rest != ["dhcp"]:
        servers = tuple(ip_address(one) for one in rest[2:])
        manual = Manual(ip_interface(rest[0]), ip_address(rest[1]), servers)
    CONFIRMED.unlink(missing_ok=True)
    TRIED.mkdir(parents=True, exist_ok=True)
    text = network.file(interface, manual)
    files.replace(TRIED / NAMES[TRIED].format(interface), text)
    _reload()
    _run("ip", "neighbour", "flush", "dev", interface)  # who answered before need not do so now
    if not _within(PATIENCE, lambda: reached(interface, manual)):
        print(ASKS)
        if not _within(ANSWER, CONFIRMED.exists):
            print("The settings before are in force again.")
            return 1
    KEPT.mkdir(parents=True, exist_ok=True)
    files.replace(KEPT / NAMES[KEPT].format(interface), text)
    (TRIED / NAMES[TRIED].format(interface)).unlink()
    _reload()
    print(KEEPS)
    return 0


def _reload() -> None:
    _run("networkctl", "reload")


def _run(*command: str) -> None:
    subprocess.run(command, stdin=subprocess.DEVNULL, check=True, timeout=60)


def _within(seconds: float, condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(PAUSE)
    return True


def reached(interface: str, manual: Manual | None) -> bool:
    """Say whether the interface has its new address and the gateway answers there."""
    router = network.gateway(interface)
    if manual is None:
        now = [one for one in network.interfaces(network.shown("address")) if one.name == interface]
        if not router or not now or not now[0].dhcp:
            return False
    elif router != str(manual.gateway) or not _has(interface, manual):
        return False
    _ask(interface, router)
    known = network.shown("neighbour", "show", "to", router, "dev", interface)
    return any("REACHABLE" in one.get("state", ()) for one in known)


def _has(interface: str, manual: Manual) -> bool:
    now = network.interfaces(network.shown("address"))
    return any(one.name == interface and manual.address in one.addresses for one in now)


def _ask(interface: str, router: str) -> None:
    """Send the gateway a datagram, so that the kernel asks for it by ARP or neighbour discovery,
    which every gateway answers, unlike ping.
    """
    family = socket.AF_INET6 if ":" in router else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as asking:
        try:
            asking.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode())
            asking.sendto(b"", (router, 9))
        except OSError as error:
            print(f"{router}: {error.strerror}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
