"""As much of a document as the tests need: elements with ids, and the swaps that frames ask for."""

from __future__ import annotations

from collections.abc import Iterator
from html.parser import HTMLParser

VOID = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}


class Element:
    """An element; `children` are elements and strings."""

    def __init__(self, tag: str, attributes: dict[str, str] | None = None) -> None:
        self.tag = tag
        self.attributes = attributes or {}
        self.children: list[Element | str] = []
        self.parent: Element | None = None

    def __getitem__(self, name: str) -> str:
        return self.attributes[name]

    def get(self, name: str) -> str | None:
        return self.attributes.get(name)

    @property
    def classes(self) -> list[str]:
        return self.attributes.get("class", "").split()

    @property
    def text(self) -> str:
        return "".join(child if isinstance(child, str) else child.text for child in self.children)

    def walk(self) -> Iterator[Element]:
        for child in self.children:
            if isinstance(child, Element):
                yield child
                yield from child.walk()

    def all(self, tag: str = "", **attributes: str) -> list[Element]:
        """Descendants of that tag with these attributes (`data_role` for data-role)."""
        wanted = {name.replace("_", "-"): value for name, value in attributes.items()}
        return [one for one in self.walk() if tag in ("", one.tag) and all(one.get(name) == value for name, value in wanted.items())]

    def one(self, tag: str = "", **attributes: str) -> Element:
        (found,) = self.all(tag, **attributes)
        return found

    def by_id(self, name: str) -> Element | None:
        return next((one for one in self.walk() if one.attributes.get("id") == name), None)

    def append(self, child: Element | str) -> None:
        self.insert(len(self.children), child)

    def insert(self, at: int, child: Element | str) -> None:
        if isinstance(child, Element):
            child.parent = self
        self.children.insert(at, child)

    @property
    def position(self) -> int:
        assert self.parent is not None
        return next(at for at, child in enumerate(self.parent.children) if child is self)

    def remove(self) -> None:
        if self.parent is not None:
            del self.parent.children[self.position]
            self.parent = None


class _Builder(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.root = self.at = Element("#root")

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {name: value or "" for name, value in attrs})
        self.at.append(element)
        if tag not in VOID:
            self.at = element

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.at.append(Element(tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        node: Element | None = self.at
        while node is not None and node.tag != tag:
            node = node.parent
        if node is not None and node.parent is not None:
            self.at = node.parent

    def handle_data(self, data: str) -> None:
        self.at.append(data)


def parse(html: str) -> Element:
    builder = _Builder()
    builder.feed(html)
    builder.close()
    return builder.root


def swap(root: Element, content: str) -> list[str]:
    """Do to `root` what a frame's content asks for; targets that were not there."""
    missing = []
    for order in parse(content).children:
        if isinstance(order, str):
            assert not order.strip(), f"a frame holds text outside of its partials: {order[:80]!r}"
            continue
        target = root.by_id(order["hx-target"].removeprefix("#"))
        if target is None:
            missing.append(order["hx-target"])
        elif order.tag == "hx-upsert":
            _upsert(target, [child for child in order.children if isinstance(child, Element)], order["key"])
        else:
            assert order.tag == "hx-partial", order.tag
            _place(target, order["hx-swap"], order.children)
    return missing


def _upsert(target: Element, sections: list[Element], key: str) -> None:
    for section in sections:
        known = next((one for one in target.children if isinstance(one, Element) and one.get("id") == section["id"]), None)
        if known is not None:
            known.remove()  # the page's own script moves what was drawn before its number was known
        after = (one.position for one in target.children if isinstance(one, Element) and int(one[key]) > int(section[key]))
        target.insert(next(after, len(target.children)), section)


def _place(target: Element, how: str, children: list[Element | str]) -> None:
    match how:
        case "innerHTML":
            target.children.clear()
            where, at = target, 0
        case "beforeend":
            where, at = target, len(target.children)
        case "afterbegin":
            where, at = target, 0
        case "beforebegin":
            assert target.parent is not None
            where, at = target.parent, target.position
        case "outerMorph":
            assert target.parent is not None
            where, at = target.parent, target.position
            target.remove()
        case "delete":
            target.remove()
            return
        case _:
            raise AssertionError(f"a swap nobody planned: {how}")
    for offset, child in enumerate(list(children)):
        where.insert(at + offset, child)
