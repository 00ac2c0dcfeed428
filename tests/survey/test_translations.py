"""Everything that raters read exists in every language, and the compiled catalogues are those of the sources."""

from __future__ import annotations

import ast
import gettext
import inspect
import re
from pathlib import Path

import pytest
from django.conf import settings

import survey
from config import throttle
from survey import exceptions
from survey.views.texts import PAGE_ERRORS

ROOT = Path(survey.__file__).parent
LANGUAGES = [code for code, _ in settings.LANGUAGES if code != "en"]


def catalogue(language: str) -> Path:
    return ROOT / "locale" / language / "LC_MESSAGES" / "django.po"


def entries(path: Path) -> list[dict[str, str]]:
    """Read a .po file: a dictionary of keyword to text for each entry."""
    found = []
    for block in path.read_text().split("\n\n"):
        entry, keyword = {}, ""
        for line in block.splitlines():
            if line.startswith("#"):
                continue
            word, _, rest = line.partition(" ") if not line.startswith('"') else (keyword, "", line)
            keyword = word
            entry[keyword] = entry.get(keyword, "") + ast.literal_eval(rest)
        if entry:
            found.append(entry)
    return found


def source_texts() -> set[str]:
    """Return the texts marked for translation on the rater's pages."""
    texts: set[str] = set()
    for path in [ROOT / "templates" / "404.html", *(ROOT / "templates" / "survey" / "rater").glob("*.html")]:
        source = path.read_text()
        texts |= {double or single for double, single in re.findall(r"""{% trans (?:"([^"]+)"|'([^']+)') %}""", source)}
        texts |= set(re.findall(r'_\("([^"]+)"\)', source))
        for block in re.findall(r"{% blocktrans[^%]*%}(.*?){% (?:plural|endblocktrans) %}", source, re.S):
            texts.add(re.sub(r"{{ (\w+) }}", r"%(\1)s", block))
    for path in [*(ROOT / "views").glob("*.py"), Path(throttle.__file__)]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in {"_", "gettext_noop"}:
                texts |= {argument.value for argument in node.args if isinstance(argument, ast.Constant)}
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "ngettext":
                texts.add(node.args[0].value)
    return texts


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_text_of_the_raters_pages_is_translated(language: str) -> None:
    texts = source_texts()
    assert len(texts) > 100
    translated = {entry["msgid"] for entry in entries(catalogue(language)) if all(entry.values())}
    assert texts - translated == set()


@pytest.mark.parametrize("language", LANGUAGES)
def test_compiled_catalogues_are_those_of_the_sources(language: str) -> None:
    with catalogue(language).with_suffix(".mo").open("rb") as file:
        compiled = gettext.GNUTranslations(file)
    for entry in entries(catalogue(language))[1:]:
        if "msgstr" in entry:
            assert compiled.gettext(entry["msgid"]) == entry["msgstr"]
        else:
            forms = {compiled.ngettext(entry["msgid"], entry["msgid_plural"], number) for number in range(150)}
            assert forms == {text for name, text in entry.items() if name.startswith("msgstr[")}


@pytest.mark.parametrize("language", LANGUAGES)
def test_translations_keep_the_placeholders(language: str) -> None:
    for entry in entries(catalogue(language))[1:]:
        if "msgid_plural" in entry:  # a form for one or two may leave the number out
            continue
        for pattern in (r"%\(\w+\)s", r"\{\w+\}"):
            assert sorted(re.findall(pattern, entry["msgid"])) == sorted(re.findall(pattern, entry["msgstr"])), entry


def test_the_errors_that_pages_show_are_the_defaults_of_the_exceptions() -> None:
    defaults = {" ".join((kind.__doc__ or "").split()) for _, kind in inspect.getmembers(exceptions, inspect.isclass)}
    assert set(PAGE_ERRORS) <= defaults
