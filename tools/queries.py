"""SQL of the console tools: keys that are replaced."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from psycopg.rows import class_row

from common.db import Connection
from common.keys import CompanyKey, OwnKey

DAY = "interval '1 day'"  # no archiver has a recording in hand for so long


def take_master(db: Connection) -> None:
    """Wait until nobody seals to the master key; until the commit, nobody does."""
    db.execute("SELECT pg_advisory_xact_lock(hashtext('callstash.master'))")


def master_key(db: Connection) -> bytes | None:
    """Return the public half of the master key; None before `callstash init`."""
    row = db.execute("SELECT public_key FROM sealing_key WHERE name = 'master'").fetchone()
    return bytes(row[0]) if row else None


def retire_key(db: Connection, company_id: int) -> int:
    """Retire the current key of a company, and return the version of the next."""
    db.execute("SELECT FROM company WHERE id = %s FOR UPDATE", [company_id])
    db.execute(
        "UPDATE company_key SET retired_at = now() WHERE company_id = %s AND retired_at IS NULL",
        [company_id],
    )
    row = db.execute(
        "SELECT coalesce(max(version), 0) + 1 FROM company_key WHERE company_id = %s", [company_id]
    ).fetchone()
    assert row is not None
    return int(row[0])


def is_known(db: Connection, kid: str) -> bool:
    """Say whether there is or was a company with this key."""
    return bool(db.execute("SELECT 1 FROM company_key WHERE kid = %s", [kid]).fetchone())


def add_key(db: Connection, company_id: int, key: CompanyKey) -> None:
    """Give a company a key, which is its current one from now on."""
    db.execute(
        "INSERT INTO company_key (company_id, version, kid, public_key, private_sealed)"
        " VALUES (%s, %s, %s, %s, %s)",
        [
            company_id, key.version, key.kid, key.public_key,
            key.private_sealed if isinstance(key, OwnKey) else None,
        ],
    )  # fmt: skip


@dataclass(frozen=True)
class Rewrap:
    """A retired key of a company, and the current one that takes its place."""

    company_id: int
    company_uid: UUID
    name: str
    version: int
    kid: str
    private_sealed: bytes
    to_version: int
    public_key: bytes


def rewraps(db: Connection, company_id: int | None) -> list[Rewrap]:
    """Return the retired keys that wrap, or may still wrap, content keys that another can open.

    What one half of which the company has is left alone: what it can open, it can open.
    """
    query = (
        "SELECT c.id AS company_id, c.uid AS company_uid, c.name, o.version, o.kid,"
        " o.private_sealed, k.version AS to_version, k.public_key FROM company_key o"
        " JOIN company c ON c.id = o.company_id JOIN company_key k ON k.company_id = o.company_id"
        " AND k.retired_at IS NULL AND k.private_sealed IS NOT NULL WHERE o.retired_at IS NOT NULL"
        " AND o.rewrapped_at IS NULL AND o.private_sealed IS NOT NULL"
        " AND (%(company)s::int IS NULL OR c.id = %(company)s) ORDER BY c.id, o.version"
    )
    with db.cursor(row_factory=class_row(Rewrap)) as cursor:
        return cursor.execute(query, {"company": company_id}).fetchall()


def begin_rewrap(db: Connection, one: Rewrap) -> int:
    """Count what is wrapped with a retired key, and note it the first time; return the count."""
    row = db.execute(
        "WITH left_ AS (SELECT count(*) AS calls FROM recording_audio"
        " WHERE company_id = %(company)s AND key_version = %(version)s)"
        " UPDATE company_key SET to_rewrap = calls + rewrapped"
        " FROM left_ WHERE company_id = %(company)s AND version = %(version)s RETURNING calls",
        {"company": one.company_id, "version": one.version},
    ).fetchone()
    assert row is not None
    return int(row[0])


def wrapped(
    db: Connection, one: Rewrap, after: UUID | None, limit: int
) -> list[tuple[UUID, bytes]]:
    """Lock and return recordings whose content keys are wrapped with a retired key."""
    rows = db.execute(
        "SELECT recording_id, ecek FROM recording_audio WHERE company_id = %s AND key_version = %s"
        " AND (%s::uuid IS NULL OR recording_id > %s) ORDER BY recording_id LIMIT %s FOR UPDATE",
        [one.company_id, one.version, after, after, limit],
    ).fetchall()
    return [(row[0], bytes(row[1])) for row in rows]


def rewrap(db: Connection, one: Rewrap, done: Sequence[tuple[UUID, bytes]]) -> None:
    """Replace wrapped content keys."""
    db.execute(
        "UPDATE recording_audio a SET key_version = %s, ecek = n.ecek"
        " FROM unnest(%s::uuid[], %s::bytea[]) n (id, ecek) WHERE a.recording_id = n.id",
        [one.to_version, [id for id, _ in done], [ecek for _, ecek in done]],
    )
    db.execute(
        "UPDATE company_key SET rewrapped = rewrapped + %s WHERE company_id = %s AND version = %s",
        [len(done), one.company_id, one.version],
    )


def end_rewrap(db: Connection, one: Rewrap) -> bool:
    """Note that nothing is wrapped with a retired key; false where something may yet be."""
    done = db.execute(
        "UPDATE company_key k SET rewrapped_at = now() WHERE company_id = %s AND version = %s"
        f" AND retired_at < now() - {DAY} AND NOT EXISTS (SELECT FROM recording_audio a"
        " WHERE a.company_id = k.company_id AND a.key_version = k.version)",
        [one.company_id, one.version],
    )
    return done.rowcount == 1


@dataclass(frozen=True)
class Sealed:
    """A company's private key, sealed to the master key."""

    company_id: int
    company_uid: UUID
    version: int
    kid: str
    private_sealed: bytes


def sealed_keys(db: Connection) -> list[Sealed]:
    """Return all private keys of companies."""
    with db.cursor(row_factory=class_row(Sealed)) as cursor:
        return cursor.execute(
            "SELECT k.company_id, c.uid AS company_uid, k.version, k.kid, k.private_sealed"
            " FROM company_key k JOIN company c ON c.id = k.company_id"
            " WHERE k.private_sealed IS NOT NULL"
        ).fetchall()


def reseal_key(db: Connection, one: Sealed, sealed: bytes) -> None:
    """Replace a sealed private key."""
    db.execute(
        "UPDATE company_key SET private_sealed = %s WHERE company_id = %s AND version = %s",
        [sealed, one.company_id, one.version],
    )


def sealed_credentials(db: Connection) -> list[tuple[str, bytes]]:
    """Return the daemons' keys by name."""
    rows = db.execute("SELECT name, sealed FROM sealed_credential").fetchall()
    return [(str(row[0]), bytes(row[1])) for row in rows]


def reseal_credential(db: Connection, name: str, sealed: bytes) -> None:
    """Replace a sealed key of a daemon."""
    db.execute("UPDATE sealed_credential SET sealed = %s WHERE name = %s", [sealed, name])


def sealed_factors(db: Connection) -> list[tuple[str, bytes]]:
    """Return the secrets of second factors by account."""
    rows = db.execute(
        "SELECT name, totp_sealed FROM account WHERE totp_sealed IS NOT NULL FOR UPDATE"
    ).fetchall()
    return [(str(row[0]), bytes(row[1])) for row in rows]


def reseal_factor(db: Connection, account: str, sealed: bytes) -> None:
    """Replace the secret of a second factor."""
    db.execute("UPDATE account SET totp_sealed = %s WHERE name = %s", [sealed, account])


def set_master(db: Connection, public: bytes) -> None:
    """Note the public half of the new master key; its recovery kit was never shown."""
    db.execute("UPDATE sealing_key SET public_key = %s WHERE name = 'master'", [public])
    db.execute("DELETE FROM recovery_kit")


def kit_read(db: Connection, public: bytes, by: str) -> None:
    """Note that somebody has the recovery kit."""
    db.execute(
        "INSERT INTO recovery_kit (public_key, read_at, read_by) VALUES (%s, now(), %s)"
        " ON CONFLICT (single) DO UPDATE SET public_key = excluded.public_key,"
        " read_at = excluded.read_at, read_by = excluded.read_by",
        [public, by],
    )
