"""What every PBX connector must do, on a real port, with a PBX that behaves and one that does not.

A connector to come adds itself to PBXS with a simulator of its own; the tests stay as they are.
"""

import hashlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from common import pbx
from common.errors import (
    ConfigError,
    NoPermission,
    NotAvailable,
    PbxError,
    ProtocolError,
    TransferError,
    TryLater,
    Unreachable,
    WrongLogin,
    WrongToken,
)
from common.pbx import http
from simulators.pbx import client

PBXS = {"ipcortex": client.start}
COMPANY = "default"
LATER = timedelta(days=1)


@pytest.fixture(scope="module", params=sorted(PBXS))
def simulator(request: pytest.FixtureRequest) -> Iterator[Any]:
    running = PBXS[request.param]("--scenario", "small")
    yield running
    running.stop()


@pytest.fixture
def sim(simulator: Any) -> Iterator[Any]:
    """The simulator, good again after each test."""
    yield simulator
    simulator.control("behave")
    simulator.control("restore_key")


@pytest.fixture
def connector(sim: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[pbx.Connector]:
    monkeypatch.setattr(http, "ANSWER_SECONDS", 2.0)
    monkeypatch.setattr(http, "MEDIA_SECONDS", 2.0)
    monkeypatch.setattr(http, "SLOW_SECONDS", 1.0)
    with open_connector(sim.url) as opened:
        yield opened


def open_connector(url: str, certificate: str | None = None, token: str = client.KEY) -> Any:
    return pbx.connect(
        "ipcortex", url, token=token, certificate=certificate, timezone="Europe/London"
    )


def offered(sim: Any, company: str = COMPANY) -> dict[str, dict[str, Any]]:
    calls = sim.control("offered")["calls"]
    return {call["file"]: call for call in calls if call["company"] == company}


def everything(connector: pbx.Connector, company: str = COMPANY) -> list[pbx.RemoteRecording]:
    return list(connector.list_recordings(company, None, datetime.now(UTC)))


def fetch(connector: pbx.Connector, call: dict[str, Any], size: int | None = None) -> bytes:
    with connector.open_media(call["company"], call["file"], size or call["size"]) as media:
        return b"".join(media.chunks)


def any_call(sim: Any) -> dict[str, Any]:
    return max(offered(sim).values(), key=lambda call: call["size"])


def test_a_good_token_is_verified(connector: pbx.Connector) -> None:
    identity = connector.verify()
    assert "callrec_dl" in identity.permissions
    assert {company.name for company in identity.companies} >= {"default", "demonstration"}
    assert connector.list_companies() == list(identity.companies)


def test_everything_is_listed_as_the_pbx_has_it(connector: pbx.Connector, sim: Any) -> None:
    listed = {row.remote_id: row for row in everything(connector)}
    assert listed.keys() == offered(sim).keys()
    for name, call in offered(sim).items():
        row = listed[name]
        assert row.started_at == datetime.fromtimestamp(call["start"], UTC)
        assert (row.duration, row.size) == (call["duration"], call["size"])
        assert (row.caller, row.callee) == (call["caller"], call["callee"])


@pytest.mark.parametrize("hours", [1, 23, 24, 25, 500])
def test_a_window_holds_what_began_in_it(connector: pbx.Connector, sim: Any, hours: int) -> None:
    until = datetime.now(UTC)
    since = until - timedelta(hours=hours)
    found = {row.remote_id for row in connector.list_recordings(COMPANY, since, until)}
    expected = {name for name, call in offered(sim).items() if call["start"] >= since.timestamp()}
    assert expected <= found


def test_the_zone_is_checked_against_the_names(sim: Any) -> None:
    for zone, wrong in (("Europe/London", False), ("Asia/Tokyo", True)):
        with pbx.connect(
            "ipcortex", sim.url, token=client.KEY, certificate=None, timezone=zone
        ) as connector:
            listing = connector.list_recordings(COMPANY, None, datetime.now(UTC))
            assert list(listing)
            assert listing.zone_mismatch is wrong


def test_downloads_are_what_the_pbx_has(connector: pbx.Connector, sim: Any) -> None:
    for call in offered(sim).values():
        assert hashlib.sha256(fetch(connector, call)).hexdigest() == call["sha256"]


def test_one_connection_serves_many_downloads(connector: pbx.Connector, sim: Any) -> None:
    before = sim.control("status")["connections"]
    for _ in range(10):
        fetch(connector, any_call(sim))
        everything(connector)
    assert sim.control("status")["connections"] - before <= 2


def test_whether_a_recording_is_listed(connector: pbx.Connector, sim: Any) -> None:
    call = any_call(sim)
    started = datetime.fromtimestamp(call["start"], UTC)
    assert connector.is_listed(COMPANY, call["file"], started)
    assert not connector.is_listed(COMPANY, "2020.01.01.00.00.00-1577836800-1-2.wav", started)


def test_an_unknown_recording_is_not_available(connector: pbx.Connector) -> None:
    with pytest.raises(NotAvailable):
        fetch(connector, {"company": COMPANY, "file": "../../etc/passwd", "size": 100})


def test_a_wrong_token_is_named_and_not_repeated(sim: Any) -> None:
    with open_connector(sim.url, token="secret-secret-secret") as connector:
        for ask in (connector.verify, lambda: everything(connector)):
            with pytest.raises(WrongToken) as caught:
                ask()
            assert "secret" not in str(caught.value)


def test_a_revoked_token_is_a_wrong_one(connector: pbx.Connector, sim: Any) -> None:
    call = any_call(sim)
    sim.control("revoke_key")
    with pytest.raises(WrongToken):
        fetch(connector, call)


def test_a_company_that_is_not_managed_is_no_permission(connector: pbx.Connector) -> None:
    with pytest.raises(NoPermission):
        everything(connector, "somebody_else")


def test_a_user_logs_in_with_their_own_password(connector: pbx.Connector) -> None:
    user = connector.authenticate("alice", "alice-password")
    assert user.login == "alice"
    assert connector.names([user.id, "no such user"]) == {user.id: user.name}
    owners = connector.owners(["200", "201", "202", "no such extension"])
    assert owners
    assert user.id in {owner.user_id for owner in owners.values()}
    with pytest.raises(WrongLogin) as caught:
        connector.authenticate("alice", "wrong-password")
    assert "wrong-password" not in str(caught.value)


LIST_FAULTS = {
    "fail_json": (NoPermission, WrongToken),
    "http_500": (TryLater,),
    "http_503": (TryLater,),
    "retry": (TryLater,),
    "html_200": (ProtocolError,),
    "garbage_json": (ProtocolError,),
    "truncated": (TransferError,),
    "zero_length": (ProtocolError,),
    "redirect": (ProtocolError,),
    "stall": (Unreachable,),
    "reset": (TransferError, Unreachable),
    "close_before_answer": (Unreachable,),
}

DOWNLOAD_FAULTS = {
    "fail_json": (NotAvailable,),
    "expired": (NotAvailable,),
    "http_500": (TransferError,),
    "http_503": (TryLater,),
    "retry": (TryLater,),
    "html_200": (ProtocolError,),
    "truncated": (TransferError,),
    "zero_length": (TransferError,),
    "redirect": (ProtocolError,),
    "slow": (TransferError,),
    "stall": (Unreachable,),
    "endless": (TransferError,),
    "reset": (TransferError, Unreachable),
    "close_before_answer": (Unreachable,),
}


@pytest.mark.parametrize("fault", sorted(LIST_FAULTS))
def test_a_listing_that_goes_wrong_with(connector: pbx.Connector, sim: Any, fault: str) -> None:
    sim.control("misbehave", what=fault, share=1.0, on="list", seed=1)
    with pytest.raises(LIST_FAULTS[fault]) as caught:
        everything(connector)
    assert connector_host(sim) in str(caught.value)
    sim.control("behave")
    assert everything(connector)


@pytest.mark.parametrize("fault", sorted(DOWNLOAD_FAULTS))
def test_a_download_that_goes_wrong_with(
    connector: pbx.Connector, sim: Any, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "EXCESS", 1 << 20)
    call = any_call(sim)
    sim.control("misbehave", what=fault, share=1.0, on="download", seed=1)
    with pytest.raises(DOWNLOAD_FAULTS[fault]) as caught:
        fetch(connector, call)
    assert connector_host(sim) in str(caught.value)
    sim.control("behave")
    assert hashlib.sha256(fetch(connector, call)).hexdigest() == call["sha256"]


@pytest.mark.parametrize(
    "fault", ["longer", "header_only", "wrong_bytes", "not_riff", "truncated_no_length"]
)
def test_a_download_that_only_its_contents_give_away_never_equals_the_true_one(
    connector: pbx.Connector, sim: Any, fault: str
) -> None:
    call = any_call(sim)
    sim.control("misbehave", what=fault, share=1.0, on="download", seed=1)
    try:
        data = fetch(connector, call)
    except PbxError:
        data = b""
    sim.control("behave")
    assert fault == "longer" or hashlib.sha256(data).hexdigest() != call["sha256"]
    assert hashlib.sha256(fetch(connector, call)).hexdigest() == call["sha256"]


def test_rows_that_can_not_be_used_are_told_of_and_the_others_are_not_lost(
    connector: pbx.Connector, sim: Any
) -> None:
    sim.control("misbehave", what="wrong_type", share=1.0, on="list", seed=1)
    listing = connector.list_recordings(COMPANY, None, datetime.now(UTC))
    rows = list(listing)
    assert listing.refused
    assert {row.remote_id for row in rows} >= offered(sim).keys()
    for row in rows:
        assert row.remote_id.isprintable()
        assert row.duration >= 0


def test_a_hundred_thousand_rows_are_listed(connector: pbx.Connector, sim: Any) -> None:
    sim.control("misbehave", what="huge_list", share=1.0, on="list", seed=1)
    assert sum(1 for _ in connector.list_recordings(COMPANY, None, datetime.now(UTC))) >= 100_000


def connector_host(sim: Any) -> str:
    return str(sim.url).split("//")[1]


@pytest.fixture(scope="module")
def tls() -> Iterator[Any]:
    running = client.start("--scenario", "small", "--tls")
    yield running
    running.stop()


def test_a_self_signed_certificate_is_refused_unless_it_is_the_pinned_one(
    tls: Any, another_certificate: str
) -> None:
    assert tls.url.startswith("https://")
    with open_connector(tls.url) as connector, pytest.raises(Unreachable, match="certificate"):
        connector.verify()
    with open_connector(tls.url, pbx.fetch_certificate(tls.url)) as connector:
        connector.verify()
        call = any_call(tls)
        assert hashlib.sha256(fetch(connector, call)).hexdigest() == call["sha256"]
    with (
        open_connector(tls.url, another_certificate) as connector,
        pytest.raises(Unreachable, match="certificate"),
    ):
        connector.verify()


def test_a_pinned_connection_trusts_no_authority(
    tls: Any, another_certificate: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = tmp_path / "authorities.pem"
    bundle.write_text(pbx.fetch_certificate(tls.url))
    for variable in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"):
        monkeypatch.setenv(variable, str(bundle))
    monkeypatch.setattr("requests.adapters.DEFAULT_CA_BUNDLE_PATH", str(bundle))
    with open_connector(tls.url, another_certificate) as connector, pytest.raises(Unreachable):
        connector.verify()


@pytest.fixture(scope="module")
def another_certificate() -> str:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import Encoding

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - LATER)
        .not_valid_after(now + LATER)
        .sign(key, hashes.SHA256())
        .public_bytes(Encoding.PEM)
        .decode()
    )


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "http://no-such-host.invalid"])
def test_a_pbx_that_is_not_there_is_unreachable(url: str) -> None:
    with open_connector(url) as connector, pytest.raises(Unreachable, match="no connection"):
        connector.verify()


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "https://127.0.0.1:1"])
def test_a_certificate_that_can_not_be_had_is_an_error(url: str) -> None:
    with pytest.raises((ConfigError, Unreachable)):
        pbx.fetch_certificate(url)


def test_an_unknown_kind_or_zone_is_named() -> None:
    make: Callable[..., Any] = pbx.connect
    with pytest.raises(ConfigError, match="of kind 'switchboard'"):
        make("switchboard", "http://x", token="", certificate=None, timezone="UTC")
    with pytest.raises(ConfigError, match="'Europe/Atlantis' is not a time zone"):
        make("ipcortex", "http://x", token="", certificate=None, timezone="Europe/Atlantis")
