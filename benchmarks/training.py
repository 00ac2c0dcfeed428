"""Robust training step against the published algorithm, in one process, with the same weights and the same result.

    python benchmarks/training.py --compile --record benchmarks/training.json     CIFAR-10 classifier, batch 16, CPU
    python benchmarks/training.py --device cuda --record FILE     ADM 128x128, batch 128, bfloat16 and torch.compile

Both step functions see the same images; they take turns, and medians are compared. On a CPU the process's own time is
taken, so that other work on the machine counts less. `--compile` adds rows with torch.compile (needs a C++ compiler).
`shared_share` is the part of our step that goes into convolutions and products of matrices, which both sides need:
what no change around them can save. `share_of_matrix_rate` is how fast our step computes, as a share of the rate at
which the same processor multiplies large matrices.
"""

import argparse
import json
import platform
import statistics
import sys
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from torch.profiler import ProfilerActivity, profile

# This file has the name of a package of ours: the repository must come before its own folder.
sys.path[0] = str(Path(__file__).resolve().parents[1])

from benchmarks.operations import BF16_LIMIT, classifier_flops, matrix_rate  # noqa: E402
from benchmarks.published_attack import published_l2, published_linf, published_step, recomputed_attention  # noqa: E402
from diffusion.published import PUBLISHED  # noqa: E402
from training.attack.pgd import pgd  # noqa: E402

STEPS = 7
CASES = {
    # Radii small enough that no image is fooled on the way, so that both do all the work they can.
    "l2, nobody fooled": ("l2", 0.001, 0.0, 1.3),
    "l2, half wrong from the start": ("l2", 0.001, 0.5, 2.3),
    "linf, nobody fooled": ("linf", 0.00001, 0.0, 1.5),
}


def lively(network):
    """Fill the residual branches that start at zero, so that gradients are those of a trained network."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.ndim > 1:
                scale = 1.0 / parameter[0].numel() ** 0.5
                parameter.copy_(scale * torch.randn(parameter.shape, generator=generator))
    return network


def batch(network, size, wrong_share, device):
    """Return x_t, labels of which a share is wrong, and timesteps.

    Of eight times as many random images those are taken whose prediction is the surest, so that no small step and no
    rounding changes it: then both sides do the work that the case names.
    """
    config = network.config
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(8 * size, config.in_channels, config.image_size, config.image_size, generator=generator).to(device)
    t = torch.randint(0, 1000, (8 * size,), generator=generator).to(device)
    with torch.no_grad():
        logits = torch.cat([network(*part) for part in zip(x.split(size), t.split(size), strict=True)])
    first, second = logits.topk(2, dim=1).values.T
    surest = (first - second).topk(size).indices
    x, t, y = x[surest], t[surest], logits[surest].argmax(dim=1)
    y[: round(wrong_share * size)] = (y[: round(wrong_share * size)] + 1) % config.num_classes
    return x, y, t


def our_step(network, forward, optimizer, x, y, t, *, norm, epsilon, step_size, autocast, bucket):
    """Attack only what is still right, with frozen parameters, then one training step; returns the attacked images."""
    options = {"norm": norm, "epsilon": epsilon, "step_size": step_size, "steps": STEPS}
    result = pgd(forward, x, y, t, autocast=autocast, bucket=bucket, **options)
    with torch.autocast(x.device.type, dtype=autocast, enabled=autocast is not None):
        logits = forward(result.x_adv, t)
    optimizer.zero_grad(set_to_none=True)
    F.cross_entropy(logits.float(), y).backward()
    optimizer.step()
    return result


def wait(device):
    if device == "cuda":
        torch.cuda.synchronize()


def timed(function, device):
    clock = time.perf_counter if device == "cuda" else time.process_time
    wait(device)
    began = clock()
    function()
    wait(device)
    return clock() - began


SHARED_KERNELS = {"aten::mkldnn_convolution", "aten::convolution_backward", "aten::bmm", "aten::mm", "aten::addmm"}


def shared_share(step):
    """Return the share of a CPU step's time that is spent inside convolutions and products of matrices."""
    with profile(activities=[ProfilerActivity.CPU]) as seen:
        step()
    times = {event.key: event.self_cpu_time_total for event in seen.key_averages()}
    return sum(time for key, time in times.items() if key in SHARED_KERNELS) / sum(times.values())


def compare(name, *, size, device, rounds, network_name, autocast, compiled):
    norm, epsilon, wrong_share, target = CASES[name]
    step_size = 2.5 * epsilon / STEPS
    theirs, ours = (lively(PUBLISHED[network_name].build()).to(device) for _ in range(2))
    # `lively` leaves biases as they were drawn.
    ours.load_state_dict(theirs.state_dict())
    # On a CPU the plain layout is the faster one here.
    layout = torch.contiguous_format if device == "cpu" else torch.channels_last
    ours = ours.to(memory_format=layout)
    forward = torch.compile(ours) if compiled else ours
    x, y, t = batch(theirs, size, wrong_share, device)
    x_ours = x.contiguous(memory_format=layout)
    # Learning rate 0: every round then meets the same weights and does the same work.
    their_optimizer = torch.optim.AdamW(theirs.parameters(), lr=0.0)
    our_optimizer = torch.optim.AdamW(ours.parameters(), lr=0.0, fused=True)
    attack = {"l2": published_l2, "linf": published_linf}[norm]
    options = {"norm": norm, "epsilon": epsilon, "step_size": step_size}
    # Compiled code should see few shapes: eight of the batch.
    bucket = max(1, size // 8) if compiled else 1

    def published():
        return published_step(
            attack, theirs, their_optimizer, x, y, t, epsilon=epsilon, step_size=step_size, steps=STEPS
        )

    def present():
        return our_step(ours, forward, our_optimizer, x_ours, y, t, autocast=autocast, bucket=bucket, **options)

    with recomputed_attention(theirs):
        x_adv, result = published(), present()
        times = {"published": [], "ours": []}
        for _ in range(rounds):
            times["published"].append(timed(published, device))
            times["ours"].append(timed(present, device))
    medians = {who: statistics.median(values) for who, values in times.items()}
    moved = (x_adv - x).flatten(1).norm(dim=1).max().item()
    return {
        "case": name,
        "compiled": compiled,
        "network": network_name,
        "batch": size,
        "published_ms_per_image": 1000 * medians["published"] / size,
        "ours_ms_per_image": 1000 * medians["ours"] / size,
        "ratio": medians["published"] / medians["ours"],
        "target": target if device == "cpu" else 3.0,
        "passes_published": STEPS * size,
        "passes_ours": result.image_passes,
        "largest_difference": (x_adv - result.x_adv).abs().max().item(),
        "largest_perturbation_l2": moved,
        "seconds_ours": medians["ours"],
        "share_of_matrix_rate": step_flops(network_name, size, result.image_passes) / medians["ours"] / matrix_rate()
        if device == "cpu"
        else None,
        "shared_share": shared_share(present) if device == "cpu" and not compiled else None,
    }


def bf16_share(network_name, size, seconds, passes, device_name):
    """Return the share of the card's bfloat16 limit that our step reaches, or None on an unknown card."""
    limit = next((value for key, value in BF16_LIMIT.items() if key in device_name), None)
    return limit and step_flops(network_name, size, passes) / seconds / limit


def step_flops(network_name, size, passes):
    """Return the operations of a step: so many images through the attack, then the batch through training."""
    config = PUBLISHED[network_name]
    return passes * classifier_flops(config) + size * classifier_flops(config, is_training=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--batch", type=int)
    parser.add_argument("--compile", action="store_true", help="on a CPU: also with torch.compile")
    parser.add_argument("--record", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    on_gpu = options.device == "cuda"
    size = options.batch or (128 if on_gpu else 16)
    device = torch.cuda.get_device_name() if on_gpu else f"{platform.machine()} CPU, {options.threads} thread(s)"
    print(f"{device}, torch {torch.__version__}, median of {options.rounds}")
    found = []
    for case, compiled in [(case, compiled) for compiled in ways(options) for case in CASES]:
        figures = compare(
            case,
            size=size,
            device=options.device,
            rounds=options.rounds,
            network_name="adm128_classifier" if on_gpu else "cifar10_classifier",
            autocast=torch.bfloat16 if on_gpu else None,
            compiled=compiled,
        )
        if on_gpu:
            figures["peak_memory_gib"] = torch.cuda.max_memory_allocated() / 2**30
            figures["bf16_share"] = bf16_share(
                figures["network"], size, figures["seconds_ours"], figures["passes_ours"], device
            )
        found.append(figures)
        name = f"{case}, compiled" if compiled else case
        print(
            f"{name:40s} published {figures['published_ms_per_image']:6.1f} ms/image, "
            f"ours {figures['ours_ms_per_image']:6.1f}, ratio {figures['ratio']:.2f} (target {figures['target']}), "
            f"passes {figures['passes_ours']}/{figures['passes_published']}, "
            f"largest difference {figures['largest_difference']:.1e}",
            flush=True,
        )
    if options.record:
        record = {
            "command": " ".join(["python", *sys.argv]),
            "device": device,
            "torch": torch.__version__.partition("+")[0],
            "rounds": options.rounds,
            "cases": found,
        }
        options.record.write_text(json.dumps(record, indent=2) + "\n")


def ways(options):
    """Return with which settings of torch.compile to run."""
    if options.device == "cuda":
        return [True]
    return [False, True] if options.compile else [False]


if __name__ == "__main__":
    main()
