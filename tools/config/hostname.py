"""The host name: which are accepted, and where a new one has to stand."""

import re
import subprocess
from pathlib import Path

from common import files
from common.errors import ConfigError

DEFAULT = "callstash"
HOSTS = Path("/etc/hosts")
RABBITMQ = Path("/etc/rabbitmq/rabbitmq-env.conf")
LONGEST = 63


def check(text: str) -> str:
    """Return a host name in lower case. Raises ConfigError."""
    name = text.strip().lower()
    if not re.fullmatch(r"[a-z0-9]+", name):
        raise ConfigError("A host name has letters from A to Z and digits, and nothing else.")
    if name.isdigit():
        raise ConfigError("A host name needs a letter: one of digits is taken for an address.")
    if len(name) > LONGEST:
        raise ConfigError(f"A host name has at most {LONGEST} characters.")
    if name == "localhost":
        raise ConfigError("Each machine calls itself localhost: take another name.")
    return name


def hosts(text: str, old: str, new: str, also: str) -> str:
    """Return /etc/hosts with a new name in the place of the old one, and `also` beside it."""
    lines, done = [], False
    for line in text.splitlines():
        words = line.partition("#")[0].split()
        if words[:1] == ["127.0.1.1"] and not done:
            rest = [word for word in words[1:] if word not in (old, new, also)]
            line, done = _line(new, also, *rest), True
        lines.append(line)
    return "\n".join([*lines, *([] if done else [_line(new, also)])]) + "\n"


def _line(*names: str) -> str:
    return " ".join(("127.0.1.1", *dict.fromkeys(names)))


def node(text: str, host: str) -> str:
    """Return the node that RabbitMQ's rabbitmq-env.conf names, or the one that it has without."""
    found = re.findall(r"^\s*(?:RABBITMQ_)?NODENAME=['\"]?([^'\"\s]+)", text, re.MULTILINE)
    name = found[-1] if found else "rabbit"
    return name if "@" in name else f"{name}@{host}"


def change(new: str) -> None:
    """Give this machine another name. Raises ConfigError.

    RabbitMQ keeps its data under the name of its node, and that goes with the host name: the node
    stays the one that it is, or the messages would be left behind. Each step leaves a machine that
    works, if it is the last.
    """
    old = Path("/etc/hostname").read_text(encoding="utf-8").strip()
    if new == old:
        return
    environment = RABBITMQ.read_text(encoding="utf-8") if RABBITMQ.parent.is_dir() else ""
    kept = node(environment, old)
    files.replace(HOSTS, hosts(HOSTS.read_text(encoding="utf-8"), old, new, kept.partition("@")[2]))
    if RABBITMQ.parent.is_dir() and node(environment, new) != kept:
        files.replace(
            RABBITMQ, f"{environment}\n# Its data lie under this name.\nNODENAME={kept}\n"
        )
    done = subprocess.run(
        ["hostnamectl", "set-hostname", new], stdin=subprocess.DEVNULL, capture_output=True,
        text=True, check=False, timeout=60,
    )  # fmt: skip
    if done.returncode:
        raise ConfigError(f"The host name was not changed: {done.stderr.strip()}")
