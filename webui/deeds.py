"""The audit log in words: what each action is called, and the page of what it was about."""

from typing import Any

from flask import url_for

WORDS = {
    "account.reset": "set back to the factory password",
    "alert.acknowledge": "acknowledged an alert",
    "array.forget": "forgot a disk array",
    "audit.export": "saved the audit log",
    "backup.cancel": "cancelled a backup",
    "backup.changed": "changed the backup target",
    "backup.confirmed": "let backups go on without lost recordings",
    "backup.paced": "changed how fast backups copy",
    "backup.removed": "switched backups off",
    "backup.run": "asked for a backup",
    "box.restored": "restored this CallStash from a backup",
    "company.deleted": "deleted a company with its keys",
    "company.cancel_delete": "cancelled the deletion of a company",
    "company.delete": "marked a company for deletion",
    "company.destroyed_key": "destroyed a company's retired key, which nothing needed",
    "company.export": "began to export a company's recordings",
    "company.export_keys": "saved a company's keys",
    "company.exported": "exported a company's recordings",
    "company.new_key": "gave a company a new key",
    "company.retention": "changed how long a company's recordings are kept",
    "daemon.forget": "forgot a daemon",
    "dead_letter.drop": "dropped a message",
    "dead_letter.retry": "had a message tried again",
    "export.cancel": "deleted an export",
    "export.fetch": "fetched an export",
    "factor.off": "switched the second factor off",
    "factor.on": "switched the second factor on",
    "hold.add": "created a legal hold",
    "hold.release": "released a legal hold",
    "kit.checked": "showed the recovery kit",
    "licence.activated": "activated the licence",
    "licence.changed": "got a changed licence",
    "licence.installed": "installed a licence file",
    "licence.refused": "was refused a licence",
    "link.code_failed": "entered a wrong code for a link",
    "link.create": "mailed a link to a recording",
    "link.open": "opened a link",
    "link.revoke": "ended a link",
    "login": "logged in",
    "login.code_failed": "entered a wrong code",
    "login.failed": "failed to log in",
    "logout": "logged out",
    "mail.changed": "changed the e-mail server",
    "mail.removed": "removed the e-mail server",
    "mail.settings": "changed the notifications",
    "mail.test": "sent a test mail",
    "master.new_key": "replaced the master key",
    "note.add": "wrote a note on a call",
    "note.remove": "removed a note on a call",
    "outbox.retry": "had parked messages tried again",
    "password.changed": "changed a password",
    "password.failed": "entered a wrong password",
    "pbx.add": "added a PBX",
    "pbx.change": "changed the settings of a PBX",
    "pbx.poll_now": "asked for a poll",
    "pbx.refresh_companies": "had a company list refreshed",
    "pbx.retention": "changed how long a PBX's recordings are kept",
    "purge.finished": "deleted what had expired",
    "purge.permit": "confirmed a large deletion",
    "purge.run": "asked for housekeeping",
    "recording.damaged": "found a damaged recording",
    "recording.download": "downloaded a recording",
    "recording.evidence": "took a recording as evidence",
    "recording.play": "played a recording",
    "recording.refetched": "replaced a recording that the PBX had changed",
    "recording.repaired": "had a recording repaired",
    "recording.refused": "was refused a recording that can't be read",
    "search.export": "saved a list of calls",
    "support.connect": "asked for remote support",
    "support.disconnect": "ended remote support",
    "support.ended": "ended remote support, whose time was over",
    "support.opened": "opened the tunnel to the support server",
    "sweep.run": "had the files compared",
    "upgrade.broken": "asked for an upgrade that failed",
    "upgrade.done": "had CallStash upgraded",
    "upgrade.failed": "asked for an upgrade that failed and was undone",
    "upgrade.refused": "asked for an upgrade in vain",
    "upgrade.start": "started an upgrade",
    "session.end": "ended a session",
    "session.end_all": "ended all sessions of an account",
    "session.end_others": "logged out everywhere else",
    "webhook.add": "added a webhook",
    "webhook.remove": "removed a webhook",
}
_PAGES = {
    "pbx": ("pbx.page", "pbx_id"),
    "company": ("company.page", "company_id"),
    "recording": ("recording.page", "recording_id"),
    "hold": ("holds.hold", "hold_id"),
}


def words(action: str) -> str:
    """Return an action in words; one that has none as it is written."""
    return WORDS.get(action, action)


def page(subject: str) -> str | None:
    """Return the address of what an action was about; None where it has no page."""
    kind, _, key = subject.partition(":")
    if kind not in _PAGES or not key:
        return None
    endpoint, argument = _PAGES[kind]
    arguments: dict[str, Any] = {argument: int(key) if key.isdigit() else key}
    return url_for(endpoint, **arguments)
