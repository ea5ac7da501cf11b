"""Entry point: `python -m simulators.pbx --state DIR`, a PBX that is not there."""

import argparse
import threading
from pathlib import Path
from zoneinfo import ZoneInfo

from simulators.pbx import scenarios
from simulators.pbx.api import Api
from simulators.pbx.control import Control
from simulators.pbx.faults import Faults
from simulators.pbx.media import Media
from simulators.pbx.model import Model
from simulators.pbx.server import Server, pbx_handler
from simulators.pbx.tls import certificate


def main() -> None:
    """Serve until killed."""
    options = _options()
    media = Media(options.state)
    pbx = Model(media, ZoneInfo(options.timezone), options.seed)
    if options.scenario == "small":
        scenarios.fill_small(pbx)
    elif options.scenario == "bench":
        scenarios.fill_bench(pbx, options.calls, options.mix)
    else:
        scenarios.fill_demo(pbx, options.calls, options.born or pbx.now())
    faults = Faults()
    api = Api(pbx)
    secret = certificate(options.state) if options.tls else None
    server = Server(pbx_handler(api, faults), media, options.port, secret)
    control = Control(api, faults, server)
    controls = Server(control.handle, media)
    for each in (server, controls):
        threading.Thread(target=each.serve, daemon=True).start()
    print(f"READY {server.url}\nCONTROL {controls.url}", flush=True)
    pause = threading.Event()
    while not pause.wait(options.live or 3600):
        if options.live and pbx.managed:
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
    parser.add_argument("--born", type=float, help="s since the epoch, when the demo's calls end")
    parser.add_argument("--live", type=float, default=0, help="a new call every so many seconds")
    parser.add_argument("--timezone", default="Europe/London")
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args()


if __name__ == "__main__":
    main()
