"""XML from strangers, read without entities, so that a few bytes cannot grow into gigabytes or name a local file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from xml.parsers import expat

MOST_ELEMENTS = 200_000
MOST_DEPTH = 200


class XmlError(ValueError):
    """Not XML, or XML that is not read: with entities of its own, too deep, too large."""


@dataclass(slots=True)
class Element:
    """Names are without their namespace."""

    name: str
    attributes: dict[str, str]
    children: list[Element] = field(default_factory=list)
    pieces: list[str] = field(default_factory=list)

    def all(self, name: str) -> list[Element]:
        return [child for child in self.children if child.name == name]

    def first(self, *names: str) -> Element | None:
        return next((child for name in names for child in self.all(name)), None)

    def text(self, *names: str) -> str:
        """Of the first child of one of these names, or of this element; with what is inside of it."""
        element = self.first(*names) if names else self
        return "".join(element._words()).strip() if element else ""

    def walk(self) -> Iterator[Element]:
        yield self
        for child in self.children:
            yield from child.walk()

    def _words(self) -> Iterator[str]:
        yield from self.pieces
        for child in self.children:
            yield from child._words()


def parse(document: bytes) -> Element:
    """The root element. Raises XmlError."""
    builder = _Builder()
    try:
        builder.parser.Parse(document, True)
    except (expat.ExpatError, ValueError, LookupError) as error:
        raise XmlError(str(error)) from None
    return builder.root.children[0]


class _Builder:
    def __init__(self) -> None:
        self.root = Element("", {})
        self.open = [self.root]
        self.count = 0
        self.parser = expat.ParserCreate()
        self.parser.buffer_text = True
        self.parser.StartElementHandler = self.start
        self.parser.EndElementHandler = self.end
        self.parser.CharacterDataHandler = self.words
        self.parser.EntityDeclHandler = self.entity

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self.count += 1
        if self.count > MOST_ELEMENTS or len(self.open) > MOST_DEPTH:
            raise XmlError("The document is too large or too deep.")
        plain = {key.rpartition(":")[2]: value for key, value in attributes.items()}
        element = Element(name.rpartition(":")[2], plain)
        self.open[-1].children.append(element)
        self.open.append(element)

    def end(self, name: str) -> None:
        self.open.pop()

    def words(self, text: str) -> None:
        self.open[-1].pieces.append(text)

    def entity(self, *declaration: object) -> None:
        raise XmlError("The document declares entities of its own.")
