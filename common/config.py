"""callstash.toml: one table for each process plus [common], read once at start into a frozen
dataclass.

Whatever is wrong with it is one sentence that names the key; nothing starts on a guess.
"""

import dataclasses
import difflib
import os
import tomllib
import types
import typing
from pathlib import Path
from typing import Any, TypeVar

from common.errors import ConfigError

DEFAULT_PATH = "/etc/callstash/callstash.toml"
SHARED_KEYS = ("archive", "broker", "database", "exports", "timezone")

T = TypeVar("T")


def load(process: str, settings: type[T]) -> T:
    """Return `settings` (a dataclass) filled from [common] and the process's own table.

    Raises ConfigError. The file is the one that CALLSTASH_CONFIG names.
    """
    path = Path(os.environ.get("CALLSTASH_CONFIG", DEFAULT_PATH))
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: can't be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: is not TOML: {error}") from error
    kinds = typing.get_type_hints(settings)
    own = {name: kind for name, kind in kinds.items() if name not in SHARED_KEYS}
    values = {
        **_table(path, tables, "common", dict.fromkeys(SHARED_KEYS, object) | kinds, SHARED_KEYS),
        **_table(path, tables, process, own, tuple(own)),
    }
    for field in dataclasses.fields(settings):  # type: ignore[arg-type]
        if field.name not in values and field.default is dataclasses.MISSING:
            table = "common" if field.name in SHARED_KEYS else process
            raise ConfigError(f"{path}: [{table}] lacks the key '{field.name}'")
    return settings(**{name: value for name, value in values.items() if name in kinds})


def _table(
    path: Path, tables: dict[str, Any], name: str, kinds: dict[str, Any], known: tuple[str, ...]
) -> dict[str, Any]:
    table = tables.get(name, {})
    if not isinstance(table, dict):
        raise ConfigError(f"{path}: '{name}' must be a table: [{name}]")
    values = {}
    for key, value in table.items():
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            hint = f"; did you mean '{near[0]}'?" if near else ""
            raise ConfigError(f"{path}: [{name}] unknown key '{key}'{hint}")
        values[key] = _value(f"{path}: [{name}] '{key}'", kinds[key], value)
    return values


def _value(where: str, kind: Any, value: object) -> object:
    if isinstance(kind, types.UnionType):
        kind = next(option for option in typing.get_args(kind) if option is not types.NoneType)
    if kind is Path:
        if not isinstance(value, str) or not value.startswith("/"):
            raise ConfigError(f"{where} must be an absolute path")
        return Path(value)
    if kind is not object and type(value) is not kind:
        raise ConfigError(f"{where} must be of type {kind.__name__}, not {type(value).__name__}")
    return value
