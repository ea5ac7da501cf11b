"""Entry point of callstash-upgrade.service: does what is wanted, or finishes what was cut off.

Exit status: 0 when it is over, whichever version runs; 75 when the version before could not be
brought back yet, and the service is to try again.
"""

import fcntl
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, date, datetime

from common import config, upgrade
from common.errors import ConfigError
from common.upgrade import Checked, Request
from tools.upgrading import database, repository, services, steps
from tools.upgrading.command import Failed
from tools.upgrading.repository import Repository, Settings
from tools.upgrading.steps import State, Upgrade

AGAIN = 75


@contextmanager
def alone() -> Iterator[None]:
    """Keep other upgrades and checks waiting."""
    for name in ("packages", "runs"):
        (upgrade.DIRECTORY / name).mkdir(parents=True, exist_ok=True)
    with (upgrade.DIRECTORY / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def look() -> Checked:
    """Ask the configured repository what there is."""
    try:
        return Repository(config.load("upgrade", Settings), upgrade.DIRECTORY).check()
    except ConfigError as error:
        return repository.note(None, str(error))


def _repository() -> Repository:
    """Return the configured repository; what is under way goes on without, if it has to."""
    try:
        settings = config.load("upgrade", Settings)
    except ConfigError as error:
        print(error, file=sys.stderr, flush=True)
        settings = Settings()
    return Repository(settings, upgrade.DIRECTORY)


def refusal(found: Checked) -> str:
    """Return why what was found may not be installed; empty: it may."""
    try:
        until = database.support_until()
    except Failed as failed:
        return f"It can't be told whether there is a support contract: {failed}"
    if services.are_moving():
        return "The recordings are being moved to another drive: try again when that is done."
    return upgrade.refusal(found, until, date.today())  # noqa: DTZ011  the contract's days are ours


def _saying(name: str) -> Callable[[str], None]:
    file = upgrade.DIRECTORY / "runs" / f"{name}.log"

    def say(text: str) -> None:
        print(text, flush=True)
        with (
            suppress(OSError),
            file.open("a", encoding="utf-8") as log,
        ):  # a full disk stops nothing
            log.write(f"{datetime.now(UTC):%H:%M:%S} {text}\n")

    return say


def _begin(request: Request) -> State | None:
    """Return the state of what is wanted; None where that is done already."""
    found = look()
    if found.error:
        print(found.error, flush=True)
    if request.do == upgrade.CHECK:
        return None
    if not (text := refusal(found)):
        try:
            return steps.begin(found, request)
        except Failed as failed:
            text = f"The upgrade could not begin: {failed}"
    print(text, flush=True)
    steps.refuse(found, request, text)
    return None


def main() -> int:
    """Do it."""
    with alone():
        known = upgrade.read(upgrade.DIRECTORY / "state.json", State)
        try:
            if known is None:  # whose copy of the code is none that a cut off upgrade needs
                shutil.rmtree(upgrade.DIRECTORY / "code", ignore_errors=True)
                request = upgrade.taken()
                state = _begin(request) if request else None
                if state:
                    upgrade.save(upgrade.DIRECTORY / "state.json", vars(state))
                upgrade.drop()
            else:
                state = known
            if state:
                say = _saying(state.id)
                if known:
                    say(f"going on with what was cut off: {state.step}")
                Upgrade(_repository(), state, say).run()
        except Failed as error:
            print(error, file=sys.stderr, flush=True)
            return AGAIN
    return 0


if __name__ == "__main__":
    sys.exit(main())
