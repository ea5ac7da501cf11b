"""What CallStash needs on its machine and is missing: roles, database, virtual host, certificate,
keys. One process does it all, since each boot waits for it.

Run as root, as often as one likes: what is there stays as it is.
"""

import base64
import hashlib
import json
import os
import secrets
import socket
import subprocess
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import click
import pika
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from pika.exceptions import AMQPError

from common import bus, files, keys
from common.errors import ConfigError
from tools import issue, support
from tools.init import init, migrate

ETC = Path("/etc/callstash")
BROKER = "amqp://127.0.0.1:5672/callstash"
DAYS = 3650
# Each process has the role that is named like its user. The owner of everything is nobody's: root
# and the user of the migrations act as it, in this database only.
ROLES = """\
DO $$
DECLARE name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['callstash', 'callstash_poller', 'callstash_archiver',
        'callstash_housekeeper', 'callstash_notifier', 'callstash_raidmon', 'callstash_backupd',
        'callstash_metrics', 'callstash_web', 'callstash_support', 'root'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) THEN
            EXECUTE format('CREATE ROLE %I LOGIN', name);
        END IF;
    END LOOP;
END $$;
GRANT callstash TO root;
GRANT pg_read_all_data TO callstash WITH ADMIN OPTION;  -- a migration passes it on to backupd
SELECT 'CREATE DATABASE callstash OWNER callstash ENCODING ''UTF8'' TEMPLATE template0'
    WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'callstash') \\gexec
REVOKE ALL ON DATABASE callstash FROM PUBLIC;
GRANT CONNECT ON DATABASE callstash TO callstash_poller, callstash_archiver,
    callstash_housekeeper, callstash_notifier, callstash_raidmon, callstash_backupd,
    callstash_metrics, callstash_web;
ALTER ROLE root IN DATABASE callstash SET role = 'callstash';
"""


@click.command("setup")
@click.pass_context
def command(context: click.Context) -> None:
    """Make what is missing on this machine: roles, database, virtual host, certificate, keys."""
    if os.geteuid() != 0:
        raise ConfigError("only root can set CallStash up")
    for directory, mode in (("credentials", 0o700), ("tls", 0o755)):
        (ETC / directory).mkdir(mode, parents=True, exist_ok=True)
    _run("PostgreSQL", "runuser", "-u", "postgres", "--", "psql", "-XqAt", "-v", "ON_ERROR_STOP=1",
         "-f", "-", given=ROLES)  # fmt: skip
    _broker(ETC / "credentials")
    _certificate(ETC / "tls")
    support.make_key(ETC / "credentials")
    issue.write()
    context.invoke(migrate)
    context.invoke(init, credentials=ETC / "credentials")


def _broker(credentials: Path) -> None:
    """Make the user and the virtual host of RabbitMQ, unless they let us in."""
    file = credentials / "broker"
    if not file.exists():
        keys.write_secret(credentials, file.name, secrets.token_urlsafe(32).encode())
        click.echo(f"made {file}")
    password = file.read_text(encoding="ascii").strip()
    parameters = pika.URLParameters(BROKER)
    parameters.credentials = pika.PlainCredentials(bus.USER, password)
    parameters.connection_attempts = 1
    try:
        pika.BlockingConnection(parameters).close()
    except (AMQPError, OSError):
        _run(
            "RabbitMQ", "rabbitmqctl", "--quiet", "import_definitions", given=definitions(password)
        )
        click.echo("made the virtual host callstash of RabbitMQ and its user")


def definitions(password: str) -> str:
    """Return what RabbitMQ imports, in one call: user, virtual host, permissions."""
    user = {"name": bus.USER, "password_hash": _hashed(password), "tags": [],
            "hashing_algorithm": "rabbit_password_hashing_sha256"}  # fmt: skip
    ours = r"^callstash(\..+)?$"
    permission = {"user": bus.USER, "vhost": "callstash", "configure": ours, "write": ours,
                  "read": ours}  # fmt: skip
    return json.dumps(
        {"users": [user], "vhosts": [{"name": "callstash"}], "permissions": [permission]}
    )


def _hashed(password: str) -> str:
    """Return a password as RabbitMQ keeps it: salt and hash, in base64."""
    salt = secrets.token_bytes(4)
    return base64.b64encode(salt + hashlib.sha256(salt + password.encode()).digest()).decode()


def _certificate(directory: Path) -> None:
    """Make a certificate of our own for the web UI, where there is none."""
    if (directory / "certificate.pem").exists() and (directory / "key.pem").exists():
        return
    name, now = socket.getfqdn(), datetime.now(UTC)
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:64])])
    names = [x509.DNSName(one) for one in dict.fromkeys((name, socket.gethostname(), "localhost"))]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=DAYS))
        .add_extension(
            x509.SubjectAlternativeName([*names, x509.IPAddress(ip_address("127.0.0.1"))]), False
        )
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False)
        .sign(key, SHA256())
    )
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (directory / "key.pem").unlink(missing_ok=True)
    keys.write_secret(directory, "key.pem", secret)
    (directory / "certificate.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
    (directory / "certificate.pem").chmod(0o644)
    files.sync_directory(directory)
    click.echo(f"made a certificate of its own for {name} in {directory}")


def _run(what: str, *command: str, given: str) -> None:
    try:
        done = subprocess.run(
            command, input=given, capture_output=True, text=True, check=False, cwd="/"
        )
    except OSError as error:
        raise ConfigError(f"{what} can't be set up: {command[0]}: {error.strerror}") from error
    if done.returncode:
        said = " ".join((done.stderr or done.stdout).split())[-500:]
        raise ConfigError(f"{what} can't be set up: {said}")
