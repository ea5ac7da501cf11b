"""The tools that lie beside exported recordings; the player is put together into one file."""

import base64
import hashlib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
NAMES = ("player.html", "decrypt.py", "decrypt.sh")
_SCRIPTS = ("sha256", "keys", "recording", "gsm", "codecs", "bundle", "sound", "wave", "page")
# Nothing but what stands in the file itself: no network, no script that a table might bring along.
_POLICY = (
    "default-src 'none'; script-src '{script}'; style-src '{style}'; img-src data:;"
    " media-src blob:; base-uri 'none'; form-action 'none'"
)


def read(name: str) -> bytes:
    """Return one of the tools."""
    return _player() if name == "player.html" else (ROOT / "leaving" / name).read_bytes()


def _player() -> bytes:
    parts, static = ROOT / "leaving" / "player", ROOT / "webui" / "static"
    scripts = [(parts / f"{name}.js").read_text() for name in _SCRIPTS]
    script = '"use strict";\n(() => {\n' + "\n".join(scripts) + "})();\n"
    style = (static / "style.css").read_text()
    mark = base64.b64encode((static / "mark.svg").read_bytes()).decode()
    filled = {
        "policy": _POLICY.format(script=_hash(script), style=_hash(style)),
        "mark": f"data:image/svg+xml;base64,{mark}", "style": style, "script": script,
    }  # fmt: skip
    page = (parts / "page.html").read_text()
    for name, text in filled.items():
        page = page.replace("{{ " + name + " }}", text)
    return page.encode()


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
