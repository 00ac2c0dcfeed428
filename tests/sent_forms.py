"""What a browser would send back from an untouched form of a page."""

from __future__ import annotations

from html.parser import HTMLParser

__all__ = ["sent_by"]


class _Form(HTMLParser):
    """Collects the fields of the form that has a field of a given name; templates are no part of a form."""

    def __init__(self, having: str) -> None:
        super().__init__()
        self.having, self.found = having, {}
        self._fields: dict[str, str] | None = None
        self._template, self._select, self._text = 0, "", ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "template":
            self._template += 1
        if tag == "form":
            self._fields = {}
        if self._fields is None or self._template or "disabled" in given:
            return
        name = given.get("name", "")
        if tag == "input" and name and given.get("type") not in {"submit", "button", "file"}:
            if given.get("type") not in {"checkbox", "radio"} or "checked" in given:
                self._fields[name] = given.get("value", "on" if given.get("type") == "checkbox" else "")
        elif tag == "select":
            self._select = name
        elif tag == "option" and self._select and ("selected" in given or self._select not in self._fields):
            self._fields[self._select] = given.get("value", "")
        elif tag == "textarea":
            self._text = name
            self._fields[name] = ""

    def handle_data(self, data: str) -> None:
        if self._text and self._fields is not None:
            self._fields[self._text] += data

    def handle_endtag(self, tag: str) -> None:
        if tag == "template":
            self._template -= 1
        elif tag == "select":
            self._select = ""
        elif tag == "textarea" and self._text and self._fields is not None:
            # As browsers do: the first line end belongs to the source, the others become two characters.
            text = self._fields[self._text].removeprefix("\n")
            self._fields[self._text], self._text = text.replace("\n", "\r\n"), ""
        elif tag == "form" and self._fields is not None:
            if self.having in self._fields:
                self.found = self._fields
            self._fields = None


def sent_by(page: str, having: str) -> dict[str, str]:
    """Return {name: value} of the form of ``page`` that has a field named ``having``."""
    parser = _Form(having)
    parser.feed(page)
    assert parser.found, f"no form of this page has a field {having!r}"
    return parser.found
