"""Who may do what: every route of the URL map, as everybody, with and without the form's token."""

import re
from collections.abc import Callable
from uuid import UUID

import pytest
from flask import Flask

from common.db import Connection
from tests.web.browser import Browser
from tests.web.building import Archive
from tests.web.world import World
from webui import policy
from webui.policy import Policy, allows, requires

WHO = ("anonymous", "admin", "sysadmin", "user")

REFUSED = "Your account may not do this."


@pytest.fixture
def browse(
    world: World, as_user: Callable[..., Browser], archive: Archive, db: Connection
) -> Callable[[str], Browser]:
    """Return a new browser of one of WHO; the user hears all calls of the company."""
    user = archive.user("alice")

    def begin(who: str) -> Browser:
        if who == "anonymous":
            return Browser(world.app)
        browser = as_user(user, int(world.known["company_id"]))
        if who != "user":
            db.execute(
                "UPDATE session SET user_id = NULL, hears = '{}', account = %s"
                " WHERE token_sha256 = sha256(%s::text::bytea)",
                [who, browser.token],
            )
        return browser

    return begin


FORMS = {"anonymous": "/login", "user": "/calls"}  # a page of theirs that has a form


def test_every_route_is_open_to_those_whom_its_policy_names_and_to_nobody_else(
    world: World, browse: Callable[[str], Browser]
) -> None:
    tried = set()
    for who in WHO:
        for method, rule in world.routes():
            if rule == "/logout":
                continue
            browser = browse(who)
            address = world.fill(rule)
            endpoint = world.app.url_map.bind("").match(address, method)[0]
            needed = world.app.view_functions[endpoint].policy  # type: ignore[attr-defined]
            data = {"csrf": browser.csrf(FORMS.get(who, "/"))} if method == "POST" else None
            answer = browser.ask(method, address, data=data)
            location = answer.headers.get("Location", "")
            case = f"{who} {method} {address}: {answer.status} {location}"
            assert answer.status_code < 500, case
            text = answer.data.decode(errors="replace")
            if allows(needed, None if who == "anonymous" else who):
                assert not location.startswith("/login?"), case
                assert REFUSED not in text, case
            elif (who, rule) == ("user", "/"):
                assert location == "/calls"
            elif who == "anonymous":
                assert answer.status_code == 401 or (
                    answer.status_code == 303 and location.startswith("/login")
                ), case
            else:
                assert (answer.status_code, REFUSED in text) == (403, True), case
            tried.add((who, method, rule))
    assert len(tried) == len(WHO) * (len(world.routes()) - 1)


def test_every_form_without_its_token_is_refused_whoever_sends_it(
    world: World, browse: Callable[[str], Browser], db: Connection
) -> None:
    posts = [rule for method, rule in world.routes() if method != "GET"]
    assert len(posts) >= 12
    before = db.execute("SELECT count(*) FROM audit WHERE action <> 'login'").fetchone()
    for who in WHO:
        browser = browse(who)
        other = Browser(world.app).csrf()
        for rule in posts:
            address = world.fill(rule)
            for data in ({}, {"csrf": ""}, {"csrf": "0" * 64}, {"csrf": other}, {"csrf": "é"}):
                answer = browser.ask("POST", address, data=data)
                refused = (403, 303) if who == "anonymous" else (403,)
                assert answer.status_code in refused, f"{who} {address} {data}: {answer.status}"
    assert db.execute("SELECT count(*) FROM outbox").fetchone() == (0,)
    assert db.execute("SELECT count(*) FROM audit WHERE action <> 'login'").fetchone() == before


def test_what_is_not_there_is_not_found_on_any_route(world: World, sysadmin: Browser) -> None:
    tried = 0
    for method, rule in world.routes():
        address = world.fill(rule, **world.missing)
        if address == world.fill(rule):
            continue
        data = {"csrf": sysadmin.csrf("/")} if method == "POST" else None
        answer = sysadmin.ask(method, address, data=data)
        assert answer.status_code == 404, f"{method} {address}: {answer.status}"
        assert "There is nothing here" in answer.text or "This link has expired" in answer.text
        tried += 1
    assert tried >= 10


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
    sysadmin: Browser, world: World
) -> None:
    for address in world.pages():
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
