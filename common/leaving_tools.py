"""What lies beside recordings that are taken along; the player is put together into one file."""

import base64
import hashlib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
NAMES = ("player.html", "decrypt.py", "decrypt.sh")
_SCRIPTS = ("sha256", "keys", "recording", "gsm", "codecs", "bundle", "sound", "wave", "page",
            "call")  # fmt: skip
# Nothing but what stands in the file itself: no network, no script that a table might bring along.
_POLICY = (
    "default-src 'none'; script-src '{script}'; style-src '{style}'; img-src data:;"
    " media-src blob:; base-uri 'none'; form-action 'none'"
)


def read(name: str) -> bytes:
    """Return one of the files."""
    return _player() if name == "player.html" else (ROOT / "leaving" / name).read_bytes()


def look() -> dict[str, str]:
    """Return the style of the web UI and its mark, as an address."""
    static = ROOT / "webui" / "static"
    mark = base64.b64encode((static / "mark.svg").read_bytes()).decode()
    return {
        "mark": f"data:image/svg+xml;base64,{mark}",
        "style": (static / "style.css").read_text(),
    }


def _player() -> bytes:
    parts, filled = ROOT / "leaving" / "player", look()
    scripts = [(parts / f"{name}.js").read_text() for name in _SCRIPTS]
    filled["script"] = '"use strict";\n(() => {\n' + "\n".join(scripts) + "})();\n"
    policy = _POLICY.format(script=_hash(filled["script"]), style=_hash(filled["style"]))
    page = (parts / "page.html").read_text().replace("{{ policy }}", policy)
    for name, text in filled.items():
        page = page.replace("{{ " + name + " }}", text)
    return page.encode()


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
