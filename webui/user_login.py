"""End users: known to their PBX, which checks name and password at each login and says what they
may hear. The password is passed on to it and kept nowhere.
"""

from common import pbx
from common.db import Connection
from common.errors import ConfigError, PbxError, WrongLogin
from webui import auth, pbx_check
from webui.auth import LoginRefused
from webui.queries import accounts, pbxs

_WRONG = "The PBX, the user name or the password is wrong."
_LONGEST = 256


class NotChecked(LoginRefused):
    """The PBX could not say whether this login is right; the text says why."""


def log_in(db: Connection, where: str, name: str, password: str) -> None:
    """Begin a session of a PBX user for this browser. Raises LoginRefused."""
    name = "".join(letter for letter in name.strip() if letter.isprintable())[:64]
    found = pbxs.named(db, where.strip().replace("\0", "")[:200])
    key = f"{name.casefold()}@pbx{found.id if found else '?'}"
    failure = auth.count(db, key)
    if found is None or not name or not password or len(password) > _LONGEST:
        accounts.note(db, "unknown", "login.failed", "", auth.address())
        raise LoginRefused(_WRONG)
    try:
        user = pbx_check.within(lambda: _ask(found, name, password))
    except WrongLogin as error:
        accounts.note(db, "unknown", "login.failed", f"pbx:{found.id}", auth.address())
        raise LoginRefused(_WRONG) from error
    except (PbxError, ConfigError) as error:
        accounts.take_back(db, failure)
        raise NotChecked(f"Your PBX can't be asked at the moment: {error}.") from error
    with db.transaction():
        accounts.take_back(db, failure)
        accounts.forget_failures(db, key)
        user_id = accounts.know_user(db, found.id, user.id, user.login, user.name)
        hears = pbxs.companies_named(db, found.id, user.hears)
        auth.begin_user(db, user_id, hears)


def _ask(found: pbxs.LoginPbx, name: str, password: str) -> pbx.RemoteUser:
    with pbx.connect(
        found.kind, found.url, token=None, certificate=found.certificate, timezone=found.timezone
    ) as connector:
        return connector.authenticate(name, password)
