"""How good a classifier is on noisy images, per timestep band: accuracy clean and attacked, calibration, gradients."""

import csv
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np
import torch
from torch import Tensor

from diffusion.alignment import alignment_at, alignment_bands
from diffusion.schedule import NoiseSchedule
from training.attack.threat_model import AttackConfig
from training.data.streams import Purpose, sample_noise, sample_uniforms
from training.learning.meters import band_names
from training.learning.validation import NoisedImages, classifier_measures, clean_images, noised_images

# As in Guo et al. (2017), so that calibration errors compare with published ones.
CALIBRATION_BINS = 15


@dataclass(frozen=True, kw_only=True)
class EvaluationConfig:
    """What to measure.

    Parameters
    ----------
    norm : {"l2", "linf"}
    epsilons : tuple of float
        Radii of the attacks, in units of x_t.
    attack_steps : tuple of int
        More than in training, so that the attack is the stronger one; every radius is tried with each.
    restarts : int
        Attacks per image; beyond one each starts at a random point of the ball.
    draws : int
        Timesteps per image, one in each of as many bands.
    bands : int
        Bands of equal length over the process.
    seed : int
    batch_size : int
    noised : bool
        False for a classifier of clean images, which is measured at t = 0 alone.
    """

    norm: str = "l2"
    epsilons: tuple[float, ...] = (0.5,)
    attack_steps: tuple[int, ...] = (20,)
    restarts: int = 1
    draws: int = 4
    bands: int = 4
    seed: int = 0
    batch_size: int = 128
    noised: bool = True

    def __post_init__(self) -> None:
        for name in ("restarts", "draws", "bands", "batch_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be at least 1")
        if min(self.attack_steps, default=1) < 1:
            raise ValueError(f"attack_steps is {self.attack_steps}; each must be at least 1")
        for epsilon in self.epsilons:
            # Built to be checked: a bad radius is refused here, before the clean measures have taken their time.
            AttackConfig(norm=self.norm, epsilon=epsilon)
        if not self.noised:
            # One timestep, hence one band.
            object.__setattr__(self, "bands", 1)
            object.__setattr__(self, "draws", 1)

    @property
    def attacks(self) -> list[AttackConfig]:
        """The attacks to measure under; a step is 2.5 epsilon / steps, so that it can cross the ball."""
        return [
            AttackConfig(
                norm=self.norm, epsilon=epsilon, steps=steps, step_rule="cifar10", random_start=self.restarts > 1
            )
            for epsilon, steps in product(self.epsilons, self.attack_steps)
        ]


def evaluate_classifier(
    classifier: Callable[[Tensor, Tensor], Tensor],
    images: Tensor,
    labels: Tensor,
    schedule: NoiseSchedule,
    config: EvaluationConfig,
    *,
    denoisers: tuple[Callable, Callable] | None = None,
    device: torch.device | str = "cpu",
    on_progress: Callable[[str, float, int], None] | None = None,
    outcomes: dict[str, np.ndarray] | None = None,
) -> dict:
    """Measure a classifier.

    Parameters
    ----------
    classifier : callable (x, t) -> logits
    images : Tensor (N, C, H, W), float32 in [-1, 1]
    labels : Tensor (N,), int64
    schedule : NoiseSchedule
    config : EvaluationConfig
    denoisers : (callable, callable), optional
        Conditional and unconditional denoiser, see `diffusion.alignment.implied_class_score`; without them no
        gradients are compared.
    device : torch.device or str
    on_progress : callable (what, done, total), optional
        Gets the work done and to be done over all parts, in images: a part counts by its passes of the network.
    outcomes : dict, optional
        Gets what every image gave, an array (N, bands) of 0 and 1 for each measure: `accuracy`, and `attack_name` of
        every attack. Two classifiers that were shown the same images are compared by these.

    Returns
    -------
    dict
        JSON-ready: `bands` (timestep ranges), `clean` (loss, accuracy, top5_accuracy), `attacks` (one per epsilon and
        steps, with `robust_accuracy` and `robust_top5_accuracy`, see
        `training.learning.validation.classifier_measures`), each in total and `_by_band`; `calibration` (bins and
        expected calibration error); `gradient_alignment` (rows of `diffusion.alignment.AlignmentBand`, one per band,
        or None).
    """
    noised = _shown(images, labels, schedule, config)
    options = {"batch_size": config.batch_size, "device": device, "seed": config.seed, "bands": config.bands}
    progress = _Progress(config, len(noised.y), on_progress)
    gathered = _Outcomes(outcomes, images=len(images), draws=config.draws, bands=config.bands)
    clean = classifier_measures(
        classifier, noised, schedule, on_progress=progress.of("clean", 1), on_facts=gathered.of("accuracy"), **options
    )
    attacks = []
    for attack in config.attacks:
        facts = {"norm": attack.norm, "epsilon": attack.epsilon, "steps": attack.steps, "restarts": config.restarts}
        found = classifier_measures(
            classifier,
            noised,
            schedule,
            attack_config=attack,
            restarts=config.restarts,
            with_top5=True,
            on_progress=progress.of(attack_name(facts), progress.cost(attack)),
            on_facts=gathered.of("robust_accuracy", called=attack_name(facts)),
            **options,
        )
        attacks.append(facts | {name: value for name, value in found.items() if name.startswith("robust")})
    calibrated = calibration(classifier, noised, schedule, batch_size=config.batch_size, device=device)
    alignment = None
    if denoisers:
        progress.note("gradients")
        alignment = gradient_alignment(classifier, *denoisers, images, labels, schedule, config, device=device)
    return {
        "images": len(images),
        "timesteps_per_image": config.draws,
        "bands": band_names(schedule.num_timesteps, config.bands) if config.noised else ["0"],
        "clean": clean,
        "attacks": attacks,
        "calibration": calibrated,
        "gradient_alignment": alignment,
    }


def _shown(images: Tensor, labels: Tensor, schedule: NoiseSchedule, config: EvaluationConfig) -> NoisedImages:
    """Return what a classifier is shown: the same to every one of the same settings."""
    if not config.noised:
        return clean_images(images, labels)
    return noised_images(images, labels, schedule, draws=config.draws, bands=config.bands, seed=config.seed)


class _Progress:
    """How far the parts of an evaluation are together, in images weighted by passes of the network."""

    def __init__(self, config: EvaluationConfig, images: int, told: Callable[[str, float, int], None] | None):
        self.config, self.images, self.told = config, images, told
        self.total = 1.0 + sum(self.cost(attack) for attack in config.attacks)
        self.before = 0.0

    def cost(self, attack: AttackConfig) -> float:
        """Passes of an image under an attack, against one to look at it: there and back again for every step."""
        return 1.0 + 2.0 * attack.steps * self.config.restarts

    def of(self, what: str, cost: float) -> Callable[[float, int], None]:
        """Return what tells the progress of a part."""
        start, self.before = self.before, self.before + cost

        def report(done: float, total: int) -> None:
            if self.told:
                self.told(what, self.images * (start + cost * done / total) / self.total, self.images)

        return report

    def note(self, what: str) -> None:
        """Tell that all images are through and something else follows."""
        if self.told:
            self.told(what, self.images, self.images)


class _Outcomes:
    """What every image gave, gathered from batches in their order."""

    def __init__(self, into: dict[str, np.ndarray] | None, *, images: int, draws: int, bands: int):
        self.into, self.images, self.draws, self.bands = into, images, draws, bands

    def of(self, fact: str, *, called: str = "") -> Callable[[dict[str, Tensor]], None] | None:
        """Return what keeps a fact of a batch."""
        if self.into is None:
            return None
        kept: list[np.ndarray] = []
        name, into = called or fact, self.into

        def keep(facts: dict[str, Tensor]) -> None:
            kept.append(facts[fact].double().cpu().numpy())
            values = np.concatenate(kept)
            if len(values) == self.images * self.draws:
                into[name] = self._by_band(values)

        return keep

    def _by_band(self, values: np.ndarray) -> np.ndarray:
        """Bring draws into the columns of their bands: draw d of image i lies in band (i + d) modulo the bands."""
        table = np.full((self.images, self.bands), np.nan)
        image = np.arange(self.images).repeat(self.draws)
        draw = np.tile(np.arange(self.draws), self.images)
        table[image, (image + draw) % self.bands] = values
        return table


def attack_name(facts: dict) -> str:
    """Return what to call an attack in a line of text."""
    return f"{facts['norm']} {facts['epsilon']:g}, {facts['steps']} steps"


def gradient_alignment(
    classifier: Callable[[Tensor, Tensor], Tensor],
    conditional: Callable[[Tensor, Tensor, Tensor], Tensor],
    unconditional: Callable[[Tensor, Tensor], Tensor],
    images: Tensor,
    labels: Tensor,
    schedule: NoiseSchedule,
    config: EvaluationConfig,
    *,
    device: torch.device | str = "cpu",
) -> list[dict]:
    """Compare grad_x log p(y | x_t, t) with the class score of the denoisers, every image once in every band.

    Returns
    -------
    list of dict
        JSON-ready `diffusion.alignment.AlignmentBand`, from the least noisy band on.
    """
    count, bands = len(images), config.bands
    # Own numbers for every band: with shared ones the bands' errors would be those of the same draws.
    numbers = np.arange(bands * count).reshape(bands, count)
    uniforms = np.stack([sample_uniforms(config.seed, row, Purpose.VALIDATION) for row in numbers])
    places = (np.arange(bands)[:, None] + uniforms) / bands
    # Noise comes from the numbers past those of the timesteps: one stream must not serve both.
    found = alignment_at(
        {"classifier": classifier},
        conditional,
        unconditional,
        schedule,
        images.to(device),
        labels.to(device),
        timesteps=torch.from_numpy((places * schedule.num_timesteps).astype(np.int64)),
        noise=lambda band: sample_noise(
            config.seed, numbers[band] + numbers.size, tuple(images.shape[1:]), Purpose.VALIDATION
        ),
        batch_size=config.batch_size,
    )
    return alignment_bands(found)["classifier"]


@torch.no_grad()
def calibration(
    classifier: Callable[[Tensor, Tensor], Tensor],
    images: NoisedImages,
    schedule: NoiseSchedule,
    *,
    bins: int = CALIBRATION_BINS,
    batch_size: int = 128,
    device: torch.device | str = "cpu",
) -> dict:
    """Compare confidence with accuracy, in bins of equal width of the largest probability.

    Returns
    -------
    dict
        `expected_calibration_error` (mean gap, weighted by counts) and `bins` with `count`, `confidence`, `accuracy`.

    References
    ----------
    Guo et al. 2017, "On Calibration of Modern Neural Networks", equation 3.
    """
    device = torch.device(device)
    sums = torch.zeros(3, bins, dtype=torch.float64)
    for batch in images.batches(batch_size):
        batch = batch.to(device)
        logits = classifier(batch.x_t, schedule.network_timesteps(batch.t)).float()
        confidence, prediction = logits.softmax(dim=-1).max(dim=-1)
        # A confidence of exactly 1 belongs to the last bin, not to one beyond.
        row = (confidence * bins).long().clamp(max=bins - 1).cpu()
        right = prediction.eq(batch.y)
        values = torch.stack([torch.ones_like(confidence), confidence, right.float()]).double().cpu()
        sums.index_add_(1, row, values)
    count, confidence, right = sums
    # Equation 3 of Guo et al. with the bins' counts cancelled: sums instead of means times counts.
    gap = float((confidence - right).abs().sum() / count.sum())
    kept = [
        {"count": int(n), "confidence": float(c / n), "accuracy": float(a / n)}
        for n, c, a in zip(*sums, strict=True)
        if n
    ]
    return {"expected_calibration_error": gap, "bins": kept}


def table(results: dict) -> str:
    """Return the measures as CSV: one row per measure, one column per timestep band."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["measure", "norm", "epsilon", "steps", "restarts", "all", *results["bands"]])
    writer.writerows(measure_rows(results))
    return text.getvalue()


def measure_rows(results: dict) -> Iterator[list]:
    """Yield measure, the attack's settings, the value over all timesteps and by band."""
    for name in ("accuracy", "top5_accuracy", "loss"):
        clean = results["clean"]
        yield [name, "", "", "", "", clean[name], *clean[f"{name}_by_band"]]
    for found in results["attacks"]:
        settings = [found[name] for name in ("norm", "epsilon", "steps", "restarts")]
        for name in ("robust_accuracy", "robust_top5_accuracy"):
            yield [name, *settings, found[name], *found[f"{name}_by_band"]]
    if rows := results["gradient_alignment"]:
        cosines = [row["cosine"] for row in rows]
        yield ["gradient_cosine", "", "", "", "", sum(cosines) / len(cosines), *cosines]
        # Every band has its own best scale: there is no error of all bands together.
        yield ["gradient_relative_error", "", "", "", "", "", *(row["relative_error"] for row in rows)]
