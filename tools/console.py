"""What the console tools share: the database, who runs them, and the keys that they may use."""

import os
import pwd
from dataclasses import dataclass
from pathlib import Path

import click
import psycopg

from common import config, keys
from common.db import Connection
from common.errors import ConfigError


@dataclass(frozen=True)
class Settings:
    """The tools' part of callstash.toml: [tools] may name another owner of the database."""

    database: str
    archive: Path
    owner: str = pwd.getpwuid(os.geteuid()).pw_name  # who may do this acts as the owner


def settings() -> Settings:
    """Return the settings. Raises ConfigError."""
    return config.load("tools", Settings)


def database() -> Connection:
    """Connect as the owner of the database."""
    ours = settings()
    return psycopg.connect(ours.database, user=ours.owner, autocommit=True)


def who() -> str:
    """Return who runs this tool, as the audit log names them."""
    return f"console:{os.environ.get('SUDO_USER', 'root')}"


def credential(directory: Path | None, name: str) -> bytes:
    """Return a key from `directory`, or else from where systemd puts it. Raises ConfigError."""
    if directory is not None:
        return keys.read_credential(directory / name)
    if "CREDENTIALS_DIRECTORY" not in os.environ:
        raise ConfigError(f"name the directory with {name}: --credentials DIRECTORY")
    return keys.load_credential(name)


def passphrase(question: str) -> str:
    """Ask for a new passphrase, or read it from standard input. Raises ConfigError."""
    stdin = click.get_text_stream("stdin")
    if stdin.isatty():
        text = str(click.prompt(question, hide_input=True, confirmation_prompt=True))
    else:
        text = stdin.readline().rstrip("\n")
    if len(text) < 8:
        raise ConfigError("the passphrase needs 8 characters or more (or give --plain)")
    return text
