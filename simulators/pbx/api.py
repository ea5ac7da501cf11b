"""What the simulated PBX answers: the REST calls of an IPCortex, errors in JSON with status 200."""

import json
import secrets
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from simulators.pbx.model import ARCHIVE_USER, KEY, USERS, Call, Model, User

COOKIE = "Red60urne"


@dataclass(frozen=True)
class Request:
    """What a client wants; a body that can't be read is {}, header names are in lower case."""

    method: str
    path: str
    body: dict[str, Any] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def session(self) -> str:
        """The session cookie."""
        cookies = (part.strip().partition("=") for part in self._cookies.split(";"))
        return next((value for name, _, value in cookies if name == COOKIE), "")

    @property
    def _cookies(self) -> str:
        return self.headers.get("cookie", "")


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
        self.sessions: dict[str, User] = {}

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

    def answer(self, request: Request) -> Answer:
        """Answer a POST."""
        path = request.path.removeprefix("/rest/").strip("/").split("/")
        section, verb, kind = [*path, "", ""][:3]
        try:
            match (section, verb, kind or request.body.get("type")):
                case ("auth", "logout", _):
                    return self._logout(request)
                case ("auth", "", _):
                    return self._auth(request)
                case ("call", "list", "recording"):
                    return self._list(request)
                case ("call", "download", "recording"):
                    return self._download(request)
                case ("call", "read", "cdr"):
                    return self._cdr(request)
                case ("dialplan", "read", "extension"):
                    return self._extensions(request)
                case ("ops", "read", "user"):
                    return self._users(request)
        except Refused as refused:
            return fail(str(refused))
        return fail("Unknown request.")

    def _user(self, request: Request) -> User:
        auth = _member(request.body, "auth")
        if "key" in auth:
            if auth["key"] == KEY and self.model.key_works:
                return ARCHIVE_USER
        elif "username" in auth:
            for user in USERS:
                if (auth["username"], auth.get("password")) == (user.login, user.password):
                    return user
        elif request.session in self.sessions:
            return self.sessions[request.session]
        raise Refused("Login incorrect.")

    def _managed(self, user: User) -> list[str]:
        return self.model.managed if user is ARCHIVE_USER else user.companies

    def _auth(self, request: Request) -> Answer:
        """Log in; a session that is sent along becomes this user's."""
        user = self._user(request)
        known = request.session in self.sessions
        session = request.session if known else secrets.token_hex(20)
        if user is not ARCHIVE_USER:  # calls by key are stateless
            self.sessions[session] = user
        shown = {
            "id": user.id, "login": user.login, "name": user.name, "company": user.company,
            "home": user.company, "companies": self._managed(user), "session": session,
            "perms": user.perms,
        }  # fmt: skip
        expires = self.model.now() + 3600
        answer = {"result": "success", "token": "t" * 40, "expires": expires, "user": shown}
        return _json(answer, f"Set-Cookie: {COOKIE}={session}; Path=/")

    def _logout(self, request: Request) -> Answer:
        if self.sessions.pop(request.session, None) is None:
            raise Refused("Not logged in.")
        return _json({"result": "success"})

    def _list(self, request: Request) -> Answer:
        user, scope = self._user(request), _member(request.body, "scope")
        company = scope.get("company")
        if not isinstance(company, str) or company not in self._managed(user):
            raise Refused("You do not manage this company.")
        bucket: list[int] = []
        for name in ("year", "month", "date", "hours"):
            if name in scope:
                bucket.append(_integer(scope[name]))
            else:
                break
        rows = self.model.rows(company, *bucket)
        return Answer(b'{"result":"success","values":[' + rows + b"]}")

    def _download(self, request: Request) -> Answer:
        user, scope = self._user(request), _member(request.body, "scope")
        if "callrec_dl" not in user.perms:
            raise Refused("You may not download recordings.")
        call = self.model.find(str(scope.get("file")), scope.get("company"))
        if call is None or call.company not in self._managed(user):
            raise Refused("File not found.")
        return Answer(mime=call.mime, call=call)

    def _extensions(self, request: Request) -> Answer:
        self._user(request)
        wanted = _member(request.body, "scope").get("virt_exten")
        names = wanted if isinstance(wanted, list) else [wanted]
        columns = request.body.get("columns")
        rows = []
        for extension, user in self.model.owners.items():
            row = {
                "virt_exten": extension, "company": user.company, "owner": user.id,
                "scoped_exten": extension.split("_")[0],
            }  # fmt: skip
            if extension in names:
                shown = columns if isinstance(columns, list) else row
                rows.append({name: row[name] for name in row if name in shown})
        return _json({"result": "success", "values": rows, "numrows": len(rows)})

    def _users(self, request: Request) -> Answer:
        if not self._user(request).perms.get("comp"):
            raise Refused("You may not read users.")
        wanted = _member(request.body, "scope").get("id")
        rows = [
            {"id": user.id, "name": user.name, "company": user.company}
            for user in USERS
            if isinstance(wanted, list) and user.id in wanted
        ]
        return _json({"result": "success", "values": rows, "numrows": len(rows)})

    def _cdr(self, request: Request) -> Answer:
        user, scope = self._user(request), _member(request.body, "scope")
        if "cdr_all" not in user.perms:
            raise Refused("You may not read call records.")
        first, most = _integer(scope.get("minID", 0)), _integer(scope.get("maxRows", 500))
        since, until = (
            _integer(scope.get(name, otherwise)) / 1000
            for name, otherwise in (("minDate", 0), ("maxDate", 1 << 50))
        )
        rows = [
            self._cdr_row(call)
            for call in self.model.everything()
            if call.number >= first and since <= call.start <= until
        ]
        answer = {"result": "success", "minID": first, "maxRows": most, "values": rows[:most]}
        return _json(answer)

    def _cdr_row(self, call: Call) -> dict[str, Any]:
        local = datetime.fromtimestamp(call.start, UTC).astimezone(self.model.zone)
        unique = f"{call.start}.{call.number}"
        return {
            "acctid": call.number, "calldate": f"{local:%Y-%m-%d %H:%M:%S%z}",
            "clid": f'"{call.caller}" <{call.caller}>', "src": call.caller, "dst": call.callee,
            "duration": call.duration + 4, "billsec": call.duration,
            "disposition": "ANSWERED" if call.length else "NOANSWER",
            "uniqueid": unique, "linkedid": unique,
            "properties": {"company": call.company, "call_rec": call.file},
        }  # fmt: skip


def _member(body: dict[str, Any], name: str) -> dict[str, Any]:
    value = body.get(name)
    return value if isinstance(value, dict) else {}


def _integer(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise Refused("Not a number.")
    return value
