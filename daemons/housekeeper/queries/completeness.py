"""SQL: what became of what the PBXs listed."""

from datetime import date, datetime

from common.db import Connection


def last(db: Connection) -> datetime | None:
    """Return when everything was counted last."""
    row = db.execute("SELECT max(checked_at) FROM completeness").fetchone()
    return row[0] if row else None


def companies(db: Connection) -> list[int]:
    """Return the ids of the companies of which a PBX has listed a day."""
    return [
        int(row[0])
        for row in db.execute(
            "SELECT id FROM company c WHERE EXISTS (SELECT FROM listing_day l"
            " WHERE l.company_id = c.id) ORDER BY id"
        )
    ]


def unsettled(db: Connection, since: date) -> list[int]:
    """Return the ids of the companies of which a day is not counted yet, or not all is stored."""
    query = (
        "SELECT company_id FROM completeness WHERE day >= %(since)s"
        " AND (unexplained > 0 OR waiting > 0) UNION SELECT company_id FROM listing_day l"
        " WHERE day >= %(since)s AND NOT EXISTS (SELECT FROM completeness c"
        " WHERE c.company_id = l.company_id AND c.day = l.day) ORDER BY 1"
    )
    return [int(row[0]) for row in db.execute(query, {"since": since})]


def count(db: Connection, company: int, since: date, now: datetime) -> None:
    """Count anew, for each day since one, what is known of what the PBX listed of a company."""
    db.execute(
        "WITH known AS (SELECT (started_at AT TIME ZONE 'UTC')::date AS day,"
        " count(*) FILTER (WHERE state = 'stored') AS stored,"
        " count(*) FILTER (WHERE state = 'listed') AS waiting,"
        " count(*) FILTER (WHERE state = 'gone') AS gone FROM recording"
        " WHERE company_id = %(company)s AND started_at >= %(since)s::timestamp AT TIME ZONE 'UTC'"
        " GROUP BY 1), listed AS (SELECT day, listed, refused FROM listing_day"
        " WHERE company_id = %(company)s AND day >= %(since)s)"
        " INSERT INTO completeness (company_id, day, listed, refused, stored, waiting, gone,"
        " checked_at) SELECT %(company)s, day, coalesce(listed, 0), coalesce(refused, 0),"
        " coalesce(stored, 0), coalesce(waiting, 0), coalesce(gone, 0), %(now)s"
        " FROM listed FULL JOIN known USING (day)"
        " ON CONFLICT (company_id, day) DO UPDATE SET listed = excluded.listed,"
        " refused = excluded.refused, stored = excluded.stored, waiting = excluded.waiting,"
        " gone = excluded.gone, checked_at = excluded.checked_at",
        {"company": company, "since": since, "now": now},
    )
