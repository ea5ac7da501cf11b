"""The certificate of destruction: that a company's recordings and keys are gone, and what that
does not cover.
"""

import json

from flask import Blueprint, Response, abort, render_template

from common import __version__, backup
from common.leaving import Signer
from common.queries import leaving
from webui import words
from webui.policy import Policy, requires
from webui.queries import audit
from webui.settings import connection, shared
from webui.views.evidence import zipped
from webui.views.media import disposition

routes = Blueprint("destruction", __name__)


def _deed(deed_id: int) -> audit.Deed:
    return audit.destruction(connection(), deed_id) or abort(404)


@routes.get("/destroyed/<int:deed_id>")
@requires(Policy.SEE)
def page(deed_id: int) -> str:
    """Show the page."""
    deed = _deed(deed_id)
    return render_template(
        "destruction.html",
        deed=deed,
        gone=deed.detail,
        box=leaving.box(connection()),
        backups_until=deed.at + backup.CATALOGUES,
        signs=shared().signing is not None,
    )


@routes.get("/destroyed/<int:deed_id>/certificate.zip")
@requires(Policy.MANAGE)
def certificate(deed_id: int) -> Response:
    """Send what the page says, signed: certificate.json, its signature, and the public key."""
    deed, db, secret = _deed(deed_id), connection(), shared().signing
    if secret is None:
        abort(404)
    signer = Signer(secret, leaving.signing_key(db))
    content = json.dumps(
        {
            "format": "callstash-destruction/1", "made_by": f"CallStash {__version__}",
            "box": str(leaving.box(db)), "destroyed_at": deed.at.isoformat(),
            "company": {name: deed.detail[name] for name in ("id", "name", "label", "pbx")},
            "asked_by": deed.detail["asked_by"], "recordings": deed.detail["recordings"],
            "key_ids": deed.detail["keys"], "not_covered": {
                "backups_until": (deed.at + backup.CATALOGUES).date().isoformat(),
                "exports": "what was handed over before",
            },
        },
        indent=1,
    ).encode()  # fmt: skip
    parts = [
        ("certificate.json", iter([content])),
        ("certificate.sig", iter([signer.sign(content)])),
        ("signer.pem", iter([signer.pem])),
    ]
    folder = f"destruction {words.day(deed.at.date())}"
    response = Response(b"".join(zipped(iter(parts), folder)), mimetype="application/zip")
    response.headers["Content-Disposition"] = disposition(f"{folder}.zip")
    return response
