"""Backups: the commands that the web UI gives to backupd, and what a saved password is bound to."""

from datetime import timedelta

CATALOGUES = timedelta(days=24 * 31)  # a catalogue is kept so long, while backups are made monthly
RUN, TRY, SHOW_KEY = "backup.run", "backup.try", "backup.show_key"


def context(host: str, port: int, username: str, host_key: str) -> bytes:
    """Return what a sealed password is bound to: it can't be sent to another server."""
    return f"backup_target\0{host}\0{port}\0{username}\0{host_key}".encode()


def credential(name: str) -> bytes:
    """Return what a daemon's secret key is bound to where it is sealed for a restore."""
    return f"credential\0{name}".encode()
