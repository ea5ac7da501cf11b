"""Where releases of CallStash come from: one apt repository, believed only with its signature.

apt verifies it, with lists, cache and settings of our own: whatever else this machine is told to
install from has no say in which CallStash it gets, and no source that is marked as trusted counts.
"""

import re
import shutil
import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from common import upgrade
from common.upgrade import Checked
from tools.upgrading.command import Failed, Say, run

PACKAGE = "callstash"
ARCHIVES = Path("/var/cache/apt/archives")
_LINE = re.compile(r"^ {2}(Installed|Candidate): (\S+)$", re.MULTILINE)
_SIGNATURE = ("NO_PUBKEY", "BADSIG", "EXPSIG", "EXPKEYSIG", "REVKEYSIG", "NODATA", "not signed",
              "no longer signed", "signature", "unreadable")  # fmt: skip
_OPTIONS = {
    "Acquire::AllowInsecureRepositories": "false",
    "Acquire::AllowWeakRepositories": "false",
    "Acquire::AllowDowngradeToInsecureRepositories": "false",
    "APT::Get::AllowUnauthenticated": "false",
    "APT::Update::Error-Mode": "any",
    "Acquire::Retries": "2",
    "Acquire::http::Timeout": "30",
    "Acquire::https::Timeout": "30",
}


@dataclass(frozen=True)
class Settings:
    """The part of callstash.toml about upgrades."""

    repository: str = ""  # as in sources.list: URL, suite, components
    key: Path = Path("/etc/callstash/repository.asc")  # whose signature counts


class Repository:
    """`directory` is where its lists and packages are kept."""

    def __init__(self, settings: Settings, directory: Path) -> None:
        self._settings = settings
        self._apt = directory / "apt"
        self._packages = directory / "packages"

    def check(self) -> Checked:
        """Ask the repository what there is, and write down the answer."""
        try:
            self._update()
            return note(self._candidate(), None)
        except Failed as failed:
            return note(None, str(failed))

    def _update(self) -> None:
        source, key = self._settings.repository.strip(), self._settings.key
        if not source:
            raise Failed(
                "No repository is configured: set 'repository' under [upgrade] in callstash.toml."
            )
        if len(source.split()) < 2 or set(source) & set('[]"\n#'):
            raise Failed(
                "'repository' under [upgrade] in callstash.toml must be like"
                " 'https://releases.example.com/callstash stable main'."
            )
        if not key.is_file():
            raise Failed(f"The key of the repository is not there: put it into {key}.")
        for name in ("lists/partial", "cache/archives/partial", "none"):
            (self._apt / name).mkdir(parents=True, exist_ok=True)
        (self._apt / "sources.list").write_text(f"deb [signed-by={key}] {source}\n")
        try:
            run("apt-get", *self._options(), "update")
        except Failed as failed:
            if any(word in str(failed) for word in _SIGNATURE):
                raise Failed(
                    f"The repository is not signed with the key in {key}: nothing of it is used."
                    f" apt says: {failed}"
                ) from failed
            raise Failed(f"The repository can't be read. {failed}") from failed

    def _options(self) -> list[str]:
        ours = {
            "Dir::Etc::sourcelist": self._apt / "sources.list",
            "Dir::Etc::sourceparts": self._apt / "none",
            "Dir::Etc::preferences": "/dev/null",
            "Dir::Etc::preferencesparts": self._apt / "none",
            "Dir::State::lists": self._apt / "lists",
            "Dir::Cache": self._apt / "cache",
        }
        return [f"-o{name}={value}" for name, value in {**_OPTIONS, **ours}.items()]

    def _candidate(self) -> str | None:
        return versions(run("apt-cache", *self._options(), "policy", PACKAGE))[1]

    def fetch(self, version: str, say: Say) -> Path:
        """Return the package of a version, fetched unless it is here. Raises Failed."""
        place = self.package(version)
        if place.exists():
            return place
        part = self._packages / ".part"
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        try:
            run(
                "apt-get", *self._options(), "-q", "download", f"{PACKAGE}={version}",
                say=say, at=part,
            )  # fmt: skip
            found = next(part.glob("*.deb"))
        except Failed:
            cached = list(ARCHIVES.glob(f"{PACKAGE}_{version.replace(':', '%3a')}_*.deb"))
            if not cached:
                raise
            found = Path(shutil.copy2(cached[0], part))
        name, _, known = run("dpkg-deb", "--show", found).strip().partition("\t")
        if (name, known) != (PACKAGE, version):
            raise Failed(f"The repository sent {name} {known} instead of {version}.")
        run("sync", found)
        found.rename(place)
        shutil.rmtree(part)
        return place

    def package(self, version: str) -> Path:
        """Return where the package of a version is kept."""
        return self._packages / f"{PACKAGE}_{version}.deb"

    def keep_only(self, version: str) -> None:
        """Delete all packages but that of a version, to which the next upgrade falls back."""
        for other in self._packages.glob("*.deb"):
            if other != self.package(version):
                other.unlink()


def note(offered: str | None, error: str | None) -> Checked:
    """Write down what there is, or why that is not known, and return it."""
    here = installed()
    if offered is not None and (here is None or not _is_newer(offered, here)):
        offered = None
    found = Checked(datetime.now(UTC).isoformat(), here, offered, error)
    upgrade.save(upgrade.DIRECTORY / "checked.json", vars(found))
    return found


def versions(policy: str) -> tuple[str | None, str | None]:
    """Return the installed version and the one that apt would install, from what `apt-cache policy`
    says in English; None: none.
    """
    found = dict(_LINE.findall(policy))
    return tuple(  # type: ignore[return-value]
        None if found.get(name) in (None, "(none)") else found[name]
        for name in ("Installed", "Candidate")
    )


def installed() -> str | None:
    """Return the version that is installed completely; None: none is."""
    try:
        known = run("dpkg-query", "-W", "-f=${db:Status-Status} ${Version}", PACKAGE)
    except Failed:
        return None
    status, _, version = known.strip().partition(" ")
    return version if status == "installed" else None


def _is_newer(one: str, other: str) -> bool:
    return not subprocess.run(
        ["dpkg", "--compare-versions", one, "gt", other], check=False
    ).returncode


def can_install(package: Path, say: Say) -> None:
    """Fetch what a package needs besides, and change nothing. Raises Failed."""
    run("apt-get", *_install("--download-only"), package, say=say)


def install(package: Path, say: Say) -> None:
    """Install a package, whatever a killed run left behind; settings stay. Raises Failed."""
    try:
        run("dpkg", "--force-confdef", "--force-confold", "--configure", "-a", say=say)
    except Failed as failed:
        say(f"{failed}; going on")
    try:
        run("apt-get", *_install(), package, say=say)
    except Failed as failed:
        say(f"{failed}; trying without apt")
        run("dpkg", "--force-confdef", "--force-confold", "--install", package, say=say)
    run("sync")


def _install(*more: str) -> list[str]:
    options = ["-oDpkg::Options::=--force-confdef", "-oDpkg::Options::=--force-confold",
               "-oDpkg::Use-Pty=false", "-oDPkg::Lock::Timeout=300"]  # fmt: skip
    return ["-q", "--yes", "--allow-downgrades", *options, *more, "install"]
