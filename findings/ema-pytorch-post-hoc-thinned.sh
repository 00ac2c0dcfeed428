#!/usr/bin/env bash
# ema-pytorch 0.8.3, PostHocEMA and KarrasEMA: with update_every above 1 the average is not the one asked for by sigma_rel.
# Expected: sigma_rel is the width (standard deviation) of the average's weights over the training steps, as a share of the
# training so far (Karras and others, arXiv 2312.02696, section 3.1, which the module cites), and update_every is "how often
# to actually update, to save on compute", as the readme says. Seen: the decay is that of one single step, applied only at
# every update_every-th step, so the exponent gamma + 1 acts as if divided by update_every. The readme's own settings
# (widths 0.05 and 0.28, update_every=10) give averages that lean on the start of training, and the average that is
# put together afterwards for a third width is wrong in the same way. The default is 100. Nothing fails or warns: a model
# is sampled from stale weights, and a search over sigma_rel compares other widths than those it reports.
# Here: 2,000 steps; the model's weights after step k are 1 at place k and 0 elsewhere, so the averaged weights are the
# average's weights. Thinning is not the cause: with the decay of all the steps between (done here) the width stays.
# Among the project's own issues no report was found; the fork nitrous-ema corrects for it, as an option.
# Exit 0 while this holds, 1 once update_every leaves the width as asked.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check torch==2.13.0 numpy==2.4.6 ema-pytorch==0.8.3
cat > "$folder/compare.py" <<'PYTHON'
import importlib.metadata
import sys
import tempfile

import numpy as np
import torch
from ema_pytorch import PostHocEMA

steps, asked, third = 2000, (0.05, 0.28), 0.15


def width(weights):
    weights = weights / weights.sum()
    mean = (weights * np.arange(steps)).sum()
    return np.sqrt((weights * (np.arange(steps) - mean) ** 2).sum()) / steps, weights[: steps // 10].sum()


def library(every):
    model = torch.nn.Linear(steps, 1, bias=False)
    with tempfile.TemporaryDirectory() as folder:
        averages = PostHocEMA(
            model,
            sigma_rels=asked,
            update_every=every,
            checkpoint_every_num_steps=200,
            checkpoint_folder=folder,
            checkpoint_dtype=torch.float32,
        )
        for step in range(steps):
            with torch.no_grad():
                model.weight.zero_()
                model.weight[0, step] = 1
            averages.update()
        made = [average.ema_model for average in averages.ema_models]
        made.append(averages.synthesize_ema_model(sigma_rel=third).ema_model)
    return [width(one.weight[0].detach().double().numpy()) for one in made]


def exponent(sigma):  # sigma^2 = (g + 1) / ((g + 2)^2 (g + 3)), solved by halving
    low, high = 0.0, 1e4
    for _ in range(200):
        g = (low + high) / 2
        low, high = (g, high) if (g + 1) / ((g + 2) ** 2 * (g + 3)) > sigma**2 else (low, g)
    return g


def thinned(sigma, every):
    weights, power = np.zeros(steps), exponent(sigma) + 1
    for step in range(every, steps + 1, every):
        decay = (1 - every / step) ** power
        weights *= decay
        weights[step - 1] += 1 - decay
    return width(weights)


print("ema-pytorch", importlib.metadata.version("ema-pytorch"))
found = {}
for every in (1, 10, 100):
    made = library(every)
    found[every] = [one for one, _ in made]
    for sigma, (got, early) in zip((*asked, third), made):
        right, right_early = thinned(sigma, every)
        print(
            f"update_every={every:3}, width asked {sigma:.2f}: got {got:.3f}, {early:5.1%} of the weight in the first tenth "
            f"of training; thinned rightly {right:.3f}, {right_early:5.1%}"
        )
wanted = np.array([*asked, third])
plain = np.abs(np.array(found[1]) - wanted).max() < 0.005
kept = all(abs(thinned(s, e)[0] - s) < 0.005 for s in wanted for e in (1, 10))
sys.exit(0 if plain and kept and found[10][0] > 0.2 and found[10][2] > 0.25 else 1)
PYTHON
"$folder/venv/bin/python" "$folder/compare.py"
