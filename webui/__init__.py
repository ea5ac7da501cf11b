"""The web UI: pages for administrators and users, rendered here; it plays what is archived.

Reads the tables of the daemons; writes settings, sessions, notes, links, mail, the audit log, and
commands in the outbox.
"""

from flask import Flask, Response, g

from common import config, db, journal, keys
from common.playback import KeyRing
from common.store import Store
from webui import assets, auth, errors, menu, policy, warnings, words
from webui.database import Database
from webui.settings import Settings, Shared
from webui.views import (
    account,
    administrators,
    alerts,
    audit,
    backup,
    companies,
    company,
    company_settings,
    completeness,
    destruction,
    evidence,
    exports,
    holds,
    home,
    housekeeping,
    licence,
    links,
    listen,
    login,
    mail,
    media,
    notes,
    pbx,
    pbx_add,
    pbx_settings,
    recording,
    retention,
    search,
    support,
    system,
    upgrade,
    webhooks,
)

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; media-src 'self';"
        " connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Permissions-Policy": "camera=(), display-capture=(), geolocation=(), microphone=(), usb=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def create_app(
    settings: Settings | None = None,
    master_key: bytes | None = None,
    sign_key: bytes | None = None,
) -> Flask:
    """Return the application; without arguments configured by callstash.toml, as a process.

    Raises ConfigError, and RuntimeError where a route names no policy.
    """
    if settings is None:
        journal.setup("callstash-web")
        settings = config.load("web", Settings)
        with db.connect(settings.database, "web") as connection:
            db.check_schema(connection)
    app = Flask(__name__, static_folder=None)
    app.config.update(MAX_CONTENT_LENGTH=64 * 1024, MAX_FORM_PARTS=50)
    app.jinja_env.tests["route"] = lambda endpoint: endpoint in app.view_functions
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    app.extensions["callstash"] = Shared(
        settings,
        Database(settings.database),
        Store(settings.archive),
        KeyRing(master_key or keys.load_credential("master.key")),
        sign_key or keys.find_credential("sign.key"),
    )
    blueprints = (
        assets, login, home, pbx, pbx_add, pbx_settings, companies, company, company_settings,
        recording, media, account, administrators, audit, licence, mail, holds, retention,
        system, search, notes, links, listen, housekeeping, alerts,
        completeness, webhooks, backup, evidence, exports, destruction, support, upgrade,
    )  # fmt: skip
    for routes in dict.fromkeys(views.routes for views in blueprints):
        app.register_blueprint(routes)
    words.register(app)
    app.add_template_filter(warnings.page, "alert_page")
    errors.register(app)
    policy.check(app)
    app.before_request(auth.enforce)
    app.after_request(auth.finish)
    app.after_request(_protect)
    app.context_processor(
        lambda: {
            "user": g.get("user"),
            "csrf": auth.csrf,
            "notice": auth.notice,
            "menu": menu.entries,
            "may": menu.may,
            "MAIN": menu.MAIN,
            "SETTINGS": menu.SETTINGS,
            "asset": assets.address,
        }
    )
    return app


def _protect(response: Response) -> Response:
    for name, value in HEADERS.items():
        response.headers[name] = value
    response.headers.setdefault("Cache-Control", "private, no-store")
    return response
