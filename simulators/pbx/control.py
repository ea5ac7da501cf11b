"""The control port: what tests and the demo tell the simulated PBX, and ask it. Not part of a
PBX."""

import json
from collections.abc import Callable
from typing import Any

from simulators.pbx.api import Answer
from simulators.pbx.faults import Fault, Faults
from simulators.pbx.model import Call, Model, parties
from simulators.pbx.server import Handler, Server

GROWING = 0.4  # so much of its final length has a recording in progress


class Control:
    """POST /control with {"do": name, …}: every public method is one."""

    def __init__(self, model: Model, faults: Faults, server: Server) -> None:
        self._model = model
        self._server = server
        self._growing: dict[Call, float] = {}
        self._verbs: dict[str, Callable[..., dict[str, Any] | None]] = {
            "misbehave": faults.misbehave,
            "behave": faults.behave,
            "status": self.status,
            "offered": self.offered,
            "add_calls": self.add_calls,
            "clock": self.clock,
            "revoke_key": lambda: setattr(model, "key_works", False),
            "restore_key": lambda: setattr(model, "key_works", True),
            "companies": lambda managed: setattr(model, "managed", managed),
            "drop": self.drop,
            "grow": self.grow,
            "settle": self.settle,
            "relist": self.relist,
        }

    def handler(self) -> Handler:
        """Return the handler of the control port."""

        def handle(_method: str, _path: str, body: dict[str, Any]) -> tuple[Answer, Fault | None]:
            verb = self._verbs.get(str(body.pop("do", "")))
            try:
                if verb is None:
                    raise ValueError(f"do one of: {', '.join(self._verbs)}")
                return Answer(json.dumps(verb(**body) or {}).encode()), None
            except (TypeError, ValueError, KeyError) as error:
                return Answer(json.dumps({"error": str(error)}).encode(), 400), None

        return handle

    def status(self) -> dict[str, Any]:
        """Return counts."""
        return {
            "offered": len(self._model.offered()),
            "connections": self._server.connections,
            "requests": self._server.requests,
        }

    def offered(self) -> dict[str, Any]:
        """Return every call that is offered, with the hash of what is served for it."""
        members = ("company", "file", "start", "duration", "caller", "callee", "size", "codec")
        calls = [
            {name: getattr(call, name) for name in members} | {"sha256": self._model.sha256(call)}
            for call in self._model.offered()
            if call.company in self._model.managed
        ]
        return {"calls": calls}

    def add_calls(
        self, company: str, count: int, ago_s: int = 60, seconds: float = 0, codec: str = ""
    ) -> dict[str, Any]:
        """Add short calls that ended so long ago."""
        codecs = ("ulaw", "ulaw", "pcm", "alaw", "gsm", "stereo")
        files = []
        for number in range(count):
            length = seconds or 1 + self._model.random.random() * 3
            start = int(self._model.now() - ago_s - length)
            caller, callee = parties(self._model.random, company)
            kind = codec or codecs[number % len(codecs)]
            files.append(self._model.add(company, start, length, kind, caller, callee).file)
        return {"files": files}

    def clock(self, offset_s: float) -> None:
        """Set the PBX's clock so far from the true time."""
        self._model.offset = offset_s

    def _call(self, file: str) -> Call:
        call = self._model.find(file, None)
        if call is None:
            raise KeyError(f"no such recording: {file}")
        return call

    def drop(self, file: str) -> None:
        """Have a recording no longer."""
        call = self._call(file)
        del self._model.calls[call.company, call.file]

    def grow(self, file: str) -> None:
        """Let a recording be in progress still: shorter, with sizes of 0 in its header."""
        call = self._call(file)
        self._growing[call] = seconds = max(1, call.duration)
        self._model.change(call, seconds * GROWING, growing=True)

    def settle(self) -> None:
        """Finish the recordings that are in progress."""
        for call, seconds in self._growing.items():
            self._model.change(call, seconds)
        self._growing.clear()

    def relist(self, file: str, longer_s: float) -> None:
        """Offer a finished recording in another version from now on."""
        call = self._call(file)
        self._model.change(call, call.duration + longer_s)
