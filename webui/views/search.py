"""Finding calls: one box, a few filters, and an address that holds the whole search."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, time
from typing import Any
from uuid import UUID

from flask import Blueprint, Response, render_template, request, stream_with_context, url_for

from common import tables
from webui import auth, cursor, search_words
from webui.forms import Form
from webui.policy import Policy, requires
from webui.queries import companies, recordings, search
from webui.queries.search import Call, Key, Wanted
from webui.scope import Scope
from webui.settings import connection, shared

routes = Blueprint("search", __name__)

PAGE, CHUNK = 50, 2000
MOST_COMPANIES = 200  # in the list to choose from
MINE = "mine"
FIELDS = ("q", "since", "until", "direction", "length", "whose")
DIRECTIONS = [
    ("", "any direction"), ("inbound", "inbound"), ("outbound", "outbound"),
    ("internal", "internal"),
]  # fmt: skip
LENGTHS: dict[str, tuple[str, int | None, int | None]] = {
    "": ("any length", None, None),
    "answered": ("answered", 1, None),
    "unanswered": ("not answered", None, 0),
    "to-10": ("up to 10 seconds", None, 10),
    "from-10": ("10 seconds or more", 10, None),
    "from-60": ("1 minute or more", 60, None),
    "from-600": ("10 minutes or more", 600, None),
    "from-3600": ("1 hour or more", 3600, None),
}
COLUMNS = ("started", "seconds", "direction", "caller", "caller name", "callee", "callee name",
           "company", "state", "id", "address")  # fmt: skip


@dataclass(frozen=True)
class Search:
    """A search as its address says it: the form, and what it means."""

    form: Form
    scope: Scope
    wanted: Wanted

    @property
    def asked(self) -> dict[str, str]:
        """Return the arguments that make up the address."""
        return {name: self.form.values[name] for name in FIELDS if self.form.values.get(name)}


def read() -> Search:
    """Return the search in the address of this request; its form says what is wrong with it."""
    form, zone = Form(request.args), shared().zone
    today = shared().local(datetime.now().astimezone()).date()
    meant = search_words.meant(form.text("q"), today)
    if meant.problem:
        form.fail("q", meant.problem)
    days = [
        datetime.combine(day, time(), tzinfo=zone).astimezone() if day else None
        for day in (meant.since, meant.until)
    ]
    since = [when for when in (form.day("since", zone), days[0]) if when]
    until = [when for when in (form.day("until", zone, 1), days[1]) if when]
    direction, length = form.text("direction"), form.text("length")
    if direction not in dict(DIRECTIONS):
        form.fail("direction", "Choose one of these.")
    if length not in LENGTHS:
        form.fail("length", "Choose one of these.")
    _, shortest, longest = LENGTHS.get(length, LENGTHS[""])
    wanted = Wanted(
        meant.texts, max(since, default=None), min(until, default=None), direction or None,
        shortest, longest,
    )  # fmt: skip
    return Search(form, _scope(form), wanted)


def _scope(form: Form) -> Scope:
    whose, scope = form.text("whose", longest=12), auth.scope()
    if not whose:
        return scope
    if whose == MINE and scope.user_id is not None:
        return search.within(scope, None)
    if whose.isascii() and whose.isdigit() and int(whose) < 1 << 31:
        return search.within(scope, int(whose))
    form.fail("whose", "Choose one of these.")
    return scope


@routes.get("/calls")
@requires(Policy.FIND)
def page() -> tuple[str, int]:
    """Show what was found."""
    asked, before, db = read(), cursor.read("before", datetime, UUID), connection()
    found = search.Found([], 0, True)
    if not asked.form.errors:
        found = search.search(db, asked.scope, asked.wanted, before, PAGE + 1)
    calls = found.calls[:PAGE]
    labels = companies.labels(db, {call.company_id for call in calls})
    return render_template(
        "search.html",
        form=asked.form,
        asked=asked.asked,
        calls=calls,
        closed=recordings.closed(db, [call.id for call in calls]),
        found=found,
        labels=labels,
        several=len(asked.scope.companies) != 1 and (auth.scope().everything or len(labels) > 1),
        first=before is None,
        older=cursor.write(calls[-1], "started_at", "id") if len(found.calls) > PAGE else None,
        directions_=DIRECTIONS,
        lengths=[(value, words) for value, (words, _, _) in LENGTHS.items()],
        whose=_choices(asked),
    ), 422 if asked.form.errors else 200


def _choices(asked: Search) -> list[tuple[str, str]]:
    """Return whose calls can be chosen from; nothing where there is no choice."""
    db, scope, chosen = connection(), auth.scope(), asked.form.values.get("whose", "")
    if scope.everything:
        known = companies.some(db, MOST_COMPANIES)
    else:
        known = list(companies.labels(db, set(scope.companies[:MOST_COMPANIES])).items())
    options = [(str(company), label) for company, label in known]
    if chosen.isdigit() and chosen not in dict(options) and not asked.form.errors:
        label = companies.labels(db, {int(chosen)} & {*asked.scope.companies})
        options += [(str(company), name) for company, name in label.items()]
    if scope.user_id is not None and options:
        options.insert(0, (MINE, "my own calls"))
    if len(options) < 2:
        return []
    return [("", "all calls" if scope.everything else "all that I may hear"), *options]


@routes.get("/calls.csv")
@requires(Policy.FIND)
def export() -> Response | tuple[str, int]:
    """Send everything that was found as a table."""
    asked = read()
    if asked.form.errors:
        return page()
    auth.note(connection(), "search.export", "", **asked.asked)
    response = Response(stream_with_context(_table(asked)), mimetype="text/csv")
    response.headers["Content-Disposition"] = 'attachment; filename="calls.csv"'
    return response


def _table(asked: Search) -> Iterator[str]:
    yield tables.BEGIN + tables.lines([COLUMNS])
    before: Key | None = None
    labels: dict[int, str] = {}
    while calls := search.search(connection(), asked.scope, asked.wanted, before, CHUNK).calls:
        unknown = {call.company_id for call in calls} - labels.keys()
        labels |= companies.labels(connection(), unknown)
        yield tables.lines(_row(call, labels[call.company_id]) for call in calls)
        before = calls[-1].started_at, calls[-1].id


def _row(call: Call, label: str) -> list[Any]:
    there = url_for("recording.page", recording_id=call.id, _external=True)
    return [
        shared().local(call.started_at), call.duration, call.direction, call.caller,
        call.caller_name, call.callee, call.callee_name, label, call.state, call.id, there,
    ]  # fmt: skip
