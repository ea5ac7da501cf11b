"""What of a recording leaves the archive: exact bytes, and nothing that was altered."""

import logging
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest

from common.db import Connection
from tests.web.browser import Browser
from tests.web.building import Archive, tone
from webui.ranges import NotSatisfiable, Part, wanted
from webui.views import media


@pytest.mark.parametrize(
    ("header", "part"),
    [
        (None, None),
        ("", None),
        ("bytes=0-0", Part(0, 1)),
        ("bytes=0-99", Part(0, 100)),
        ("bytes=10-19", Part(10, 20)),
        ("bytes=10-1000", Part(10, 100)),
        ("bytes=99-", Part(99, 100, True)),
        ("bytes=0-", Part(0, 100, True)),
        ("bytes=-1", Part(99, 100)),
        ("bytes=-100", Part(0, 100)),
        ("bytes=-1000", Part(0, 100)),
        ("Bytes=1-2", Part(1, 3)),
        ("bytes= 1-2 ", Part(1, 3)),
        ("bytes=0-" + "9" * 5000, Part(0, 100)),
        ("bytes=2-1", None),
        ("bytes=-", None),
        ("bytes=", None),
        ("bytes", None),
        ("bytes=a-b", None),
        ("bytes=1", None),
        ("bytes=1-2-3", None),
        ("bytes=+1-2", None),
        ("bytes=١-٢", None),
        ("bytes=0-1,5-6", None),
        ("bytes=0-1,", None),
        ("seconds=0-1", None),
        ("items=0-1", None),
    ],
)
def test_a_range_header_means_what_rfc_9110_says(header: str | None, part: Part | None) -> None:
    assert wanted(header, 100) == part


@pytest.mark.parametrize(
    ("header", "size"),
    [("bytes=100-", 100), ("bytes=100-200", 100), ("bytes=-0", 100), ("bytes=0-", 0),
     ("bytes=-5", 0), ("bytes=" + "9" * 5000 + "-", 100)],
)  # fmt: skip
def test_a_range_without_a_byte_that_exists_is_not_satisfiable(header: str, size: int) -> None:
    with pytest.raises(NotSatisfiable):
        wanted(header, size)


@pytest.fixture
def stored(archive: Archive) -> tuple[str, bytes]:
    """A recording of 12 seconds: its address and what the PBX sent."""
    recording, audio = archive.stored(archive.company(), tone(12))
    return f"/recordings/{recording}", audio


@pytest.mark.parametrize("what", ["audio", "original"])
def test_every_range_holds_exactly_its_bytes(
    sysadmin: Browser, stored: tuple[str, bytes], what: str
) -> None:
    address = f"{stored[0]}/{what}"
    whole = sysadmin.get(address)
    size = len(whole.data)
    assert whole.status_code == 200
    assert whole.headers["Accept-Ranges"] == "bytes"
    assert int(whole.headers["Content-Length"]) == size
    for start, stop in (
        (0, 1), (0, 44), (43, 45), (44, 46), (45, 48), (1000, 1001), (16383, 16385), (16384, 32768),
        (size - 1, size), (0, size), (32767, 65537), (5, size - 3),
    ):  # fmt: skip
        answer = sysadmin.get(address, Range=f"bytes={start}-{stop - 1}")
        assert answer.status_code == 206
        assert answer.headers["Content-Range"] == f"bytes {start}-{stop - 1}/{size}"
        assert answer.data == whole.data[start:stop]
        assert int(answer.headers["Content-Length"]) == stop - start
    assert sysadmin.get(address, Range="bytes=-7").data == whole.data[-7:]
    assert sysadmin.get(address, Range="bytes=0-1,4-5").data == whole.data
    beyond = sysadmin.get(address, Range=f"bytes={size}-")
    assert beyond.status_code == 416
    assert beyond.headers["Content-Range"] == f"bytes */{size}"
    assert "no such part" in beyond.text


def test_the_original_is_what_the_pbx_sent_byte_for_byte(
    sysadmin: Browser, stored: tuple[str, bytes]
) -> None:
    answer = sysadmin.get(f"{stored[0]}/original")
    assert answer.data == stored[1]
    assert answer.headers["Content-Type"] == "audio/wav"
    assert answer.headers["Content-Disposition"] == (
        'attachment; filename="2026-11-20 09-30-00 1001 Alice Example to +44 20 7946 0018.wav";'
        " filename*=UTF-8''2026-11-20%2009-30-00%201001%20Alice%20Example%20to%20"
        "%2B44%2020%207946%200018.wav"
    )


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ('a"b\\c/d.wav', "a_b_c_d.wav"),
        ("../../etc/passwd", "_.._etc_passwd"),
        ("a\r\nSet-Cookie: x", "a__Set-Cookie_ x"),
        ("Jürgen.wav", "J_rgen.wav"),
    ],
)
def test_a_name_from_a_pbx_is_harmless_as_a_file_name(name: str, plain: str) -> None:
    assert media.disposition(name).startswith(f'attachment; filename="{plain}"; ')


def test_an_answer_to_head_has_the_headers_and_no_body(
    sysadmin: Browser, stored: tuple[str, bytes], audit: Callable[[], list[Any]]
) -> None:
    answer = sysadmin.ask("HEAD", f"{stored[0]}/original", headers={"Range": "bytes=0-9"})
    assert answer.status_code == 200
    assert int(answer.headers["Content-Length"]) == len(stored[1])
    assert answer.data == b""
    assert [row[1] for row in audit()] == ["login"]


def test_if_range_gives_a_part_only_of_the_same_recording(
    sysadmin: Browser, stored: tuple[str, bytes]
) -> None:
    address = f"{stored[0]}/audio"
    tag = sysadmin.get(address).headers["ETag"]
    assert tag.startswith('"')
    for value, status in (
        (tag, 206),
        ('"other"', 200),
        (f"W/{tag}", 200),
        ("Fri, 20 Nov 2026 09:30:00 GMT", 200),
    ):
        assert sysadmin.get(address, Range="bytes=0-1", If_Range=value).status_code == status
    assert sysadmin.get(f"{stored[0]}/original").headers["ETag"] != tag


def test_a_range_without_an_end_is_answered_in_parts(
    sysadmin: Browser, stored: tuple[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(media, "OPEN_END", 30_000)
    address, got = f"{stored[0]}/original", b""
    while len(got) < len(stored[1]):
        answer = sysadmin.get(address, Range=f"bytes={len(got)}-")
        assert answer.status_code == 206
        assert 0 < len(answer.data) <= 30_000
        got += answer.data
    assert got == stored[1]


def test_a_play_is_one_row_of_the_audit_log_for_each_view_of_the_page(
    sysadmin: Browser, stored: tuple[str, bytes], audit: Callable[[], list[Any]]
) -> None:
    subject = f"recording:{stored[0].rpartition('/')[2]}"
    for view in ("first-view", "first-view", "other-view"):
        for part in ("bytes=0-", "bytes=5000-6000"):
            sysadmin.get(f"{stored[0]}/audio?view={view}", Range=part)
    assert audit()[1:] == [("sysadmin", "recording.play", subject)] * 2
    sysadmin.get(f"{stored[0]}/audio")
    sysadmin.get(f"{stored[0]}/audio?view=' OR 1")
    sysadmin.get(f"{stored[0]}/original")
    assert audit()[3:] == [
        ("sysadmin", "recording.play", subject),
        ("sysadmin", "recording.play", subject),
        ("sysadmin", "recording.download", subject),
    ]
    page = sysadmin.get(stored[0]).text
    assert (page.count("played it"), page.count("downloaded it")) == (4, 1)


def test_the_waveform_is_what_was_stored(sysadmin: Browser, archive: Archive) -> None:
    company = archive.company()
    recording, _ = archive.stored(company, peaks=bytes([1, 2, 0, 255, 7, 9]))
    answer = sysadmin.get(f"/recordings/{recording}/peaks")
    assert answer.data == bytes([1, 2, 0, 255, 7, 9])
    without, _ = archive.stored(company, peaks=None)
    assert sysadmin.get(f"/recordings/{without}/peaks").status_code == 404
    assert sysadmin.get(f"/recordings/{without}").status_code == 200


def flip(data: bytes, place: int) -> bytes:
    """Return the bytes with one bit changed."""
    return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: None,
        lambda data: b"",
        lambda data: data[:-1],
        lambda data: data + b"\0",
        lambda data: data[: 16400 * 3],
        lambda data: flip(data, 3),
        lambda data: flip(data, 60),
        lambda data: flip(data, len(data) - 1),
        lambda data: flip(data, 400),
    ],
)
def test_of_a_file_that_is_missing_or_altered_nothing_is_sent_and_it_is_reported(
    sysadmin: Browser,
    archive: Archive,
    audit: Callable[[], list[Any]],
    caplog: pytest.LogCaptureFixture,
    damage: Callable[[bytes], bytes | None],
) -> None:
    recording, audio = archive.stored(archive.company(), tone(12))
    path = archive.path(recording)
    damaged = damage(path.read_bytes())
    path.unlink()
    if damaged is not None:
        path.write_bytes(damaged)
    for what in ("audio", "original"):
        answer = sysadmin.get(f"/recordings/{recording}/{what}")
        assert answer.status_code == 502
        assert "missing or was altered" in answer.text
        assert audio[100:200] not in answer.data
    refused = ("sysadmin", "recording.refused", f"recording:{recording}")
    assert audit()[1:] == [refused, refused]
    assert [record.levelno for record in caplog.records] == [logging.ERROR] * 2


def test_damage_behind_the_first_piece_breaks_the_answer_off_before_the_damaged_bytes(
    sysadmin: Browser, archive: Archive, audit: Callable[[], list[Any]]
) -> None:
    recording, audio = archive.stored(archive.company(), tone(120))
    path = archive.path(recording)
    path.write_bytes(flip(path.read_bytes(), 700_000))
    assert sysadmin.get(f"/recordings/{recording}/original", Range="bytes=0-99").data == audio[:100]
    client = sysadmin._client
    headers = {"Cookie": f"__Host-callstash={sysadmin.token}"}
    answer = client.get(f"/recordings/{recording}/original", headers=headers)
    got = b""
    with pytest.raises(Exception, match="."):
        for piece in answer.response:
            assert isinstance(piece, bytes)
            got += piece
    answer.close()
    assert len(got) < 700_000
    assert audio.startswith(got)
    assert audit()[-1][1] == "recording.refused"
    tail = sysadmin.get(f"/recordings/{recording}/original", Range="bytes=-1000")
    assert tail.data == audio[-1000:]


def test_two_recordings_whose_files_were_swapped_are_both_refused(
    sysadmin: Browser, archive: Archive
) -> None:
    company = archive.company()
    (one, _), (other, _) = (archive.stored(company) for _ in range(2))
    first, second = archive.path(one), archive.path(other)
    kept = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(kept)
    archive.db.execute(
        "UPDATE recording_audio a SET ecek = b.ecek FROM recording_audio b"
        " WHERE a.recording_id <> b.recording_id"
    )
    for recording in (one, other):
        assert sysadmin.get(f"/recordings/{recording}/original").status_code == 502


def test_a_key_that_does_not_open_the_recording_is_said_and_reported(
    sysadmin: Browser, archive: Archive, db: Connection, audit: Callable[[], list[Any]]
) -> None:
    recording, _ = archive.stored(archive.company())
    db.execute("UPDATE company SET uid = %s", [uuid4()])
    answer = sysadmin.get(f"/recordings/{recording}/audio")
    assert answer.status_code == 502
    assert "key" in answer.text
    db.execute("UPDATE company_key SET private_sealed = NULL")
    assert sysadmin.get(f"/recordings/{recording}/audio").status_code == 502
    assert [row[1] for row in audit()] == ["login", "recording.refused", "recording.refused"]


def test_a_codec_without_its_decoder_is_said_and_the_original_can_be_had(
    sysadmin: Browser, archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    recording, audio = archive.stored(archive.company())
    archive.db.execute("UPDATE recording_audio SET codec = 'gsm'")
    monkeypatch.setenv("PATH", "/nonexistent")
    answer = sysadmin.get(f"/recordings/{recording}/audio")
    assert answer.status_code == 502
    assert "install the package ffmpeg" in answer.text
    assert sysadmin.get(f"/recordings/{recording}/original").data == audio
