"""The kinds of errors that an operator reads.

The text of each is one sentence that says what is wrong and what to do. Anything that is not a
CallStashError is a bug or an outage of PostgreSQL or RabbitMQ: the process dies and systemd
restarts it.
"""


class CallStashError(Exception):
    """Something that a person can put right; `str(error)` tells them how."""


class ConfigError(CallStashError):
    """Configuration or a credential can't be used: the operator must act (exit status 78)."""


class BadMessage(CallStashError):
    """A message that is not one of ours: it is dead-lettered."""


class ArchiveError(CallStashError):
    """An archive file that was altered, cut, swapped or is not ours: nothing of it is used."""


class KeyUnavailable(CallStashError):
    """A key is missing or does not open what it should open."""


class BadMedia(CallStashError):
    """What a PBX sent is not a recording in a format that PBXs send."""


class PbxError(CallStashError):
    """A PBX did not do what was asked."""


class WrongToken(PbxError):
    """The PBX refuses the API token: enter a new one."""


class NoPermission(PbxError):
    """The token's owner lacks a permission on the PBX: grant it there."""


class WrongLogin(PbxError):
    """The PBX refuses this user name and password."""


class NotAvailable(PbxError):
    """The PBX does not have this recording (expired, or unknown)."""


class TryLater(PbxError):
    """The PBX is busy and says so."""


class Unreachable(PbxError):
    """No conversation with the PBX: name, network, TLS, certificate, or no answer in time."""


class UntrustedCertificate(Unreachable):
    """The PBX shows a certificate that is neither pinned nor vouched for by a public authority."""


class TransferError(PbxError):
    """A download broke off, was too slow, or sent another length than it announced."""


class ProtocolError(PbxError):
    """The PBX sent something that its API does not allow."""
