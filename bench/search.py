"""How long it takes to find one call among ten million: 300 companies, some of them large.

The calls are generated in bulk; `./dev bench search 1000000` takes fewer. Each question is asked
of the web UI's own search, warm, with other numbers and names each time, and some once more of a
database that may use no index.
"""

import random
import statistics
import sys
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg

from common import db as database
from devtools.setup import VAR
from devtools.stack import Stack, run_directory
from webui import search_words
from webui.queries import search
from webui.queries.search import Wanted
from webui.scope import Scope

COUNT, COMPANIES, YEARS, ROUNDS, PAGE = 10_000_000, 300, 5, 60, 51
NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
BEGIN = NOW - timedelta(days=365 * YEARS)
FIRST = ("Alice", "Bob", "Carol", "Dave", "Erin", "Frank", "Grace", "Heidi", "Ivan", "Judy", "Karl",
         "Laura", "Mallory", "Niaj", "Olivia", "Peggy", "Quentin", "Rupert", "Sybil", "Trent",
         "Ursula", "Victor", "Wendy", "Xavier", "Yvonne", "Zachary")  # fmt: skip
LAST = ("Archer", "Baker", "Clerk", "Dealer", "Ericson", "Fletcher", "Green", "Hunter", "Ibsen",
        "Jones", "Keller", "Lorimer", "Mason", "Norris", "Oakley", "Porter", "Quigley", "Rhodes",
        "Sawyer", "Tanner", "Underhill", "Vickers", "Weaver", "Yates", "Zimmer")  # fmt: skip

# Company n has a share of 1/(n + 3) of the calls, which come in the order of their time.
FILL = """
CREATE TEMPORARY TABLE made AS
    SELECT n, 200 + c AS company, 20000 + c * 211 + floor(random() ^ 1.7 * (30 + %(count)s / 8000.0
               / (c + 3) / 4))::int AS extension,
           random() AS way, random() AS who, (n + %(done)s) / %(total)s::float8 AS at,
           random() AS long
    FROM (SELECT n, least(%(companies)s,
              ceil(exp(random() * ln((%(companies)s + 4) / 4.0)) * 4 - 3))::int AS c
          FROM generate_series(1, %(count)s) n) t;
INSERT INTO recording (id, pbx_id, company_id, remote_id, poll_id, state, started_at, duration,
    caller, callee, caller_name, callee_name, direction, stored_at)
SELECT gen_random_uuid(), 10, company, 'c' || n, 1, 'stored', at, duration,
       CASE WHEN out THEN extension::text ELSE other END,
       CASE WHEN out THEN other ELSE extension::text END,
       CASE WHEN out THEN name ELSE '' END, CASE WHEN out THEN '' ELSE name END,
       (CASE WHEN out THEN 'outbound' ELSE 'inbound' END)::call_direction, at
FROM (SELECT n, company, extension, way < 0.5 AS out, %(begin)s + at * %(span)s::interval AS at,
             CASE WHEN long < 0.04 THEN 0 ELSE (5 - ln(1 - long) * 140)::int END AS duration,
             CASE WHEN way < 0.3 THEN '0' ELSE '+44' END
             || (1200000000 + floor(who ^ 3 * 700000000))::bigint AS other,
             (%(first)s::text[])[1 + extension %% %(firsts)s] || ' '
             || (%(last)s::text[])[1 + extension / 7 %% %(lasts)s] AS name FROM made) m
"""


def fill(db: psycopg.Connection[Any], count: int) -> None:
    """Insert the calls; the indexes of texts are built afterwards."""
    db.execute("INSERT INTO pbx (name, url, token_sealed, timezone) VALUES"
               " ('Bench', 'https://pbx.example.com', 'x', 'Europe/London')")  # fmt: skip
    db.execute("INSERT INTO poll (pbx_id, trigger, state, finished_at)"
               " VALUES (10, 'first', 'finished', now())")  # fmt: skip
    db.execute("INSERT INTO company (pbx_id, name, label) SELECT 10, 'c' || n, 'Company ' || n"
               " FROM generate_series(1, %s) n", [COMPANIES])  # fmt: skip
    kept = db.execute(
        "SELECT indexname, indexdef FROM pg_indexes WHERE tablename = 'recording'"
        " AND indexname IN ('recording_parties', 'recording_caller', 'recording_callee',"
        " 'recording_started', 'recording_newest')"
    ).fetchall()
    for name, _ in kept:
        db.execute(f'DROP INDEX "{name}"')
    batch = 1_000_000
    for done in range(0, count, batch):
        arguments = {
            "count": min(batch, count - done), "done": done, "total": count,
            "companies": COMPANIES, "begin": BEGIN,
            "span": NOW - BEGIN, "first": list(FIRST), "firsts": len(FIRST), "last": list(LAST),
            "lasts": len(LAST),
        }  # fmt: skip
        with db.transaction(), psycopg.ClientCursor(db) as cursor:
            cursor.execute(FILL.replace("'c' || n", f"'c' || (n + {done})"), arguments)
            cursor.execute("DROP TABLE made")
        print(f"{min(count, done + batch):,} calls", file=sys.stderr)
    for _, definition in kept:
        db.execute(definition)
    db.execute(
        "INSERT INTO pbx_user (pbx_id, remote_id) SELECT 10, e FROM (SELECT DISTINCT"
        " CASE WHEN direction = 'outbound' THEN caller ELSE callee END AS e FROM recording) e"
    )
    db.execute("SET session_replication_role = replica")  # the foreign keys hold
    db.execute(
        "INSERT INTO recording_owner (recording_id, user_id, started_at)"
        " SELECT r.id, u.id, r.started_at FROM recording r JOIN pbx_user u ON u.remote_id ="
        " CASE WHEN r.direction = 'outbound' THEN r.caller ELSE r.callee END"
    )
    db.execute("RESET session_replication_role")
    db.execute("VACUUM ANALYZE recording")
    db.execute("VACUUM ANALYZE recording_owner")


def asked(words: str, scope: Scope, **other: Any) -> tuple[Scope, Wanted]:
    """Return a question that somebody types."""
    texts = search_words.meant(words, NOW.date()).texts
    return scope, Wanted(texts, **other)


def questions(db: psycopg.Connection[Any], chance: random.Random) -> dict[str, list[Any]]:
    """Return the questions of each kind: of a user, of managers, of an administrator."""
    size = db.execute(
        "SELECT company_id, count(*) FROM recording GROUP BY 1 ORDER BY 2 DESC"
    ).fetchall()
    busy, all_companies = [row[0] for row in size[:3]], tuple(row[0] for row in size)
    users = db.execute(
        "SELECT DISTINCT user_id FROM recording_owner TABLESAMPLE SYSTEM (0.1) LIMIT 200"
    ).fetchall()
    calls = db.execute(
        "SELECT company_id, CASE WHEN direction = 'outbound' THEN callee ELSE caller END,"
        " caller_name || callee_name, started_at FROM recording"
        " WHERE id > gen_random_uuid() ORDER BY id LIMIT 2000"
    ).fetchall()
    some = chance.choices(calls, k=ROUNDS)
    everything, kinds = Scope(everything=True), {}
    kinds["my_last_day"] = [
        asked("", Scope(user_id=user), since=NOW - timedelta(days=1))
        for (user,) in chance.choices(users, k=ROUNDS)
    ]
    kinds["my_number"] = [
        asked(number, Scope(user_id=user))
        for (user,), (_, number, _, _) in zip(chance.choices(users, k=ROUNDS), some, strict=True)
    ]
    for name, scopes in (
        ("company", [Scope(companies=(company,)) for company, *_ in some]),
        ("busy", [Scope(companies=(chance.choice(busy),)) for _ in some]),
        ("everything", [everything for _ in some]),
        ("all_companies", [Scope(companies=all_companies) for _ in some]),
    ):
        known = list(zip(some, scopes, strict=True))
        kinds[f"{name}_number"] = [asked(call[1], scope) for call, scope in known]
        kinds[f"{name}_last4"] = [asked(call[1][-4:], scope) for call, scope in known]
        kinds[f"{name}_name"] = [asked(call[2][-5:], scope) for call, scope in known]
        kinds[f"{name}_month"] = [
            asked("", scope, since=call[3], until=call[3] + timedelta(days=30))
            for call, scope in known
        ]
        kinds[f"{name}_month_name"] = [
            asked(call[2][:4], scope, since=call[3], until=call[3] + timedelta(days=30))
            for call, scope in known
        ]
        kinds[f"{name}_long"] = [asked("", scope, shortest=1200) for _, scope in known]
    return kinds


def main() -> None:
    """Print a line for each question, and how much slower reading all calls is."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else COUNT
    stack = Stack(run_directory(VAR / "bench"), fsync=False)
    stack.postgres.start()
    try:
        with stack.postgres.connect() as server:
            server.execute("CREATE DATABASE bench")
        with stack.postgres.connect("bench") as db:
            database.migrate(db)
            db.execute("SET maintenance_work_mem = '1GB'")
            db.execute("SET synchronous_commit = off")
            fill(db, count)
        with database.connect(stack.postgres.dsn("bench"), "web") as web:
            ask(web, count)
    finally:
        stack.stop()


def ask(db: psycopg.Connection[Any], count: int) -> None:
    """Ask all questions."""
    chance = random.Random(11)
    fast, slow = [], []
    for name, kind in questions(db, chance).items():
        took = []
        for number, (scope, wanted) in enumerate([*kind[:5], *kind]):
            begun = time.perf_counter()
            search.search(db, scope, wanted, None, PAGE)
            if number >= 5:
                took.append((time.perf_counter() - begun) * 1000)
        worst = sorted(took)[int(len(took) * 0.95)]
        print(f"search {name} p95 {worst:.1f}ms, median {statistics.median(took):.1f}ms")
        fast.append(statistics.median(took))
        if name in ("my_last_day", "company_number", "busy_last4", "busy_name", "busy_month"):
            db.execute("SET enable_indexscan = off")
            db.execute("SET enable_bitmapscan = off")
            db.execute("SET enable_indexonlyscan = off")
            begun = time.perf_counter()
            search.search(db, kind[0][0], kind[0][1], None, PAGE)
            slow.append((time.perf_counter() - begun) * 1000 / statistics.median(took))
            db.execute("RESET enable_indexscan")
            db.execute("RESET enable_bitmapscan")
            db.execute("RESET enable_indexonlyscan")
    print(f"ratio search_vs_scan {statistics.median(slow):.0f} (of {count:,} calls)")


if __name__ == "__main__":
    main()
