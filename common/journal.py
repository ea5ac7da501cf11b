"""Log records for the journal: a sentence, and fields to filter on (PBX=, COMPANY=, RECORDING=,
POLL=).

Under systemd they go to the journal with their fields; elsewhere they are lines with key=value at
the end. Phone numbers, names and secrets are never logged; ids are.
"""

import logging
import os
import sys

_STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime"}
_PRIORITY = {logging.CRITICAL: 2, logging.ERROR: 3, logging.WARNING: 4, logging.INFO: 6}


def _fields(record: logging.LogRecord) -> dict[str, object]:
    return {key: value for key, value in record.__dict__.items() if key not in _STANDARD}


class _Lines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        fields = "".join(f" {key}={value}" for key, value in _fields(record).items())
        level = "" if record.levelno == logging.INFO else f"{record.levelname.lower()}: "
        return level + super().format(record) + fields


class _Journal(logging.Handler):
    def __init__(self, identifier: str) -> None:
        super().__init__()
        self.setFormatter(logging.Formatter())  # else basicConfig() puts level and name in front
        self._identifier = identifier

    def emit(self, record: logging.LogRecord) -> None:
        from systemd import journal

        fields = {key.upper(): str(value) for key, value in _fields(record).items()}
        journal.send(
            self.format(record),
            PRIORITY=_PRIORITY.get(record.levelno, 7),
            SYSLOG_IDENTIFIER=self._identifier,
            LOGGER=record.name,
            **fields,
        )


def setup(identifier: str = "callstash") -> None:
    """Send the log of this process to the journal where systemd gave us one, else to standard
    error.
    """
    handler: logging.Handler
    if os.environ.get("JOURNAL_STREAM"):
        handler = _Journal(identifier)
    else:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(_Lines())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    logging.getLogger("pika").setLevel(logging.CRITICAL)  # common.bus says it once, in our words
