"""Time a matched pair against the published sampler: ``python benchmarks/generation.py [--case NAME] [--device cuda]``.

Both arms' images of a pair, from the same weights and noise, in one process: ours in one trajectory, the published
sampler running each arm alone. On a CPU at equal precision; on a GPU ``--precision float16`` runs both in the published
fp16 setting and reports what half precision changes in the images. ``--published DIR`` takes the published code itself
from a checkout of guided-diffusion instead of the restatement beside this file. Few steps are run; times are those of a
trajectory of 250, in which the first step, one for both arms of ours, is one of 250. ``share_of_matrix_rate`` is how
fast a sampler computes what the plain networks ask for, as a share of the rate at which the same processor multiplies
large matrices. The record is ``benchmarks/generation.json``; a sampler that ends elsewhere ends the run with exit code
1.
"""

from __future__ import annotations

import argparse
import copy
import json
import platform
import statistics
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

# This file has the name of the package that it measures: the repository must come before its own folder.
sys.path[0] = str(Path(__file__).resolve().parents[1])

import torch  # noqa: E402
from torch import Tensor, nn  # noqa: E402

from benchmarks.operations import classifier_flops, denoiser_flops, matrix_rate  # noqa: E402
from benchmarks.published_attack import recomputed_attention  # noqa: E402
from benchmarks.published_code import published_network  # noqa: E402
from benchmarks.published_sampler import published_sampling  # noqa: E402
from diffusion.classifier import ClassifierConfig  # noqa: E402
from diffusion.published import PUBLISHED  # noqa: E402
from diffusion.schedule import NoiseSchedule  # noqa: E402
from diffusion.unet import DenoiserConfig  # noqa: E402
from generation.recipes.noise import PairNoise, PairSpec  # noqa: E402
from generation.sampling.encoding import to_uint8  # noqa: E402
from generation.sampling.networks import for_sampling  # noqa: E402
from generation.sampling.sampler import GuidedArm, guided_trajectory  # noqa: E402

RECORD = Path(__file__).with_suffix(".json")
SCALES = {"vanilla": 0.5, "robust": 1.0}
TRAJECTORY = 250

Run = Callable[[Callable[[object], None]], dict[str, Tensor]]
"""Samples both arms; is given what to call after every step of both, where there is such a thing."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """Networks, pairs at once and steps: so few that a CPU finishes, every step but the first costs the same."""

    denoiser: DenoiserConfig
    classifier: ClassifierConfig
    pairs: int
    steps: int


SMALL = DenoiserConfig(
    image_size=32, model_channels=64, channel_mult=(1, 2, 2), attention_resolutions=(16, 8), num_classes=10
)
SMALL_64 = DenoiserConfig(image_size=64, model_channels=32, num_res_blocks=1, num_classes=10)
CASES = {
    "small32": Case(
        denoiser=SMALL,
        classifier=ClassifierConfig(
            image_size=32,
            model_channels=32,
            channel_mult=(1, 2, 2),
            attention_resolutions=(16, 8),
            num_head_channels=32,
            num_classes=10,
        ),
        pairs=4,
        steps=6,
    ),
    "small64": Case(
        denoiser=SMALL_64,
        classifier=ClassifierConfig(image_size=64, model_channels=32, num_head_channels=32, num_classes=10),
        pairs=2,
        steps=6,
    ),
    "cifar10": Case(
        denoiser=PUBLISHED["cifar10_denoiser"], classifier=PUBLISHED["cifar10_classifier"], pairs=2, steps=4
    ),
    "adm64": Case(denoiser=PUBLISHED["adm64_denoiser"], classifier=PUBLISHED["adm64_classifier"], pairs=2, steps=2),
    "adm128": Case(
        denoiser=PUBLISHED["adm128_denoiser"], classifier=PUBLISHED["adm128_classifier"], pairs=16, steps=25
    ),
}


def main() -> int:
    options = _options()
    names = (
        [options.case]
        if options.case
        else ["adm128"]
        if options.device == "cuda"
        else ["small32", "small64", "cifar10"]
    )
    torch.set_num_threads(options.threads)
    rows = [_measured(name, CASES[name], options) for name in names]
    kept = json.loads(RECORD.read_text()) if RECORD.exists() else {}
    kept[f"{options.device}-{options.precision}"] = {"machine": _machine(options), "rows": rows}
    if not options.case:
        RECORD.write_text(json.dumps(kept, indent=1, sort_keys=True) + "\n")
    return int(any(row["largest_difference"] > options.tolerance for row in rows))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--case", choices=CASES, help="one case only; nothing is recorded then")
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--precision", default="float32", choices=["float32", "float16", "bfloat16"])
    parser.add_argument("--compile", default="", choices=["", "default", "reduce-overhead"], help="of our networks")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument(
        "--published", type=Path, metavar="DIR", help="a checkout of guided-diffusion to measure against"
    )
    parser.add_argument("--tolerance", type=float, default=1e-3, help="largest difference between the samplers' states")
    return parser.parse_args()


def _machine(options: argparse.Namespace) -> dict[str, object]:
    device = torch.cuda.get_device_name() if options.device == "cuda" else f"{platform.machine()} {_capability()}"
    return {"device": device, "threads": options.threads, "torch": torch.__version__, "compile": options.compile}


def _capability() -> str:
    return torch.backends.cpu.get_cpu_capability()


def _randomised(network: nn.Module, seed: int) -> nn.Module:
    """Random weights with unit gains: a fresh denoiser returns zero, and nothing would be compared."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            is_gain = parameter.ndim == 1 and name.endswith("weight")
            parameter.copy_(0.05 * torch.randn(parameter.shape, generator=generator) + float(is_gain))
    return network.eval()


@dataclass
class Bench:
    """One case on one device: weights, noise and labels that both samplers use."""

    case: Case
    device: str
    denoiser: nn.Module
    classifiers: dict[str, nn.Module]
    schedule: NoiseSchedule
    x_T: Tensor
    noise: Tensor
    label: Tensor

    @classmethod
    def of(cls, case: Case, device: str, precision: str) -> Bench:
        networks = [case.denoiser.build(), case.classifier.build(), case.classifier.build()]
        for seed, network in enumerate(networks):
            _randomised(network, seed).to(device)
            if precision != "float32":
                network.cast_torso(getattr(torch, precision))
        schedule = NoiseSchedule.named("linear").respaced(str(case.steps))
        shape = (case.denoiser.in_channels, case.denoiser.image_size, case.denoiser.image_size)
        draws = [PairNoise(PairSpec(1, index % 10, index), shape) for index in range(case.pairs)]
        x_T = torch.stack([torch.from_numpy(draw.initial()) for draw in draws])
        noise = torch.stack(
            [
                torch.stack([torch.from_numpy(draw.at_timestep(int(timestep))) for draw in draws])
                for timestep in schedule.timestep_map
            ]
        )
        label = torch.arange(case.pairs) % 10
        return cls(
            case,
            device,
            networks[0],
            dict(zip(SCALES, networks[1:], strict=True)),
            schedule,
            x_T.to(device),
            noise.to(device),
            label.to(device),
        )

    def ours(self, compile_mode: str) -> Run:
        """Both arms in one trajectory, as ``generate_pairs`` runs them."""

        def prepared(network: nn.Module) -> nn.Module:
            network = for_sampling(copy.deepcopy(network), is_compiled=bool(compile_mode))
            return torch.compile(network, mode=compile_mode) if compile_mode else network

        denoiser = prepared(self.denoiser)
        arms = [
            GuidedArm(name=name, classifier=prepared(self.classifiers[name]), classifier_scale=scale)
            for name, scale in SCALES.items()
        ]
        return lambda on_step: guided_trajectory(
            denoiser, self.schedule, arms, self.x_T, self.label, self.noise.__getitem__, on_step=on_step
        )

    def part(self, pairs: int) -> Bench:
        """The first pairs alone: the same weights and noise in a smaller batch."""
        return replace(self, x_T=self.x_T[:pairs], noise=self.noise[:, :pairs], label=self.label[:pairs])

    def restated(self) -> Run:
        """The published sampler as described, each arm alone."""
        denoiser, classifiers = copy.deepcopy((self.denoiser, self.classifiers))

        def run(_: object) -> dict[str, Tensor]:
            with ExitStack() as stack:
                for network in (denoiser, *classifiers.values()):
                    stack.enter_context(recomputed_attention(network))
                return {
                    name: published_sampling(
                        denoiser, classifiers[name], scale, self.schedule, self.x_T, self.label, self.noise
                    )
                    for name, scale in SCALES.items()
                }

        return run

    def published(self, checkout: Path, precision: str) -> Run:
        """The published code itself, from a checkout, with the same weights and the same noise handed to it."""
        use_fp16 = precision == "float16"
        denoiser = published_network(self.denoiser, checkout, use_fp16=use_fp16)
        classifiers = {
            name: published_network(network, checkout, use_fp16=use_fp16) for name, network in self.classifiers.items()
        }
        from guided_diffusion import gaussian_diffusion
        from guided_diffusion.script_util import create_gaussian_diffusion

        process = create_gaussian_diffusion(steps=1000, learn_sigma=True, timestep_respacing=str(self.case.steps))

        def one(name: str) -> Tensor:
            def condition(x: Tensor, t: Tensor, y: Tensor) -> Tensor:
                with torch.enable_grad():
                    leaf = x.detach().requires_grad_(True)
                    chosen = torch.log_softmax(classifiers[name](leaf, t), dim=-1)[range(len(y)), y]
                    return torch.autograd.grad(chosen.sum(), leaf)[0] * SCALES[name]

            draws = iter(self.noise.flip(0))
            usual, gaussian_diffusion.th.randn_like = torch.randn_like, lambda x: next(draws)
            try:
                return process.p_sample_loop(
                    denoiser,
                    self.x_T.shape,
                    noise=self.x_T,
                    cond_fn=condition,
                    device=self.device,
                    model_kwargs={"y": self.label},
                )
            finally:
                gaussian_diffusion.th.randn_like = usual

        return lambda _: {name: one(name) for name in SCALES}


def _clock(device: str) -> float:
    """CPU seconds of this process on a CPU, where neighbours would spoil the wall clock; wall seconds on a GPU."""
    if device == "cuda":
        torch.cuda.synchronize()
        return time.perf_counter()
    return time.process_time()


def _seconds_per_step(run: Run, steps: int, device: str) -> float:
    """Mean over the steps of a whole trajectory: what the arms share in the first step must not count more often."""
    laps = [_clock(device)]
    run(lambda view: laps.append(_clock(device)) if len(laps) == 1 else None)
    laps.append(_clock(device))
    if len(laps) == 2:  # arms alone: every step costs the same
        return (laps[1] - laps[0]) / steps
    first, later = laps[1] - laps[0], (laps[2] - laps[1]) / (steps - 1)
    return (first + (TRAJECTORY - 1) * later) / TRAJECTORY


def _states(run: Run) -> dict[str, Tensor]:
    return run(lambda view: None)


def _measured(name: str, case: Case, options: argparse.Namespace) -> dict[str, object]:
    bench = Bench.of(case, options.device, options.precision)
    yardstick = bench.published(options.published, options.precision) if options.published else bench.restated()
    runs = {"ours": bench.ours(options.compile), "published": yardstick}
    states = {which: _states(run) for which, run in runs.items()}
    seconds: dict[str, list[float]] = {which: [] for which in runs}
    for _ in range(options.repeats):
        for which, run in runs.items():
            seconds[which].append(_seconds_per_step(run, case.steps, options.device))
    per_pair_step = {which: statistics.median(times) / case.pairs for which, times in seconds.items()}
    row: dict[str, object] = {
        "case": name,
        "yardstick": "published code" if options.published else "restatement",
        "ours_ms_per_pair_step": round(1e3 * per_pair_step["ours"], 2),
        "published_ms_per_pair_step": round(1e3 * per_pair_step["published"], 2),
        "ratio": round(per_pair_step["published"] / per_pair_step["ours"], 2),
        "largest_difference": _largest_difference(states["ours"], states["published"]),
    }
    if options.device == "cpu":
        step = 2 * (denoiser_flops(case.denoiser) + classifier_flops(case.classifier))
        rate = matrix_rate()
        row["share_of_matrix_rate"] = {
            which: round(step / seconds / rate, 2) for which, seconds in per_pair_step.items()
        }
    row["batch_shape_difference"] = _batch_shape_difference(bench, states["ours"], options.compile)
    if options.precision != "float32":
        row["precision_difference"] = _precision_difference(case, options, states["ours"])
    print("  ".join(f"{key}={value}" for key, value in row.items()), flush=True)
    return row


def _largest_difference(ours: dict[str, Tensor], published: dict[str, Tensor]) -> float:
    return max((ours[arm] - published[arm]).abs().max().item() for arm in SCALES)


def _batch_shape_difference(bench: Bench, whole: dict[str, Tensor], compile_mode: str) -> float:
    """How far another batch shape moves the final states: 1 / 127.5 is a grey level."""
    smaller = _states(bench.part(bench.case.pairs // 2).ours(compile_mode))
    return max((smaller[arm] - whole[arm][: smaller[arm].shape[0]]).abs().max().item() for arm in SCALES)


def _precision_difference(case: Case, options: argparse.Namespace, half: dict[str, Tensor]) -> dict[str, float]:
    """What half precision changes in the final pixels of the fixed set, against float32 of the same weights."""
    options = argparse.Namespace(**vars(options) | {"precision": "float32"})
    full = _states(Bench.of(case, options.device, options.precision).ours(""))
    differences = torch.cat(
        [
            (torch.from_numpy(to_uint8(half[arm])).int() - torch.from_numpy(to_uint8(full[arm])).int()).abs().flatten()
            for arm in SCALES
        ]
    ).float()
    return {
        "largest_grey_levels": differences.max().item(),
        "mean_grey_levels": round(differences.mean().item(), 4),
        "share_changed": round((differences > 0).float().mean().item(), 4),
    }


if __name__ == "__main__":
    raise SystemExit(main())
