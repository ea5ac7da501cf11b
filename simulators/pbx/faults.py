"""How the simulated PBX misbehaves, on request; a seeded chance decides about each request."""

import json
import random
import threading
from dataclasses import dataclass

from simulators.pbx.api import Answer, fail
from simulators.pbx.media import CODECS

NAMES = (
    "fail_json", "http_500", "http_503", "retry", "html_200", "garbage_json", "truncated",
    "truncated_no_length", "longer", "zero_length", "header_only", "wrong_bytes", "not_riff",
    "redirect", "slow", "stall", "endless", "reset", "close_before_answer", "huge_list",
    "wrong_type", "expired",
)  # fmt: skip
KINDS = ("list", "download", "auth", "other", "all")
HTML = b"<!DOCTYPE html><html><head><title>PBX</title></head><body>Please log in.</body></html>"
BAD_ROWS = [
    {"file": 7, "start": "soon", "duration": "long"},
    {"start": 1465997840, "duration": 5},
    {"file": "nul\0name.wav", "start": 1465997840, "duration": 5, "size": 44},
    {"file": "negative.wav", "start": 1465997840, "duration": -5, "size": 44},
    {"file": "x" * 5000, "start": 1465997840, "duration": 5, "size": 44},
    ["not", "a", "row"],
    None,
]


@dataclass
class Fault:
    """One way to misbehave, with its share of the requests of one kind."""

    what: str
    share: float
    on: str
    param: float
    chance: random.Random


class Faults:
    """The faults that are in force."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._faults: list[Fault] = []

    def misbehave(
        self, what: str, share: float = 1.0, on: str = "all", seed: int = 0, param: float = 0
    ) -> None:
        """Add a fault to those in force; the first that a request meets decides. ValueError."""
        if what not in NAMES:
            raise ValueError(f"no such fault: {what}")
        if on not in KINDS:
            raise ValueError(f"no such kind of request: {on}")
        with self._lock:
            self._faults.append(Fault(what, share, on, param, random.Random(seed)))

    def behave(self) -> None:
        """End all faults."""
        with self._lock:
            self._faults.clear()

    def choose(self, kind: str) -> Fault | None:
        """Return the fault for this request, if any."""
        with self._lock:
            for fault in self._faults:
                if fault.on in (kind, "all") and fault.chance.random() < fault.share:
                    return fault
        return None


def replace(fault: Fault, answer: Answer) -> Answer:
    """Return what is sent instead, for the faults that are another answer."""
    size = answer.call.size if answer.call else max(len(answer.body), 100)
    match fault.what:
        case "fail_json":
            return fail("Something went wrong.")
        case "expired":
            return fail("File not found.")
        case "retry":
            text = "Another user has billing locked. Please try again in a moment."
            return Answer(json.dumps({"result": "retry", "message": text}).encode())
        case "http_500":
            return Answer(HTML, 500, "text/html")
        case "http_503":
            return Answer(HTML, 503, "text/html")
        case "html_200":
            return Answer(HTML, mime="text/html")
        case "garbage_json":
            return Answer(b'{"result":"success","values":[{"file":')
        case "zero_length":
            return Answer(mime=answer.mime)
        case "header_only":
            return Answer(CODECS["pcm"].head("", 0), mime=answer.mime)
        case "wrong_bytes":
            return Answer(fault.chance.randbytes(size), mime=answer.mime)
        case "not_riff":
            return Answer((b"this is no recording\n" * (size // 21 + 1))[:size], mime=answer.mime)
        case "redirect":
            return Answer(b"", 302, headers=("Location: http://127.0.0.1:9/elsewhere",))
        case "huge_list":
            row = '{"file":"huge-%d.wav","start":1465997840,"duration":1,"caller":"","callee":""}'
            rows = ",".join(row % number for number in range(100_000))
            return Answer(b'{"result":"success","values":[' + rows.encode() + b"]}")
        case "wrong_type":
            values = json.loads(answer.body).get("values", []) if answer.body else []
            body = {"result": "success", "values": [*BAD_ROWS, *values]}
            return Answer(json.dumps(body).encode())
    return answer
