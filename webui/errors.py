"""Errors as pages: what happened and what to do, in the same look as everything else."""

import logging

import psycopg
from flask import Flask, g, render_template
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import HTTPException, TooManyRequests

from common.errors import ArchiveError, CallStashError, KeyUnavailable
from common.ffmpeg import DecoderFailed
from webui import auth

log = logging.getLogger(__name__)

WORDS = {
    400: ("This request makes no sense", "Go back, reload the page, and try again."),
    401: ("You are not logged in", "Your session has ended. Log in again to continue."),
    403: ("Not allowed", "Your account may not do this."),
    404: ("Not found", "There is nothing here, or nothing that you may see."),
    405: ("That does not work here", "This address can't be used in this way."),
    413: ("Too large", "What was sent is larger than this page accepts."),
    416: ("Beyond the end", "The recording has no such part."),
    429: ("Too many attempts", "Wait a little and try again."),
    500: (
        "Something went wrong",
        "This is a fault in CallStash. It is in the journal of callstash-web.",
    ),
    502: (
        "This recording can't be played",
        "Its file in the archive is missing or was altered, so nothing of it is sent. "
        "Restore it from the backup; the journal of callstash-web says what is wrong.",
    ),
    503: (
        "The database does not answer",
        "CallStash goes on by itself when it does. Try again soon.",
    ),
}


def page(status: int, detail: str | None = None) -> tuple[str, int]:
    """Return the page of an error; `detail` replaces the standing advice."""
    g.is_error_page = True
    title, advice = WORDS.get(status, WORDS[500 if status >= 500 else 400])
    return render_template(
        "error.html", status=status, title=title, advice=detail or advice
    ), status


def _http(error: HTTPException) -> ResponseReturnValue:
    status = error.code or 500
    if status < 400:
        return error
    if "user" not in g and status in (404, 405):
        try:
            auth.user()  # so that the page has its menu
        except psycopg.OperationalError:
            g.user = None
    ours = error.description if error.description != type(error).description else None
    body, _ = page(status, ours)
    headers = {}
    if isinstance(error, TooManyRequests) and error.retry_after is not None:
        headers["Retry-After"] = str(error.retry_after)
    valid = getattr(error, "valid_methods", None)
    if valid:
        headers["Allow"] = ", ".join(valid)
    return body, status, headers


def _database(error: psycopg.OperationalError) -> tuple[str, int]:
    log.warning("the database does not answer: %s", str(error).strip().replace("\n", " "))
    return page(503)


def _recording(error: CallStashError) -> tuple[str, int]:
    if isinstance(error, KeyUnavailable):
        return page(502, "The key to it does not open it; the journal of callstash-web says why.")
    if isinstance(error, ArchiveError):
        return page(502)
    if isinstance(error, DecoderFailed):
        return page(502, f"It is intact, but not made playable here: {error}. Download it.")
    return page(500, f"{error}.")


def register(app: Flask) -> None:
    """Make `app` answer errors with these pages."""
    app.register_error_handler(HTTPException, _http)
    app.register_error_handler(psycopg.OperationalError, _database)
    app.register_error_handler(CallStashError, _recording)
