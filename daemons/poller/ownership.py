"""Whose extensions took part in a call, as the PBX says when it lists the call.

An extension may move from one user to another, and the PBX knows today's owner only. So each
listing of a company looks at all of its extensions, and a call is somebody's own only where the
looks before and after it agree. Where they differ it is nobody's: only who may hear all calls of
the company finds it.
"""

import logging
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from common import pbx
from common.db import Connection
from common.errors import PbxError
from daemons.poller.queries import participants
from daemons.poller.queries.participants import Look, Taken

log = logging.getLogger(__name__)

BATCH = 500  # extensions or users that the PBX is asked about at a time
NOBODY = Taken(None, "", "", frozenset())
_NEXT = timedelta(microseconds=1)


def owner_at(looks: Sequence[Look], instant: datetime) -> int | None:
    """Return whose an extension was; `looks` are in order and neighbours have other owners.

    Before the first look it is whose it was then, after the last whose it was last, and between two
    nobody's.
    """
    for number, look in enumerate(looks):
        if instant <= look.until:
            return look.user_id if number == 0 or look.since <= instant else None
    return looks[-1].user_id if looks else None


@dataclass(frozen=True)
class Call:
    """What decides whose own call it is."""

    started_at: datetime
    caller: str
    callee: str


class Ownership:
    """The extensions of a company, looked at during one listing; raises nothing of the PBX."""

    def __init__(
        self, db: Connection, connector: pbx.Connector, pbx_id: int, company: tuple[int, str],
        at: datetime,
    ) -> None:  # fmt: skip
        self._db = db
        self._connector = connector
        self._pbx_id = pbx_id
        self._company, self._company_name = company
        self._at = at
        self._asked: set[str] = set()
        self._names: dict[int, str] = {}
        self._error: PbxError | None = None
        self._looks: defaultdict[str, list[Look]] = defaultdict(list)
        for look in participants.looks(db, self._company):
            self._looks[look.extension].append(look)
        self._look(self._looks)
        once = {look.user_id for looks in self._looks.values() for look in looks if look.user_id}
        self._names |= participants.name(db, {}, sorted(once - self._names.keys()))

    def of(self, calls: Sequence[Call]) -> list[Taken] | None:
        """Return who took part in each of these calls; None where the PBX does not say."""
        self._look({party for call in calls for party in (call.caller, call.callee)})
        return None if self._error else [self._taken(call) for call in calls]

    def catch_up(self) -> bool:
        """Settle some of the calls that wait for it, and say whether there may be more."""
        waiting = participants.waiting(self._db, self._company, BATCH)
        taken = self.of([Call(row.started_at, row.caller, row.callee) for row in waiting])
        if not waiting or taken is None:
            return False
        with self._db.transaction():
            participants.settle(self._db, waiting, taken)
        return True

    def _taken(self, call: Call) -> Taken:
        caller, callee = self._looks.get(call.caller, []), self._looks.get(call.callee, [])
        if not caller and not callee:
            return NOBODY
        direction = "internal" if caller and callee else "outbound" if caller else "inbound"
        users = [owner_at(looks, call.started_at) for looks in (caller, callee)]
        names = [self._names.get(user, "") if user else "" for user in users]
        return Taken(direction, names[0], names[1], frozenset(filter(None, users)))

    def _look(self, extensions: Iterable[str]) -> None:
        wanted = sorted(set(extensions) - self._asked - {""})
        for start in range(0, len(wanted), BATCH):
            if self._error:
                return
            batch = wanted[start : start + BATCH]
            try:
                owners = self._connector.owners(batch)
            except PbxError as error:
                self._error = error
                log.warning(
                    "the PBX does not say whose extensions took part: %s", error,
                    extra={"pbx": self._pbx_id, "company": self._company},
                )  # fmt: skip
                return
            self._note(batch, owners)
            self._asked.update(batch)

    def _note(self, batch: Sequence[str], owners: dict[str, pbx.Owner]) -> None:
        ours = {
            extension: owner.user_id
            for extension, owner in owners.items()
            if owner.company == self._company_name and owner.user_id
        }
        users = participants.users(self._db, self._pbx_id, set(ours.values()))
        self._name(users)
        changed = []
        for extension in batch:
            remote = ours.get(extension)
            if remote is None and not self._looks.get(extension):
                continue  # nobody's, as it always was: somebody else's number
            changed.append(self._seen(extension, users[remote] if remote else None))
        participants.note(self._db, self._company, changed)

    def _seen(self, extension: str, user: int | None) -> Look:
        looks = self._looks[extension]
        last = looks[-1] if looks else None
        if last and last.user_id == user:
            looks[-1] = replace(last, until=max(last.until, self._at))
        else:
            at = max(self._at, last.until + _NEXT) if last else self._at
            looks.append(Look(extension, at, at, user))
        return looks[-1]

    def _name(self, users: dict[str, int]) -> None:
        """Learn what the users are called; without it calls are found by their numbers only."""
        unnamed = [remote for remote, user in users.items() if user not in self._names]
        if not unnamed:
            return
        try:
            named = self._connector.names(unnamed)
        except PbxError as error:
            log.info("the PBX does not name its users: %s", error, extra={"pbx": self._pbx_id})
            named = {}
        known = participants.name(self._db, {users[remote]: name for remote, name in named.items()
                                             if remote in users}, list(users.values()))  # fmt: skip
        self._names.update(known)
