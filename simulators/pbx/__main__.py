"""Entry point: `python -m simulators.pbx --state DIR`, a PBX that is not there."""

import argparse
import threading
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from zoneinfo import ZoneInfo

from simulators.pbx import model
from simulators.pbx.api import Api
from simulators.pbx.control import Control
from simulators.pbx.faults import Faults
from simulators.pbx.media import Media
from simulators.pbx.server import Server, pbx_handler, use_media


def main() -> None:
    """Serve until killed."""
    options = _options()
    media = Media(options.state)
    use_media(media.descriptors)
    pbx = model.Model(media, ZoneInfo(options.timezone), options.seed)
    if options.scenario == "small":
        model.fill_small(pbx)
    elif options.scenario == "bench":
        model.fill_bench(pbx, options.calls, options.mix)
    else:
        model.fill_demo(pbx, options.calls)
    certificate = str(_certificate(options.state)) if options.tls else None
    faults = Faults()
    server = Server(pbx_handler(Api(pbx), faults), options.port, certificate)
    control = Control(pbx, faults, server)
    controls = Server(control.handler())
    for each in (server, controls):
        threading.Thread(target=each.serve, daemon=True).start()
    print(f"READY {server.url}\nCONTROL {controls.url}", flush=True)
    pause = threading.Event()
    while not pause.wait(options.live or 3600):
        if options.live:
            company = pbx.random.choice(pbx.managed)
            seconds = 5 + pbx.random.random() * 60
            control.add_calls(company, 1, ago_s=150, seconds=seconds)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="simulators.pbx", description=__doc__)
    parser.add_argument(
        "--state", type=Path, required=True, help="directory for speech, certificate"
    )
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--tls", action="store_true", help="with a self-signed certificate")
    parser.add_argument("--scenario", choices=("demo", "small", "bench"), default="demo")
    parser.add_argument("--calls", type=int, default=300)
    parser.add_argument("--mix", choices=("uniform", "mixed"), default="uniform")
    parser.add_argument("--live", type=float, default=0, help="a new call every so many seconds")
    parser.add_argument("--timezone", default="Europe/London")
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args()


def _certificate(state: Path) -> Path:
    path = state / "pbx.pem"
    if path.exists():
        return path
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "PBX simulator")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=3650))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(
        pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    temporary = path.with_suffix(f".{id(key)}")
    temporary.write_bytes(private + certificate.public_bytes(pem))
    temporary.chmod(0o600)
    temporary.rename(path)
    return path


if __name__ == "__main__":
    main()
