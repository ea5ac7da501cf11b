"""Alerts, webhooks, completeness and damage, as administrators see them."""

import base64
import re
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest

from common import mail as rules
from common import seal
from common.db import Connection
from tests.web.browser import Browser
from tests.web.building import Archive

Look = Callable[[], object]
Audit = Callable[[], list[Any]]


def low(db: Connection, free: int) -> None:
    db.execute(
        "INSERT INTO disk VALUES ('audio', '/x', 1000, %s, now(), %s) ON CONFLICT (volume)"
        " DO UPDATE SET free = excluded.free, is_low = excluded.is_low",
        [free, free < 100],
    )


def test_an_alert_is_shown_acknowledged_and_over(
    sysadmin: Browser, db: Connection, look: Look, audit: Audit
) -> None:
    low(db, 30)
    look()
    page = sysadmin.get("/alerts").text
    assert "disk is nearly full: 30 bytes are left." in page
    assert "Critical" in page
    (number,) = db.execute("SELECT id FROM alert").fetchone() or (0,)
    assert sysadmin.post(f"/alerts/{number}/acknowledge", page="/alerts").status_code == 303
    assert "acknowledged by sysadmin" in sysadmin.get("/alerts").text
    assert "Acknowledged by sysadmin." in sysadmin.get("/").text
    assert ("sysadmin", "alert.acknowledge", f"alert:{number}") in audit()
    sysadmin.post(f"/alerts/{number}/acknowledge", page="/alerts")
    assert "somebody has acknowledged it already" in sysadmin.get("/alerts").text
    assert len([row for row in audit() if row[1] == "alert.acknowledge"]) == 1
    low(db, 500)
    look()
    page = sysadmin.get("/alerts").text
    assert "Nothing needs you." in page
    assert "disk is nearly full" in page
    assert "nearly full" not in sysadmin.get("/").text


def test_who_only_reads_sees_alerts_and_can_not_acknowledge(
    db: Connection, look: Look, log_in: Callable[[str], Browser]
) -> None:
    low(db, 30)
    look()
    page = log_in("admin").get("/alerts").text
    assert "disk is nearly full" in page
    assert "Acknowledge" not in page.replace("Acknowledged", "")


def test_what_is_over_has_pages(sysadmin: Browser, db: Connection) -> None:
    db.execute(
        "INSERT INTO alert (kind, subject, rank, is_critical, title, body, raised_at, changed_at,"
        " ended_at) SELECT 'messages', '', 1, false, 'Number ' || n || '.', '', now(), now(),"
        " now() - n * interval '1 hour' FROM generate_series(1, 120) n"
    )
    address, seen = "/alerts", []
    while True:
        page = sysadmin.get(address).text
        seen += re.findall(r"Number (\d+)\.", page)
        older = re.search(r'rel="next" href="([^"]+)"', page)
        if older is None:
            break
        address = older[1].replace("&amp;", "&")
    assert seen == [str(n) for n in range(1, 121)]


def test_a_webhook_is_added_with_a_secret_that_is_shown_once(
    sysadmin: Browser, db: Connection, mail: bytes, audit: Audit
) -> None:
    url = "https://chat.example.com/hooks/T0/abc?x=1"
    answer = sysadmin.post("/settings/webhooks", page="/settings/webhooks", url=url)
    assert answer.status_code == 200
    found = re.search(r"whsec_([A-Za-z0-9+/=]+)", answer.text)
    assert found is not None
    row = db.execute("SELECT url, secret_sealed FROM webhook").fetchone()
    assert row is not None
    assert seal.unseal(mail, bytes(row[1]), rules.webhook(url)) == base64.b64decode(found[1])
    page = sysadmin.get("/settings/webhooks").text
    assert "whsec_" not in page
    assert "chat.example.com" in page
    assert "abc" not in str(audit())
    again = sysadmin.post("/settings/webhooks", page="/settings/webhooks", url=url)
    assert again.status_code == 422
    assert "already" in again.text
    assert (
        sysadmin.post("/settings/webhooks/1/remove", page="/settings/webhooks").status_code == 303
    )
    assert db.execute("SELECT count(*) FROM webhook").fetchone() == (0,)
    assert (
        sysadmin.post("/settings/webhooks/1/remove", page="/settings/webhooks").status_code == 404
    )
    assert [row[1] for row in audit()][-2:] == ["webhook.add", "webhook.remove"]


@pytest.mark.parametrize(
    "url", ["", "chat.example.com", "http://chat.example.com/", "ftp://x/", "https://",
            "https://a b", "https://[::1", "https://x:99999/", "javascript:alert(1)",
            "https://ü.example.com/"],
)  # fmt: skip
def test_an_address_that_is_none_is_refused(
    sysadmin: Browser, db: Connection, mail: bytes, url: str
) -> None:
    answer = sysadmin.post("/settings/webhooks", page="/settings/webhooks", url=url)
    assert answer.status_code == 422
    assert db.execute("SELECT count(*) FROM webhook").fetchone() == (0,)


def test_the_completeness_page_says_what_is_missing_and_how_long_it_has_left(
    sysadmin: Browser, archive: Archive, db: Connection
) -> None:
    company, other = archive.company(), archive.company("Other", UUID(int=5))
    db.execute("UPDATE company SET listed_until = now() - interval '10 days'")
    for number, offset, figures in (
        (company, 1, (5, 0, 3, 1, 0)), (other, 1, (7, 0, 7, 0, 0)), (other, 2, (4, 1, 4, 0, 0)),
    ):  # fmt: skip
        db.execute(
            "INSERT INTO completeness VALUES (%s, current_date - %s, %s, %s, %s, %s, %s, now())",
            [number, offset, *figures],
        )
    page = sysadmin.get("/completeness").text
    text = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page))
    assert re.search(r"Head office none \d+ Nov 2026|Head office none", text)
    assert "10 days" in text
    assert re.search(r" 5 3 1 0 1 0 ", text)
    assert re.search(r" 12 10 1 0 1 0 ", text)
    one = sysadmin.get(f"/completeness?company={other}").text
    assert len(re.findall("<tr>", one)) == 3
    for wrong, status in (("company=x", 404), ("company=9999", 404), ("before=x", 400)):
        assert sysadmin.get(f"/completeness?{wrong}").status_code == status


def test_a_damaged_recording_says_so_and_is_in_the_report(
    sysadmin: Browser, archive: Archive, db: Connection
) -> None:
    recording, _ = archive.stored(archive.company())
    db.execute(
        "INSERT INTO damage (path, kind, recording_id, generation, found_at, asked_at)"
        " VALUES ('201/x.csrec', 'mismatched', %s, 0, now(), now())",
        [recording],
    )
    db.execute("INSERT INTO inspection (kind, started_at, files) VALUES ('sweep', now(), 4711)")
    assert "not as it was stored" in sysadmin.get(f"/recordings/{recording}").text
    page = sysadmin.get("/housekeeping").text
    assert "201/x.csrec" in page
    assert "asked the PBX for it" in page
    assert "4,711" in page
    db.execute("UPDATE damage SET ended_at = now(), ended_by = 'fetched'")
    assert "not as it was stored" not in sysadmin.get(f"/recordings/{recording}").text
    assert "fetched again from the PBX" in sysadmin.get("/housekeeping").text


def test_the_files_are_compared_on_request(
    sysadmin: Browser, db: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("common.commands.PATIENCE", 0.1)
    assert sysadmin.post("/housekeeping/sweep", page="/housekeeping").status_code == 303
    assert db.execute("SELECT daemon, kind FROM command").fetchall() == [
        ("housekeeper", "sweep.run")
    ]


def raid(db: Connection, state: str, disks: tuple[tuple[str, int | None, bool, str], ...]) -> None:
    """Put an array into the database, as raidmon sees it."""
    db.execute(
        "INSERT INTO raid_array (uuid, name, level, state, disks, degraded, action, percent,"
        " minutes_left, seen_at) VALUES ('u-1', 'md0', 'raid5', %s, 3, 1, 'recover', 32.2, 12,"
        " now())", [state],
    )  # fmt: skip
    for position, (disk, slot, is_ok, role) in enumerate(disks):
        db.execute(
            "INSERT INTO raid_member VALUES ('u-1', %s, %s, %s, %s, %s, %s)",
            [position, disk, slot, is_ok, role == "faulty", role],
        )


def test_the_first_page_shows_each_disk_of_an_array(sysadmin: Browser, db: Connection) -> None:
    assert "RAID" not in sysadmin.get("/").text
    raid(db, "degraded", (("sdb", 0, True, "in use"), ("sdd", 2, True, "rebuilding"),
                          ("", 1, False, "missing"), ("sdc", None, False, "faulty")))  # fmt: skip
    text = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", sysadmin.get("/").text))
    assert "RAID status: md0" in text
    assert "sdb 0 Yes No sdd 2 Yes, rebuilding No missing 1 No No sdc – No Yes" in text
    assert "Rebuilding: 32.2 %, 12 minutes left" in text
    assert "replace the disk as soon as possible" in text


def test_only_an_array_that_is_gone_can_be_forgotten(
    sysadmin: Browser, db: Connection, audit: Audit
) -> None:
    raid(db, "failed", ())
    sysadmin.post("/system/arrays/u-1/forget", page="/")
    assert db.execute("SELECT count(*) FROM raid_array").fetchone() == (1,)
    db.execute("UPDATE raid_array SET state = 'missing'")
    assert "Forget" in sysadmin.get("/").text
    sysadmin.post("/system/arrays/u-1/forget", page="/")
    assert db.execute("SELECT count(*) FROM raid_array").fetchone() == (0,)
    assert [row for row in audit() if row[1] == "array.forget"] == [
        ("sysadmin", "array.forget", "array:u-1")
    ]
