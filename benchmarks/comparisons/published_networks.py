"""Compare networks with the published code: ``python benchmarks/comparisons/published_networks.py CHECKOUT``.

For every published configuration, with random weights: the state dict of ours loads strictly into guided-diffusion's
own network, and theirs into ours; one forward pass of both, and for classifiers the gradient that guides. As built, a
network runs the published operations in their order; in the form that ``generate_pairs`` samples with it rounds
otherwise. The record is ``published_networks.json`` beside this file; a difference above 1e-5 as built ends the run
with exit code 1.

CHECKOUT is the root of guided-diffusion's repository. The largest networks take several GiB of memory and minutes each.
"""

from __future__ import annotations

import argparse
import gc
import json
import sys
from collections.abc import Callable
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[2])

import torch  # noqa: E402
from torch import Tensor, nn  # noqa: E402

from benchmarks.published_code import published_network  # noqa: E402
from diffusion.classifier import classifier_gradient  # noqa: E402
from diffusion.encoder import EncoderConfig  # noqa: E402
from diffusion.published import PUBLISHED  # noqa: E402
from diffusion.unet import DenoiserConfig  # noqa: E402
from generation.sampling.networks import for_sampling  # noqa: E402

RECORD = Path(__file__).with_suffix(".json")
TOLERANCE = 1e-5
TIMESTEP = 500


def main() -> int:
    options = _options()
    torch.set_num_threads(options.threads)
    kept = json.loads(RECORD.read_text()) if RECORD.exists() else {}
    names = options.network or list(PUBLISHED)
    for name in names:
        kept[name] = _compared(PUBLISHED[name], options.published)
        kept[name] |= {"torch": torch.__version__, "threads": options.threads}
        print(json.dumps({"network": name} | kept[name]), flush=True)
        RECORD.write_text(json.dumps(kept, indent=1, sort_keys=True) + "\n")
        gc.collect()
    return int(any(kept[name]["largest_difference_as_built"] > TOLERANCE for name in names))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("published", type=Path, metavar="CHECKOUT", help="a checkout of guided-diffusion")
    parser.add_argument("--network", action="append", choices=PUBLISHED, help="only these")
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args()


def _compared(config: EncoderConfig, checkout: Path) -> dict[str, object]:
    ours = _with_random_weights(config)
    theirs = published_network(ours, checkout)
    ours.load_state_dict(theirs.state_dict(), strict=True, assign=True)
    outputs = _outputs_of(config)
    expected = outputs(theirs)
    as_built = _difference(outputs(ours), expected)
    parameters = sum(parameter.numel() for parameter in theirs.parameters())
    del theirs
    return {
        "parameters": parameters,
        "largest_output": max(values.abs().max().item() for values in expected),
        "largest_difference_as_built": as_built,
        "largest_difference_sampling": _difference(outputs(for_sampling(ours)), expected),
    }


def _with_random_weights(config: EncoderConfig) -> nn.Module:
    """Weights that keep the size of what passes through, drawn on the way: a fresh denoiser returns zero."""
    with torch.device("meta"):
        network = config.build()
    generator = torch.Generator().manual_seed(0)
    state = {}
    for name, tensor in network.state_dict().items():
        values = torch.randn(tensor.shape, generator=generator)
        if tensor.ndim > 1:
            values /= tensor[0].numel() ** 0.5
        else:
            values = 0.1 * values + float(name.endswith("weight"))
        state[name] = values
    network.load_state_dict(state, strict=True, assign=True)
    return network.eval()


def _outputs_of(config: EncoderConfig) -> Callable[[nn.Module], list[Tensor]]:
    """What is compared: a denoiser's output; a classifier's logits and its gradient at the input."""
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(1, config.in_channels, config.image_size, config.image_size, generator=generator)
    t, label = torch.tensor([TIMESTEP]), torch.tensor([7])
    is_labelled = isinstance(config, DenoiserConfig) and config.num_classes is not None

    def outputs(network: nn.Module) -> list[Tensor]:
        with torch.no_grad():
            values = [network(x, t, label) if is_labelled else network(x, t)]
        if not isinstance(config, DenoiserConfig):
            values.append(classifier_gradient(network, x, t, label))
        return values

    return outputs


def _difference(found: list[Tensor], expected: list[Tensor]) -> float:
    return max((one - other).abs().max().item() for one, other in zip(found, expected, strict=True))


if __name__ == "__main__":
    raise SystemExit(main())
