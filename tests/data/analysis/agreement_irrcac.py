"""Reference answers for kappa, AC1 and alpha from irrCAC: ``python agreement_irrcac.py tables agreement_irrcac.json``.

irrCAC pins old numpy and scipy, so this runs in an environment of its own (``pip install irrCAC``) and only its answers
are used by the tests. Ties are a value of their own; second looks at a pair are left out; units are pairs.
"""

import json
import sys
from importlib.metadata import version
from pathlib import Path

import pandas as pd
from irrCAC.raw import CAC


def ratings_of(path: Path) -> pd.DataFrame:
    votes = pd.read_csv(path, dtype=str)
    votes = votes[votes["is_repeat"] != "true"]
    chosen = votes["arm_left"].where(votes["choice"] == "left", votes["arm_right"])
    votes["value"] = chosen.where(votes["choice"] != "tie", "tie")
    votes["unit"] = votes["pair"]
    if votes["arm_left"].nunique() > 2:
        arms = votes[["arm_left", "arm_right"]].min(axis=1) + votes[["arm_left", "arm_right"]].max(axis=1)
        votes["unit"] = votes["pair"] + arms
    return votes.pivot(index="unit", columns="rater", values="value")


def main() -> None:
    tables, target = Path(sys.argv[1]), Path(sys.argv[2])
    answers = {}
    for path in sorted(tables.glob("*.csv")):
        coefficients = CAC(ratings_of(path), digits=15)
        answers[path.stem] = {
            "fleiss_kappa": coefficients.fleiss()["est"]["coefficient_value"],
            "gwet_ac1": coefficients.gwet()["est"]["coefficient_value"],
            "krippendorff_alpha": coefficients.krippendorff()["est"]["coefficient_value"],
        }
    versions = {name: version(name) for name in ("irrCAC", "numpy", "scipy", "pandas")}
    target.write_text(json.dumps({"versions": versions, "answers": answers}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
