"""Alerts: seen, told once for each change, reminded of, folded in a storm, and over; by mail
through a real SMTP server.
"""

import random
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509

from daemons.notifier.conditions import ends
from daemons.notifier.notifier import Settings
from tests.authority import Authority
from tests.service.office import DAY, HOUR, MINUTE, NOW, Killed, Office

LOW = "The archive's disk is nearly full: {} bytes are left."


def test_a_condition_is_told_when_it_begins_gets_worse_and_is_over(office: Office) -> None:
    office.disk(500)
    assert office.work() == []
    office.disk(99)
    assert office.work() == ["Warning: " + LOW.format(99)]
    for _ in range(30):
        assert office.work() == []
    office.disk(80)
    assert office.work() == []
    office.disk(40)
    assert office.work() == ["Critical: Worse: " + LOW.format(40)]
    office.disk(60)
    assert office.work() == []
    office.disk(40)
    assert office.work() == []
    office.disk(500)
    assert office.work() == ["Over: " + LOW.format(40)]
    assert office.work(DAY) == []
    office.disk(90)
    assert office.work() == ["Warning: " + LOW.format(90)]
    assert office.rows("SELECT count(*), count(ended_at) FROM alert") == [(2, 1)]


def test_a_mail_says_what_since_when_and_where_to_look(office: Office) -> None:
    office.disk(99)
    office.work()
    (mail,) = office.mailbox.mails
    plain, html = mail.get_body(("plain",)), mail.get_body(("html",))
    assert plain is not None
    assert html is not None
    text = plain.get_content()
    for words in ("That is 10% of 1 kB.", "It began on 25 November 2036, 12:01",
                  "https://box.example.com/alerts"):  # fmt: skip
        assert words in text
    assert '<a href="https://box.example.com/alerts">' in html.get_content()
    assert mail["To"] == "admin@example.com"


def test_while_critical_there_is_a_reminder_a_day_until_somebody_acknowledges(
    office: Office,
) -> None:
    office.disk(10)
    assert len(office.work()) == 1
    seen = [office.work(HOUR) for _ in range(49)]
    assert [mails for mails in seen if mails] == [["Critical: Still: " + LOW.format(10)]] * 2
    office.db.execute("UPDATE alert SET acknowledged_at = now(), acknowledged_by = 'sysadmin'")
    assert not any(office.work(HOUR) for _ in range(49))
    office.disk(500)
    assert len(office.work()) == 1


def test_what_gets_worse_has_to_be_acknowledged_again(office: Office) -> None:
    office.disk(90)
    office.work()
    office.db.execute("UPDATE alert SET acknowledged_at = now(), acknowledged_by = 'sysadmin'")
    office.disk(85)
    office.work()
    assert office.rows("SELECT acknowledged_by FROM alert") == [("sysadmin",)]
    office.disk(30)
    assert len(office.work()) == 1
    assert office.rows("SELECT acknowledged_by FROM alert") == [(None,)]


def test_a_warning_has_no_reminders(office: Office) -> None:
    office.disk(99)
    office.work()
    assert not any(office.work(HOUR) for _ in range(72))


def test_a_storm_is_one_mail_that_counts(office: Office) -> None:
    for number in range(60):
        office.pbx(failures=1 + number)
    (subject,) = office.work()
    assert subject == "60 alerts"
    text = office.mailbox.mails[-1].get_body(("plain",))
    assert text is not None
    assert "New (60):" in text.get_content()
    assert "and 10 more" in text.get_content()
    assert not any(office.work() for _ in range(60))
    office.db.execute("UPDATE poll_schedule SET failures = 0")
    told = [mails for _ in range(30) for mails in office.work()]
    assert told == ["60 alerts"]


def test_a_storm_that_comes_in_bit_by_bit_is_folded_too_and_nothing_is_left_out(
    office: Office,
) -> None:
    told = []
    for _ in range(120):
        office.pbx(failures=1)
        told += office.work()
    told += [mails for _ in range(30) for mails in office.work()]
    assert 8 <= len(told) <= 40
    assert office.rows("SELECT count(*), count(*) FILTER (WHERE told_rank = 1) FROM alert") == [
        (120, 120)
    ]


def test_what_comes_and_goes_all_day_is_told_once(office: Office) -> None:
    pbx, told = office.pbx(), []
    for turn in range(24 * 12):
        office.fail(pbx, turn % 2)
        told += office.work(5 * MINUTE)
    assert told == ["Warning: Main: the last poll failed."]
    office.fail(pbx, 0)
    assert [mails for _ in range(15) for mails in office.work()] == [
        "Over: Main: the last poll failed."
    ]


def test_mail_that_is_set_up_later_tells_what_is_still_true(office: Office) -> None:
    office.db.execute("UPDATE general_settings SET recipients = '{}'")
    office.disk(99)
    office.work()
    office.disk(500)
    office.work()
    office.disk(10, "database")
    office.work()
    assert office.rows("SELECT count(*) FROM mail") == [(0,)]
    office.db.execute("UPDATE general_settings SET recipients = '{a@example.com,b@example.com}'")
    low = "Critical: The database's disk is nearly full: 10 bytes are left."
    assert office.work() == [low, low]
    assert {mail["To"] for mail in office.mailbox.mails} == {"a@example.com", "b@example.com"}


def test_a_switch_silences_its_kind_only(office: Office) -> None:
    office.db.execute("UPDATE general_settings SET on_disk_low = false, on_poll_failure = false")
    office.disk(10)
    office.pbx(failures=1)
    assert office.work() == []
    office.db.execute("INSERT INTO dead_letter (message_id, topic, body, queue, reason, died_at)"
                      " VALUES ('x', 'x', 'x', 'x', 'x', now())")  # fmt: skip
    assert office.work() == ["Warning: 1 message between the daemons could not be delivered."]
    office.db.execute("UPDATE general_settings SET on_disk_low = true")
    assert office.work() == ["Critical: " + LOW.format(10)]


@pytest.mark.parametrize("seed", range(3))
def test_killed_at_any_statement_it_tells_each_change_once(office: Office, seed: int) -> None:
    chance = random.Random(seed)
    expected = []
    for free in (90, 30, 500, 10, 500):
        office.disk(free)
        for _ in range(12):
            office.start(chance.randrange(1, 30))
            with suppress(Killed):
                office.work(timedelta(seconds=16))
        office.start()
        office.now += HOUR
        office.work()
    expected = [
        "Warning: " + LOW.format(90), "Critical: Worse: " + LOW.format(30),
        "Over: " + LOW.format(30), "Critical: " + LOW.format(10), "Over: " + LOW.format(10),
    ]  # fmt: skip
    by_id = {mail["Message-ID"]: office.subject(mail) for mail in office.mailbox.mails}
    assert list(by_id.values()) == expected


def test_a_day_with_a_thousand_changes_is_a_few_mails_none_of_them_twice(office: Office) -> None:
    chance = random.Random(7)
    pbxs = [office.pbx() for _ in range(20)]
    busiest, mails = 0, []
    for _ in range(24 * 20):
        for pbx in chance.sample(pbxs, 2):
            office.fail(pbx, chance.choice((0, 0, 1)))
        office.disk(chance.choice((500, 90, 40, 10)), chance.choice(("audio", "database")))
        mails.append(len(office.work(3 * MINUTE)))
        busiest = max(busiest, sum(mails[-20:]))
    assert sum(mails) <= 24 * 4 * 4
    assert busiest <= 16
    identities = [mail["Message-ID"] for mail in office.mailbox.mails]
    assert len(set(identities)) == len(identities) == sum(mails)
    office.disk(500, "audio")
    office.disk(500, "database")
    office.db.execute("UPDATE poll_schedule SET failures = 0")
    for _ in range(60):
        office.work()
    assert office.rows("SELECT count(*) FROM alert WHERE ended_at IS NULL OR (told_rank > 0"
                       " AND NOT told_end)") == [(0,)]  # fmt: skip


def test_a_mail_server_that_is_away_for_a_week_is_told_all_and_shown_as_stuck(
    office: Office,
) -> None:
    (port,) = office.rows("SELECT port FROM mail_server")
    office.db.execute("UPDATE mail_server SET port = 1")
    office.disk(10)
    for _ in range(24 * 7):
        office.work(HOUR)
    stuck = office.rows("SELECT title FROM alert WHERE kind = 'mail_stuck'")
    assert len(stuck) == 1
    assert "the mail server does not take them" in stuck[0][0]
    office.db.execute("UPDATE mail_server SET port = %s", port)
    assert office.work(HOUR) == ["Critical: " + LOW.format(10)]
    told = [subject for _ in range(15) for subject in office.work()]
    assert told == ["Critical: Still: " + LOW.format(10)]
    assert office.rows("SELECT count(*) FROM alert WHERE kind = 'mail_stuck'"
                       " AND ended_at IS NOT NULL") == [(1,)]  # fmt: skip
    assert not any("mail" in office.subject(mail) for mail in office.mailbox.mails)


def test_an_address_that_is_refused_is_reported_not_retried(office: Office) -> None:
    office.db.execute("INSERT INTO mail (kind, recipient, expires_at, next_try_at, refused_at,"
                      " error) VALUES ('alert', 'gone@example.com', now(), NULL, %s,"
                      " '550 no such user')", [NOW])  # fmt: skip
    assert office.work() == []
    assert office.rows("SELECT title, body FROM alert") == [
        ("The mail server refuses mail to gone@example.com.", "550 no such user.")
    ]


def test_the_weekly_mail_comes_on_monday_morning_if_it_is_wanted(office: Office) -> None:
    assert not any(office.work(DAY) for _ in range(10))
    office.db.execute("UPDATE general_settings SET on_digest = true")
    office.disk(500)
    told = {}
    for _ in range(15 * 24):
        for subject in office.work(HOUR):
            told[office.now] = subject
    assert list(told.values()) == ["the week: 0 recordings stored, all is well"] * 2
    assert {at.weekday() for at in told} == {0}
    text = office.mailbox.mails[-1].get_body(("plain",))
    assert text is not None
    assert "audio: 50% free" in text.get_content()


CONDITIONS = (
    ("INSERT INTO disk (volume, directory, size, free, seen_at, full_on)"
     " VALUES ('audio', '/x', 1000, 500, now(), '2036-12-02')",
     "disk_filling", "The archive's disk will be full on 2 December 2036."),
    ("INSERT INTO disk VALUES ('database', '/x', 1000, 500, now())",
     "archive_missing", "The archive is not there."),
    ("INSERT INTO damage (path, kind, recording_id, found_at)"
     " SELECT n, 'missing', gen_random_uuid(), now() FROM generate_series(1, 12) n",
     "damaged", "12 stored recordings are damaged."),
    ("INSERT INTO damage (path, kind, found_at) VALUES ('x', 'untracked', now())",
     "untracked", "1 file in the archive belong"),
    ("INSERT INTO purge (asked_by, state, started_at, finished_at, archive_calls, planned_calls,"
     " planned_bytes, held_calls) VALUES ('x', 'braked', now(), now(), 1000, 300, 1, 0)",
     "brake", "300 recordings would be deleted, more than usual"),
    ("INSERT INTO backup_target (kind, target, saved_by, saved_at)"
     " VALUES ('volume', gen_random_uuid(), 'x', '2036-11-25T12:00Z');"
     " INSERT INTO backup_brake (found_at, recordings, lost_rows, lost_files)"
     " VALUES (now(), 1000, 30, 5)",
     "backup_brake", "35 recordings vanished from this machine: backups stopped."),
    ("INSERT INTO backup_target (kind, target, saved_by, saved_at)"
     " VALUES ('volume', gen_random_uuid(), 'x', '2036-11-25T12:00Z');"
     " INSERT INTO backup_run (asked_by, target, state, started_at, finished_at, statistics)"
     " VALUES ('x', gen_random_uuid(), 'finished', now(), now(), '{\"mended\": 3}')",
     "backup_mended", "3 copies in the backup had been damaged or lost."),
    ("INSERT INTO outbox (topic, body, refused_at) VALUES ('x', '{}', now())",
     "messages", "1 message between the daemons"),
    ("INSERT INTO upgrade_run VALUES ('1', 'x', '1', '2', now(), now(), 'done', 'x'),"
     " ('2', 'x', '2', '3', now(), '2036-11-25T11:59Z', 'failed', 'It did not come up.'),"
     " ('3', 'x', '2', '3', now(), '2036-11-25T12:00Z', 'refused', 'x')",
     "upgrade_failed", "The upgrade to version 3 failed."),
    ("INSERT INTO daemon_status VALUES ('poller', '1', now(), '2036-11-25T11:00Z', 'x')",
     "daemon_silent", "poller does not report any more."),
    ("INSERT INTO daemon_status VALUES ('poller', '1', now(), '2036-11-25T12:02Z', 'x',"
     " array_fill('2036-11-25T11:59Z'::timestamptz, ARRAY[6]))",
     "restarting", "poller was started 6 times within an hour."),
)  # fmt: skip


@pytest.mark.parametrize(("query", "kind", "title"), CONDITIONS, ids=[c[1] for c in CONDITIONS])
def test_each_kind_of_condition_is_seen(office: Office, query: str, kind: str, title: str) -> None:
    office.db.execute(query)
    (told,) = office.work(3 * MINUTE)
    assert title in told
    assert office.rows("SELECT kind FROM alert WHERE ended_at IS NULL") == [(kind,)]


def test_at_boot_daemons_have_time_to_report(office: Office) -> None:
    office.db.execute("INSERT INTO daemon_status VALUES ('poller', '1', now(),"
                      " '2036-11-24T12:00Z', 'x')")  # fmt: skip
    assert office.work() == []
    assert office.work() == []
    assert office.work() == ["Critical: poller does not report any more."]


TARGET = "gen_random_uuid()"


def backed_up(office: Office, state: str = "finished", error: str | None = None) -> None:
    """Have a backup that is just over."""
    office.db.execute(
        f"INSERT INTO backup_run (asked_by, target, state, started_at, finished_at, error,"
        f" statistics) VALUES ('backupd', {TARGET}, %s, %s, %s, %s, %s)",
        [state, office.now - HOUR, office.now, error, '{"transferred": 1204, "sent": 5000}'],
    )


def test_each_backup_is_reported_once_if_that_is_wanted(office: Office) -> None:
    backed_up(office)
    assert office.work() == ["Backup finished"]
    text = office.mailbox.mails[-1].get_body(("plain",))
    assert text is not None
    assert "Files copied: 1,204" in text.get_content()
    assert office.work() == []
    backed_up(office, "cancelled", "sysadmin cancelled it.")
    assert office.work() == ["Backup was cancelled"]
    office.db.execute("UPDATE general_settings SET on_backup = false")
    backed_up(office)
    assert office.work() == []
    office.db.execute("UPDATE general_settings SET on_backup = true")
    assert office.work() == []


def test_a_backup_that_fails_or_is_overdue_or_unproven_is_told(office: Office) -> None:
    office.db.execute("UPDATE general_settings SET on_backup = false")
    backed_up(office, "failed", "the server is away")
    assert office.work() == []  # none is set up
    office.db.execute(
        "INSERT INTO backup_target (kind, target, saved_at, saved_by)"
        f" VALUES ('volume', {TARGET}, %s, 'x')", [office.now],
    )  # fmt: skip
    assert office.work() == ["Warning: The last backup failed."]
    told = [subject for _ in range(80) for subject in office.work(HOUR)]
    assert [subject for subject in told if "Still" not in subject] == [
        "Warning: No backup has succeeded for 36 hours.",
        "Critical: Worse: No backup has succeeded for 3 days.",
    ]
    backed_up(office)
    assert set(office.work()) == {
        "Over: The last backup failed.", "Over: No backup has succeeded for 3 days.",
    }  # fmt: skip
    for _ in range(7 * 24):
        backed_up(office)
        told = office.work(HOUR)
    assert office.rows("SELECT title FROM alert WHERE ended_at IS NULL") == [
        ("No restore has been tried for more than a week.",)
    ]
    drill = (
        "INSERT INTO restore_drill (target, started_at, finished_at, catalogue, recordings,"
        f" sampled, error) VALUES ({TARGET}, %s, %s, 'x', 9, 9, %s)"
    )
    office.db.execute(drill, [office.now, office.now, "2 of 9 recordings are not whole."])
    assert office.work() == ["Critical: Worse: What is backed up could not be restored on trial."]
    office.db.execute(drill, [office.now, office.now, None])
    assert office.work() == ["Over: What is backed up could not be restored on trial."]


def test_calls_that_a_pbx_will_soon_forget_are_told_long_before(office: Office) -> None:
    pbx = office.pbx()
    office.db.execute("INSERT INTO company (pbx_id, name, label, listed_until)"
                      " VALUES (%s, 'x', 'x', %s)", [pbx, NOW])  # fmt: skip
    told = [subject for _ in range(22 * 24) for subject in office.work(HOUR)]
    grown = [subject for subject in told if "Still" not in subject]
    assert grown == [
        "Warning: Main: calls will be lost in 13 days.",
        "Critical: Worse: Main: calls will be lost in 6 days.",
        "Critical: Worse: Main: calls will be lost in 2 days.",
        "Critical: Worse: Main: calls will be lost in 23 hours.",
    ]


def test_what_was_lost_or_is_not_explained_is_told(office: Office) -> None:
    pbx = office.pbx()
    office.db.execute("INSERT INTO company (id, pbx_id, name, label, listed_until)"
                      " VALUES (201, %s, 'x', 'x', %s)", [pbx, NOW])  # fmt: skip
    office.db.execute("INSERT INTO completeness VALUES (201, '2036-11-20', 5, 0, 3, 0, 0, now())")
    office.db.execute(
        "INSERT INTO recording (id, pbx_id, company_id, remote_id, poll_id, state, started_at,"
        " duration, caller, callee, listed_at) SELECT gen_random_uuid(), %s, 201, n, 1, 'gone',"
        " now(), 1, '', '', %s FROM generate_series(1, 3) n", [pbx, NOW])  # fmt: skip
    assert sorted(office.work()) == [
        "Critical: 2 listed recordings are neither stored nor explained.",
        "Critical: 3 recordings were gone from the PBX before they could be fetched.",
    ]


def test_a_certificate_is_watched_from_three_weeks_before_its_end(
    office: Office, tmp_path: Path
) -> None:
    path = Authority(tmp_path).file
    until = ends(x509.load_pem_x509_certificate(path.read_bytes()))
    office.settings = Settings("", "", "https://box.example.com", "UTC", path)
    office.start()
    found = []
    for days in (22, 20, 6, -1):
        office.now = until - days * DAY
        office.work(timedelta())
        found.append(office.rows("SELECT title, is_critical FROM alert WHERE ended_at IS NULL"))
    of = "The certificate of the web UI {}."
    assert found == [
        [], [(of.format("expires in 20 days"), False)], [(of.format("expires in 6 days"), True)],
        [(of.format("has expired"), True)],
    ]  # fmt: skip
    path.unlink()
    office.work()
    assert "can't be read" in office.rows("SELECT title FROM alert")[0][0]
