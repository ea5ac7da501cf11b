"""An upgrade step by step.

Each step is written down before it begins and may be done again: after a power cut or a kill the
next run goes on with the step that was cut off, forward or back.
"""

import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from common import upgrade
from common.upgrade import BROKEN, DONE, FAILED, REFUSED, Request, Run
from tools.upgrading import database, repository, services
from tools.upgrading.command import Failed, Say
from tools.upgrading.repository import Repository
from tools.upgrading.services import Before, Hold

TRIES = 3  # of a step that is cut off again and again, before it counts as failed
KEPT = 20  # upgrades that are remembered
SOURCE = Path("/usr/lib/callstash")
COPIED = ("common", "tools/upgrading")


@dataclass
class State:
    """An upgrade that runs; `outcome` and `text` are set for its last step."""

    id: str
    by: str
    before: str
    after: str
    started_at: str
    step: str
    tries: int
    active: list[str]
    missing: list[str]
    answers: bool
    schema: list[str]
    reason: str = ""
    outcome: str = ""
    text: str = ""


class Upgrade:
    """Brings this machine from one version to another, or back to where it was."""

    def __init__(self, source: Repository, state: State, say: Say) -> None:
        self._source = source
        self._state = state
        self._say = say
        self._hold = Hold(upgrade.DIRECTORY / "hold")
        self._dump = upgrade.DIRECTORY / "database.dump"
        # what a step does, which one follows, and which one follows where it fails
        self._steps: dict[str, tuple[Callable[[], None], str, str]] = {
            "fetch": (self._fetch, "stop", "finish"),
            "stop": (self._stop, "dump", "restart"),
            "dump": (self._copy, "install", "restart"),
            "install": (self._install, "start", "halt"),
            "start": (self._start, "finish", "halt"),
            "halt": (self._stop, "reinstall", ""),
            "reinstall": (self._reinstall, "restore", ""),
            "restore": (self._restore, "restart", ""),
            "restart": (self._restart, "finish", "finish"),
            "finish": (self._finish, "", ""),
        }

    def run(self) -> None:
        """Do what is left. Raises Failed where a step back failed: it is to be tried again."""
        state = self._state
        while state.step:
            do, following, otherwise = self._steps[state.step]
            state.tries += 1
            upgrade.save(upgrade.DIRECTORY / "state.json", asdict(state))
            try:
                if otherwise and state.tries > TRIES:
                    raise Failed("It was cut off again and again.")
                do()
            except Failed as failed:
                self._say(str(failed))
                if not otherwise:
                    raise
                self._failed(str(failed), otherwise)
                following = otherwise
            state.step, state.tries = following, 0
        (upgrade.DIRECTORY / "state.json").unlink()

    def _failed(self, text: str, following: str) -> None:
        state, text = self._state, text.rstrip(".")
        if state.step == "restart":
            state.outcome, state.text = BROKEN, (
                f"{state.reason} Version {state.before} is installed again, but {text}."
            )  # fmt: skip
        elif not state.reason:
            state.reason = f"{text[:1].upper()}{text[1:]}."
        if following == "finish" and not state.outcome:
            state.outcome, state.text = FAILED, f"{state.reason} Nothing was changed."

    def _fetch(self) -> None:
        state = self._state
        self._say(f"fetching version {state.after}")
        new = self._source.fetch(state.after, self._say)
        repository.can_install(new, self._say)
        self._say(f"looking for version {state.before}, to fall back to")
        try:
            self._source.fetch(state.before, self._say)
        except Failed as failed:
            raise Failed(
                f"There is no package of version {state.before} to fall back to: put it into"
                f" {self._source.package(state.before)}."
            ) from failed
        database.check_room(upgrade.DIRECTORY)

    def _stop(self) -> None:
        self._say("stopping the services")
        self._hold.set()
        services.stop()

    def _copy(self) -> None:
        self._say("copying the database")
        database.dump(self._dump)

    def _install(self) -> None:
        self._say(f"installing version {self._state.after}")
        repository.install(self._source.package(self._state.after), self._say)
        self._expect(self._state.after)

    def _reinstall(self) -> None:
        self._say(f"installing version {self._state.before} again")
        repository.install(self._source.package(self._state.before), self._say)
        self._expect(self._state.before)

    def _expect(self, version: str) -> None:
        if (found := repository.installed()) != version:
            raise Failed(f"Version {version} was to be installed, and {found} is.")

    def _restore(self) -> None:
        try:
            same = database.schema() == self._state.schema
        except Failed:  # cut off while its name was being changed
            same = False
        if not same:
            self._say("bringing the database back as it was before")
            database.restore(self._dump, self._say)
        try:
            database.carry_audit()
        except Failed as failed:
            self._say(f"what the audit log got since is not in it: {failed}")

    def _come_up(self) -> None:
        self._say("starting the services")
        self._hold.release()
        services.start()
        state = self._state
        wrong = services.trouble(Before(state.active, state.missing, state.answers))
        if wrong:
            raise Failed(wrong)

    def _start(self) -> None:
        self._come_up()
        state = self._state
        state.outcome, state.text = DONE, f"Version {state.after} runs."

    def _restart(self) -> None:
        self._come_up()
        state = self._state
        state.outcome, state.text = FAILED, f"{state.reason} Version {state.before} runs again."

    def _finish(self) -> None:
        state = self._state
        self._say(state.text)
        database.clean(self._dump)
        self._source.keep_only(state.after if state.outcome == DONE else state.before)
        shutil.rmtree(upgrade.DIRECTORY / "code", ignore_errors=True)
        remember(state, state.outcome, state.text)


def begin(found: upgrade.Checked, request: Request) -> State:
    """Return the first state of an upgrade; from then on our own code stays as it is now."""
    assert found.installed and found.available
    code = upgrade.DIRECTORY / "code"
    shutil.rmtree(code, ignore_errors=True)
    for name in COPIED:
        shutil.copytree(SOURCE / name, code / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy2(SOURCE / "tools" / "__init__.py", code / "tools")
    now = services.before()
    return State(
        request.id, request.by, found.installed, found.available, _now(), "fetch", 0,
        now.active, now.missing, now.answers, database.schema(),
    )  # fmt: skip


def refuse(found: upgrade.Checked, request: Request, text: str) -> None:
    """Write down that an upgrade was asked for in vain."""
    run = Run(request.id, request.by, found.installed, found.available, _now(), _now(), REFUSED,
              text)  # fmt: skip
    upgrade.save(upgrade.DIRECTORY / "runs" / f"{run.id}.json", asdict(run))


def remember(state: State, outcome: str, text: str) -> None:
    """Write down how an upgrade ended, and forget the oldest."""
    run = Run(state.id, state.by, state.before, state.after, state.started_at, _now(), outcome,
              text)  # fmt: skip
    runs = upgrade.DIRECTORY / "runs"
    upgrade.save(runs / f"{run.id}.json", asdict(run))
    for old in sorted(runs.glob("*.json"), reverse=True)[KEPT:]:
        old.with_suffix(".log").unlink(missing_ok=True)
        old.unlink()


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
