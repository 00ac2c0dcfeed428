"""The paper's claim on real images beside a third method: scales by sweep, seeds crossed with pairs, one page."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import numpy as np

from analysis.images import (
    ArmFeatures,
    EvaluationRules,
    MetricResult,
    ReferenceFeatures,
    evaluate_arm,
    metrics_over_seeds,
)
from analysis.report.content.metric_differences import difference_sentences, differences_section
from analysis.report.figures.differences import difference_figures
from analysis.report.formats.document import FigureBlock, Heading, Paragraph, TableBlock
from analysis.report.formats.html import render_html
from analysis.report.parts.figure import FigureSpec, rendered
from analysis.report.parts.table import Column, Table
from analysis.report.tables.metrics import metrics_tables
from diffusion.checkpoints import read_card
from diffusion.files import write_atomically
from generation.features.differences import KeyedFeatures, PairedArms, differences_as_json
from generation.features.evaluation import Reference, reference_features
from generation.features.image_sets import NpzSource
from generation.features.networks import load_feature_network
from generation.features.store import stored_features
from generation.figures.drawing import image_rows_figure, require_formats, write_figures
from generation.recipes.class_labels import class_texts
from generation.recipes.recipe import ArmRecipe, NetworkFile
from generation.reproduction.experiment import Experiment, Laboratory
from generation.reproduction.run import provenance
from generation.reproduction.samples import pairs_in_turn
from generation.reproduction.sweep import (
    HELD_OUT_SEED,
    best_in_words,
    best_scales,
    curve_figure,
    curve_over_seeds,
    curve_table,
    sweep_scales,
)

__all__ = ["COMPARISONS", "Comparison", "compare"]

#: The arms, and what the third has besides the vanilla classifier.
METHODS = ("vanilla", "robust", "steadied")
_STEADIED = {"guidance_point": "denoised", "guidance_averaging": 0.9}
_DIRECTIONS = [("robust", "vanilla"), ("steadied", "vanilla"), ("robust", "steadied")]
_RULES = EvaluationRules(kid_subsets=50, kid_subset_size=300, bootstrap_replicates=50)


@dataclass(frozen=True, kw_only=True)
class Comparison(Experiment):
    """An experiment of three methods, each at the scale that is best for it.

    Parameters
    ----------
    sweep_scales : tuple of float
        Scales that are tried for every method.
    sweep_per_class : int
        Images of a class at each of them, from pairs that are used for nothing else.
    """

    sweep_scales: tuple[float, ...] = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0)
    sweep_per_class: int = 40


COMPARISONS = {
    "fashion_mnist": Comparison(
        kind="idx",
        denoiser="fashion_denoiser",
        classifier="fashion_vanilla",
        judge="fashion_judge",
        images_per_class=130,
        spacing="25",
        epsilon=1.0,
        attack_steps=5,
        validation_images=2000,
        micro_batch=50,
    )
}


def compare(laboratory: Laboratory, *, formats: Sequence[str] = ("svg",)) -> dict[str, Any]:
    """Do the experiment and write ``reproduction.html``, ``reproduction.json``, ``curve.csv`` and ``figures/``.

    Everything that an earlier call finished is found again; an interrupted training goes on at its last saved state.
    """
    require_formats(formats)
    run = _Run(laboratory)
    curve = [point for seed in run.experiment.seeds for point in run.curve(seed)]
    scales = best_scales(curve_over_seeds(curve))
    found = run.compared(scales)
    results = {
        "schema": "blindpair.comparison/1",
        "experiment": asdict(run.experiment),
        "class_names": read_card(laboratory.denoiser()).class_names,
        "scales": scales,
        "curve": curve,
        "classifiers": {str(seed): run.accuracy(seed) for seed in run.experiment.seeds},
        **found,
        "metrics_over_seeds": _metrics_over_seeds(found["metrics"]),
        "provenance": provenance(laboratory),
    }
    results = json.loads(json.dumps(results))
    figures = [*_figures(results), *run.pictures(scales)]
    folder = laboratory.folder
    write_figures(figures, folder / "figures", formats)
    write_atomically(folder / "curve.csv", [curve_table(results["curve"]).encode()])
    write_atomically(folder / "reproduction.json", [(json.dumps(results, indent=2, sort_keys=True) + "\n").encode()])
    write_atomically(folder / "reproduction.html", [_page(results, figures).encode()])
    return results


class _Run:
    def __init__(self, laboratory: Laboratory) -> None:
        self.laboratory = laboratory
        if not isinstance(laboratory.experiment, Comparison):
            raise TypeError(f"experiment is {laboratory.experiment!r}; a comparison needs a Comparison")
        self.experiment: Comparison = laboratory.experiment
        self._judge: Any = None
        self._reference: ReferenceFeatures | None = None

    def recipes(self, seed: int, scales: Mapping[str, float]) -> list[ArmRecipe]:
        """Return the methods with the classifiers of one training seed."""
        denoiser = NetworkFile(path=str(self.laboratory.denoiser()))
        classifiers = {"vanilla": self.laboratory.vanilla(seed), "robust": self.laboratory.robust(seed)}
        return [
            ArmRecipe(
                name=method,
                denoiser=denoiser,
                classifier=NetworkFile(path=str(classifiers.get(method, classifiers["vanilla"]))),
                classifier_scale=scales[method],
                spacing=self.experiment.spacing,
                **(_STEADIED if method == "steadied" else {}),
            )
            for method in METHODS
        ]

    def curve(self, seed: int) -> list[dict[str, Any]]:
        """Return quality over the scale of every method, on pairs that are used for nothing else."""
        recipes = self.recipes(seed, dict.fromkeys(METHODS, 1.0))
        pairs = pairs_in_turn(HELD_OUT_SEED, self._classes(), self.experiment.sweep_per_class)
        inputs = {"seed": seed, "digests": self._digests(seed)}

        def swept() -> list[dict[str, Any]]:
            points = sweep_scales(
                recipes,
                self.experiment.sweep_scales,
                pairs,
                samples=self.laboratory.sample_folder(),
                measure=self._measured,
            )
            return [{"seed": seed, **point} for point in points]

        return self.laboratory.remembered(f"curve-seed{seed}", swept, inputs=inputs)

    def accuracy(self, seed: int) -> dict[str, Any]:
        """Return the classifiers' accuracy on held-out images, clean and attacked."""
        paths = {"vanilla": self.laboratory.vanilla(seed), "robust": self.laboratory.robust(seed)}
        return self.laboratory.remembered(
            f"accuracy-seed{seed}",
            lambda: {kind: self.laboratory.classifier_accuracy(path) for kind, path in paths.items()},
            inputs={"seed": seed, "digests": self._digests(seed)},
        )

    def compared(self, scales: Mapping[str, float]) -> dict[str, Any]:
        """Return the metrics of each method and seed, and differences over the same pairs, seeds crossed with them."""
        digests = {str(seed): self._digests(seed) for seed in self.experiment.seeds}

        def compute() -> dict[str, Any]:
            sets = {seed: self._features(self._samples(seed, scales)) for seed in self.experiment.seeds}
            arms = {
                method: [
                    KeyedFeatures(keys=list(map(str, range(len(one[method].pool)))), features=one[method])
                    for one in sets.values()
                ]
                for method in METHODS
            }
            self.laboratory.progress("comparing over the same pairs", 0, 1)
            paired = PairedArms(arms, self.reference, self.judge.identity, _RULES)
            entries = differences_as_json(paired.differences(by_class=True))
            metrics = {
                str(seed): {
                    method: {name: m.as_json() for name, m in self._metrics(one[method]).items()} for method in METHODS
                }
                for seed, one in sets.items()
            }
            return {"metrics": metrics, "differences": differences_section(entries, _DIRECTIONS)}

        inputs = {"scales": dict(scales), "digests": digests, "all_seeds": list(self.experiment.seeds)}
        return self.laboratory.remembered("compared", compute, inputs=inputs)

    def pictures(self, scales: Mapping[str, float]) -> list[FigureSpec]:
        """Return one image of each class, a method a row, from the first seed's classifiers."""
        names = read_card(self.laboratory.denoiser()).class_names
        seed = self.experiment.seeds[0]
        files = self._samples(seed, scales)
        rows = {}
        for method in METHODS:
            with np.load(files[method]) as archive:
                rows[method] = archive["arr_0"][: len(names)]
        title = "Matched images: one class and noise a column, a method a row"
        described = f"Rows: {', '.join(METHODS)}, training seed {seed}."
        return [image_rows_figure("matched_pairs", title, rows, list(names), description=described)]

    def _samples(self, seed: int, scales: Mapping[str, float]) -> dict[str, Path]:
        # The same noise for all training seeds: that is what crosses seeds with pairs.
        pairs = pairs_in_turn(0, self._classes(), self.experiment.images_per_class)
        what = f"sampling, training seed {seed}"
        return self.laboratory.sample_folder().samples(self.recipes(seed, scales), pairs, what=what)

    def _classes(self) -> int:
        return len(read_card(self.laboratory.denoiser()).class_names)

    def _digests(self, seed: int) -> dict[str, str]:
        paths = [self.laboratory.denoiser(), self.laboratory.judge()]
        paths += [self.laboratory.vanilla(seed), self.laboratory.robust(seed)]
        return {path.parent.name: read_card(path).sha256 for path in paths}

    @property
    def judge(self) -> Any:
        if self._judge is None:
            self._judge = load_feature_network("classifier", self.laboratory.judge(), device=self.laboratory.device)
        return self._judge

    @property
    def reference(self) -> ReferenceFeatures:
        if self._reference is None:
            truth = Reference(name=self.experiment.kind, source=self.laboratory.reference())
            self._reference = reference_features(truth, self.judge, self._cache, batch_size=256)
        return self._reference

    @property
    def _cache(self) -> Path:
        return self.laboratory.folder / "features"

    def _features(self, files: Mapping[str, Path]) -> dict[str, ArmFeatures]:
        found = {}
        for method, path in files.items():
            source = NpzSource(path)
            stored = stored_features(source, self.judge, self._cache, batch_size=256)
            seen = np.concatenate([self.judge.predict(batch.images) for batch in source.batches(256)])
            found[method] = ArmFeatures(pool=stored.pool, labels=stored.labels, seen=seen)
        return found

    def _metrics(self, arm: ArmFeatures) -> dict[str, Any]:
        return evaluate_arm(arm, self.reference, self.judge.identity, replace(_RULES, extrapolation_points=0))

    def _measured(self, files: Mapping[str, Path]) -> dict[str, dict[str, Any]]:
        """Return what a curve shows of the arms at one scale."""
        return {
            method: {name: metric.as_json() for name, metric in self._metrics(arm).items()}
            for method, arm in self._features(files).items()
        }


def _metrics_over_seeds(by_seed: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> dict[str, dict[str, Any]]:
    """Return every method's metrics as their mean over training seeds, with the interval and spread over these."""
    return {
        method: {
            name: metric.as_json()
            for name, metric in metrics_over_seeds(
                [{name: MetricResult.from_json(one) for name, one in seed[method].items()} for seed in by_seed.values()]
            ).items()
        }
        for method in next(iter(by_seed.values()))
    }


def _figures(results: Mapping[str, Any]) -> list[FigureSpec]:
    return [curve_figure(results["curve"]), *difference_figures(_as_report(results))]


def _as_report(results: Mapping[str, Any]) -> dict[str, Any]:
    """Return the part of a report that its tables and figures of image metrics read: means over the seeds."""
    names = results["class_names"]
    return {
        "image_metrics": results["metrics_over_seeds"],
        "image_metrics_seen": {},
        "image_metrics_by_class": {},
        "image_metric_differences": results["differences"],
        "comparisons": [{"arm": "robust", "baseline": "vanilla"}],
        "data": {"class_names": dict(zip(class_texts(range(len(names))), names, strict=True))},
    }


def _page(results: Mapping[str, Any], figures: Sequence[FigureSpec]) -> str:
    experiment = results["experiment"]
    sentences = difference_sentences(results["differences"], _DIRECTIONS)
    best = best_in_words(results["scales"], experiment["sweep_scales"])
    scales = "; ".join(f"{method} {words}" for method, words in best.items())
    tables = [table for table in metrics_tables(_as_report(results)) if table is not None]
    blocks = [
        Heading("Robust and steadied classifier guidance on real images", level=1, anchor="top"),
        *(Paragraph(sentence, "lead") for sentence in sentences),
        Paragraph(
            f"{len(experiment['seeds'])} training seeds, each with a vanilla and a robust classifier (L2 attack of "
            f"radius {experiment['epsilon']:g}, {experiment['attack_steps']} steps) that differ in nothing else; "
            "\u201csteadied\u201d is the vanilla classifier guiding at the denoised image with averaged gradients. All "
            f"sample {experiment['images_per_class']} images of every class from the same noise in "
            f"{experiment['spacing']} steps, each at the scale of the lowest KID on other pairs ({scales}). A "
            "separate judge classifier measures them against held-out real images; its distances are not "
            "comparable with published FID."
        ),
        Heading("Differences", anchor="differences"),
        *(TableBlock(table) for table in tables),
        Heading("Classifiers", anchor="classifiers"),
        TableBlock(_classifiers_table(results)),
        Heading("Figures", anchor="figures"),
        *(FigureBlock(spec.name) for spec in figures),
        Heading("How it was made", anchor="provenance"),
        *(Paragraph(f"{key}: {value}", "note") for key, value in results["provenance"].items()),
    ]
    return render_html(blocks, {spec.name: (spec, rendered(spec, ("svg",))["svg"]) for spec in figures})


def _classifiers_table(results: Mapping[str, Any]) -> Table:
    rows = [
        {"line": f"{kind}, seed {seed}", **measures}
        for seed, kinds in results["classifiers"].items()
        for kind, measures in kinds.items()
    ]
    columns = (
        Column("line", "Classifier"),
        Column("accuracy", "Accuracy", "rate"),
        Column("robust_accuracy", "Attacked", "rate"),
    )
    note = _accuracy_note(results["classifiers"]) if len(results["classifiers"]) > 1 else ""
    return Table("classifiers", "Accuracy on held-out noisy images, clean and attacked", columns, rows, note)


def _accuracy_note(classifiers: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> str:
    """Return mean and standard deviation over the training seeds of each kind of classifier."""
    said = []
    for kind in next(iter(classifiers.values())):
        parts = []
        for measure, word in (("accuracy", "clean"), ("robust_accuracy", "attacked")):
            values = [100 * kinds[kind][measure] for kinds in classifiers.values()]
            parts.append(f"{word} {fmean(values):.1f} \u00b1 {stdev(values):.1f} %")
        said.append(f"{kind} {', '.join(parts)}")
    return f"Mean \u00b1 standard deviation over {len(classifiers)} training seeds: {'; '.join(said)}."
