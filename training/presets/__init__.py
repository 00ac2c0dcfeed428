"""Settings as files: the presets that come with the package, and a user's own TOML. No torch."""

import copy
import difflib
import tomllib
from collections.abc import Iterable, Mapping
from importlib import resources
from pathlib import Path
from typing import Any

# How images are taken in, not which or what is learned from them: a run may go on with another value of these.
INTAKE_SETTINGS = frozenset({"data.path", "data.upscale", "data.corrupt", "data.workers"})

# How long a run goes on: what it has learned so far stays as it is.
LENGTH_SETTINGS = frozenset({"optimizer.extension"})


class ConfigError(ValueError):
    """A setting cannot be used; the message names it, what is allowed and the nearest valid name."""


def preset_names() -> list[str]:
    """Return the names of the presets that come with the package."""
    folder = resources.files("training") / "presets"
    return sorted(Path(entry.name).stem for entry in folder.iterdir() if entry.name.endswith(".toml"))


def read_settings(name_or_path: str | Path, *, changes: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Read a preset or a TOML file as nested values, with changes; see `training.learning.config.read_config`.

    A file may build on another (`base`), whose settings it changes one by one, and leave some of them out (`without`).
    """
    return with_changes(_inherited(name_or_path, ()), changes or {})


def _inherited(name_or_path: str | Path, below: tuple[str, ...]) -> dict[str, Any]:
    """Return a file's settings on those of its base."""
    name = str(name_or_path)
    if name in below:
        raise ConfigError(f"{name} is built on itself: {' -> '.join((*below, name))}")
    try:
        values = tomllib.loads(_read_text(name_or_path))
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{name_or_path} is not valid TOML: {error}") from error
    base, without = values.pop("base", None), values.pop("without", [])
    if base is None:
        if without:
            raise ConfigError(f"{name}: without needs a base to leave something out of")
        return values
    if not isinstance(base, str) or not isinstance(without, list) or not all(isinstance(one, str) for one in without):
        raise ConfigError(f"{name}: base is the name of a preset or a file, without a list of settings")
    # Beside the file that names it, wherever the command is given.
    path = str(Path(name).parent / base) if base.endswith(".toml") else base
    whole = _inherited(path, (*below, name))
    # A run takes its name from its own file: under the base's it would be taken for the base's run.
    whole.pop("name", None)
    for setting in without:
        if setting not in {*_flat(whole), *whole}:
            raise ConfigError(f"{name}: without names {setting!r}{nearest(setting, {*_flat(whole), *whole})}")
        _set(whole, setting.split("."), None)
    return {"name": Path(name).stem, **_laid_over(whole, values)}


def _laid_over(below: dict[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    values = dict(below)
    for name, value in above.items():
        inner = values.get(name)
        # A network may be given by its published name alone, on either side.
        if name == "network" and isinstance(inner, str):
            inner = {"published": inner}
        both = isinstance(inner, Mapping) and isinstance(value, Mapping)
        values[name] = _laid_over(dict(inner), value) if both else value
    return values


def with_changes(settings: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return nested settings with dotted ones changed; the settings given stay as they are.

    Raises
    ------
    ConfigError
        A dotted name leads through something that is no section.
    """
    values = copy.deepcopy(dict(settings))
    for dotted, value in changes.items():
        _set(values, dotted.split("."), value)
    return values


def differing(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Return the settings in which two sets of nested values differ, by dotted name, with both values.

    >>> differing({"run": {"seed": 1}}, {"run": {"seed": 2}})
    {'run.seed': (1, 2)}
    """
    mine, its = _flat(one), _flat(other)
    return {name: (mine.get(name), its.get(name)) for name in sorted(mine | its) if mine.get(name) != its.get(name)}


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in values.items():
        found |= _flat(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {f"{prefix}{name}": value}
    return found


def nearest(name: str, known: Iterable[str]) -> str:
    """Return the end of a message about an unknown name: the nearest known one, or all of them."""
    known = list(known)
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f"; did you mean {near[0]!r}?" if near else f"; known: {', '.join(known)}"


def parse_change(text: str) -> tuple[str, Any]:
    """Read `section.name=value` as people write it; the value is TOML, or else text.

    Raises
    ------
    ConfigError
        There is no equals sign.
    """
    name, equals, value = text.partition("=")
    if not equals or not name.strip():
        raise ConfigError(f"{text!r} is no change of a setting; write section.name=value")
    try:
        return name.strip(), tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return name.strip(), value.strip()


def _read_text(name_or_path: str | Path) -> str:
    if str(name_or_path).endswith(".toml"):
        try:
            return Path(name_or_path).read_text()
        except OSError as error:
            raise ConfigError(f"cannot read {name_or_path}: {error.strerror}") from error
    if name_or_path not in preset_names():
        near = nearest(str(name_or_path), preset_names())
        raise ConfigError(f"no preset {str(name_or_path)!r}{near} (or give a path that ends in .toml)")
    return (resources.files("training") / "presets" / f"{name_or_path}.toml").read_text()


def _set(values: dict[str, Any], path: list[str], value: Any) -> None:
    *parents, last = path
    for parent in parents:
        inner = values.get(parent)
        # A network may be given by its published name alone.
        if isinstance(inner, str) and parent == "network":
            inner = {"published": inner}
        values[parent] = inner = {} if inner is None else inner
        if not isinstance(inner, dict):
            raise ConfigError(f"{'.'.join(path)} cannot be set: {parent} is no section")
        values = inner
    if value is None:
        values.pop(last, None)
    else:
        values[last] = value
