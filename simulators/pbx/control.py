"""The control port: what tests and the demo tell the simulated PBX, and ask it. Not part of a
PBX."""

import json
from collections.abc import Callable
from typing import Any

from simulators.pbx.api import Answer, Api, Request
from simulators.pbx.faults import Fault, Faults
from simulators.pbx.media import CODECS
from simulators.pbx.model import ARCHIVE_USER, USERS, Call
from simulators.pbx.scenarios import parties
from simulators.pbx.server import Server

GROWING = 0.4  # so much of its final length has a recording in progress
SHORT_CODECS = ("ulaw", "ulaw", "pcm", "alaw", "gsm", "stereo")


class Control:
    """Answers POST /control with {"do": name, …}."""

    def __init__(self, api: Api, faults: Faults, server: Server) -> None:
        self._api = api
        self._model = model = api.model
        self._server = server
        self._growing: dict[Call, tuple[int, int]] = {}
        self._verbs: dict[str, Callable[..., dict[str, Any] | None]] = {
            "misbehave": faults.misbehave,
            "behave": faults.behave,
            "status": self.status,
            "offered": self.offered,
            "add_calls": self.add_calls,
            "clock": lambda offset_s: model.set_clock(float(offset_s)),
            "revoke_key": lambda: setattr(model, "key_works", False),
            "restore_key": lambda: setattr(model, "key_works", True),
            "forbid": lambda permission: ARCHIVE_USER.perms.update({permission: ""}),
            "companies": lambda managed: setattr(model, "managed", list(map(str, managed))),
            "give": self.give,
            "permit": self.permit,
            "drop": lambda file: model.drop(self._call(file)),
            "grow": self.grow,
            "settle": self.settle,
            "relist": self.relist,
        }

    def handle(self, request: Request) -> tuple[Answer, Fault | None]:
        """Do what is asked; errors come with status 400."""
        arguments = dict(request.body)
        verb = self._verbs.get(str(arguments.pop("do", "")))
        try:
            if verb is None:
                raise ValueError(f"do one of: {', '.join(self._verbs)}")
            return Answer(json.dumps(verb(**arguments) or {}).encode()), None
        except (TypeError, ValueError, KeyError) as error:
            return Answer(json.dumps({"error": str(error)}).encode(), 400), None

    def status(self) -> dict[str, Any]:
        """Return counts; `sessions` are those that users opened and did not close."""
        return {
            "offered": len(self._model.offered()),
            "connections": self._server.connections,
            "requests": self._server.requests,
            "sessions": len(self._api.sessions),
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
        self, company: str, count: int, ago_s: float = 60, seconds: float = 0, codec: str = ""
    ) -> dict[str, Any]:
        """Add calls that ended so long ago, short ones unless said otherwise."""
        chance = self._model.random
        files = []
        for number in range(count):
            length = seconds or 1 + chance.random() * 3
            start = self._model.now() - ago_s - length
            kind = codec or SHORT_CODECS[number % len(SHORT_CODECS)]
            call = self._model.add(company, start, length, kind, *parties(chance, company))
            files.append(call.file)
        return {"files": files}

    def _call(self, file: str) -> Call:
        call = self._model.find(file)
        if call is None:
            raise KeyError(f"no such recording: {file}")
        return call

    def permit(self, login: str, permission: str, value: str) -> None:
        """Give a user a permission: "yes" or the name of a company; empty takes it away."""
        user = {one.login: one for one in USERS}[login]
        user.perms.pop(permission, None)
        if value:
            user.perms[permission] = value

    def give(self, extension: str, user: str = "") -> None:
        """Give an extension to a user, by login; to nobody where none is named."""
        self._model.owners.pop(extension, None)
        if user:
            self._model.owners[extension] = {one.login: one for one in USERS}[user]

    def grow(self, file: str) -> None:
        """Let a recording be in progress still: shorter, with sizes of 0 in its header."""
        call = self._call(file)
        duration, length = self._growing.setdefault(call, (call.duration, call.length))
        blocks = int(length * GROWING) // CODECS[call.codec].block
        self._model.change(
            call, int(duration * GROWING), blocks * CODECS[call.codec].block, growing=True
        )

    def settle(self) -> None:
        """Finish the recordings that are in progress."""
        while self._growing:
            self._finish(*self._growing.popitem())

    def _finish(self, call: Call, final: tuple[int, int]) -> None:
        self._model.change(call, *final)

    def relist(self, file: str, longer_s: float) -> None:
        """Offer a finished recording in another version from now on. ValueError for too long."""
        call = self._call(file)
        length = max(0, call.length + CODECS[call.codec].data_bytes(longer_s))
        self._model.change(call, max(0, call.duration + round(longer_s)), length)
