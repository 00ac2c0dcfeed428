"""What an arm is: its recipe, checked without torch so that the web process can refuse a bad one."""

from __future__ import annotations

import dataclasses
import difflib
import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from diffusion.catalogue import NAMES
from diffusion.spacing import parse_spacing, space_timesteps

__all__ = [
    "FILE_FIELDS",
    "GUIDANCE_FACTORS",
    "ArmRecipe",
    "NetworkFile",
    "ScheduleName",
    "check_matched",
    "differing_fields",
    "recipe_fields",
]

SAMPLERS = ("ancestral", "ddim", "dpm_solver_2m")
VARIANCES = ("learned_range", "fixed_small", "fixed_large")
PRECISIONS = ("float32", "float16", "bfloat16")
SCHEDULES = ("linear", "cosine")

GUIDANCE_POINTS = ("noisy", "denoised")
SCALE_SCHEDULES = ("constant", "linear", "cosine")

FILE_FIELDS = ("denoiser", "classifier", "weak_denoiser", "refine_classifier")
"""Fields of a recipe that name a checkpoint."""

GUIDANCE_FACTORS = (
    "classifier",
    "classifier_scale",
    "classifier_precision",
    "class_free_scale",
    "guidance_interval",
    "guidance_point",
    "guidance_averaging",
    "scale_schedule",
    "weak_denoiser",
    "weak_scale",
    "refine_classifier",
    "refine_steps",
    "refine_epsilon",
)
"""Fields in which the arms of a study may differ unless a run names more."""

# A recipe as it was written before there were these is the same recipe: at these values they are left out.
_LATER = {
    "guidance_point": "noisy",
    "guidance_averaging": 0.0,
    "scale_schedule": "constant",
    "weak_denoiser": None,
    "weak_scale": 1.0,
    "refine_classifier": None,
    "refine_steps": 0,
    "refine_epsilon": 0.0,
}


def _fail(where: str, value: object, allowed: str) -> ValueError:
    return ValueError(f"{where} is {value!r}; it must be {allowed}")


def _number(where: str, value: object, low: float, high: float, *, whole: bool = False) -> None:
    kinds = int if whole else int | float
    allowed = f"a {'whole ' if whole else ''}number from {low:g} to {high:g}"
    # In Python True is a whole number, and NaN passes no comparison but is a float.
    if isinstance(value, bool) or not isinstance(value, kinds) or not math.isfinite(value) or not low <= value <= high:
        raise _fail(where, value, allowed)


def _choice(where: str, value: object, choices: Sequence[str]) -> None:
    if value not in choices:
        raise _fail(where, value, f"one of {', '.join(choices)}")


def _fields_from(cls: type, where: str, values: object) -> dict[str, Any]:
    """Known keys of a JSON object; an unknown one is refused with the nearest known name."""
    if not isinstance(values, Mapping):
        raise _fail(where, values, "an object with " + ", ".join(f.name for f in dataclasses.fields(cls)))
    known = [field.name for field in dataclasses.fields(cls) if field.name != "name" or cls is not ArmRecipe]
    for key in values:
        if key not in known:
            near = difflib.get_close_matches(str(key), known, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else f"; known: {', '.join(known)}"
            raise ValueError(f"{where} has an unknown key {key!r}{hint}")
    return dict(values)


@dataclass(frozen=True, kw_only=True)
class NetworkFile:
    """A checkpoint by path, and by digests so that another file under the same path is refused.

    Parameters
    ----------
    path : str
        `.safetensors` of ours, or a published `.pt`.
    sha256 : str
        The digest on the checkpoint's card (of a published file: of its bytes). Empty only until a run pins it.
    config_sha256 : str
        The digest of architecture and schedule on the card: heads, say, leave no trace in the weights.
    config : str
        Of a file without a card: the name of a published network, or the path of a card's `.json`.
    """

    path: str
    sha256: str = ""
    config_sha256: str = ""
    config: str = ""

    def __post_init__(self) -> None:
        if not isinstance(self.path, str) or not self.path:
            raise _fail("path", self.path, "the path of a checkpoint")
        is_named = isinstance(self.config, str) and (self.config in ("", *NAMES) or self.config.endswith(".json"))
        if not is_named:
            raise _fail("config", self.config, f"one of {', '.join(NAMES)}, or the path of a card's .json")
        for name in ("sha256", "config_sha256"):
            value = getattr(self, name)
            is_digest = isinstance(value, str) and set(value) <= set("0123456789abcdef")
            if not is_digest or len(value) not in (0, 64):
                raise _fail(name, value, "64 hexadecimal digits, or empty")

    @property
    def identity(self) -> str:
        """The digests of what is in the file; its path until they are known."""
        return "/".join(filter(None, (self.sha256, self.config_sha256))) or self.path

    def replaced_by(self, other: NetworkFile) -> str:
        """Say in what another file differs from this one, each digest beside the other; empty where nothing does."""
        told = []
        for name, what in (("sha256", "weights"), ("config_sha256", "settings")):
            mine, found = getattr(self, name), getattr(other, name)
            if mine and found and mine != found:
                told.append(f"{what} of digest {found[:12]}... instead of {mine[:12]}...")
        return f"{other.path} holds " + " and ".join(told) if told else ""


@dataclass(frozen=True, kw_only=True)
class ScheduleName:
    """The full-length noise schedule, for denoisers whose file does not say it.

    Parameters
    ----------
    name : {"linear", "cosine"}
    timesteps : int
    rescale_timesteps : bool
    """

    name: str
    timesteps: int = 1000
    rescale_timesteps: bool = False

    def __post_init__(self) -> None:
        _choice("name", self.name, SCHEDULES)
        _number("timesteps", self.timesteps, 2, 100_000, whole=True)
        if not isinstance(self.rescale_timesteps, bool):
            raise _fail("rescale_timesteps", self.rescale_timesteps, "true or false")


@dataclass(frozen=True, kw_only=True)
class ArmRecipe:
    """Everything that decides an arm's images besides the pair: (study seed, class, index).

    Parameters
    ----------
    name : str
        The arm's name in its study.
    denoiser : NetworkFile
    classifier : NetworkFile or None
        None: not guided by a classifier.
    classifier_scale : float, >= 0
        The published vanilla arm at 128 pixels uses 0.5, the robust one 1.0.
    class_free_scale : float or None
        Classifier-free guidance for denoisers trained with dropped labels; None or 1 is the plain condition.
    null_label : int or None
        Label of "no class" in such a denoiser; None takes the one label beyond the named classes.
    guidance_interval : (int, int) or None
        First and last timestep of the original process at which guidance acts.
    guidance_point : {"noisy", "denoised"}
        Where the classifier's gradient is taken: at x_t, or at the one-step estimate of x_0 with t = 0, which also a
        classifier of clean images can guide.
    guidance_averaging : float in [0, 1)
        Weight of the past in a moving average of the gradients over the steps; 0 takes each alone.
    scale_schedule : {"constant", "linear", "cosine"}
        How the classifier scale grows towards t = 0; its mean over the steps is ``classifier_scale`` in each.
    weak_denoiser : NetworkFile or None
        A worse version of the denoiser, from which autoguidance leads away.
    weak_scale : float
        Of autoguidance; 1 is the plain denoiser.
    refine_classifier : NetworkFile or None
        Robust classifier that refines finished images; None takes ``classifier``.
    refine_steps : int
        Steps of the refinement; 0 leaves images as sampled.
    refine_epsilon : float
        Largest L2 distance that it moves an image, in units of pixels in [-1, 1].
    sampler : {"ancestral", "ddim", "dpm_solver_2m"}
    spacing : str or None
        As in :func:`diffusion.spacing.space_timesteps`; None visits every timestep.
    eta : float in [0, 1]
        Noise of DDIM; must be 0 for the other samplers.
    variance : {"learned_range", "fixed_small", "fixed_large"}
    clip_x_start : bool
    schedule : ScheduleName or None
        None takes the schedule that the denoiser's file states.
    precision, classifier_precision : {"float32", "float16", "bfloat16"}
        Of the convolutions; everything else stays float32.

    Raises
    ------
    ValueError
        Naming field, value and allowed range.
    """

    name: str
    denoiser: NetworkFile
    classifier: NetworkFile | None = None
    classifier_scale: float = 0.0
    class_free_scale: float | None = None
    null_label: int | None = None
    guidance_interval: tuple[int, int] | None = None
    guidance_point: str = "noisy"
    guidance_averaging: float = 0.0
    scale_schedule: str = "constant"
    weak_denoiser: NetworkFile | None = None
    weak_scale: float = 1.0
    refine_classifier: NetworkFile | None = None
    refine_steps: int = 0
    refine_epsilon: float = 0.0
    sampler: str = "ancestral"
    spacing: str | None = "250"
    eta: float = 0.0
    variance: str = "learned_range"
    clip_x_start: bool = True
    schedule: ScheduleName | None = None
    precision: str = "float32"
    classifier_precision: str = "float32"

    def __post_init__(self) -> None:
        if not self.name or not isinstance(self.name, str):
            raise _fail("name", self.name, "the arm's name")
        _choice("sampler", self.sampler, SAMPLERS)
        _choice("variance", self.variance, VARIANCES)
        _choice("precision", self.precision, PRECISIONS)
        _choice("classifier_precision", self.classifier_precision, PRECISIONS)
        _number("eta", self.eta, 0, 1)
        if self.eta and self.sampler != "ddim":
            raise _fail("eta", self.eta, f"0 with sampler {self.sampler!r} (only 'ddim' has it)")
        if not isinstance(self.clip_x_start, bool):
            raise _fail("clip_x_start", self.clip_x_start, "true or false")
        if self.spacing == "":
            object.__setattr__(self, "spacing", None)
        if self.spacing is not None:
            if not isinstance(self.spacing, str):
                raise _fail("spacing", self.spacing, "a text such as '250' or 'ddim25', or null")
            parse_spacing(self.spacing)
            # Without one the length is the checkpoint's, which only the worker reads.
            if self.schedule is not None:
                space_timesteps(self.schedule.timesteps, self.spacing)
        self._check_guidance()
        self._check_compared()

    def _check_compared(self) -> None:
        """Check the switches of methods beside the paper's."""
        _choice("guidance_point", self.guidance_point, GUIDANCE_POINTS)
        _choice("scale_schedule", self.scale_schedule, SCALE_SCHEDULES)
        _number("guidance_averaging", self.guidance_averaging, 0, 0.9999)
        _number("weak_scale", self.weak_scale, 0, 1000)
        _number("refine_steps", self.refine_steps, 0, 10_000, whole=True)
        _number("refine_epsilon", self.refine_epsilon, 0, 1e6)
        if (self.weak_denoiser is None) != (self.weak_scale == 1):
            raise _fail("weak_scale", self.weak_scale, "other than 1 with a weak_denoiser, and 1 without")
        if self.weak_denoiser is not None and self.class_free_scale not in (None, 1):
            raise _fail("class_free_scale", self.class_free_scale, "null with a weak_denoiser: one of both guides")
        if (self.refine_steps > 0) != (self.refine_epsilon > 0):
            raise _fail("refine_epsilon", self.refine_epsilon, "above 0 with refine_steps above 0, and 0 without")
        if self.refine_steps and not (self.refine_classifier or self.classifier):
            raise _fail("refine_steps", self.refine_steps, "0 without a refine_classifier or classifier")

    def _check_guidance(self) -> None:
        _number("classifier_scale", self.classifier_scale, 0, 1000)
        if self.classifier is None and self.classifier_scale != 0:
            raise _fail("classifier_scale", self.classifier_scale, "0 without a classifier; name one or drop the scale")
        if self.class_free_scale is not None:
            _number("class_free_scale", self.class_free_scale, 0, 1000)
        if self.null_label is not None:
            _number("null_label", self.null_label, 0, 2**24 - 1, whole=True)
        if self.guidance_interval is not None:
            is_pair = isinstance(self.guidance_interval, list | tuple) and len(self.guidance_interval) == 2
            if not is_pair:
                raise _fail("guidance_interval", self.guidance_interval, "[first, last] timestep, or null")
            for value in self.guidance_interval:
                _number("guidance_interval", value, 0, 100_000, whole=True)
            if self.guidance_interval[0] > self.guidance_interval[1]:
                raise _fail("guidance_interval", self.guidance_interval, "[first, last] with first <= last")
            # JSON has lists alone; a tuple keeps equal recipes equal and hashable.
            object.__setattr__(self, "guidance_interval", tuple(self.guidance_interval))

    @classmethod
    def from_json(cls, name: str, values: object) -> ArmRecipe:
        """Read a recipe as an arm's row or a file holds it.

        Raises
        ------
        ValueError
            Naming the arm, the field, its value and what is allowed.
        """
        try:
            if not values:
                raise ValueError("the recipe is empty; it needs at least 'denoiser': {'path': ...}")
            fields = _fields_from(cls, "the recipe", values)
            if fields.get("denoiser") is None:
                raise ValueError("the recipe has no 'denoiser'; give {'path': ..., 'sha256': ...}")
            for key, kind in (*((name, NetworkFile) for name in FILE_FIELDS), ("schedule", ScheduleName)):
                if fields.get(key) is not None:
                    fields[key] = _nested(kind, key, fields[key])
            return cls(name=name, **fields)
        except (TypeError, ValueError) as error:
            raise ValueError(f"arm {name!r}: {error}") from error

    def to_json(self) -> dict[str, Any]:
        """The recipe as JSON-ready values, without the name; :meth:`from_json` reads it back."""
        values = dataclasses.asdict(self)
        values.pop("name")
        for file in (values[name] for name in FILE_FIELDS):
            if file is not None and not file["config"]:
                # As recipes were written before there was such a field.
                del file["config"]
        if values["guidance_interval"] is not None:
            values["guidance_interval"] = list(values["guidance_interval"])
        return {key: value for key, value in values.items() if key not in _LATER or value != _LATER[key]}

    @property
    def sha256(self) -> str:
        """Digest of what decides the images: every field but the name, and of files the digest, not the path."""
        values = self.to_json()
        for key in FILE_FIELDS:
            if file := getattr(self, key):
                # Moving a file must not make another recipe of it; replacing its content must.
                values[key] = file.identity
        return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()

    @property
    def sampling_key(self) -> tuple:
        """What arms must have in common to share denoiser calls."""
        return (
            self.denoiser,
            self.schedule,
            self.sampler,
            self.spacing,
            self.eta,
            self.variance,
            self.clip_x_start,
            self.precision,
            self.null_label,
        )


def _nested(kind: type, key: str, values: object) -> Any:
    if key in FILE_FIELDS and isinstance(values, str):
        values = {"path": values}
    try:
        return kind(**_fields_from(kind, key, values))
    except (TypeError, ValueError) as error:
        raise ValueError(f"{key}: {error}") from error


def recipe_fields() -> list[str]:
    """Names of the fields of a recipe, all but the arm's name."""
    return [field.name for field in dataclasses.fields(ArmRecipe) if field.name != "name"]


def differing_fields(recipes: Sequence[ArmRecipe]) -> list[str]:
    """Names of the fields in which the recipes are not all equal."""
    return [name for name in recipe_fields() if len({getattr(recipe, name) for recipe in recipes}) > 1]


def check_matched(recipes: Sequence[ArmRecipe], factors: Sequence[str] = GUIDANCE_FACTORS) -> None:
    """Refuse arms that differ in anything but the named factors.

    Raises
    ------
    ValueError
        If there are no arms, two have one name, a factor is no field, or the arms differ in another field.
    """
    names = [recipe.name for recipe in recipes]
    if not names or len(set(names)) < len(names):
        raise ValueError(f"arms are {names}; give at least one, each with its own name")
    known = recipe_fields()
    if unknown := sorted(set(factors) - set(known)):
        raise ValueError(f"factor {unknown[0]!r} is no field of a recipe; known: {', '.join(sorted(known))}")
    # The heart of a matched study: whatever else differs would be measured along with the guidance.
    for name in differing_fields(recipes):
        if name not in factors:
            values = "; ".join(f"{recipe.name}: {_shown(getattr(recipe, name))}" for recipe in recipes)
            raise ValueError(
                f"the arms differ in {name!r} ({values}), which is not a factor of this comparison; "
                f"make them equal, or name {name!r} as a factor if it is what the study compares"
            )


def _shown(value: object) -> object:
    return value.path if isinstance(value, NetworkFile) else value
