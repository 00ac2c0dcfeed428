"""The type of every setting, checked before anything is built: a value that looks like another type is refused."""

import dataclasses
import math
import types
import typing
from collections.abc import Mapping
from typing import Any, Literal, Union

from training.presets import ConfigError

__all__ = ["typed_values"]

# What people write for a truth value and TOML reads as text.
_TRUTHS = {"true": "true", "yes": "true", "on": "true", "false": "false", "no": "false", "off": "false"}


def typed_values(cls: type, values: Mapping[str, Any], section: str) -> dict[str, Any]:
    """Return the values of a dataclass's fields in the types that they are declared with.

    Whole numbers pass where a number is wanted and lists where a tuple is; nothing else is turned into another type.
    Fields that hold a section of their own are returned as they are.

    Parameters
    ----------
    cls : type
        A dataclass.
    values : mapping of str to object
        As TOML or JSON give them; unknown names are left to the caller.
    section : str
        Where the values stand, for messages; empty at the top.

    Raises
    ------
    ConfigError
        Naming the setting, its value, and the spelling that is wanted.
    """
    hints = typing.get_type_hints(cls)
    known = {field.name for field in dataclasses.fields(cls)}
    where = f"{section}." if section else ""
    return {
        name: _typed(hints[name], value, f"{where}{name}") if name in known else value for name, value in values.items()
    }


def _typed(hint: Any, value: Any, name: str) -> Any:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (Union, types.UnionType):
        if value is None and type(None) in arguments:
            return None
        (hint,) = (argument for argument in arguments if argument is not type(None))
        return _typed(hint, value, name)
    if origin is Literal:
        return _of(value in arguments and isinstance(value, str), value, name, f"one of {', '.join(arguments)}")
    if origin is tuple:
        return _tuple(arguments, value, name)
    if origin is dict:
        return _table(value, name)
    if hint is bool:
        return _truth(value, name)
    if hint is int:
        return _whole(value, name)
    if hint is float:
        return _number(value, name)
    if hint is str:
        return _of(isinstance(value, str), value, name, 'text in quotes, such as "a/folder"')
    return value


def _of(holds: bool, value: Any, name: str, allowed: str) -> Any:
    if not holds:
        raise ConfigError(f"{name} is {value!r}; it must be {allowed}")
    return value


def _truth(value: Any, name: str) -> bool:
    if isinstance(value, str) and (meant := _TRUTHS.get(value.strip().lower())):
        raise ConfigError(f"{name} is the text {value!r}; write {meant}, in small letters and without quotes")
    return _of(isinstance(value, bool), value, name, "true or false")


def _whole(value: Any, name: str) -> int:
    if isinstance(value, float) and math.isfinite(value) and value.is_integer():
        raise ConfigError(f"{name} is {value!r}; write the whole number {int(value)}")
    return _of(isinstance(value, int) and not isinstance(value, bool), value, name, "a whole number, such as 10")


def _number(value: Any, name: str) -> float:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    # A whole number stays one: the digests of networks are taken over their settings as written.
    return _of(is_number and math.isfinite(value), value, name, "a finite number, such as 0.5")


def _table(value: Any, name: str) -> dict[str, str]:
    holds = isinstance(value, Mapping) and all(isinstance(item, str) for item in value.values())
    return dict(_of(holds, value, name, 'a table of texts, such as {0 = "T-shirt", 1 = "boot"}'))


def _tuple(arguments: tuple[Any, ...], value: Any, name: str) -> tuple[Any, ...]:
    _of(isinstance(value, list | tuple), value, name, "a list in brackets, such as [1, 2]")
    if len(arguments) == 2 and arguments[1] is Ellipsis:
        kinds = [arguments[0]] * len(value)
    else:
        kinds = list(arguments)
        _of(len(value) == len(kinds), value, name, f"a list of {len(kinds)}")
    return tuple(
        _typed(kind, item, f"{name}[{place}]") for place, (kind, item) in enumerate(zip(kinds, value, strict=True))
    )
