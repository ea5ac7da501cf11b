"""What the web UI says where it can't hear, while keys are replaced, and of the recovery kit."""

import io
import json
import subprocess
import zipfile
from pathlib import Path

from common import keys
from common.db import Connection
from tests.web.browser import Browser
from tests.web.building import Archive
from tests.web.test_pages import words
from tests.web.world import World


def test_a_call_that_only_its_company_can_open_is_shown_and_not_offered(
    sysadmin: Browser, archive: Archive, db: Connection
) -> None:
    company = archive.company()
    call, _ = archive.stored(company)
    page = sysadmin.get(f"/recordings/{call}").text
    assert 'id="player"' in page and "Download" in page
    lists = ("/calls", f"/companies/{company}")
    for address in lists:
        assert 'class="play"' in sysadmin.get(address).text
    db.execute("UPDATE company_key SET private_sealed = NULL")
    for address in lists:
        page = sysadmin.get(address).text
        assert 'class="play"' not in page and "with the company's key only" in page
    page = sysadmin.get(f"/recordings/{call}").text
    assert "encrypted for a key that only Harbour Legal has" in words(page)
    for offered in ('id="player"', "Download", "Mail a link", "Evidence"):
        assert offered not in page
    for address in ("audio", "original", "peaks", "wav"):
        assert sysadmin.get(f"/recordings/{call}/{address}").status_code == 502
    assert sysadmin.get(f"/recordings/{call}/share").status_code == 404
    settings = words(sysadmin.get(f"/companies/{company}/settings").text)
    assert "The company has the private half of this key." in settings


def test_the_settings_of_a_company_say_how_far_its_new_key_is(
    sysadmin: Browser, archive: Archive, db: Connection
) -> None:
    company = archive.company()
    address = f"/companies/{company}/settings"
    assert "older recordings" not in sysadmin.get(address).text
    db.execute("UPDATE company_key SET retired_at = now(), to_rewrap = 7000, rewrapped = 1200;")
    key = keys.generate_company_key(archive.pbx_uid, 2, bytes([9]) + bytes(31))
    db.execute(
        "INSERT INTO company_key (company_id, version, kid, public_key, private_sealed)"
        " VALUES (%s, 2, %s, %s, %s)", [company, key.kid, key.public_key, key.private_sealed],
    )  # fmt: skip
    text = words(sysadmin.get(address).text)
    assert f"Encryption key: {key.kid}" in text
    assert "being wrapped with this key: 1,200 of 7,000." in text
    db.execute("UPDATE company_key SET rewrapped = 7000 WHERE version = 1")
    assert "older recordings" not in sysadmin.get(address).text


def test_the_first_page_asks_for_the_recovery_kit_until_it_was_shown(
    sysadmin: Browser, archive: Archive, db: Connection
) -> None:
    asks = "Nobody has shown that there is a copy of the recovery kit"
    assert asks in sysadmin.get("/").text
    master = "SELECT true, public_key, now(), 'console:root' FROM sealing_key"
    db.execute(
        "INSERT INTO sealing_key (name, public_key) VALUES ('master', sha256('a'))"
        " ON CONFLICT DO NOTHING"
    )
    db.execute(f"INSERT INTO recovery_kit {master} WHERE name = 'master'")
    assert asks not in sysadmin.get("/").text
    db.execute("UPDATE sealing_key SET public_key = sha256('another') WHERE name = 'master'")
    assert asks in sysadmin.get("/").text


def test_the_certificate_of_destruction_is_found_and_verified(
    sysadmin: Browser, world: World, db: Connection, tmp_path: Path
) -> None:
    address = f"/destroyed/{world.known['deed_id']}"
    assert f'href="{address}"' in sysadmin.get("/audit").text
    page = sysadmin.get(address)
    assert "Gone &amp; Sons" in page.text
    text = words(page.text)
    assert "Recordings 1,234" in text and "0123456789abcdef" in text
    assert "at the latest on" in text
    answer = sysadmin.get(f"{address}/certificate.zip")
    with zipfile.ZipFile(io.BytesIO(answer.data)) as archive:
        archive.extractall(tmp_path / "certificate")
    (made,) = (tmp_path / "certificate").iterdir()
    said = json.loads((made / "certificate.json").read_bytes())
    assert (said["recordings"], said["key_ids"]) == (1234, ["0123456789abcdef"])
    verify = page.text[page.text.index("openssl pkeyutl") :].partition("<")[0].split()
    assert subprocess.run(verify, cwd=made, check=False).returncode == 0
    (made / "certificate.json").write_bytes(b"{}")
    assert subprocess.run(verify, cwd=made, check=False).returncode != 0
    other = db.execute("SELECT min(id) FROM audit WHERE action <> 'company.deleted'").fetchone()
    assert other is not None
    assert sysadmin.get(f"/destroyed/{other[0]}").status_code == 404
