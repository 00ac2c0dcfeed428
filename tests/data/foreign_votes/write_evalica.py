"""Run by make_samples.sh: a frame that evalica takes, and evalica's own tally of it beside."""

import json
import sys

import evalica
import pandas as pd

frame = pd.DataFrame(
    [
        ("t1", "w1", "robust", "vanilla", evalica.Winner.X),
        ("t2", "w1", "vanilla", "robust", evalica.Winner.Y),
        ("t1", "w2", "robust", "vanilla", evalica.Winner.Draw),
        ("t2", "w2", "vanilla", "robust", evalica.Winner.X),
        ("t3", "w2", "robust", "vanilla", evalica.Winner.X),
    ],
    columns=["task", "worker", "left", "right", "winner"],
)
folder = sys.argv[1]
frame.to_csv(f"{folder}/evalica.csv", index=False)
names = {evalica.Winner.X: "left", evalica.Winner.Y: "right", evalica.Winner.Draw: "tie"}
frame.assign(winner=frame["winner"].map(names)).to_csv(f"{folder}/evalica_names.csv", index=False)
counted = evalica.counting(frame["left"], frame["right"], frame["winner"])
tally = {name: float(value) for name, value in counted.scores.items()}
with open(f"{folder}/evalica_tally.json", "w") as file:
    json.dump(tally, file)
