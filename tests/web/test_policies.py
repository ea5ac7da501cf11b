"""Who may do what: every route of the URL map, as everybody, with and without the form's token."""

import re
from collections.abc import Callable
from uuid import UUID

import pytest
from flask import Flask

from common.db import Connection
from tests.web.browser import Browser
from tests.web.building import Archive
from webui import policy
from webui.policy import Policy, allows, requires

WHO = ("anonymous", "admin", "sysadmin")


def routes(app: Flask) -> list[tuple[str, str]]:
    """Return each method and rule."""
    return [
        (method, rule.rule)
        for rule in app.url_map.iter_rules()
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"})
    ]


def fill(rule: str, archive: Archive, recording: UUID, company: int) -> str:
    """Return the rule as an address of things that exist."""
    known = {
        "pbx_id": str(archive.pbx),
        "company_id": str(company),
        "recording_id": str(recording),
        "poll_id": str(archive.poll),
        "name": "style.css",
    }
    return re.sub(r"<(?:[^:>]+:)?(\w+)>", lambda found: known[found[1]], rule)


def test_every_route_is_open_to_those_whom_its_policy_names_and_to_nobody_else(
    app: Flask, archive: Archive, log_in: Callable[[str], Browser]
) -> None:
    company = archive.company()
    recording, _ = archive.stored(company)
    tried = set()
    for who in WHO:
        browser = Browser(app) if who == "anonymous" else log_in(who)
        for method, rule in routes(app):
            if rule == "/logout":
                continue
            address = fill(rule, archive, recording, company)
            endpoint = app.url_map.bind("").match(address, method)[0]
            needed = app.view_functions[endpoint].policy  # type: ignore[attr-defined]
            data = {"csrf": browser.csrf("/" if browser.get("/").status_code == 200 else "/login")}
            answer = browser.ask(method, address, data=data if method == "POST" else None)
            allowed = allows(needed, None if who == "anonymous" else who)
            case = f"{who} {method} {address}: {answer.status}"
            if rule == "/login":
                assert answer.status_code in (200, 303, 403), case
            elif allowed:
                assert answer.status_code in (200, 303, 422), case
                assert answer.headers.get("Location", "") != "/login", case
            elif who == "anonymous":
                assert answer.status_code == 401 or (
                    answer.status_code == 303 and answer.headers["Location"].startswith("/login")
                ), case
            else:
                assert answer.status_code == 403, case
            tried.add((who, method, rule))
    assert len(tried) == 3 * (len(routes(app)) - 1)


def test_every_form_without_its_token_is_refused_whoever_sends_it(
    app: Flask, archive: Archive, log_in: Callable[[str], Browser], db: Connection
) -> None:
    posts = [rule for method, rule in routes(app) if method != "GET"]
    assert len(posts) >= 3
    for who in WHO:
        browser = Browser(app) if who == "anonymous" else log_in(who)
        other = Browser(app).csrf()
        for rule in posts:
            address = fill(rule, archive, UUID(int=0), 0)
            for data in ({}, {"csrf": ""}, {"csrf": "0" * 64}, {"csrf": other}, {"csrf": "é"}):
                answer = browser.ask("POST", address, data=data)
                refused = (403, 303) if who == "anonymous" and rule != "/login" else (403,)
                assert answer.status_code in refused, f"{who} {address} {data}: {answer.status}"
    assert db.execute("SELECT count(*) FROM outbox").fetchone() == (0,)


def test_an_application_with_a_route_that_names_no_policy_does_not_start(app: Flask) -> None:
    bare = Flask("bare", static_folder=None)
    bare.add_url_rule("/open", view_func=requires(Policy.PUBLIC)(lambda: "open"))
    policy.check(bare)
    bare.add_url_rule("/forgotten", endpoint="forgotten", view_func=lambda: "secret")
    with pytest.raises(RuntimeError, match="/forgotten"):
        policy.check(bare)


def test_a_route_that_slipped_past_the_check_is_closed_all_the_same(
    app: Flask, accounts: dict[str, str]
) -> None:
    app.add_url_rule("/slipped", endpoint="slipped", view_func=lambda: "secret")
    app.view_functions["slipped"].is_page = True  # type: ignore[attr-defined]
    browser = Browser(app)
    browser.log_in("sysadmin", accounts["sysadmin"])
    assert browser.get("/slipped").status_code == 403
    assert b"secret" not in Browser(app).get("/slipped").data


def test_what_does_not_exist_looks_like_what_one_may_not_see(
    sysadmin: Browser, archive: Archive
) -> None:
    waiting = archive.listed(archive.company())
    missing = UUID(int=7)
    pages = {
        sysadmin.get(address).text
        for address in (
            "/nothing",
            "/pbxs/999",
            "/pbxs/99999999999999999999",
            "/pbxs/-1",
            "/pbxs/999/settings",
            "/pbxs/999/companies",
            f"/pbxs/{archive.pbx}/polls/999",
            "/companies/999/settings",
            "/companies/999/delete",
            "/companies/999",
            f"/recordings/{missing}",
            f"/recordings/{missing}/audio",
            f"/recordings/{missing}/original",
            f"/recordings/{missing}/peaks",
            f"/recordings/{waiting}/audio",
            "/recordings/1",
            "/recordings/../../etc/passwd",
            "/static/..%2f__init__.py",
            "/static/nothing.css",
        )
    }
    assert len(pages) == 1
    assert "Not found" in pages.pop()


def test_admin_sees_lists_but_neither_hears_nor_starts_anything(
    log_in: Callable[[str], Browser], archive: Archive
) -> None:
    company = archive.company()
    recording, _ = archive.stored(company)
    browser = log_in("admin")
    assert "Alice" in browser.get(f"/companies/{company}").text
    page = browser.get(f"/recordings/{recording}").text
    assert "not hear them" in page
    assert "<audio" not in page
    assert "Poll now" not in browser.get(f"/pbxs/{archive.pbx}").text


def test_every_answer_carries_the_headers_that_protect_it(
    anonymous: Browser, sysadmin: Browser, archive: Archive
) -> None:
    recording, _ = archive.stored(archive.company())
    for browser, address in (
        (anonymous, "/login"),
        (anonymous, "/nothing"),
        (sysadmin, "/"),
        (sysadmin, f"/recordings/{recording}"),
        (sysadmin, f"/recordings/{recording}/audio"),
    ):
        headers = browser.get(address).headers
        policy_text = headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy_text
        assert "unsafe" not in policy_text
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["X-Frame-Options"] == "DENY"
        assert headers["Referrer-Policy"] == "same-origin"
        assert headers["Cache-Control"] == "private, no-store"


def test_no_page_has_script_or_style_in_itself_or_anything_of_another_host(
    sysadmin: Browser, archive: Archive
) -> None:
    company = archive.company()
    recording, _ = archive.stored(company)
    for address in (
        "/",
        f"/pbxs/{archive.pbx}",
        f"/pbxs/{archive.pbx}/waiting",
        f"/pbxs/{archive.pbx}/settings",
        f"/pbxs/{archive.pbx}/companies",
        f"/pbxs/{archive.pbx}/polls/{archive.poll}",
        "/pbxs/add",
        "/companies",
        f"/companies/{company}",
        f"/companies/{company}/settings",
        f"/companies/{company}/delete",
        f"/recordings/{recording}",
    ):
        text = sysadmin.get(address).text
        assert not re.search(r"<style|\sstyle=|\son[a-z]+=|<script(?![^>]* src=)", text), address
        assert not re.search(r"(src|href|action)=\"(https?:)?//", text), address


def test_style_and_scripts_are_cached_only_under_the_address_of_their_contents(
    anonymous: Browser,
) -> None:
    found = re.search(r'href="(/static/style.css\?v=[0-9a-f]+)"', anonymous.get("/login").text)
    assert found is not None
    assert "immutable" in anonymous.get(found[1]).headers["Cache-Control"]
    assert anonymous.get("/static/style.css?v=old").headers["Cache-Control"] == "no-cache"
