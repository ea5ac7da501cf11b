"""The configuration: every mistake is one sentence that names the key."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from common import config
from common.errors import ConfigError


@dataclass(frozen=True)
class Settings:
    database: str
    archive: Path
    retry_seconds: int = 60


def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> Settings:
    path = tmp_path / "callstash.toml"
    path.write_text(text)
    monkeypatch.setenv("CALLSTASH_CONFIG", str(path))
    return config.load("archiver", Settings)


GOOD = '[common]\ndatabase = "dbname=callstash"\narchive = "/archive"\nbroker = "amqp://x"\n'


def test_values_come_from_common_and_from_the_own_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = load(tmp_path, monkeypatch, GOOD + "[archiver]\nretry_seconds = 5\n[poller]\nx = 1")
    assert settings == Settings("dbname=callstash", Path("/archive"), 5)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (GOOD + "[archiver]\nretry_second = 5", "'retry_second'; did you mean 'retry_seconds'?"),
        (GOOD + "[archiver]\nretry_seconds = '5'", "'retry_seconds' must be of type int, not str"),
        (GOOD + "[archiver]\nretry_seconds = true", "must be of type int, not bool"),
        (GOOD.replace("/archive", "archive"), "'archive' must be an absolute path"),
        (GOOD.replace("database", "databse"), "[common] unknown key 'databse'; did you mean"),
        ('[common]\narchive = "/a"', "[common] lacks the key 'database'"),
        ("archiver = 1\n" + GOOD, "'archiver' must be a table"),
        ("[common", "is not TOML"),
    ],
)
def test_a_mistake_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, sentence: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, monkeypatch, text)
    assert sentence in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CALLSTASH_CONFIG", str(tmp_path / "none.toml"))
    with pytest.raises(ConfigError, match=r"none\.toml: can't be read"):
        config.load("archiver", Settings)
