"""An apt repository as a vendor has it: packages, their hashes, and a signature over those."""

import os
import shutil
import subprocess
from pathlib import Path


class Repository:
    """`keys` is where the vendor's keys are; the directory may be served as it is."""

    def __init__(self, directory: Path, keys: Path) -> None:
        self.directory, self._keys = directory, keys
        directory.mkdir()
        keys.mkdir(mode=0o700)
        self.key = directory / "vendor.asc"
        for name in ("vendor", "thief"):
            self._gpg("--quick-gen-key", "--passphrase", "", f"{name}@example.com", "rsa3072",
                      "sign", "never")  # fmt: skip
        self.key.write_text(self._gpg("--armor", "--export", "vendor@example.com"))

    def _gpg(self, *arguments: str) -> str:
        command = ["gpg", "--batch", "--quiet", "--pinentry-mode", "loopback", *arguments]
        environment = {**os.environ, "GNUPGHOME": str(self._keys)}
        done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
        return done.stdout

    def publish(self, *packages: Path, signed_by: str | None = "vendor") -> None:
        """Offer these packages and no others; signed by nobody where `signed_by` is None."""
        for name in self.directory.iterdir():
            if name != self.key:
                name.unlink()
        for package in packages:
            shutil.copy2(package, self.directory)
        for what, file in (("packages", "Packages"), ("release", "Release")):
            done = subprocess.run(
                ["apt-ftparchive", what, "."], cwd=self.directory, check=True, capture_output=True
            )
            (self.directory / file).write_bytes(done.stdout)
        if signed_by:
            release, signed = str(self.directory / "Release"), str(self.directory / "InRelease")
            who = f"{signed_by}@example.com"
            self._gpg("--local-user", who, "--output", signed, "--clearsign", release)

    def close(self) -> None:
        """End what gpg left running."""
        environment = {**os.environ, "GNUPGHOME": str(self._keys)}
        subprocess.run(["gpgconf", "--kill", "all"], env=environment, check=True)


CONTROL = """\
Package: callstash
Version: {}
Architecture: all
Maintainer: x <x@example.com>
Description: x
"""


def package(directory: Path, version: str) -> Path:
    """Return an empty package with a version."""
    tree = directory / "tree"
    (tree / "DEBIAN").mkdir(parents=True)
    (tree / "DEBIAN/control").write_text(CONTROL.format(version))
    return _build(tree, directory / f"callstash_{version}_all.deb")


def _build(tree: Path, made: Path) -> Path:
    subprocess.run(["dpkg-deb", "--build", tree, made], check=True, stdout=subprocess.DEVNULL)
    shutil.rmtree(tree)
    return made


BROKEN = "import sys\n\nsys.exit('this release has a mistake')\n"
LATER = "CREATE TABLE later (what text);\nINSERT INTO later VALUES ('of the broken release');\n"


def broken(good: Path, before: str, version: str) -> Path:
    """Return a package with a higher version that changes the schema, and whose notifier ends."""
    tree = good.parent / "broken"
    subprocess.run(["dpkg-deb", "--raw-extract", good, tree], check=True)
    for name in ("DEBIAN/control", "usr/lib/callstash/common/__init__.py"):
        text = (tree / name).read_text()
        assert before in text
        (tree / name).write_text(text.replace(before, version))
    (tree / "DEBIAN/md5sums").unlink()
    code = tree / "usr/lib/callstash"
    (code / "daemons/notifier/__main__.py").write_text(BROKEN)
    (code / "common/sql/migrations/9999_later.sql").write_text(LATER)
    return _build(tree, good.parent / f"callstash_{version}_all.deb")
