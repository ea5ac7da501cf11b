"""The journal without what is personal: of each record only what CallStash's own code says.

A record is matched with the sentences that stand in the code, and goes out as the sentence stands
there, without what was put into it. A traceback keeps its places and the kind of error. Whatever
else a record says is counted, not kept: what nobody thought of does not get out.
"""

import ast
import builtins
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pika.exceptions
import psycopg
import requests

from common import errors

CODE = Path(__file__).resolve().parents[1]
PARTS = ("common", "daemons", "webui")
LEVELS = frozenset(("info", "warning", "error", "critical", "exception"))
FIELDS = ("PBX", "COMPANY", "RECORDING", "POLL", "RUN", "CALLS", "BYTES", "FILES", "COMPANIES")
SYSTEMD = ("MESSAGE_ID", "JOB_RESULT", "UNIT_RESULT", "EXIT_CODE", "EXIT_STATUS")
UNIT = re.compile(r"callstash[a-z0-9@-]*\.(service|socket|target|path|timer)")
ID = re.compile(r"\d{1,18}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
WORD = re.compile(r"[a-z0-9-]{1,40}")
LOGGER = re.compile(r"(common|daemons|webui|tools)(\.\w{1,40}){0,4}")
PLACE = re.compile(r'\s*File "(?:.*/)?(?P<file>[\w-]+\.py)", line (?P<line>\d+), in [\w<>.]+')
KINDS = frozenset(
    name
    for module in (builtins, errors, psycopg, psycopg.errors, pika.exceptions, requests.exceptions)
    for name, one in vars(module).items()
    if isinstance(one, type) and issubclass(one, BaseException)
)
OURS = frozenset(path.name for part in PARTS for path in (CODE / part).rglob("*.py"))


class Sentences:
    """What CallStash's code logs, and how to know it again."""

    def __init__(self) -> None:
        found = {text for part in PARTS for path in (CODE / part).rglob("*.py")
                 for text in _logged(path)}  # fmt: skip
        longest = sorted(found, key=lambda text: (-len(re.sub(r"%.", "", text)), text))
        self._known = [(re.compile(_pattern(text), re.DOTALL), text) for text in longest]

    def sentence(self, message: str) -> str:
        """Return what a message says without what is put into it."""
        for pattern, text in self._known:
            if pattern.fullmatch(message) and re.sub(r"%.|\W", "", text):
                return text
        return " | ".join(_line(line) for line in message.splitlines()[:50])


def _logged(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        match node:
            case ast.Call(
                func=ast.Attribute(value=ast.Name(id="log"), attr=level),
                args=[ast.Constant(value=str(text)), *_],
            ) if level in LEVELS:
                yield text


def _pattern(text: str) -> str:
    return ".*".join(re.escape(part) for part in re.split(r"%[sdr]", text))


def _line(line: str) -> str:
    if (place := PLACE.match(line)) and place["file"] in OURS:
        return f"{place['file']}:{place['line']}"
    kind = line.partition(":")[0].rpartition(".")[2]
    if kind in KINDS:
        return kind
    if line.startswith("Traceback (most recent call last)"):
        return "Traceback"
    return f"({len(line)} characters left out)"


def record(entry: dict[str, Any], sentences: Sentences) -> dict[str, object] | None:
    """Return what goes out of a record of the journal; None: it is not of a unit of ours."""
    unit = str(entry.get("UNIT") or entry.get("_SYSTEMD_UNIT") or "")
    if not UNIT.fullmatch(unit):
        return None
    message = entry.get("MESSAGE")
    if isinstance(message, list):  # bytes that are no text
        message = bytes(message).decode(errors="replace")
    kept: dict[str, object] = {"at": int(entry.get("__REALTIME_TIMESTAMP", 0)) // 1000}
    kept |= {"unit": unit, "priority": int(entry.get("PRIORITY", 6))}
    if LOGGER.fullmatch(logger := str(entry.get("LOGGER", ""))):
        kept["logger"] = logger
    kept |= {name: entry[name] for name in FIELDS if ID.fullmatch(str(entry.get(name, "")))}
    if "UNIT" in entry:  # systemd itself, about the unit
        words = {name: str(entry.get(name, "")) for name in SYSTEMD}
        return kept | {name: word for name, word in words.items() if WORD.fullmatch(word)}
    return kept | {"says": sentences.sentence(str(message or ""))}


def records(output: bytes) -> Iterator[bytes]:
    """Return the lines that go out of what `journalctl --output=json` wrote."""
    sentences = Sentences()
    for line in output.splitlines():
        kept = record(json.loads(line), sentences)
        if kept is not None:
            yield json.dumps(kept, ensure_ascii=False).encode() + b"\n"
