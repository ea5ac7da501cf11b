"""The simulated PBX keeps the contract that the connector was written for, on a real port."""

import hashlib
import http.client
import json
import socket
import ssl
import struct
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, urlsplit
from zoneinfo import ZoneInfo

import pytest

from simulators.pbx import client

LONDON = ZoneInfo("Europe/London")
KEY_AUTH = {"type": "auth", "key": client.KEY}
FAIL = {"result": "fail", "message": "Login incorrect."}
DAY = 86400


class Talk(ExitStack):
    """Requests to one simulator, each on a connection of its own unless told otherwise."""

    def __init__(self, sim: client.Running) -> None:
        super().__init__()
        self.address = urlsplit(sim.url).netloc

    def connect(self, timeout: float = 10) -> http.client.HTTPConnection:
        connection = http.client.HTTPConnection(self.address, timeout=timeout)
        self.callback(connection.close)
        return connection

    def post(self, path: str, body: bytes | dict[str, Any], **headers: str) -> Any:
        response = self.raw(self.connect(), path, body, headers)
        assert response.status == 200
        return json.loads(response.read())

    def raw(
        self,
        connection: http.client.HTTPConnection,
        path: str,
        body: bytes | dict[str, Any],
        headers: dict[str, str] | None = None,
    ) -> http.client.HTTPResponse:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        connection.request("POST", path, data, headers or {})
        return self.enter_context(connection.getresponse())

    def list(self, company: str = "default", **bucket: int) -> Any:
        scope = {"company": company, **bucket}
        answer = self.post(
            "/rest/call/list", {"type": "recording", "scope": scope, "auth": KEY_AUTH}
        )
        assert answer["result"] == "success", answer
        return answer["values"]

    def ask_for(
        self, file: str, connection: http.client.HTTPConnection | None = None
    ) -> http.client.HTTPResponse:
        body = {"scope": {"file": file}, "auth": KEY_AUTH}
        return self.raw(connection or self.connect(), "/rest/call/download/recording", body)

    def download(self, file: str) -> bytes:
        return self.ask_for(file).read()


@pytest.fixture(scope="module")
def running() -> Iterator[client.Running]:
    with client.start("--scenario", "small") as started:
        yield started


@pytest.fixture
def sim(running: client.Running) -> Iterator[client.Running]:
    """The simulator, good again after each test."""
    yield running
    running.control("behave")
    running.control("clock", offset_s=0)
    running.control("settle")


@pytest.fixture
def talk(sim: client.Running) -> Iterator[Talk]:
    with Talk(sim) as made:
        yield made


def calls(sim: client.Running) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = sim.control("offered")["calls"]
    return found


def a_call(sim: client.Running, codec: str = "ulaw") -> dict[str, Any]:
    return next(call for call in calls(sim) if call["codec"] == codec and call["duration"] > 1)


def chunks(data: bytes) -> dict[bytes, tuple[int, int]]:
    """Return where each chunk of a RIFF file has its contents, and the size that it says."""
    found, at = {}, 12
    while at < len(data):
        name, size = data[at : at + 4], struct.unpack_from("<I", data, at + 4)[0]
        found[name] = (at + 8, size)
        if name == b"data":
            break
        at += 8 + size
    return found


def test_the_key_and_a_password_tell_who_that_is(talk: Talk) -> None:
    by_key = talk.post("/rest/auth", {"auth": KEY_AUTH})
    assert by_key["result"] == "success"
    assert by_key["user"]["companies"] == ["default", "demonstration"]
    assert "callrec_dl" in by_key["user"]["perms"]
    password = {"type": "auth", "username": "alice", "password": "alice-password"}
    alice = talk.post("/rest/auth/", {"auth": password})["user"]
    members = {"id", "login", "name", "company", "home", "companies", "perms", "session"}
    assert members <= alice.keys()
    assert (alice["login"], alice["home"], alice["companies"]) == ("alice", "default", [])


@pytest.mark.parametrize(
    "body",
    [
        {"auth": {"type": "auth", "key": "wrong"}},
        {"auth": {"type": "auth", "username": "alice", "password": "wrong"}},
        {"auth": {"type": "auth"}},
        {"auth": [1]},
        {},
        b"\xff not json",
        b"[1]",
        b"",
    ],
)
def test_a_wrong_or_unreadable_login_fails_with_status_200(
    talk: Talk, body: bytes | dict[str, Any]
) -> None:
    assert talk.post("/rest/auth", body) == FAIL
    assert talk.post("/rest/call/list/recording", body) == FAIL


def test_a_session_lasts_until_the_user_logs_out(talk: Talk, sim: client.Running) -> None:
    before = sim.control("status")["sessions"]
    password = {"type": "auth", "username": "carol", "password": "carol-password"}
    response = talk.raw(talk.connect(), "/rest/auth", {"auth": password})
    cookie = str(response.getheader("Set-Cookie")).split(";")[0]
    assert cookie == f"Red60urne={json.loads(response.read())['user']['session']}"
    listing = {"type": "recording", "scope": {"company": "default"}, "auth": {"type": "auth"}}
    assert talk.post("/rest/call/list", listing, Cookie=cookie)["result"] == "success"
    assert sim.control("status")["sessions"] == before + 1
    out = talk.post("/rest/auth/logout", {"auth": {"type": "auth"}}, Cookie=cookie)
    assert out == {"result": "success"}
    assert talk.post("/rest/call/list", listing, Cookie=cookie) == FAIL
    assert sim.control("status")["sessions"] == before


def test_a_revoked_key_is_a_wrong_one(talk: Talk, sim: client.Running) -> None:
    sim.control("revoke_key")
    assert talk.post("/rest/auth", {"auth": KEY_AUTH}) == FAIL
    sim.control("restore_key")
    assert talk.post("/rest/auth", {"auth": KEY_AUTH})["result"] == "success"


def test_what_a_user_may_not_do_fails(talk: Talk, sim: client.Running) -> None:
    carol = {"type": "auth", "username": "carol", "password": "carol-password"}
    other = {"type": "recording", "scope": {"company": "demonstration"}, "auth": carol}
    assert talk.post("/rest/call/list", other)["result"] == "fail"
    file = next(call["file"] for call in calls(sim) if call["company"] == "default")
    body = {"scope": {"file": file}, "auth": carol}
    assert "download" in talk.post("/rest/call/download/recording", body)["message"]
    sim.control("companies", managed=["default"])
    mine = {"type": "recording", "scope": {"company": "demonstration"}, "auth": KEY_AUTH}
    assert talk.post("/rest/call/list", mine)["result"] == "fail"
    sim.control("companies", managed=["default", "demonstration"])
    assert talk.post("/rest/call/list", mine)["result"] == "success"


def test_every_recording_is_served_as_it_is_listed_and_no_two_are_alike(
    talk: Talk, sim: client.Running
) -> None:
    sim.control("add_calls", company="default", count=40, ago_s=700, seconds=2)
    listed = {row["file"]: row for name in ("default", "demonstration") for row in talk.list(name)}
    seen = set()
    for call in calls(sim):
        row = listed.pop(call["file"])
        data = talk.download(call["file"])
        assert len(data) == call["size"] == row["size"]
        assert hashlib.sha256(data).hexdigest() == call["sha256"]
        assert call["sha256"] not in seen
        seen.add(call["sha256"])
    assert listed == {}


def test_recordings_are_whole_files_in_every_codec(talk: Talk, sim: client.Running) -> None:
    tags = {"pcm": (1, 1), "stereo": (1, 2), "alaw": (6, 1), "ulaw": (7, 1), "gsm": (0x31, 1)}
    for codec, expected in tags.items():
        call = a_call(sim, codec)
        data = talk.download(call["file"])
        assert struct.unpack_from("<4sI4s", data) == (b"RIFF", len(data) - 8, b"WAVE")
        at, size = chunks(data)[b"data"]
        assert at + size == len(data)
        assert struct.unpack_from("<HH", data, chunks(data)[b"fmt "][0]) == expected
        assert call["file"].encode() in data[:at]
    assert talk.download(a_call(sim, "mp3")["file"]).startswith(b"ID3")
    unanswered = next(call for call in calls(sim) if call["duration"] == 0)
    assert len(talk.download(unanswered["file"])) == 44


def test_names_carry_the_local_time_and_the_epoch(talk: Talk) -> None:
    for row in talk.list():
        stamp, epoch, rest = row["file"].split("-", 2)
        local = datetime.fromtimestamp(row["start"], LONDON)
        assert stamp == local.strftime("%Y.%m.%d.%H.%M.%S")
        assert int(epoch) == row["start"]
        assert rest.rpartition(".")[0] == f"{row['caller']}-{row['callee']}"


def test_a_bucket_holds_what_began_in_it(talk: Talk) -> None:
    everything = talk.list()
    found = []
    for hour in {datetime.fromtimestamp(row["start"], LONDON).replace(minute=0, second=0)
                 for row in everything}:  # fmt: skip
        found += talk.list(year=hour.year, month=hour.month, date=hour.day, hours=hour.hour)
    assert sorted(row["file"] for row in found) == sorted(row["file"] for row in everything)
    assert talk.list(year=2001, month=1, date=1) == []


def test_the_hour_that_is_there_twice_is_one_bucket(talk: Talk, sim: client.Running) -> None:
    """Clocks went back at 01:00 UTC on 26 October 2025."""
    back = datetime(2025, 10, 26, 1, tzinfo=UTC).timestamp()
    now = datetime.now(UTC).timestamp()
    sim.control("clock", offset_s=back + DAY - now)
    for ago in (DAY + 1800, DAY - 1800):
        sim.control("add_calls", company="default", count=1, ago_s=ago, seconds=1)
    rows = talk.list(year=2025, month=10, date=26, hours=1)
    starts = [row["start"] for row in rows]
    assert [round((start - back) / 1800) for start in starts] == [-1, 1]
    assert talk.list(year=2025, month=10, date=26, hours=0) == []
    assert {row["file"][:13] for row in rows} == {"2025.10.26.01"}


def test_nothing_older_than_21_days_is_offered(talk: Talk, sim: client.Running) -> None:
    added = sim.control("add_calls", company="default", count=1, ago_s=60)["files"][0]
    sim.control("clock", offset_s=21 * DAY - 600)
    assert [row["file"] for row in talk.list()].count(added) == 1
    sim.control("clock", offset_s=21 * DAY)
    assert talk.list() == []
    assert json.loads(talk.download(added))["result"] == "fail"
    sim.control("clock", offset_s=0)
    assert talk.download(added).startswith(b"RIFF")


def test_owners_of_extensions_are_known(talk: Talk) -> None:
    body = {
        "type": "extension",
        "scope": {"virt_exten": ["200", "300_demonstration", "nobody"]},
        "columns": ["virt_exten", "company", "owner"],
        "auth": KEY_AUTH,
    }
    answer = talk.post("/rest/dialplan/read", body)
    assert answer["numrows"] == 2
    assert answer["values"][0] == {"virt_exten": "200", "company": "default", "owner": 238}


def test_users_are_named_to_who_may_read_them(talk: Talk) -> None:
    body = {"type": "user", "scope": {"id": [238, 1]}, "columns": ["id", "name"]}
    answer = talk.post("/rest/ops/read", {**body, "auth": KEY_AUTH})
    assert [(row["id"], row["name"]) for row in answer["values"]] == [(238, "Alice Archer")]
    alice = {"type": "auth", "username": "alice", "password": "alice-password"}
    assert talk.post("/rest/ops/read", {**body, "auth": alice})["result"] == "fail"


def test_call_records_are_paged_by_their_number(talk: Talk, sim: client.Running) -> None:
    seen: list[str] = []
    cursor = 0
    while True:
        scope = {"minID": cursor, "maxRows": 5}
        rows = talk.post("/rest/call/read", {"type": "cdr", "scope": scope, "auth": KEY_AUTH})
        if not rows["values"]:
            break
        assert len(rows["values"]) <= 5
        cursor = rows["values"][-1]["acctid"] + 1
        seen += [row["properties"]["call_rec"] for row in rows["values"]]
    assert len(seen) == len(set(seen))
    assert set(seen) >= {call["file"] for call in calls(sim)}


def test_a_recording_in_progress_is_shorter_and_says_0_until_it_settles(
    talk: Talk, sim: client.Running
) -> None:
    before = a_call(sim, "pcm")
    sim.control("grow", file=before["file"])
    during = next(call for call in calls(sim) if call["file"] == before["file"])
    data = talk.download(before["file"])
    assert len(data) == during["size"] < before["size"]
    assert hashlib.sha256(data).hexdigest() == during["sha256"]
    assert struct.unpack_from("<I", data, 4) == (0,)
    at, size = chunks(data)[b"data"]
    assert (size, len(data) > at) == (0, True)
    sim.control("settle")
    whole = talk.download(before["file"])
    assert hashlib.sha256(whole).hexdigest() == before["sha256"]
    assert whole[at:].startswith(data[at:])


def test_a_relisted_or_dropped_recording_is_another_or_none(
    talk: Talk, sim: client.Running
) -> None:
    before = a_call(sim, "alaw")
    sim.control("relist", file=before["file"], longer_s=3)
    after = next(call for call in calls(sim) if call["file"] == before["file"])
    assert after["duration"] == before["duration"] + 3
    assert after["size"] == before["size"] + 24000
    assert hashlib.sha256(talk.download(before["file"])).hexdigest() == after["sha256"]
    sim.control("drop", file=before["file"])
    assert before["file"] not in {call["file"] for call in calls(sim)}
    assert json.loads(talk.download(before["file"]))["result"] == "fail"


def test_the_plain_way_serves_the_same_files(talk: Talk, sim: client.Running) -> None:
    connection = talk.connect()
    connection.request("GET", "/plain/")
    index = connection.getresponse().read().decode()
    for call in calls(sim)[:5]:
        assert f'<a href="{quote(call["file"])}">' in index
        connection.request("HEAD", f"/plain/{quote(call['file'])}")
        response = connection.getresponse()
        assert (response.getheader("Content-Length"), response.read()) == (str(call["size"]), b"")
        connection.request("GET", f"/plain/{quote(call['file'])}")
        assert hashlib.sha256(connection.getresponse().read()).hexdigest() == call["sha256"]
    connection.request("GET", "/plain/none.wav")
    assert connection.getresponse().status == 404


def says(result: str) -> Callable[[http.client.HTTPResponse, dict[str, Any]], bool]:
    return lambda response, call: json.loads(response.read())["result"] == result


def has_status(status: int) -> Callable[[http.client.HTTPResponse, dict[str, Any]], bool]:
    return lambda response, call: response.status == status


def is_cut_off(response: http.client.HTTPResponse, call: dict[str, Any]) -> bool:
    with pytest.raises(http.client.IncompleteRead) as caught:
        response.read()
    return len(caught.value.partial) == int(call["size"]) // 2


def is_reset(response: http.client.HTTPResponse, call: dict[str, Any]) -> bool:
    with pytest.raises(ConnectionResetError):
        while response.read1(1000):
            pass
    return True


def is_garbage(response: http.client.HTTPResponse, call: dict[str, Any]) -> bool:
    with pytest.raises(json.JSONDecodeError):
        json.loads(response.read())
    return True


def is_slow(response: http.client.HTTPResponse, call: dict[str, Any]) -> bool:
    return 0 < len(response.read1()) <= 200


def is_endless(response: http.client.HTTPResponse, call: dict[str, Any]) -> bool:
    much = int(call["size"]) + (4 << 20)
    return len(response.read(much)) == much


def is_random(response: http.client.HTTPResponse, call: dict[str, Any]) -> bool:
    data = response.read()
    return len(data) == int(call["size"]) and hashlib.sha256(data).hexdigest() != call["sha256"]


def is_a_long_list(response: http.client.HTTPResponse, call: dict[str, Any]) -> bool:
    return len(json.loads(response.read())["values"]) >= 100_000


FAULTS: dict[str, Callable[[http.client.HTTPResponse, dict[str, Any]], bool]] = {
    "fail_json": says("fail"),
    "expired": says("fail"),
    "retry": says("retry"),
    "wrong_type": says("success"),
    "huge_list": is_a_long_list,
    "http_500": has_status(500),
    "http_503": has_status(503),
    "redirect": has_status(302),
    "html_200": lambda response, call: response.read().startswith(b"<!DOCTYPE html>"),
    "garbage_json": is_garbage,
    "truncated": is_cut_off,
    "truncated_no_length": lambda response, call: len(response.read()) == call["size"] // 2,
    "zero_length": lambda response, call: response.read() == b"",
    "header_only": lambda response, call: len(response.read()) == 44,
    "wrong_bytes": is_random,
    "not_riff": lambda response, call: not response.read().startswith(b"RIFF"),
    "slow": is_slow,
    "endless": is_endless,
    "reset": is_reset,
}


@pytest.mark.parametrize("what", FAULTS)
def test_it_misbehaves_as_told_and_stops_when_told(
    talk: Talk, sim: client.Running, what: str
) -> None:
    call = a_call(sim, "pcm")
    sim.control("misbehave", what=what, share=1.0, on="download", seed=3)
    connection = talk.connect()
    assert FAULTS[what](talk.ask_for(call["file"], connection), call)
    connection.close()
    assert talk.list(), "only downloads were meant"
    sim.control("behave")
    assert hashlib.sha256(talk.download(call["file"])).hexdigest() == call["sha256"]


def test_it_closes_before_it_answers(talk: Talk, sim: client.Running) -> None:
    sim.control("misbehave", what="close_before_answer", on="list")
    with pytest.raises(http.client.RemoteDisconnected):
        talk.list()


def test_it_stalls_for_so_long_and_then_answers(talk: Talk, sim: client.Running) -> None:
    sim.control("misbehave", what="stall", on="auth", param=0.5)
    connection = talk.connect(timeout=0.2)
    with pytest.raises(TimeoutError):
        talk.raw(connection, "/rest/auth", {"auth": KEY_AUTH})
    assert talk.post("/rest/auth", {"auth": KEY_AUTH})["result"] == "success"


def test_too_long_a_body_is_announced_or_not(sim: client.Running) -> None:
    """More bytes than the listed size come, and half of the time more than Content-Length too."""
    call = a_call(sim)
    sim.control("misbehave", what="longer", on="download", seed=1)
    body = json.dumps({"scope": {"file": call["file"]}, "auth": KEY_AUTH}).encode()
    request = b"POST /rest/call/download/recording HTTP/1.1\r\nConnection: close\r\n"
    request += b"Content-Length: %d\r\n\r\n" % len(body) + body
    announced = set()
    address = urlsplit(sim.url)
    for _ in range(16):
        with socket.create_connection((address.hostname, address.port), timeout=10) as connection:
            connection.sendall(request)
            head, _, data = b"".join(iter(lambda: connection.recv(1 << 16), b"")).partition(
                b"\r\n\r\n"
            )
        assert len(data) == call["size"] + 1000
        announced |= {line for line in head.split(b"\r\n") if line.startswith(b"Content-Length")}
    sizes = {int(line.split()[1]) for line in announced}
    assert sizes == {call["size"], call["size"] + 1000}


def test_a_share_of_the_requests_goes_wrong_and_the_seed_says_which(
    talk: Talk, sim: client.Running
) -> None:
    def outcomes(seed: int) -> list[int]:
        sim.control("behave")
        sim.control("misbehave", what="http_503", share=0.5, on="auth", seed=seed)
        connection = talk.connect()
        statuses = []
        for _ in range(40):
            response = talk.raw(connection, "/rest/auth", {"auth": KEY_AUTH})
            response.read()
            statuses.append(response.status)
        return statuses

    first = outcomes(1)
    assert set(first) == {200, 503}
    assert outcomes(1) == first
    assert outcomes(2) != first


def test_what_the_control_port_does_not_know_is_an_error(sim: client.Running) -> None:
    for do, arguments in (
        ("nothing", {}),
        ("misbehave", {"what": "nothing"}),
        ("misbehave", {"what": "reset", "on": "nothing"}),
        ("drop", {"file": "none.wav"}),
        ("add_calls", {"wrong": 1}),
    ):
        with pytest.raises(ValueError, match="."):
            sim.control(do, **arguments)


def test_many_calls_within_a_second_have_names_of_their_own(sim: client.Running) -> None:
    files = sim.control("add_calls", company="default", count=3000, ago_s=900, seconds=1)["files"]
    assert len(set(files)) == 3000


def test_with_tls_it_shows_the_certificate_that_the_client_names() -> None:
    with client.start("--scenario", "small", "--tls") as tls:
        assert tls.url.startswith("https://127.0.0.1:")
        assert tls.certificate is not None
        context = ssl.create_default_context(cafile=str(tls.certificate))
        address = urlsplit(tls.url).netloc
        call = a_call(tls)
        body = json.dumps({"scope": {"file": call["file"]}, "auth": KEY_AUTH})
        with closing(http.client.HTTPSConnection(address, context=context)) as connection:
            connection.request("POST", "/rest/call/download/recording", body)
            data = connection.getresponse().read()
        assert hashlib.sha256(data).hexdigest() == call["sha256"]


def test_the_demo_is_three_weeks_of_office_hours_in_three_companies() -> None:
    companies = ("default", "demonstration", "company_c_540")
    with client.start("--calls", "150") as demo, Talk(demo) as talk:
        listed = [row for company in companies for row in talk.list(company)]
    assert len(listed) == 150
    assert {2, 7200, 0} <= {row["duration"] for row in listed}
    for row in listed:
        local = datetime.fromtimestamp(row["start"], LONDON)
        assert local.weekday() < 5
        assert 8 <= local.hour < 18
        assert row["start"] + row["duration"] < datetime.now(UTC).timestamp() - 500
    assert len({datetime.fromtimestamp(row["start"], LONDON).date() for row in listed}) >= 10
    assert "anonymous" in {row["caller"] for row in listed} | {row["callee"] for row in listed}


def test_the_benchmark_has_as_many_calls_as_are_asked_for() -> None:
    arguments = ("--scenario", "bench", "--calls", "30000")
    with client.start(*arguments) as bench, Talk(bench) as talk:
        rows = talk.list()
    assert len(rows) == 30_000
    assert all(row["size"] > 1_920_000 for row in rows)


def test_one_that_can_not_start_says_why() -> None:
    with pytest.raises(RuntimeError, match="invalid choice"):
        client.start("--scenario", "nonsense")
