"""Who may import whom: daemons not each other, `common` neither daemons nor the web UI."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ALLOWED = {
    "common": {"common"},
    "daemons": {"common"},
    "webui": {"common", "webui"},
    "tools": {"common", "tools"},
    "simulators": {"simulators"},
}
OURS = {*ALLOWED, "devtools", "tests", "bench"}


def imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


@pytest.mark.parametrize("top", sorted(ALLOWED))
def test_a_part_imports_only_what_it_may(top: str) -> None:
    wrong = []
    for path in (ROOT / top).rglob("*.py"):
        own = {".".join(path.relative_to(ROOT).parts[:2])} if top == "daemons" else set()
        for name in imported(path):
            parts = name.split(".")
            good = parts[0] in ALLOWED[top] or ".".join(parts[:2]) in own or name in own
            if parts[0] in OURS and not good and name != "daemons":
                wrong.append(f"{path.relative_to(ROOT)} imports {name}")
    assert not wrong
