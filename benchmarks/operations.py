"""Count what guided images of the published networks cost: ``python benchmarks/operations.py [--share 0.3]``.

Multiplications and additions in convolutions, linear maps and attention, counted on tensors without contents. From
them follow a bound on every speed, the rate at which a processor multiplies matrices, and how many images an hour a
card would make at some share of its limit: computed, not measured.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from pathlib import Path

# Run as a script, the repository must be found before this folder.
sys.path[0] = str(Path(__file__).resolve().parents[1])

import torch  # noqa: E402
from torch.utils.flop_counter import FlopCounterMode  # noqa: E402

from diffusion.classifier import ClassifierConfig  # noqa: E402
from diffusion.published import PUBLISHED  # noqa: E402
from diffusion.unet import DenoiserConfig  # noqa: E402

# Dense bfloat16 matrix products of the cards that are known here, FLOP/s.
BF16_LIMIT = {"H200": 790e12, "H100": 790e12, "A100": 312e12}
STEPS = 250
SIZES = (64, 128, 256, 512)


def denoiser_flops(config: DenoiserConfig) -> int:
    """Return the operations of one denoiser call on one image."""
    with torch.device("meta"):
        arguments = [*_image(config), *([torch.zeros(1, dtype=torch.int64)] if config.num_classes else [])]
        network = config.build()
        with FlopCounterMode(display=False) as counted, torch.no_grad():
            network(*arguments)
    return counted.get_total_flops()


def classifier_flops(config: ClassifierConfig, *, is_training: bool = False) -> int:
    """Return the operations of one image's class gradient, or of its gradient on the weights."""
    with torch.device("meta"):
        x, t = _image(config)
        network = config.build().requires_grad_(is_training)
        with FlopCounterMode(display=False) as counted:
            network(x.requires_grad_(not is_training), t).sum().backward()
    return counted.get_total_flops()


def _image(config: DenoiserConfig | ClassifierConfig) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.zeros(1, config.in_channels, config.image_size, config.image_size), torch.zeros(1, dtype=torch.int64)


def matrix_rate(side: int = 1024, repeats: int = 9) -> float:
    """Return float32 operations per CPU second of this process in products of square matrices."""
    left, right = torch.randn(2, side, side)
    times = []
    for _ in range(repeats):
        began = time.process_time()
        left @ right
        times.append(time.process_time() - began)
    return 2 * side**3 / statistics.median(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--share", type=float, default=0.3, help="share of the card's bfloat16 limit (default 0.3)")
    options = parser.parse_args()
    print(f"guided images of {STEPS} steps, and images per GPU-hour at {options.share:.0%} of the bfloat16 limit")
    for size in SIZES:
        step = denoiser_flops(PUBLISHED[f"adm{size}_denoiser"]) + classifier_flops(PUBLISHED[f"adm{size}_classifier"])
        hourly = {card: 3600 * options.share * limit / (STEPS * step) for card, limit in BF16_LIMIT.items()}
        rates = ", ".join(f"{card} {rate:,.0f}" for card, rate in hourly.items())
        print(f"{size:>4} pixels: {STEPS * step / 1e12:8.1f} TFLOP an image; {rates}")


if __name__ == "__main__":
    main()
