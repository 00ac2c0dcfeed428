"""The reference of all settings, made from the dataclasses that hold them: `docs/training-settings.md`.

python -m training.learning.reference > docs/training-settings.md
"""

import dataclasses
import inspect
import re
import sys
import types
import typing
from collections.abc import Iterator
from typing import Any, Literal, Union

from diffusion.settings import ClassifierConfig, DenoiserConfig, EncoderConfig
from training.attack.config import AttackConfig
from training.data.config import DataConfig
from training.learning.config import OptimizerConfig, RunConfig, ScheduleConfig, TrainingConfig
from training.presets import INTAKE_SETTINGS, LENGTH_SETTINGS

__all__ = ["SECTIONS", "described", "settings_reference"]

SECTIONS: dict[str, tuple[str, type]] = {
    "": ("The run", TrainingConfig),
    "network": ("[network] of a classifier", ClassifierConfig),
    "network ": ("[network] of a denoiser", DenoiserConfig),
    "data": ("[data]", DataConfig),
    "optimizer": ("[optimizer]", OptimizerConfig),
    "schedule": ("[schedule]", ScheduleConfig),
    "run": ("[run]", RunConfig),
    "attack": ("[attack]", AttackConfig),
}
_HEAD = """# Settings of training

Made by `python -m training.learning.reference` from the dataclasses that check them; do not edit by hand.

A file of settings is TOML. `base = "digits_robust"` (a preset, or a file beside it) takes another file's settings, of
which this one changes some; `without = ["attack"]` leaves some of them out. On the command line a setting is
`--set section.name=value`, and `--vanilla`, `--data`, `--init` and `--extend` are short for settings. A value of
another type is refused, with the spelling that is wanted. A run keeps its settings; of these alone the value may
change while it goes on: {may_change}.
"""
_EXAMPLE = """
## A file in full

```toml
base = "digits_robust"       # everything that is not said here
without = ["attack.step_rule"]
name = "clothes_robust"

[network]
image_size = 28
channel_mult = [1, 2, 2]
attention_resolutions = [7]

[data]
kind = "idx"
path = "/usr/share/datasets/fashion-mnist"
classes = { 0 = "T-shirt/top", 1 = "Trouser", 2 = "Pullover", 3 = "Dress", 4 = "Coat", 5 = "Sandal", 6 = "Shirt", 7 = "Sneaker", 8 = "Bag", 9 = "Ankle boot" }

[optimizer]
iterations = 2000

[attack]
norm = "l2"
epsilon = 1.0
steps = 7

[run]
validate_every = 500
```
"""  # noqa: E501  a TOML inline table stands on one line


def settings_reference() -> str:
    """Return the page, in Markdown."""
    may_change = ", ".join(f"`{name}`" for name in sorted(INTAKE_SETTINGS | LENGTH_SETTINGS))
    return _HEAD.format(may_change=may_change) + _EXAMPLE + "".join(_section(*part) for part in SECTIONS.values())


def described(cls: type) -> dict[str, str]:
    """Return what the docstrings of a dataclass and of those it extends say of each setting."""
    found: dict[str, str] = {}
    for one in reversed(cls.__mro__):
        if dataclasses.is_dataclass(one):
            found |= dict(_parameters(inspect.cleandoc(one.__doc__ or "")))
    return found


def _parameters(docstring: str) -> Iterator[tuple[str, str]]:
    """Yield name and description of every parameter of a numpydoc docstring; names that share one get it each."""
    _, _, section = docstring.partition("Parameters\n----------\n")
    for head, body in re.findall(r"^(\S.*) : .*\n((?:[ ].*\n?|\n)*)", section + "\n", flags=re.M):
        for name in head.split(", "):
            yield name, " ".join(body.split())


def _section(title: str, cls: type) -> str:
    texts, hints = described(cls), typing.get_type_hints(cls)
    rows = [
        f"| `{field.name}` | {_kind(hints[field.name])} | {_default(field)} | {texts.get(field.name, '')} |"
        for field in dataclasses.fields(cls)
        if not dataclasses.is_dataclass(_plain(hints[field.name]))
    ]
    note = "\n`published` names one of the published networks instead, of which the other settings change some.\n"
    table = "\n".join(["| setting | value | default | meaning |", "| --- | --- | --- | --- |", *rows])
    return f"\n## {title}\n{note if issubclass(cls, EncoderConfig) else ''}\n{table}\n"


def _plain(hint: Any) -> Any:
    """Return a type without its "or None"."""
    kinds = [kind for kind in typing.get_args(hint) if kind is not types.NoneType]
    return kinds[0] if typing.get_origin(hint) in (Union, types.UnionType) and len(kinds) == 1 else hint


def _kind(hint: Any) -> str:
    """Return a type in words."""
    plain = _plain(hint)
    if typing.get_origin(plain) is Literal:
        text = ", ".join(f'`"{value}"`' for value in typing.get_args(plain))
    elif typing.get_origin(plain) is tuple:
        inner = dict.fromkeys(_kind(kind) for kind in typing.get_args(plain) if kind is not Ellipsis)
        text = f"list of {', '.join(inner)}s"
    else:
        names = {bool: "true or false", int: "whole number", float: "number", str: "text"}
        text = names.get(plain) or "table of texts"
    return text if plain is hint else f"{text}, or left out"


def _default(field: dataclasses.Field) -> str:
    if field.default_factory is not dataclasses.MISSING:
        return "empty"
    if field.default is dataclasses.MISSING:
        return "**required**"
    if field.default is None:
        return "left out"
    value = list(field.default) if isinstance(field.default, tuple) else field.default
    text = {True: "true", False: "false"}.get(value) if isinstance(value, bool) else None
    return f"`{text or (repr(value) if not isinstance(value, str) else chr(34) + value + chr(34))}`"


if __name__ == "__main__":
    sys.stdout.write(settings_reference())
