"""Style, scripts and pictures: served by us, cached by browsers while they stay the same."""

import hashlib
from functools import cache
from pathlib import Path

from flask import Blueprint, Response, request, send_from_directory, url_for

from webui.policy import Policy, requires

routes = Blueprint("assets", __name__)
DIRECTORY = Path(__file__).parent / "static"


@cache
def _digest(name: str) -> str:
    return hashlib.sha256((DIRECTORY / name).read_bytes()).hexdigest()[:16]


def address(name: str) -> str:
    """Return the URL of a file, which changes with its contents."""
    return url_for("assets.file", name=name, v=_digest(name))


@routes.get("/static/<name>")
@requires(Policy.PUBLIC)
def file(name: str) -> Response:
    """Send a file."""
    response = send_from_directory(DIRECTORY, name)
    if response.status_code == 200 and request.args.get("v") == _digest(name):
        response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
    else:
        response.headers["Cache-Control"] = "no-cache"
    return response
