"""`callstash-set-cert` and `callstash certificate`: the web UI's certificate, from the console."""

import os
import re
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import click

from common.errors import ConfigError
from tools import issue
from tools.certificates import AUTHORITIES, Pair, load
from tools.pairs import DIRECTORY, Nginx, Pairs

LINEAGE = "callstash"  # what certbot calls our certificate
LIVE = Path("/etc/letsencrypt/live")
WEBROOT = Path("/var/lib/callstash-acme")
DOMAIN = re.compile(
    r"(?=.{4,253}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]([a-z0-9-]*[a-z0-9])"
)
EMAIL = re.compile(r"[^\s@,]+@[^\s@,]+\.[^\s@,]+")

_TLS = click.option(
    "--tls", type=click.Path(file_okay=False, path_type=Path), default=DIRECTORY,
    show_default=True, help="Where the web UI's certificate is.",
)  # fmt: skip
_AUTHORITIES = click.option(
    "--authorities", type=click.Path(dir_okay=False, path_type=Path), default=AUTHORITIES,
    show_default=True, help="The authorities (PEM) that may vouch for it.",
)  # fmt: skip


def _facts(pair: Pair) -> str:
    return (
        f"For:         {', '.join(pair.names)}\nExpires:     {pair.ends:%d %b %Y}\n"
        f"Fingerprint: {pair.fingerprint}"
    )


@click.command("set-cert")
@click.argument("key", type=click.Path(path_type=Path))
@click.argument("certificate", type=click.Path(path_type=Path))
@_TLS
@_AUTHORITIES
def set_cert(key: Path, certificate: Path, tls: Path, authorities: Path) -> None:
    """Check a private KEY and a CERTIFICATE (with the certificates that signed it), both PEM, and
    keep them for callstash-config to activate. The web UI goes on with the one that it has.
    """
    pair = load(key, certificate, datetime.now(UTC), authorities)
    Pairs(tls).stage(pair)
    click.echo(_facts(pair))
    click.echo("It is ready. To activate it: callstash-config, Setup Certificate, or")
    click.echo("run 'callstash certificate activate'.")


@click.group()
def certificate() -> None:
    """Show, activate or obtain the certificate of the web UI."""


@certificate.command()
@_TLS
def show(tls: Path) -> None:
    """Show the certificate that is installed, and the one that waits to be activated."""
    pairs = Pairs(tls)
    for words, path in (("Installed", tls), ("Ready to be activated", pairs.staged)):
        if path is not None and (path / "certificate.pem").exists():
            from_file = (path / "key.pem", path / "certificate.pem")
            click.echo(f"{words}:\n{_facts(Pair.read(*from_file))}")


@certificate.command()
@_TLS
def activate(tls: Path) -> None:
    """Serve with the certificate that callstash-set-cert took; the old one stays if nginx
    refuses.
    """
    use_staged(tls)
    click.echo("The web UI shows the new certificate.")


def use_staged(tls: Path = DIRECTORY) -> None:
    """Serve with the pair that waits. Raises NotInstalled."""
    Pairs(tls).activate(Nginx())
    issue.write(tls)


@certificate.command()
@_TLS
@_AUTHORITIES
def deploy(tls: Path, authorities: Path) -> None:
    """Install what certbot has just renewed: certbot runs this, with RENEWED_LINEAGE set."""
    lineage = os.environ.get("RENEWED_LINEAGE")
    if not lineage:
        raise ConfigError("certbot runs this after a renewal: there is nothing to do for a person")
    deploy_lineage(Path(lineage), tls, authorities, Nginx())
    click.echo("The web UI shows the new certificate.")


def deploy_lineage(lineage: Path, tls: Path, authorities: Path, nginx: Nginx) -> None:
    """Install the pair in certbot's directory, where it is not yet. Raises BadCertificate,
    NotInstalled.
    """
    now, pairs = datetime.now(UTC), Pairs(tls)
    pair = load(lineage / "privkey.pem", lineage / "fullchain.pem", now, authorities)
    if pairs.certificate.read_bytes() != pair.pem:
        pairs.install(pair, nginx)
        issue.write(tls)


def certbot(
    domains: tuple[str, ...], email: str, hook: str, *more: str, webroot: Path = WEBROOT
) -> list[str]:
    """Return the command that has Let's Encrypt issue a certificate. Raises ConfigError."""
    for domain in domains:
        if not DOMAIN.fullmatch(domain):
            raise ConfigError(f"'{domain}' is no server name such as callstash.example.com")
    if not EMAIL.fullmatch(email) or not email.isascii() or email.startswith("-"):
        raise ConfigError(f"'{email}' is no e-mail address such as admin@example.com")
    names = [part for domain in domains for part in ("--domain", domain)]
    return [
        "certbot", "certonly", "--non-interactive", "--agree-tos", "--webroot",
        "--webroot-path", str(webroot), "--cert-name", LINEAGE, "--email", email,
        "--deploy-hook", hook, "--renew-with-new-domains", *names, *more,
    ]  # fmt: skip


def obtain(command: list[str], webroot: Path, say: Callable[[str], None]) -> bool:
    """Run certbot, showing its log as it comes; return whether it has a certificate."""
    webroot.mkdir(mode=0o755, parents=True, exist_ok=True)
    try:
        with subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True,
        ) as process:  # fmt: skip
            assert process.stdout is not None
            for line in process.stdout:
                say(line.rstrip("\n"))
    except FileNotFoundError as error:
        raise ConfigError("certbot is not installed: apt-get install certbot") from error
    return process.returncode == 0


@certificate.command()
@click.argument("domains", nargs=-1, required=True)
@click.option("--email", required=True, help="Who is told when a renewal fails.")
@click.option(
    "--agree-tos", is_flag=True, required=True,
    help="Agree to the terms of Let's Encrypt (https://letsencrypt.org/repository).",
)  # fmt: skip
def letsencrypt(domains: tuple[str, ...], email: str, agree_tos: bool) -> None:
    """Obtain a certificate for DOMAINS from Let's Encrypt, install it, and keep it renewed.

    Each of DOMAINS must lead to this machine on port 80 from the Internet.
    """
    if not agree_tos:
        raise ConfigError("Let's Encrypt wants its terms agreed to: --agree-tos")
    hook = "/usr/bin/callstash certificate deploy"
    if not obtain(certbot(domains, email, hook), WEBROOT, click.echo):
        raise ConfigError("Let's Encrypt gave no certificate: its reasons stand above")
    deploy_lineage(LIVE / LINEAGE, DIRECTORY, AUTHORITIES, Nginx())
    click.echo("The web UI shows the new certificate.")
