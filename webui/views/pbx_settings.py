"""The settings of a PBX: what is new in them is checked with the PBX before it is saved."""

from dataclasses import replace

from flask import abort, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from common import pbx_registry
from common.db import Connection
from common.errors import ConfigError, Unreachable
from common.pbx_registry import NewPbx
from webui import auth, commands, pbx_check
from webui.forms import Form
from webui.pbx_check import Shown
from webui.policy import Policy, requires
from webui.queries import pbx_settings
from webui.queries.pbx_settings import PbxSettings
from webui.settings import connection
from webui.views.pbx import ONE, routes
from webui.views.pbx_add import PERIODS, certificate_page, read_common, read_token, zones

STATES = (("active", "Active"), ("suspended", "Suspended"))
_CARRIED = ("name", "state", "poll_minutes", "poll_at", "timezone", "revision")
_STALE = (
    "Somebody else has changed these settings meanwhile. Below is what you entered; the settings"
    " as they are now stand on the page of the PBX. Send yours again to replace them."
)
_TOKEN_TOO = (
    "Enter the token as well: it is sent to the new address to check it, and the one that is"
    " stored can't be read back."
)

Page = Response | str | tuple[str, int]


def _settings(pbx_id: int) -> PbxSettings:
    return pbx_settings.settings(connection(), pbx_id) or abort(404)


@routes.get(f"{ONE}/settings")
@requires(Policy.MANAGE)
def settings(pbx_id: int) -> str:
    """Show the form."""
    old = _settings(pbx_id)
    return _page(
        old,
        Form(
            {
                "name": old.name, "url": old.url, "state": old.state, "timezone": old.timezone,
                "poll_minutes": old.poll_minutes, "poll_at": f"{old.poll_at:%H:%M}",
                "revision": old.revision,
            }
        ),
    )  # fmt: skip


@routes.post(f"{ONE}/settings")
@requires(Policy.MANAGE)
def settings_submit(pbx_id: int) -> Page:
    """Save the settings, after a check with the PBX where its address or token is new."""
    form, db, old = Form.sent(), connection(), _settings(pbx_id)
    read, state = read_common(form), form.choice("state", [value for value, _ in STATES])
    is_elsewhere = bool(read.url) and read.url != old.url or form.flag("unpin")
    token = read_token(form, read.url, _TOKEN_TOO if is_elsewhere else "")
    other = pbx_settings.taken(db, read.url, pbx_id)
    if other is not None:
        form.fail("url", f"The PBX {other} has this address already.")
    if form.values.get("revision") != str(old.revision):
        form.fail("", _STALE)
        form.values["revision"] = str(old.revision)
    if form.errors:
        return _page(old, form), 422
    certificate = None if is_elsewhere else old.certificate
    if token:
        checked = pbx_check.check(form, read.url, token, read.timezone, certificate)
        if isinstance(checked, Shown):
            action = url_for("pbx.settings_submit", pbx_id=pbx_id)
            return certificate_page(
                form, checked, read.url, token, (*_CARRIED, "unpin"), action, "save"
            )
        if checked is None:
            return _page(old, form), 422
        certificate = checked.certificate
    if not _save(db, old, _changed(old, read, state, certificate), token):
        form.fail("", _STALE)
        form.values["revision"] = str(_settings(pbx_id).revision)
        return _page(_settings(pbx_id), form), 422
    auth.say("The settings were saved.")
    return redirect(url_for("pbx.page", pbx_id=pbx_id), 303)


@routes.post(f"{ONE}/certificate")
@requires(Policy.MANAGE)
def certificate(pbx_id: int) -> Page:
    """Show the certificate that the PBX shows now; pin it where its fingerprint was accepted."""
    db, old, accepted = connection(), _settings(pbx_id), request.form.get("fingerprint", "")
    try:
        shown = pbx_check.look(old.url, accepted)
    except (ConfigError, Unreachable) as error:
        auth.say(f"The certificate can't be looked at. {error}.")
        return redirect(url_for("pbx.settings", pbx_id=pbx_id), 303)
    if not accepted or shown.replaced:
        return render_template(
            "pbx_certificate.html",
            shown=shown,
            url=old.url,
            pinned=old.certificate and pbx_registry.fingerprint(old.certificate),
            kept={"fingerprint": shown.fingerprint},
            action=url_for("pbx.certificate", pbx_id=pbx_id),
            label="save",
        )
    if _save(db, old, replace(old, certificate=shown.pem), ""):
        auth.say("The certificate was saved: only this one is accepted from now on.")
    else:
        auth.say("Somebody else changed the settings at the same moment. Look once more.")
    return redirect(url_for("pbx.page", pbx_id=pbx_id), 303)


def _changed(old: PbxSettings, read: NewPbx, state: str, certificate: str | None) -> PbxSettings:
    at = read.poll_at if read.poll_minutes == 1440 else old.poll_at
    return replace(
        old, name=read.name, url=read.url, certificate=certificate, timezone=read.timezone,
        state=state, poll_minutes=read.poll_minutes, poll_at=at,
    )  # fmt: skip


def _save(db: Connection, old: PbxSettings, new: PbxSettings, token: str) -> bool:
    """Save, note what is different, and tell the poller; False where somebody else was faster."""
    with db.transaction():
        sealed = pbx_registry.seal_token(db, old.uid, token) if token else None
        if not pbx_settings.change(db, new, sealed):
            return False
        before, after = _words(old), _words(new)
        different = [key for key in after if before[key] != after[key]]
        if different or token:
            auth.note(
                db, "pbx.change", f"pbx:{old.id}",
                before={key: before[key] for key in different},
                after={key: after[key] for key in different} | ({"token": "new"} if token else {}),
            )  # fmt: skip
        commands.pbx_changed(db, old.id)
    commands.relay(db)
    return True


def _words(settings: PbxSettings) -> dict[str, object]:
    pinned = settings.certificate and pbx_registry.fingerprint(settings.certificate)
    return {
        "name": settings.name, "url": settings.url, "certificate": pinned,
        "timezone": settings.timezone, "state": settings.state,
        "poll_minutes": settings.poll_minutes, "poll_at": f"{settings.poll_at:%H:%M}",
    }  # fmt: skip


def _page(old: PbxSettings, form: Form) -> str:
    fingerprint = old.certificate and pbx_registry.fingerprint(old.certificate)
    return render_template(
        "pbx_settings.html",
        pbx=old,
        form=form,
        pinned=pbx_check.pairs(fingerprint) if fingerprint else None,
        periods=PERIODS,
        states_to_choose=STATES,
        zones=[(zone, zone) for zone in zones()],
    )
