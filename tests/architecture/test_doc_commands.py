"""The commands that documents name exist and know the options shown with them."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.core.management import get_commands, load_command_class

from analysis.__main__ import _parser as report_parser
from analysis.commands import _power_parser, _simulate_parser
from analysis.votes.foreign.command import _parser as convert_parser
from tests.architecture.test_contracts import PACKAGES, ROOT

DOCUMENTS = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("training/presets/*.toml")]
ANALYSIS = {"convert": convert_parser, "power": _power_parser, "simulate": _simulate_parser}
FENCED, INLINE = re.compile(r"^```.*?\n(.*?)^```", re.S | re.M), re.compile(r"`([^`]+)`")
LINE = re.compile(r"^(?: {4}|#   ).*$", re.M)
VARIABLE = re.compile(r"[A-Z_]+=")
# Of a program that the reader writes.
THEIRS = {"two_folders.py"}
COMMAND = re.compile(r"(?:^|[\s/])(?:python )?(manage\.py|python -m|python|make) ([^\n]+)")


def code_of(text: str) -> Iterator[str]:
    """Yield the lines of a document that are code."""
    text = text.replace("\\\n", " ")
    for block in FENCED.findall(text):
        yield from block.splitlines()
    text = FENCED.sub("", text)
    yield from LINE.findall(text)
    yield from (span.replace("\n", " ") for span in INLINE.findall(LINE.sub("", text)))


def commands_of(text: str) -> list[tuple[str, list[str]]]:
    """Return program and words of each command in a document, without comments and brackets."""
    found = [match.groups() for line in code_of(text) if (match := COMMAND.search(line))]
    words = [(program, re.sub(r"\s# .*|[][]", "", rest).split()) for program, rest in found]
    return [(program, [word for word in given if not VARIABLE.match(word)]) for program, given in words]


def options_of(parser: argparse.ArgumentParser) -> set[str]:
    return {option for action in parser._actions for option in action.option_strings}


def known_options(program: str, words: list[str]) -> set[str]:
    """Return the options of a command.

    Raises
    ------
    LookupError
        If there is no such command.
    """
    name = words[0]
    if program == "manage.py":
        return options_of(load_command_class(get_commands()[name], name).create_parser("manage.py", name))
    if name == "analysis":
        made = ANALYSIS.get(words[1], report_parser) if len(words) > 1 else report_parser
        return options_of(made())
    place = ROOT / (name if program == "python" else name.replace(".", "/"))
    source = next((file for file in (place, place.with_suffix(".py"), place / "__main__.py") if file.is_file()), None)
    if source is None:
        raise LookupError(name)
    return set(re.findall(r'"(--[\w-]+)"', source.read_text())) | {"--help"}


def faults(program: str, words: list[str]) -> list[str]:
    """Return what of a command does not exist."""
    if program == "make":
        return [] if re.search(rf"^{words[0]}:", (ROOT / "Makefile").read_text(), re.M) else [words[0]]
    is_pythons_own = program == "python -m" and words[0] in sys.stdlib_module_names
    if words[0].isupper() or words[0] in THEIRS or is_pythons_own:
        return []
    try:
        known = known_options(program, words)
    except LookupError:
        return [words[0]]
    return sorted({word.partition("=")[0] for word in words if word.startswith("--")} - known)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_commands_of_a_document_exist(document: Path) -> None:
    found = commands_of(document.read_text(encoding="utf-8"))
    wrong = {f"{program} {' '.join(words)}": faults(program, words) for program, words in found}
    assert {command: what for command, what in wrong.items() if what} == {}


def test_commands_are_found_and_wrong_ones_told() -> None:
    text = "Run `manage.py lost` or\n`manage.py run_jobs\n--never`:\n\n    make A=1 nothing  # at all\n"
    text += "    python -m analysis a.csv --oot b\n"
    found = commands_of(text)
    assert [faults(*command) for command in found] == [["nothing"], ["--oot"], ["lost"], ["--never"]]
    assert len(commands_of((ROOT / "README.md").read_text())) >= 3


OURS = sorted(name for name, app in get_commands().items() if app in PACKAGES)


@pytest.mark.parametrize("name", OURS)
def test_help_names_every_value_that_is_taken_where_none_is_given(name: str) -> None:
    parser = load_command_class(get_commands()[name], name).create_parser("manage.py", name)
    assert "%" not in re.sub(r"\d+ ?%", "", parser.format_help())
    djangos = {"--verbosity", "--settings", "--pythonpath"}
    taken = [
        action
        for action in parser._actions
        if action.nargs != 0 and action.option_strings and action.default not in (None, "", []) and not action.required
    ]
    untold = [one.option_strings[-1] for one in taken if "default" not in (one.help or "")]
    assert [option for option in untold if option not in djangos] == []


def test_there_are_commands_to_look_at() -> None:
    assert len(OURS) > 20
