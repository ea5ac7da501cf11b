"""What the simulated PBX answers: the REST calls of an IPCortex, errors in JSON with status 200."""

import json
from dataclasses import dataclass
from typing import Any

from simulators.pbx.model import ARCHIVE_USER, KEY, USERS, Call, Model, User


@dataclass
class Answer:
    """Status, type and body of an answer; `call` where the body is its recording."""

    body: bytes = b""
    status: int = 200
    mime: str = "application/json"
    call: Call | None = None
    headers: tuple[str, ...] = ()


def _json(answer: dict[str, Any], *headers: str) -> Answer:
    return Answer(json.dumps(answer).encode(), headers=headers)


def fail(message: str) -> Answer:
    """Return a failure as the PBX sends it."""
    return _json({"result": "fail", "message": message})


class Refused(Exception):
    """The request fails with this message."""


class Api:
    """The REST calls on a model."""

    def __init__(self, model: Model) -> None:
        self.model = model

    def kind(self, path: str) -> str:
        """Return what a path is about, for the faults: list, download, auth or other."""
        for prefix, kind in (
            ("call/list", "list"),
            ("call/download", "download"),
            ("auth", "auth"),
        ):
            if path.startswith(f"/rest/{prefix}"):
                return kind
        return "other"

    def answer(self, path: str, body: dict[str, Any]) -> Answer:
        """Answer POST `path` with this JSON body."""
        section, verb, *kind = [*path.removeprefix("/rest/").strip("/").split("/"), "", ""][:3]
        about = kind[0] or str(body.get("type", ""))
        try:
            match (section, verb, about):
                case ("auth", "logout", _):
                    return _json({"result": "success"})
                case ("auth", _, _):
                    return self._auth(body)
                case ("call", "list", "recording"):
                    return self._list(body)
                case ("call", "download", "recording"):
                    return self._download(body)
                case ("call", "read", "cdr"):
                    return self._cdr(body)
                case ("dialplan", "read", "extension"):
                    return self._extensions(body)
        except Refused as refused:
            return fail(str(refused))
        return fail("Unknown request.")

    def _user(self, body: dict[str, Any]) -> User:
        auth = body.get("auth")
        if isinstance(auth, dict):
            if auth.get("key") == KEY and self.model.key_works:
                return ARCHIVE_USER
            for user in USERS:
                if (auth.get("username"), auth.get("password")) == (user.login, user.password):
                    return user
        raise Refused("Login incorrect.")

    def _managed(self, user: User) -> list[str]:
        return self.model.managed if user is ARCHIVE_USER else user.companies

    def _auth(self, body: dict[str, Any]) -> Answer:
        user = self._user(body)
        session = f"session-of-{user.login}"
        shown = {
            "id": user.id, "login": user.login, "name": user.name, "company": user.company,
            "home": user.company, "companies": self._managed(user), "session": session,
            "perms": user.perms,
        }  # fmt: skip
        expires = self.model.now() + 3600
        answer = {"result": "success", "token": "t" * 40, "expires": expires, "user": shown}
        return _json(answer, f"Set-Cookie: Red60urne={session}; Path=/")

    def _scope(self, body: dict[str, Any]) -> dict[str, Any]:
        scope = body.get("scope")
        return scope if isinstance(scope, dict) else {}

    def _list(self, body: dict[str, Any]) -> Answer:
        user, scope = self._user(body), self._scope(body)
        company = scope.get("company")
        if company not in self._managed(user):
            raise Refused("You do not manage this company.")
        bucket = [scope.get(name) for name in ("year", "month", "date", "hours")]
        given = tuple(value for value in bucket if isinstance(value, int))
        rows = self.model.rows(company, given)
        return Answer(b'{"result":"success","values":[' + b",".join(rows) + b"]}")

    def _download(self, body: dict[str, Any]) -> Answer:
        user, scope = self._user(body), self._scope(body)
        if "callrec_dl" not in user.perms:
            raise Refused("You may not download recordings.")
        call = self.model.find(str(scope.get("file")), scope.get("company"))
        if call is None or call.company not in self._managed(user):
            raise Refused("File not found.")
        mime = "audio/mpeg" if call.codec == "mp3" else "audio/wav"
        return Answer(mime=mime, call=call)

    def _extensions(self, body: dict[str, Any]) -> Answer:
        self._user(body)
        wanted = self._scope(body).get("virt_exten")
        names = wanted if isinstance(wanted, list) else [wanted]
        rows = [
            {
                "virt_exten": extension, "company": user.company, "owner": user.id,
                "scoped_exten": extension.split("_")[0],
            }
            for user in USERS
            for extension in user.extensions
            if extension in names
        ]  # fmt: skip
        return _json({"result": "success", "values": rows, "numrows": len(rows)})

    def _cdr(self, body: dict[str, Any]) -> Answer:
        user, scope = self._user(body), self._scope(body)
        if "cdr_all" not in user.perms:
            raise Refused("You may not read call records.")
        first, most = int(scope.get("minID") or 0), int(scope.get("maxRows") or 500)
        rows = [
            {
                "acctid": number, "calldate": call.start, "src": call.caller, "dst": call.callee,
                "duration": call.duration, "disposition": "ANSWERED" if call.length else "NOANSWER",
                "properties": {"company": call.company, "call_rec": call.file},
            }
            for number, call in enumerate(self.model.offered())
        ]  # fmt: skip
        found = [row for row in rows if row["acctid"] >= first][:most]  # type: ignore[operator]
        return _json({"result": "success", "minID": first, "maxRows": most, "values": found})
