"""An export of the archive of a test, made as `callstash export` makes it, and its key."""

from dataclasses import dataclass
from pathlib import Path

from common import keys, pkcs8
from common.leaving import Signer, Wanted
from common.queries import leaving
from tests.web.building import COMPANY_UID, MASTER, SIGNING, Archive, company_key, signs
from tools.contents import Encrypted
from tools.exporting import Export

PASSPHRASE = "pêche melba 7"


@dataclass(frozen=True)
class Bundle:
    """Where the export lies, its player, and the private key under PASSPHRASE."""

    directory: Path
    key: Path

    @property
    def player(self) -> str:
        """The address of the player, as a file manager opens it."""
        return (self.directory / "player.html").as_uri()


def export(archive: Archive, company: int, directory: Path) -> Bundle:
    """Export all calls of a company."""
    signs(archive.db, SIGNING)
    whose = leaving.company_of(archive.db, company)
    made = Export(archive.db, whose, Wanted(), directory / "out", Encrypted(archive.store))
    made.run(Signer(SIGNING, leaving.signing_key(archive.db)), lambda _: None)
    one = company_key(COMPANY_UID)
    private = keys.open_company_key(MASTER, one.private_sealed, COMPANY_UID, one.kid, one.version)
    key = directory / "harbour.private.key"
    key.write_bytes(pkcs8.pem(private, PASSPHRASE))
    return Bundle(directory / "out", key)
