"""The audit of an archive's books.

They balance when every recording that the PBX offers is stored exactly once and decrypts to the
bytes that the PBX served, and when nothing else lies about anywhere.
"""

import functools
import hashlib
from collections import Counter
from collections.abc import Mapping
from typing import Any

import pika
import psycopg

from common import archive, db, keys, topology
from common.store import Store
from devtools.installation import Installation

_open = functools.cache(keys.open_company_key)  # checking an RSA key takes long


def discrepancies(ours: Installation, offered: list[Mapping[str, Any]]) -> list[str]:
    """Return everything that is wrong, in words; `offered` is what the simulator says it offers."""
    with ours.connect() as connection:
        return [
            *_rows(connection, offered),
            *_files(ours, connection),
            *_contents(ours, connection, offered),
            *_left_over(ours, connection),
        ]


def is_settled(ours: Installation, offered: int) -> bool:
    """Say whether so many recordings are stored, nothing is on its way, and no poll begins any
    more, which stopping would cut off.
    """
    with ours.connect() as connection:
        row = connection.execute(
            "SELECT (SELECT count(*) FROM recording_audio) = %s"
            " AND NOT EXISTS (SELECT FROM recording WHERE next_try_at IS NOT NULL)"
            " AND NOT EXISTS (SELECT FROM poll WHERE finished_at IS NULL)"
            " AND NOT EXISTS (SELECT FROM outbox WHERE sent_at IS NULL)"
            " AND NOT EXISTS (SELECT FROM unlink_pending)"
            " AND EXISTS (SELECT FROM inbox WHERE consumer = 'poller' AND message_id ="
            " (SELECT id FROM outbox WHERE topic = 'poller.poll_now.v1'"
            " ORDER BY created_at DESC LIMIT 1))"
            " AND NOT EXISTS (SELECT FROM poll_schedule WHERE requested_at IS NOT NULL"
            " OR next_poll_at < now() + interval '1 minute')",
            [offered],
        ).fetchone()
    return bool(row and row[0])


def _rows(connection: psycopg.Connection[Any], offered: list[Mapping[str, Any]]) -> list[str]:
    expected = Counter((call["company"], call["file"]) for call in offered)
    found = Counter(
        connection.execute(
            "SELECT c.name, r.remote_id FROM recording r JOIN company c ON c.id = r.company_id"
            " WHERE r.state = 'stored' AND r.next_try_at IS NULL"
        ).fetchall()
    )
    wrong = [f"not stored: {key}" for key in expected - found]
    wrong += [f"stored, but not offered or more than once: {key}" for key in found - expected]
    for state, waiting, number in connection.execute(
        "SELECT state, waiting, count(*) FROM recording"
        " WHERE state <> 'stored' OR next_try_at IS NOT NULL GROUP BY 1, 2"
    ):
        wrong.append(f"{number} recordings are {state}, waiting: {waiting}")
    return wrong


def _files(ours: Installation, connection: psycopg.Connection[Any]) -> list[str]:
    store = Store(ours.archive)
    expected = {
        store.path(*row)
        for row in connection.execute(
            "SELECT r.company_id, r.started_at, r.id, a.generation FROM recording_audio a"
            " JOIN recording r ON r.id = a.recording_id"
        )
    }
    found = {path for path in ours.archive.rglob("*") if path.is_file()}
    found -= {ours.archive / ".incoming" / "lock", ours.archive / "archive.id"}
    wrong = [f"no file of a row: {path}" for path in expected - found]
    return wrong + [f"a file without a row: {path}" for path in found - expected]


def _contents(
    ours: Installation, connection: psycopg.Connection[Any], offered: list[Mapping[str, Any]]
) -> list[str]:
    served = {(call["company"], call["file"]): call["sha256"] for call in offered}
    private = {
        (row[0], row[1]): _open(ours.master, row[2], row[3], row[4], row[1])
        for row in connection.execute(
            "SELECT k.company_id, k.version, k.private_sealed, c.uid, k.kid FROM company_key k"
            " JOIN company c ON c.id = k.company_id"
        )
    }
    wrong = []
    for (
        company,
        uid,
        name,
        remote,
        started,
        recording,
        generation,
        version,
        ecek,
        file_hash,
    ) in connection.execute(
        "SELECT c.id, c.uid, c.name, r.remote_id, r.started_at, r.id, a.generation,"
        " a.key_version, a.ecek, a.file_sha256 FROM recording r"
        " JOIN recording_audio a ON a.recording_id = r.id JOIN company c ON c.id = r.company_id"
    ):
        path = Store(ours.archive).path(company, started, recording, generation)
        cek = keys.unwrap(private[company, version], ecek)
        with path.open("rb") as file:
            if hashlib.file_digest(file, "sha256").digest() != file_hash:
                wrong.append(f"another file than the row says: {path}")
            reader = archive.Reader(file, cek, recording=recording, company=uid)
            digest = hashlib.sha256()
            for piece in reader.read_range(0, reader.size):
                digest.update(piece)
        if digest.hexdigest() != served.get((name, remote)):
            wrong.append(f"not the audio that was served: {name} {remote}")
    return wrong


def _left_over(ours: Installation, connection: psycopg.Connection[Any]) -> list[str]:
    wrong = []
    for what, query in {
        "messages not sent": "SELECT count(*) FROM outbox WHERE sent_at IS NULL",
        "files to unlink": "SELECT count(*) FROM unlink_pending",
        "polls not ended": "SELECT count(*) FROM poll WHERE finished_at IS NULL",
        "calls too many in the totals": "SELECT (SELECT coalesce(sum(calls), 0) FROM company_usage)"
        " - (SELECT count(*) FROM recording_audio)",
        "bytes too many in the totals": "SELECT (SELECT coalesce(sum(bytes), 0) FROM company_usage)"
        " - (SELECT coalesce(sum(file_size), 0) FROM recording_audio)",
    }.items():
        row = connection.execute(query).fetchone()
        assert row is not None
        if row[0]:
            wrong.append(f"{row[0]} {what}")
    with pika.BlockingConnection(pika.URLParameters(ours.broker)) as broker:
        channel = broker.channel()
        topology.declare(channel)  # no daemon may have been here yet
        dead = channel.queue_declare(topology.DEAD, passive=True).method.message_count
    if dead:
        wrong.append(f"{dead} dead messages")
    db.check_schema(connection)
    return wrong
