"""Settings of a training run: frozen dataclasses, read from TOML presets, checked when built. No torch."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, get_args

from diffusion.published import PUBLISHED
from diffusion.settings import LEAST_TIMESTEPS, SCHEDULE_NAMES, ClassifierConfig, DenoiserConfig, EncoderConfig
from training.attack.config import AttackConfig
from training.data.config import DataConfig
from training.presets import ConfigError, nearest, read_settings
from training.presets.typing import typed_values

Task = Literal["classifier", "denoiser"]
Precision = Literal["float32", "bfloat16", "float16"]
TimestepSampler = Literal["uniform", "loss_second_moment"]
# Twenty-five times the longest published schedule; its tables still fit anywhere.
MOST_TIMESTEPS = 100_000
# More than anybody trains, and both together fit into a column of whole numbers.
MOST_ITERATIONS = 10**9
NETWORKS: dict[str, type[EncoderConfig]] = {"classifier": ClassifierConfig, "denoiser": DenoiserConfig}


def _check(owner: object, section: str, rules: Mapping[str, tuple[bool, str]]) -> None:
    for name, (holds, allowed) in rules.items():
        if not holds:
            raise ConfigError(f"{section}.{name} is {getattr(owner, name)!r}; it must be {allowed}")


@dataclass(frozen=True, kw_only=True)
class ScheduleConfig:
    """Noise schedule of the training process.

    Parameters
    ----------
    name : {"linear", "cosine"}
        "linear" or "cosine", as published.
    timesteps : int
        Length T; timesteps run from 0 to T - 1.
    rescale_timesteps : bool
        Show networks t * 1000 / T (improved-diffusion's default); no change at T = 1000.
    """

    name: str = "linear"
    timesteps: int = 1000
    rescale_timesteps: bool = False

    def __post_init__(self) -> None:
        rules = {
            "name": (self.name in SCHEDULE_NAMES, f"one of {', '.join(SCHEDULE_NAMES)}"),
            "timesteps": (
                LEAST_TIMESTEPS.get(self.name, 2) <= self.timesteps <= MOST_TIMESTEPS,
                f"at least 2, linear ones at least 21, and at most {MOST_TIMESTEPS}",
            ),
        }
        _check(self, "schedule", rules)

    def build(self) -> Any:
        """Make the tables: a `diffusion.schedule.NoiseSchedule`."""
        # By name: an import at the top would load torch for whoever only checks settings.
        tables = import_module("diffusion.schedule").NoiseSchedule
        return tables.named(self.name, self.timesteps, rescale_timesteps=self.rescale_timesteps)


@dataclass(frozen=True, kw_only=True)
class OptimizerConfig:
    """AdamW and how long it runs.

    Parameters
    ----------
    iterations : int
        Weight updates.
    extension : int
        Weight updates beyond these, for a run that was finished before (`--extend`); an annealed learning rate then
        falls to zero over the whole.
    batch_size : int
        Images per update over all processes.
    microbatch : int
        Images per forward pass and process; 0 takes all at once. Smaller ones accumulate gradients.
    learning_rate : float
        The largest, after warming up and before annealing.
    weight_decay : float
        Decoupled from the gradients (AdamW).
    betas : tuple of float
        Decay of the averages of the gradients and of their squares.
    anneal : bool
        Let the learning rate fall linearly to zero at the last iteration.
    warmup : int
        Iterations over which the learning rate rises linearly first.
    clip_norm : float
        Largest norm of the gradient; 0 leaves it.
    ema_decay : float
        Decay of the exponential moving average of the weights, which then is what checkpoints hold; 0 for none.
    """

    iterations: int
    batch_size: int
    extension: int = 0
    microbatch: int = 0
    learning_rate: float = 3e-4
    weight_decay: float = 0.0
    betas: tuple[float, float] = (0.9, 0.999)
    anneal: bool = False
    warmup: int = 0
    clip_norm: float = 0.0
    ema_decay: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "betas", tuple(self.betas))
        rules = {
            "iterations": (1 <= self.iterations <= MOST_ITERATIONS, f"at least 1 and at most {MOST_ITERATIONS}"),
            "extension": (0 <= self.extension <= MOST_ITERATIONS, f"0 or more, and at most {MOST_ITERATIONS}"),
            "batch_size": (self.batch_size >= 1, "at least 1"),
            "microbatch": (self.microbatch >= 0, "0 (everything at once) or more"),
            "learning_rate": (self.learning_rate > 0, "above 0"),
            "weight_decay": (self.weight_decay >= 0, "0 or more"),
            "betas": (len(self.betas) == 2 and all(0 <= b < 1 for b in self.betas), "two numbers in [0, 1)"),
            "warmup": (self.warmup >= 0, "0 or more"),
            "clip_norm": (self.clip_norm >= 0, "0 (off) or more"),
            "ema_decay": (0 <= self.ema_decay < 1, "in [0, 1); 0 is off"),
        }
        _check(self, "optimizer", rules)

    @property
    def total(self) -> int:
        """Weight updates in all."""
        return self.iterations + self.extension

    def learning_rate_at(self, iteration: int) -> float:
        """Return the learning rate of an iteration (published annealing: lr * (1 - iteration / total))."""
        rate = self.learning_rate * min(1.0, (iteration + 1) / self.warmup if self.warmup else 1.0)
        return rate * (1 - iteration / self.total) if self.anneal else rate


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """How a run computes, reports and saves.

    Parameters
    ----------
    seed : int
        Of initial weights, order, crops, timesteps, noise, dropout and attacks.
    precision : {"float32", "bfloat16", "float16"}
        Type of autocast regions; weights stay float32.
    compile : bool
        Use torch.compile on the network.
    channels_last : bool
        Memory layout of images and convolutions on a GPU; a CPU always gets the plain layout, which is faster there.
    log_every : int
        Iterations between rows of the log.
    validate_every : int
        Iterations between measurements on held-out images, with a grid of samples; 0: only at the end.
    save_every : int
        Iterations between saved states.
    validation_images : int
        Held-out images per measurement; 0 takes all.
    """

    seed: int = 0
    precision: Precision = "float32"
    compile: bool = False
    channels_last: bool = True
    log_every: int = 10
    validate_every: int = 0
    save_every: int = 1000
    validation_images: int = 1000

    def __post_init__(self) -> None:
        rules = {
            "seed": (0 <= self.seed < 2**63, "in [0, 2**63)"),
            "precision": (self.precision in get_args(Precision), f"one of {', '.join(get_args(Precision))}"),
            "log_every": (self.log_every >= 1, "at least 1"),
            "validate_every": (self.validate_every >= 0, "0 (only at the end) or more"),
            "save_every": (self.save_every >= 1, "at least 1"),
            "validation_images": (self.validation_images >= 0, "0 (all) or more"),
        }
        _check(self, "run", rules)


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """Everything that decides what a training run computes.

    Parameters
    ----------
    name : str
        What to call the run.
    task : {"classifier", "denoiser"}
        What is trained; it decides which [network] is meant.
    network : ClassifierConfig or DenoiserConfig
    data : DataConfig
    optimizer : OptimizerConfig
    schedule : ScheduleConfig
    run : RunConfig
    attack : AttackConfig or None
        Train the classifier on attacked images (robust); without it, on x_t as it is (vanilla).
    noised : bool
        Train on x_t at random timesteps; false trains a classifier of clean images, always shown t = 0.
    timestep_sampler : {"uniform", "loss_second_moment"}
        "loss_second_moment" draws timesteps with probability proportional to sqrt(E[loss^2]) and weights losses to
        keep their expectation (Nichol and Dhariwal 2021, equation 18).
    label_dropout : float
        Share of the labels that a denoiser does not see, in [0, 1): it sees the last label, "no class", instead.
    init : str
        A checkpoint of the same architecture whose weights are the start; empty for fresh weights. A path on the
        machine that trains.
    """

    name: str
    task: Task
    network: EncoderConfig
    data: DataConfig
    optimizer: OptimizerConfig
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    run: RunConfig = field(default_factory=RunConfig)
    attack: AttackConfig | None = None
    noised: bool = True
    timestep_sampler: TimestepSampler = "uniform"
    label_dropout: float = 0.0
    init: str = ""

    def __post_init__(self) -> None:
        samplers = get_args(TimestepSampler)
        if self.timestep_sampler not in samplers:
            raise ConfigError(f"timestep_sampler is {self.timestep_sampler!r}; it must be one of {', '.join(samplers)}")
        if not isinstance(self.network, NETWORKS[self.task]):
            raise ConfigError(f"task is {self.task!r} but the network is a {type(self.network).__name__}")
        if self.task == "denoiser" and (self.attack or not self.noised):
            raise ConfigError("a denoiser trains on noised images and without attack; remove [attack] and noised")
        if not 0 <= self.label_dropout < 1:
            raise ConfigError(f"label_dropout is {self.label_dropout!r}; it must be in [0, 1); 0 is off")
        if self.label_dropout and (self.task != "denoiser" or self.network.num_classes is None):
            raise ConfigError(
                f"label_dropout is {self.label_dropout!r}; only a denoiser with network.num_classes has labels to drop"
            )

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-ready values from which `config_from_dict` rebuilds this."""
        values = _jsonable(dataclasses.asdict(self))
        if self.attack is None:
            del values["attack"]
        return values


def _jsonable(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _jsonable(item) for key, item in value.items()}
    return list(value) if isinstance(value, tuple) else value


def config_from_dict(values: Mapping[str, Any]) -> TrainingConfig:
    """Build a configuration from nested values, as read from TOML or JSON.

    `network` may be a table, or the name of a published network; a table may name one as `published` and change it.

    Raises
    ------
    ConfigError
        An unknown, missing or out-of-range setting, named with its section and the nearest valid name.
    """
    values = dict(values)
    task = values.get("task")
    if not isinstance(task, str) or task not in NETWORKS:
        raise ConfigError(f"task is {task!r}; it must be one of {', '.join(NETWORKS)}")
    sections = {
        "data": DataConfig,
        "optimizer": OptimizerConfig,
        "schedule": ScheduleConfig,
        "run": RunConfig,
        "attack": AttackConfig,
    }
    for name, cls in sections.items():
        # A null attack comes from --vanilla, which switches off what the preset has.
        if name in values and not (name == "attack" and values[name] is None):
            if not isinstance(values[name], Mapping):
                raise ConfigError(f"{name} is {values[name]!r}; it must be a section, [{name}] in the file")
            values[name] = _build(cls, values[name], name)
    values["network"] = _network(task, values.get("network", {}))
    return _build(TrainingConfig, values, "")


def _network(task: str, values: Mapping[str, Any] | str) -> EncoderConfig:
    if not isinstance(values, str | Mapping):
        raise ConfigError(f"network is {values!r}; it must be a section, [network] in the file, or a published name")
    values = {"published": values} if isinstance(values, str) else dict(values)
    name = values.pop("published", None)
    if name is None:
        return _build(NETWORKS[task], values, "network")
    if not isinstance(name, str):
        raise ConfigError(f"network.published is {name!r}; it must be a name in quotes, one of {', '.join(PUBLISHED)}")
    if name not in PUBLISHED:
        raise ConfigError(f"network.published is {name!r}; known: {', '.join(PUBLISHED)}{nearest(name, PUBLISHED)}")
    # What is given beside the name replaces single fields of the published network.
    base = {f.name: getattr(PUBLISHED[name], f.name) for f in dataclasses.fields(PUBLISHED[name])}
    return _build(type(PUBLISHED[name]), {**base, **values}, "network")


def _build(cls: type, values: Mapping[str, Any], section: str) -> Any:
    where = f"[{section}]" if section else "the configuration"
    fields = {f.name: f for f in dataclasses.fields(cls)}
    for name in values:
        if name not in fields:
            raise ConfigError(f"unknown setting {name!r} in {where}{nearest(name, fields)}")
    required = [
        name
        for name, f in fields.items()
        if f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
    ]
    missing = [name for name in required if name not in values]
    if missing:
        raise ConfigError(f"{where} lacks {', '.join(missing)}")
    try:
        return cls(**typed_values(cls, values, section))
    # It names its setting already; wrapped again it would be said twice.
    except ConfigError:
        raise
    except ValueError as error:
        # Networks name their class, which who writes settings does not know.
        raise ConfigError(str(error).replace(f"{cls.__name__}.", f"{section}.")) from error


def read_config(name_or_path: str | Path, *, changes: Mapping[str, Any] | None = None) -> TrainingConfig:
    """Read a preset by name, or a TOML file by path.

    Parameters
    ----------
    name_or_path : str or path
        A name of `preset_names`, or a path that ends in `.toml`.
    changes : mapping, optional
        Dotted settings to change, such as `{"data.path": "...", "optimizer.iterations": 10}`; None removes one.

    Raises
    ------
    ConfigError
        No such preset or file, invalid TOML, or a bad setting.
    """
    return config_from_dict(read_settings(name_or_path, changes=changes))
