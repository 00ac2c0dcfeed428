"""How good a classifier is on noisy images, per timestep band: accuracy clean and attacked, calibration, gradients."""

import csv
import io
from collections.abc import Callable, Iterator
from itertools import groupby
from typing import Any

import numpy as np
import torch
from torch import Tensor

from diffusion.alignment import alignment_at, alignment_bands
from diffusion.schedule import NoiseSchedule
from training.data.streams import Purpose, sample_noise, sample_uniforms
from training.evaluation.config import ALL_ATTACKS, EvaluationConfig, attack_facts, attack_name
from training.evaluation.outcomes import Outcomes, Progress
from training.learning.meters import band_names
from training.learning.validation import NoisedImages, classifier_measures, clean_images, noised_images

# As in Guo et al. (2017), so that calibration errors compare with published ones.
CALIBRATION_BINS = 15
ATTACK_COLUMNS = ("norm", "epsilon", "steps", "restarts", "attack")
MEASURE_COLUMNS = ("measure", *ATTACK_COLUMNS)


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
        Gets what every image gave, an array (N, bands) for each measure: 0 or 1 for `accuracy` and `attack_name` of
        every attack, the `confidence` and, with denoisers, the `gradient_cosine`. Two classifiers that were shown the
        same images are compared by these.

    Returns
    -------
    dict
        JSON-ready: `bands` (timestep ranges), `clean` (loss, accuracy, top5_accuracy), `attacks` (one per epsilon,
        method and steps, with `robust_accuracy` and of PGD `robust_top5_accuracy`, see
        `training.learning.validation.classifier_measures`; with several methods also all of them together: an image
        counts if it withstands every one), each in total and `_by_band`; `calibration` (bins and
        expected calibration error); `gradient_alignment` (rows of `diffusion.alignment.AlignmentBand`, one per band,
        or None).
    """
    noised = _shown(images, labels, schedule, config)
    options = {"batch_size": config.batch_size, "device": device, "seed": config.seed, "bands": config.bands}
    progress = Progress(config, len(noised.y), on_progress, classes=_classes(classifier, noised, device))
    gathered = Outcomes(
        {} if outcomes is None else outcomes, images=len(images), draws=config.draws, bands=config.bands
    )
    clean = classifier_measures(
        classifier, noised, schedule, on_progress=progress.part("clean"), on_facts=gathered.of("accuracy"), **options
    )
    progress.withstood(clean["accuracy"])
    attacks = _attacked(classifier, noised, schedule, config, progress, gathered, options)
    calibrated = calibration(
        classifier,
        noised,
        schedule,
        batch_size=config.batch_size,
        device=device,
        on_facts=gathered.of("confidence"),
    )
    alignment = None
    if denoisers:
        progress.note("gradients")
        alignment = gradient_alignment(
            classifier, *denoisers, images, labels, schedule, config, device=device, outcomes=gathered.into
        )
    return {
        "images": len(images),
        "timesteps_per_image": config.draws,
        "bands": band_names(schedule.num_timesteps, config.bands) if config.noised else ["0"],
        "clean": clean,
        "attacks": attacks,
        "calibration": calibrated,
        "gradient_alignment": alignment,
    }


def _attacked(
    classifier: Callable[[Tensor, Tensor], Tensor],
    noised: NoisedImages,
    schedule: NoiseSchedule,
    config: EvaluationConfig,
    progress: Progress,
    gathered: Outcomes,
    options: dict[str, Any],
) -> list[dict]:
    """Return what is left of the accuracy under every attack, and under all of a radius where there are several."""
    rows = []
    for attack in config.attacks:
        facts = attack_facts(attack, config.restarts)
        found = classifier_measures(
            classifier,
            noised,
            schedule,
            attack_config=attack,
            restarts=config.restarts,
            with_top5=True,
            on_progress=progress.part(attack_name(facts)),
            on_facts=gathered.of("robust_accuracy", called=attack_name(facts)),
            **options,
        )
        progress.withstood(found["robust_accuracy"])
        rows.append(facts | {name: value for name, value in found.items() if name.startswith("robust")})
    if len(config.methods) < 2:
        return rows
    together = []
    for epsilon, parts in groupby(rows, key=lambda row: row["epsilon"]):
        of_radius = list(parts)
        facts = {"attack": ALL_ATTACKS, "norm": config.norm, "epsilon": epsilon, "steps": None}
        facts["restarts"] = config.restarts
        found = gathered.all_of([attack_name(row) for row in of_radius], called=attack_name(facts))
        together += [*of_radius, facts | found]
    return together


@torch.no_grad()
def _classes(classifier: Callable[[Tensor, Tensor], Tensor], noised: NoisedImages, device: torch.device | str) -> int:
    """Return how many classes it knows, by a look at one image."""
    first = noised.batches(1)[0].to(torch.device(device))
    return int(classifier(first.x_t, first.t).shape[1])


def _shown(images: Tensor, labels: Tensor, schedule: NoiseSchedule, config: EvaluationConfig) -> NoisedImages:
    """Return what a classifier is shown: the same to every one of the same settings."""
    if not config.noised:
        return clean_images(images, labels)
    return noised_images(images, labels, schedule, draws=config.draws, bands=config.bands, seed=config.seed)


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
    outcomes: dict[str, np.ndarray] | None = None,
) -> list[dict]:
    """Compare grad_x log p(y | x_t, t) with the class score of the denoisers, every image once in every band.

    `outcomes` gets the cosine of every image in every band, an array (N, bands), under `gradient_cosine`.

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
    cosines: list[np.ndarray] = []
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
        on_cosines=lambda name, values: cosines.append(values),
    )
    if outcomes is not None:
        outcomes["gradient_cosine"] = np.stack(cosines, axis=1)
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
    on_facts: Callable[[dict[str, Tensor]], None] | None = None,
) -> dict:
    """Compare confidence with accuracy, in bins of equal width of the largest probability.

    `on_facts` gets every batch's `confidence`, a value an image.

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
        if on_facts:
            on_facts({"confidence": confidence})
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
    writer.writerow([*MEASURE_COLUMNS, "all", *results["bands"]])
    writer.writerows(measure_rows(results))
    return text.getvalue()


def measure_rows(results: dict) -> Iterator[list]:
    """Yield measure, the attack's settings, the value over all timesteps and by band."""
    nothing = [""] * len(ATTACK_COLUMNS)
    for name in ("accuracy", "top5_accuracy", "loss"):
        clean = results["clean"]
        yield [name, *nothing, clean[name], *clean[f"{name}_by_band"]]
    for found in results["attacks"]:
        # Evaluations of earlier versions name no attack: theirs was PGD.
        settings = [({"attack": "pgd"} | found)[name] for name in ATTACK_COLUMNS]
        for name in ("robust_accuracy", "robust_top5_accuracy"):
            if name in found:
                yield [name, *settings, found[name], *found[f"{name}_by_band"]]
    if rows := results["gradient_alignment"]:
        cosines = [row["cosine"] for row in rows]
        yield ["gradient_cosine", *nothing, sum(cosines) / len(cosines), *cosines]
        # Every band has its own best scale: there is no error of all bands together.
        yield ["gradient_relative_error", *nothing, "", *(row["relative_error"] for row in rows)]
    error = results["calibration"]["expected_calibration_error"]
    yield ["expected_calibration_error", *nothing, error, *[""] * len(results["bands"])]
