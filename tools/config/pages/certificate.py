"""The web UI's certificate: one of the administrator's own, or one from Let's Encrypt."""

from pathlib import Path

from common.errors import CallStashError, ConfigError
from tools.certificate import LINEAGE, LIVE, certbot, use_staged
from tools.certificates import Pair
from tools.config.job import Job
from tools.config.pages.disks import follow
from tools.config.screen import Back, Screen
from tools.pairs import Pairs

TITLE = "Setup Certificate"
TERMS = "https://letsencrypt.org/repository"


def facts(directory: Path) -> str:
    """Say for what a pair is and how a browser shows it."""
    try:
        pair = Pair.read(directory / "key.pem", directory / "certificate.pem")
    except CallStashError as error:
        return str(error)
    half = len(pair.fingerprint) // 2
    return (
        f"  For      {', '.join(pair.names)}\n  Expires  {pair.ends:%d %b %Y}\n  SHA-256  "
        f"{pair.fingerprint[: half + 1]}\n           {pair.fingerprint[half + 1 :]}"
    )


def page(screen: Screen, leave: str) -> None:
    """Offer the two ways to a certificate. Raises Back, ConfigError."""
    job = Job("certificate")
    if job.running:
        return follow(screen, job, TITLE)
    while True:
        installed = facts(Pairs().directory)
        choice = screen.menu(
            TITLE, f"The web UI shows this certificate:\n\n{installed}",
            ["Setup Let's Encrypt", "Use self installed cert"], back=leave,
        )  # fmt: skip
        try:
            return _lets_encrypt(screen, job) if choice == 0 else _own(screen)
        except Back:
            continue


def _own(screen: Screen) -> None:
    pairs = Pairs()
    if pairs.staged is None:
        screen.tell(TITLE, "No certificate waits to be used. Copy key and certificate to this"
                           " machine, and have them checked with"
                           "\n\n  callstash-set-cert KEY CERTIFICATE")  # fmt: skip
        raise Back
    if not screen.ask(TITLE, f"Use this certificate?\n\n{facts(pairs.staged)}", "Use", "Back"):
        raise Back
    screen.wait(TITLE, "Giving the certificate to the web server ...")
    use_staged()
    screen.tell(TITLE, "The web UI shows the new certificate.")


def _lets_encrypt(screen: Screen, job: Job) -> None:
    if not screen.ask(
        TITLE,
        "Let's Encrypt calls this machine at port 80 under the name that the certificate is for."
        "\n\n- The name must lead to your public address in DNS."
        "\n- Your router or firewall must pass port 80 on to this machine."
        "\n\nIs that so?", "Yes", "Back",
    ):  # fmt: skip
        raise Back
    if not screen.ask(
        TITLE, f"Let's Encrypt has terms of service, which you find at\n\n  {TERMS}\n\nDo you agree"
        " to them?", "Agree", "Back",
    ):  # fmt: skip
        raise Back
    email, names = "", " ".join(_names())
    while True:
        (email,) = screen.form(
            TITLE, "Whom shall Let's Encrypt tell about the certificate?", [("E-mail", email)]
        )
        (names,) = screen.form(
            TITLE, "For which names? One is usual, such as callstash.example.com; put spaces"
            " between several.", [("Names", names)],
        )  # fmt: skip
        wanted = names.replace(",", " ").lower().split()
        try:
            if not wanted:
                raise ConfigError("Enter a name.")
            certbot(tuple(wanted), email, "")  # only to have both checked before anything is done
        except ConfigError as error:
            screen.tell(TITLE, str(error))
            continue
        job.start("tools", "certificate", "letsencrypt", *wanted, "--email", email, "--agree-tos")
        return follow(screen, job, TITLE)


def _names() -> list[str]:
    """Return for what names Let's Encrypt gave a certificate before."""
    lineage = LIVE / LINEAGE
    if not (lineage / "fullchain.pem").exists():
        return []
    return Pair.read(lineage / "privkey.pem", lineage / "fullchain.pem").names
