"""A retired key of a company is destroyed when nothing has needed it for long, and never before."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from common import keys
from common.backup import CATALOGUES
from common.errors import KeyUnavailable
from common.store import Store
from daemons.housekeeper.queries import retired_keys
from daemons.housekeeper.retired_keys import IN_HAND, OFTEN, RetiredKeys
from tests.quiet import Quiet
from tests.web.building import COMPANY_UID, MASTER, MASTER_PUBLIC, Archive, company_key

Db = psycopg.Connection[Any]
Connect = Callable[[str], Db]
HOUR = timedelta(hours=1)


@cache
def pair(version: int) -> keys.OwnKey:
    """Return a key pair; making one takes long, so all tests share them."""
    if version == 1:
        return company_key(COMPANY_UID)
    return keys.generate_company_key(COMPANY_UID, version, MASTER_PUBLIC)


@cache
def private(version: int) -> RSAPrivateKey:
    """Return the private half of a key."""
    one = pair(version)
    return keys.open_company_key(MASTER, one.private_sealed, COMPANY_UID, one.kid, one.version)


@dataclass
class Ring:
    """A company with recordings, whose keys are replaced, and a housekeeper with a clock."""

    archive: Archive
    connect: Connect
    now: datetime = field(default_factory=lambda: datetime.now(UTC))
    company: int = 0
    pairs: list[keys.OwnKey] = field(default_factory=lambda: [pair(1)])

    def __post_init__(self) -> None:
        self.db = self.archive.db
        self.house = self.connect("housekeeper")
        self.company = self.archive.company()
        self.start()

    def start(self) -> None:
        """Start the housekeeper anew, as after a crash."""
        self.chore = RetiredKeys(self.house, lambda: self.now)

    def record(self) -> UUID:
        return self.archive.stored(self.company)[0]

    def wrap(self, recording: UUID, key: keys.OwnKey, db: Db | None = None) -> None:
        """Wrap a recording's content key with another key."""
        row = (
            (db or self.db)
            .execute(
                "SELECT a.ecek, a.key_version FROM recording_audio a WHERE recording_id = %s",
                [recording],
            )
            .fetchone()
        )
        assert row is not None
        cek = keys.unwrap(private(row[1]), row[0])
        (db or self.db).execute(
            "UPDATE recording_audio SET key_version = %s, ecek = %s WHERE recording_id = %s",
            [key.version, keys.wrap(key.public_key, cek), recording],
        )

    def replace(self) -> None:
        """Retire the current key and give the company a new one."""
        key = pair(len(self.pairs) + 1)
        with self.db.transaction():
            self.db.execute(
                "UPDATE company_key SET retired_at = %s WHERE retired_at IS NULL", [self.now]
            )
            self.db.execute(
                "INSERT INTO company_key (company_id, version, kid, public_key, private_sealed)"
                " VALUES (%s, %s, %s, %s, %s)",
                [self.company, key.version, key.kid, key.public_key, key.private_sealed],
            )
        self.pairs.append(key)

    def later(self, by: timedelta) -> None:
        self.now += by
        while self.chore.turn(Quiet()):  # type: ignore[arg-type]
            pass

    def kept(self) -> list[int]:
        rows = self.db.execute("SELECT version FROM company_key ORDER BY version").fetchall()
        return [int(row[0]) for row in rows]

    def every_recording_opens_with_exactly_one_kept_key(self) -> None:
        rows = self.db.execute("SELECT key_version, ecek FROM recording_audio").fetchall()
        for version, ecek in rows:
            assert [one for one in self.kept() if self._opens(one, ecek)] == [version]

    def _opens(self, version: int, ecek: bytes) -> bool:
        try:
            keys.unwrap(private(version), ecek)
        except KeyUnavailable:
            return False
        return True


@pytest.fixture
def ring(tmp_path: Path, db: Db, connect_as: Connect) -> Ring:
    return Ring(Archive(db, Store(tmp_path)), connect_as)


def test_a_key_goes_when_no_catalogue_of_a_backup_is_as_old_as_its_last_use(ring: Ring) -> None:
    recording = ring.record()
    ring.replace()
    ring.later(CATALOGUES * 2)
    assert ring.kept() == [1, 2]  # a recording needs it, however old it is
    ring.wrap(recording, ring.pairs[1])
    ring.later(OFTEN)
    ring.start()
    ring.later(CATALOGUES - HOUR)
    assert ring.kept() == [1, 2]
    ring.later(HOUR * 2)
    assert ring.kept() == [2]
    ring.every_recording_opens_with_exactly_one_kept_key()
    (deed,) = ring.db.execute(
        "SELECT actor, subject, detail->>'kid', (detail->>'in_backups_until')::date FROM audit"
        " WHERE action = 'company.destroyed_key'"
    ).fetchall()
    gone = (ring.now + CATALOGUES).date()
    assert deed == ("housekeeper", f"company:{ring.company}", ring.pairs[0].kid, gone)


def test_a_key_that_is_in_use_is_never_looked_at(ring: Ring) -> None:
    ring.later(CATALOGUES * 2)
    ring.later(CATALOGUES * 2)
    assert ring.kept() == [1]


def test_an_archiver_has_a_day_for_what_it_began(ring: Ring) -> None:
    ring.replace()
    ring.later(IN_HAND - HOUR)
    query = "SELECT unneeded_at FROM company_key WHERE version = 1"
    assert ring.db.execute(query).fetchone() == (None,)
    ring.later(HOUR * 2)
    assert ring.db.execute(query).fetchone() == (ring.now,)


def test_a_key_that_is_needed_again_waits_anew(ring: Ring) -> None:
    recording = ring.record()
    ring.replace()
    ring.wrap(recording, ring.pairs[1])
    ring.later(IN_HAND + HOUR)
    ring.wrap(recording, ring.pairs[0])
    ring.later(CATALOGUES * 2)
    assert ring.kept() == [1, 2]
    ring.wrap(recording, ring.pairs[1])
    ring.later(CATALOGUES - HOUR)
    ring.later(CATALOGUES - HOUR)
    assert ring.kept() == [1, 2]
    ring.later(HOUR * 3)
    assert ring.kept() == [2]


def test_a_key_with_which_somebody_stores_a_recording_stays(ring: Ring) -> None:
    recording = ring.record()
    ring.replace()
    ring.wrap(recording, ring.pairs[1])
    ring.later(IN_HAND + HOUR)
    with psycopg.connect(ring.db.info.dsn, user="postgres") as other:
        ring.wrap(recording, ring.pairs[0], other)  # and is not committed yet
        ring.later(CATALOGUES * 2)
        assert ring.kept() == [1, 2]
    ring.later(HOUR * 2)
    ring.every_recording_opens_with_exactly_one_kept_key()
    assert ring.kept() == [1, 2]


def test_the_deleting_transaction_itself_looks_whether_a_recording_needs_the_key(
    ring: Ring,
) -> None:
    recording = ring.record()
    ring.replace()
    ring.wrap(recording, ring.pairs[1])
    ring.later(IN_HAND + HOUR)
    ring.now += CATALOGUES * 2
    with ring.house.transaction():
        key = retired_keys.lock(ring.house, ring.now - CATALOGUES)
    assert key is not None
    assert key.kid == ring.pairs[0].kid
    ring.wrap(recording, ring.pairs[0])
    with ring.house.transaction():
        assert not retired_keys.destroy(ring.house, key)
        assert retired_keys.lock(ring.house, ring.now) is None
    with pytest.raises(psycopg.errors.ForeignKeyViolation):
        ring.db.execute("DELETE FROM company_key WHERE version = 1")
    ring.every_recording_opens_with_exactly_one_kept_key()


@pytest.mark.parametrize("seed", range(3))
def test_whatever_happens_in_whatever_order_every_recording_opens(ring: Ring, seed: int) -> None:
    chance = random.Random(seed)
    recordings = [ring.record() for _ in range(4)]
    for _ in range(2):
        ring.replace()
    for _ in range(40):
        one = chance.choice(recordings)
        match chance.randrange(4):
            case 0:
                ring.wrap(one, ring.pairs[chance.choice(ring.kept()) - 1])
            case 1:
                ring.wrap(one, ring.pairs[-1])
            case 2:
                ring.later(timedelta(days=chance.randrange(500)))
            case 3:
                ring.start()
        ring.every_recording_opens_with_exactly_one_kept_key()
    for one in recordings:
        ring.wrap(one, ring.pairs[-1])
    ring.later(OFTEN)
    ring.later(CATALOGUES + HOUR)
    assert ring.kept() == [3]
