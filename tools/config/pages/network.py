"""Which interface, DHCP or by hand, and the trial of what was entered."""

import subprocess
import time

from common.errors import ConfigError
from tools.config import network, trial
from tools.config.job import Job
from tools.config.network import Manual
from tools.config.screen import Back, Screen, StartAgain

TITLE = "Configure Network"
PAUSE = 0.3
LABELS = ("IP address", "Net mask", "Gateway", "DNS servers")


def page(screen: Screen, leave: str) -> None:
    """Set an interface up. Raises Back, ConfigError."""
    for service in ("systemd-networkd", "systemd-resolved"):
        command = ["systemctl", "is-active", "--quiet", service]
        if subprocess.run(command, stdin=subprocess.DEVNULL, check=False).returncode:
            raise ConfigError(
                f"This machine's network is not looked after by systemd: {service} is not running."
                " Set it up with the tool that looks after it, or start that service."
            )
    while True:
        found = network.interfaces(network.shown("address"))
        if not found:
            raise ConfigError("This machine has no network interface: add one, then come back.")
        items = [f"{one.name:<12} {one.words}" for one in found]
        best = next((number for number, one in enumerate(found) if one.addresses), 0)
        chosen = screen.menu(
            TITLE, "Which interface do you want to configure?", items, default=best, back=leave
        )
        try:
            return _interface(screen, found[chosen].name)
        except Back:
            continue


def _interface(screen: Screen, name: str) -> None:
    dhcp, fields = network.saved(name)
    while True:
        choice = screen.menu(
            TITLE, f"How does {name} get its address?",
            ["DHCP     the network gives it one", "Manual   you enter it"],
            default=0 if dhcp else 1,
        )  # fmt: skip
        if choice == 0:
            if _apply(screen, name, None):
                return
        else:
            try:
                _by_hand(screen, name, fields)
                return
            except Back:
                dhcp = False


def _by_hand(screen: Screen, name: str, fields: tuple[str, str, str, str]) -> None:
    entered = list(fields)
    while True:
        entered = screen.form(
            TITLE,
            f"The address of {name}. With several DNS servers, put spaces between them."
            "\nArrow keys move between the fields, Tab to the buttons.",
            list(zip(LABELS, entered, strict=True)),
        )
        try:
            address, mask, gateway, dns = entered
            manual = Manual.read(address, mask, gateway, dns)
        except ConfigError as error:
            screen.tell(TITLE, str(error))
            continue
        if _apply(screen, name, manual):
            return


def _apply(screen: Screen, name: str, manual: Manual | None) -> bool:
    """Try the settings; return whether they are kept."""
    job = Job("network")
    wanted = ["dhcp"]
    if manual is not None:
        wanted = [str(manual.address), str(manual.gateway), *map(str, manual.dns)]
    job.start("tools.config.trial", name, *wanted, undo=trial.UNDO)
    screen.wait(TITLE, f"Trying the new settings of {name}. This takes up to"
                       f" {trial.PATIENCE:.0f} seconds ...")  # fmt: skip
    _until_it_asks(job)
    if job.running and not _confirmed(screen, job, name):
        job.stop()
    _until_it_asks(job, ended=True)
    if trial.KEEPS in job.said():
        screen.tell(TITLE, f"{name} is set up.\n\n{web()}")
        return True
    screen.tell(TITLE, "The settings were not taken over: those from before are in force.")
    return False


def _until_it_asks(job: Job, *, ended: bool = False) -> None:
    while job.running and (ended or trial.ASKS not in job.said()):
        time.sleep(PAUSE)


def _confirmed(screen: Screen, job: Job, name: str) -> bool:
    try:
        yes = screen.ask(
            TITLE,
            f"No gateway answers at {name} with the new settings. Is the cable in, and are the"
            " addresses right?\n\nUnless you keep them within a minute, the settings from before"
            " come back.",
            "Keep", "Undo", careful=True, seconds=int(trial.ANSWER) - 5,
        )  # fmt: skip
    except StartAgain:
        job.stop()
        raise
    if yes:
        trial.CONFIRMED.touch()
    return yes


def web() -> str:
    """Say where the web UI can be opened."""
    found = network.interfaces(network.shown("address"))
    hosts = [str(one.ip) if one.version == 4 else f"[{one.ip}]"
             for interface in found for one in interface.addresses]  # fmt: skip
    if not hosts:
        return "This machine has no network address yet."
    return "\n".join(["The web UI:", *(f"  https://{host}/" for host in hosts[:4])])
