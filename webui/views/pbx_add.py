"""Adding a PBX: nothing is saved before it has accepted the token."""

from collections.abc import Iterable
from datetime import time
from functools import cache
from pathlib import Path
from zoneinfo import available_timezones

from flask import redirect, render_template, url_for
from werkzeug.wrappers import Response

from common import licence, pbx_registry
from common.db import Connection
from common.errors import ConfigError
from common.pbx_registry import NewPbx
from webui import auth, commands, pbx_check, words
from webui.forms import Form
from webui.pbx_check import Checked, Shown
from webui.policy import Policy, requires
from webui.queries import pbx_settings
from webui.settings import connection, shared
from webui.views.pbx import routes

KEEP = tuple(words.KEEP.items())
PERIODS = ((30, "30 minutes"), (60, "1 hour"), (360, "6 hours"), (1440, "1 day"))
_CARRIED = ("name", "keep_months", "poll_minutes", "poll_at", "timezone")


@cache
def zones() -> tuple[str, ...]:
    """Return the names of all time zones."""
    return tuple(sorted(available_timezones() - {"localtime", "Factory"}))


def _own_zone() -> str:
    linked = str(Path("/etc/localtime").resolve()).partition("/zoneinfo/")[2]
    wanted = (shared().settings.timezone, linked, "Europe/London")
    return next(zone for zone in wanted if zone in zones() and zone != "Etc/UTC")


@routes.get("/pbxs/add")
@requires(Policy.MANAGE)
def add() -> str:
    """Show the form."""
    blank = Form(
        {"keep_months": 0, "poll_minutes": 1440, "poll_at": "03:00", "timezone": _own_zone()}
    )
    return _page(blank)


@routes.post("/pbxs/add")
@requires(Policy.MANAGE)
def add_submit() -> Response | str | tuple[str, int]:
    """Check what was entered with the PBX, and add it."""
    form, db = Form.sent(), connection()
    read = read_common(form)
    token = read_token(form, read.url, "Enter the API token that you made on the PBX.")
    keep = read_number(form, "keep_months", KEEP)
    other = pbx_settings.taken(db, read.url)
    if other is not None:
        form.fail("url", f"The PBX {other} has this address already.")
    with db.transaction():
        if full := licence.room_for_pbx(db):
            form.fail("", full)
    if form.errors:
        return _page(form), 422
    checked = pbx_check.check(form, read.url, token, read.timezone, None)
    if isinstance(checked, Shown):
        return certificate_page(
            form, checked, read.url, token, _CARRIED, url_for("pbx.add_submit"), "add the PBX"
        )
    if checked is None:
        return _page(form), 422
    new = NewPbx(
        read.name, read.url, checked.certificate, read.timezone, read.poll_minutes, read.poll_at,
        keep,
    )  # fmt: skip
    added = _save(db, new, token)
    if added is None:
        form.fail("url", "There is a PBX with this address already.")
        return _page(form), 422
    commands.relay(db)
    auth.say(_welcome(new.name, checked))
    return redirect(url_for("pbx.page", pbx_id=added), 303)


def _save(db: Connection, new: NewPbx, token: str) -> int | None:
    with db.transaction():
        added = pbx_registry.add(db, new, token)
        if added is not None:
            pinned = new.certificate and pbx_registry.fingerprint(new.certificate)
            auth.note(
                db, "pbx.add", f"pbx:{added}", name=new.name, url=new.url, certificate=pinned,
                poll_minutes=new.poll_minutes, poll_at=f"{new.poll_at:%H:%M}",
                timezone=new.timezone, keep_months=new.keep_months,
            )  # fmt: skip
    return added


def _welcome(name: str, checked: Checked) -> str:
    labels = [company.label for company in checked.identity.companies]
    if not labels:
        return (
            f"{name} was added. The token's owner manages no companies on it yet: choose them on"
            " the PBX, and the next poll finds them."
        )
    more = f" and {len(labels) - 10:,} more" if len(labels) > 10 else ""
    return f"{name} was added. Its companies: {', '.join(labels[:10])}{more}."


def _page(form: Form) -> str:
    return render_template(
        "pbx_add.html", form=form, keep=KEEP, periods=PERIODS, zones=[(z, z) for z in zones()]
    )


# What adding a PBX and changing one have in common ------------------------------------------------


def read_number(form: Form, field: str, pairs: Iterable[tuple[int, str]]) -> int:
    """Return the number of a radio button; 0 where none is chosen, and that is noted."""
    value = form.choice(field, [str(number) for number, _ in pairs])
    return 0 if field in form.errors else int(value)


def read_common(form: Form) -> NewPbx:
    """Return the fields that both forms have; without a token, a certificate and retention."""
    name = form.text("name", "Enter a name by which people know this PBX.", 100)
    text, url = form.text("url", "Enter the address of the PBX, such as pbx.example.com.", 300), ""
    if "url" not in form.errors:
        try:
            url = pbx_registry.address(text)
            form.values["url"] = url
        except ConfigError as error:
            form.fail("url", f"{error}.")
    minutes = read_number(form, "poll_minutes", PERIODS)
    at = time(3)
    if minutes == 1440:
        try:
            at = time.fromisoformat(form.text("poll_at"))
        except ValueError:
            form.fail("poll_at", "Enter a time of day, such as 03:00.")
    zone = form.choice("timezone", zones())
    return NewPbx(name, url, None, zone, minutes, at.replace(second=0, microsecond=0, tzinfo=None))


def read_token(form: Form, url: str, missing: str) -> str:
    """Return the token that was typed, or that the page with the certificate carried."""
    token = form.secret("token").strip()
    token = token or pbx_check.carried(form.values.pop("carried", ""), url)
    if not token and missing:
        form.fail("token", missing)
    elif not token.isprintable() or not token.isascii():
        form.fail("token", "This is not an API token: it has characters that tokens don't have.")
    return token


def certificate_page(
    form: Form, shown: Shown, url: str, token: str, fields: Iterable[str], action: str, label: str
) -> str:
    """Ask an administrator to compare a certificate; what was typed comes back with the answer."""
    kept = {name: form.values.get(name, "") for name in fields}
    kept |= {"url": url, "fingerprint": shown.fingerprint, "carried": pbx_check.carry(token, url)}
    return render_template(
        "pbx_certificate.html", shown=shown, url=url, kept=kept, action=action, label=label
    )
