"""The vendor's side on the command line: sell codes, sign licence files, run the licence server."""

import argparse
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

from simulators.licence.server import Server
from simulators.licence.vendor import Vendor


def main() -> None:
    """Do what the command line says; everything is kept in --directory."""
    parser = argparse.ArgumentParser(prog="python -m simulators.licence", description=__doc__)
    parser.add_argument("--directory", type=Path, required=True)
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("key", help="print the public key, for 'licence_key' in callstash.toml")
    code = verbs.add_parser("code", help="sell an activation code")
    sign = verbs.add_parser("sign", help="sign a licence file for a box without network")
    sign.add_argument("box", type=UUID, help="the box ID that its activation page shows")
    sign.add_argument("--serial", required=True)
    for verb in (code, sign):
        verb.add_argument("--pbxs", type=int, default=3)
        verb.add_argument("--months", type=int, default=12, help="of support")
    serve = verbs.add_parser("serve", help="run the licence server")
    serve.add_argument("--port", type=int, default=0)
    options = parser.parse_args()
    vendor = Vendor(options.directory)
    if options.verb == "key":
        print(vendor.public_key)
    elif options.verb == "code":
        print(vendor.sell(options.pbxs, options.months))
    elif options.verb == "sign":
        today = datetime.now(UTC).date()
        until = str(today + timedelta(days=30 * options.months))
        signed = vendor.sign(options.serial, str(options.box), options.pbxs, str(today), until)
        print(json.dumps(signed, indent=1))
    else:
        server = Server(vendor, options.port)
        print(f"READY {server.url}", flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main()
