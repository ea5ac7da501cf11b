"""Every page as a screen reader meets it: one first heading, labels, unique ids, targets."""

from collections import Counter
from dataclasses import dataclass, field
from html.parser import HTMLParser

import pytest

from tests.web.browser import Browser
from tests.web.world import World

VOID = {"input", "meta", "link", "img", "br", "hr"}
SILENT = {"hidden", "submit", "button"}


@dataclass
class Element:
    """A tag with its attributes, what stands around it, and its text."""

    tag: str
    attributes: dict[str, str]
    inside: tuple[str, ...]
    text: str = ""


@dataclass
class Document(HTMLParser):
    """All elements of a page, in order."""

    elements: list[Element] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()
        self._open: list[Element] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an element."""
        attributes = {name: value or "" for name, value in attrs}
        element = Element(tag, attributes, tuple(outer.tag for outer in self._open))
        self.elements.append(element)
        if tag not in VOID:
            self._open.append(element)

    def handle_endtag(self, tag: str) -> None:
        """Close an element; what is still open inside it was never closed."""
        if tag in VOID:
            return
        if any(element.tag == tag for element in self._open):
            while self._open.pop().tag != tag:
                pass

    def handle_data(self, data: str) -> None:
        """Note the text of everything that is open."""
        for element in self._open:
            element.text += data

    def of(self, *tags: str) -> list[Element]:
        """Return the elements with one of these tags."""
        return [element for element in self.elements if element.tag in tags]


def faults(text: str) -> list[str]:
    """Return what somebody who can't see or point would stumble over."""
    page = Document()
    page.feed(text)
    found = []
    ids = Counter(e.attributes["id"] for e in page.elements if "id" in e.attributes)
    found += [f"the id {name} stands {count} times" for name, count in ids.items() if count > 1]
    if len(page.of("h1")) != 1:
        found.append(f"{len(page.of('h1'))} first headings")
    labels = {e.attributes.get("for") for e in page.of("label")}
    for element in page.of("input", "select", "textarea"):
        attributes = element.attributes
        named = attributes.get("id") in labels or "label" in element.inside
        if attributes.get("type") not in SILENT and not named and "aria-label" not in attributes:
            found.append(f"no label: {attributes}")
    for element in page.of("button", "a"):
        if not element.text.strip() and "aria-label" not in element.attributes:
            found.append(f"no words: {element.tag} {element.attributes}")
    for element in page.elements:
        for name in ("aria-describedby", "aria-labelledby"):
            for target in element.attributes.get(name, "").split():
                if target not in ids:
                    found.append(f"{element.tag} points to {target}, which is not there")
    for element in page.of("img"):
        if "alt" not in element.attributes:
            found.append("a picture without words")
    found += ["a table without a heading" for table in page.of("table") if "<th" not in text]
    levels = [int(e.tag[1]) for e in page.of("h1", "h2", "h3", "h4")]
    if any(after > before + 1 for before, after in zip(levels, levels[1:], strict=False)):
        found.append(f"a heading skips a level: {levels}")
    return found


def test_nobody_stumbles_on_any_page(world: World, sysadmin: Browser) -> None:
    wrong = {}
    for address in world.pages():
        answer = sysadmin.get(address)
        assert answer.status_code == 200, address
        if found := faults(answer.text):
            wrong[address] = found
    assert not wrong


def test_nobody_stumbles_where_nobody_is_logged_in(anonymous: Browser) -> None:
    assert not faults(anonymous.get("/login").text)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("<h1>a</h1><p id=x></p><p id=x></p>", "the id x"),
        ("<p>none</p>", "0 first headings"),
        ("<h1>a</h1><h3>b</h3>", "skips a level"),
        ("<h1>a</h1><input name=x>", "no label"),
        ("<h1>a</h1><button></button>", "no words"),
        ("<h1>a</h1><p aria-describedby=y></p>", "points to y"),
        ("<h1>a</h1><img src=x>", "without words"),
    ],
)
def test_the_faults_are_seen(text: str, fault: str) -> None:
    assert any(fault in found for found in faults(text))
