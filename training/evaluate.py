"""How good a classifier is on noisy images: accuracy per timestep band, clean and attacked, and calibration."""

import csv
import io
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from diffusion.schedule import NoiseSchedule
from training.attack import AttackConfig
from training.measures import NoisedImages, classifier_measures, noised_images
from training.meters import band_names

CALIBRATION_BINS = 15


@dataclass(frozen=True, kw_only=True)
class EvaluationConfig:
    """What to measure.

    Parameters
    ----------
    norm : {"l2", "linf"}
    epsilons : tuple of float
        Radii of the attacks, in units of x_t.
    attack_steps : int
        More than in training, so that the attack is the stronger one.
    restarts : int
        Attacks per image; beyond one each starts at a random point of the ball.
    draws : int
        Timesteps per image, one in each of as many bands.
    bands : int
        Bands of equal length over the process.
    seed : int
    batch_size : int
    """

    norm: str = "l2"
    epsilons: tuple[float, ...] = (0.5,)
    attack_steps: int = 20
    restarts: int = 1
    draws: int = 4
    bands: int = 4
    seed: int = 0
    batch_size: int = 128

    def __post_init__(self) -> None:
        for name in ("attack_steps", "restarts", "draws", "bands", "batch_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be at least 1")
        for epsilon in self.epsilons:
            self.attack(epsilon)

    def attack(self, epsilon: float) -> AttackConfig:
        """Return the attack of one radius; its step is 2.5 epsilon / steps, so that it can cross the ball."""
        return AttackConfig(
            norm=self.norm,
            epsilon=epsilon,
            steps=self.attack_steps,
            step_rule="cifar10",
            random_start=self.restarts > 1,
        )


def evaluate_classifier(
    classifier: Callable[[Tensor, Tensor], Tensor],
    images: Tensor,
    labels: Tensor,
    schedule: NoiseSchedule,
    config: EvaluationConfig,
    *,
    device: torch.device | str = "cpu",
    on_progress: Callable[[str, int, int], None] | None = None,
) -> dict:
    """Measure a classifier.

    Parameters
    ----------
    classifier : callable (x, t) -> logits
    images : Tensor (N, C, H, W), float32 in [-1, 1]
    labels : Tensor (N,), int64
    schedule : NoiseSchedule
    config : EvaluationConfig
    device : torch.device or str
    on_progress : callable (what, done, total), optional

    Returns
    -------
    dict
        JSON-ready: `bands` (timestep ranges), `clean` (loss, accuracy, top5_accuracy), `attacks` (one per epsilon, with
        `robust_accuracy`), each in total and `_by_band`; `calibration` (bins and expected calibration error).
    """
    noised = noised_images(images, labels, schedule, draws=config.draws, bands=config.bands, seed=config.seed)
    options = {
        "batch_size": config.batch_size,
        "device": device,
        "seed": config.seed,
        "bands": config.bands,
    }

    def told(what: str) -> Callable[[int, int], None]:
        return lambda done, total: on_progress(what, done, total) if on_progress else None

    clean = classifier_measures(classifier, noised, schedule, on_progress=told("clean"), **options)
    attacks = []
    for epsilon in config.epsilons:
        found = classifier_measures(
            classifier,
            noised,
            schedule,
            attack_config=config.attack(epsilon),
            restarts=config.restarts,
            on_progress=told(f"{config.norm} {epsilon:g}"),
            **options,
        )
        robust = {name: value for name, value in found.items() if name.startswith("robust")}
        attacks.append(
            {"norm": config.norm, "epsilon": epsilon, "steps": config.attack_steps, "restarts": config.restarts}
            | robust
        )
    return {
        "images": len(images),
        "timesteps_per_image": config.draws,
        "bands": band_names(schedule.num_timesteps, config.bands),
        "clean": clean,
        "attacks": attacks,
        "calibration": calibration(classifier, noised, schedule, batch_size=config.batch_size, device=device),
    }


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
        row = (confidence * bins).long().clamp(max=bins - 1).cpu()
        right = prediction.eq(batch.y)
        values = torch.stack([torch.ones_like(confidence), confidence, right.float()]).double().cpu()
        sums.index_add_(1, row, values)
    count, confidence, right = sums
    gap = float((confidence - right).abs().sum() / count.sum())
    kept = [
        {"count": int(n), "confidence": float(c / n), "accuracy": float(a / n)}
        for n, c, a in zip(*sums, strict=True)
        if n
    ]
    return {"expected_calibration_error": gap, "bins": kept}


def table(results: dict) -> str:
    """Return the accuracies as CSV: one row per measure, one column per timestep band."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["measure", "norm", "epsilon", "steps", "restarts", "all", *results["bands"]])
    for name in ("accuracy", "top5_accuracy", "loss"):
        clean = results["clean"]
        writer.writerow([name, "", "", "", "", clean[name], *clean[f"{name}_by_band"]])
    for found in results["attacks"]:
        settings = [found[name] for name in ("norm", "epsilon", "steps", "restarts")]
        writer.writerow(["robust_accuracy", *settings, found["robust_accuracy"], *found["robust_accuracy_by_band"]])
    return text.getvalue()


def figure_svg(results: dict) -> str:
    """Return bars of accuracy per timestep band, clean and under every attack, as a stand-alone SVG."""
    series = [("clean", results["clean"]["accuracy_by_band"])]
    series += [(f"{a['norm']} {a['epsilon']:g}", a["robust_accuracy_by_band"]) for a in results["attacks"]]
    colours = ["#1b6ca8", "#c0392b", "#2e8b57", "#8e44ad", "#b9770e", "#555555"]
    group, height = 30 * len(series) + 24, 200
    width = 60 + group * len(results["bands"])
    parts = [f'<line x1="40" y1="{20 + height}" x2="{width - 10}" y2="{20 + height}" stroke="#333"/>']
    for column, band in enumerate(results["bands"]):
        left = 50 + group * column
        for place, (_, values) in enumerate(series):
            share = values[column] or 0.0
            x, top = left + 30 * place, 20 + height * (1 - share)
            colour = colours[place % len(colours)]
            parts.append(f'<rect x="{x}" y="{top:.1f}" width="26" height="{height * share:.1f}" fill="{colour}"/>')
            parts.append(f'<text x="{x + 13}" y="{top - 3:.1f}" text-anchor="middle">{share:.0%}</text>')
        parts.append(f'<text x="{left + group / 2 - 12}" y="{height + 36}" text-anchor="middle">t {band}</text>')
    for place, (caption, _) in enumerate(series):
        colour = colours[place % len(colours)]
        parts.append(f'<text x="50" y="{height + 56 + 14 * place}" fill="{colour}">{caption}</text>')
    total = height + 70 + 14 * len(series)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {total}" width="{width}" height="{total}" '
        f'font-family="sans-serif" font-size="10">{"".join(parts)}</svg>\n'
    )
