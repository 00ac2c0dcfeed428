"""``python -m analysis power`` and ``python -m analysis simulate``: planning a study, and votes with known truth."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import TypedDict

import numpy as np

from analysis.inference.spending import SPENDING
from analysis.planning.looks import LooksPrice, price_of_any_looks, price_of_looks
from analysis.planning.power import PowerPlan, SimulatedPower, plan_power, plan_power_from, simulate_power
from analysis.planning.simulation import Scenario, marginal_rates, simulate_votes
from analysis.planning.variance_components import VarianceComponents, estimated_components
from analysis.votes.reading import read_votes
from analysis.votes.selection import select_votes
from analysis.votes.table import VoteTable
from analysis.votes.writing import FORMATS, write_votes

__all__ = ["power_command", "simulate_command"]

_CHOICES = ("left", "right", "tie")
_POWER_EPILOG = """\
examples:
  python -m analysis power --raters 30 --pairs 60 --preference 0.6
  python -m analysis power --raters 30 --pairs 60 --votes-per-rater 20 --looks 3
  python -m analysis power --raters 40 --pairs 100 --pilot pilot.csv --json

exit codes:
  0  the plan is printed
  2  the pilot or an option cannot be used
"""
_SIMULATE_EPILOG = """\
examples:
  python -m analysis simulate --out votes.csv --raters 20 --pairs 60 --preference 0.65 --tie-rate 0.1
  python -m analysis simulate --out votes.csv --strength a=0.5 --strength b=0 --strength c=-0.5

exit codes:
  0  the votes are written, and the true rates printed
  2  an option cannot be used, or the file cannot be written
"""


def power_command(arguments: list[str]) -> int:
    """Print what a design buys, and what more raters cannot buy; return the exit code."""
    options = _power_parser().parse_args(arguments)
    try:
        plan, simulated = _power(options)
        price = _price(options, plan)
    except (OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    if options.json:
        found = {"plan": plan.as_json(), "simulated": None if simulated is None else asdict(simulated)}
        found["looks"] = None if price is None else price.as_json()
        print(json.dumps(found, indent=2, allow_nan=False))
    else:
        print(_power_text(plan, simulated))
        if price is not None:
            print(_price_text(price))
    return 0


def simulate_command(arguments: list[str]) -> int:
    """Write a table of simulated votes, marked as simulated, and print the truth behind it; return the exit code."""
    options = _simulate_parser().parse_args(arguments)
    try:
        path = Path(options.out)
        kind = path.suffix.removeprefix(".")
        if kind not in FORMATS:
            raise ValueError(
                f"--out {options.out}: the suffix is not one of {', '.join('.' + name for name in FORMATS)}"
            )
        scenario = _scenario(options)
        table = simulate_votes(scenario)
        _write_one(table, path, kind)
    except (OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"{len(table):,} simulated votes in {path}", file=sys.stderr)
    arms = list(scenario.log_strengths())
    for number, arm in enumerate(arms):
        for baseline in arms[number + 1 :]:
            truth = marginal_rates(scenario, arm, baseline)
            print(f"true rate of {arm} over {baseline}, ties split: {truth.ties_split:.4f}")
    return 0


# --- power ---------------------------------------------------------------------------------------


def _power_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m analysis power",
        description="Precision and power of a planned study under the headline's test, and the ceiling that pairs set.",
        epilog=_POWER_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_design(parser)
    parser.add_argument(
        "--votes-per-pair", type=int, help="where a pair is full: raters beyond find no place (default: never)"
    )
    parser.add_argument("--target-power", type=float, default=0.8, help="power to reach (default: %(default)s)")
    parser.add_argument("--significance", type=float, default=0.05, help="two-sided level (default: %(default)s)")
    parser.add_argument("--pilot", metavar="VOTES", help="take the variances from these votes (default: the SDs given)")
    parser.add_argument("--arm", help="arm of the pilot whose rate is meant (default: the first by name)")
    parser.add_argument("--baseline", help="arm of the pilot it is compared with (default: the next by name)")
    parser.add_argument(
        "--repetitions",
        type=int,
        default=0,
        help="also simulate the design so often, at least 10 (default: %(default)s, not at all)",
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of the simulation (default: %(default)s)")
    parser.add_argument(
        "--looks",
        metavar="K",
        help="also the price of K looks at the results, or of 'anytime' (default: one look, no price)",
    )
    parser.add_argument(
        "--spending", choices=SPENDING, default=SPENDING[0], help="how looks spend the level (default: %(default)s)"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser


def _price(options: argparse.Namespace, plan: PowerPlan) -> LooksPrice | None:
    if options.looks is None:
        return None
    design = {"raters": plan.raters_with_places, "pairs": plan.pairs, "votes_per_rater": options.votes_per_rater}
    if options.looks == "anytime":
        return price_of_any_looks(plan.components, **design, significance=options.significance, seed=options.seed)
    if not options.looks.isdecimal() or int(options.looks) < 2:
        raise ValueError(f"--looks {options.looks}: give 'anytime' or a number of at least 2")
    return price_of_looks(
        plan.components,
        **design,
        looks=int(options.looks),
        spending=options.spending,
        target_power=options.target_power,
        significance=options.significance,
    )


def _price_text(price: LooksPrice) -> str:
    first = f"looks           power {price.power:.3f} instead of {price.power_of_one_look:.3f}: {price.method}"
    if price.looks is None:
        return first
    return (
        f"{first}\n"
        f"boundaries      p <= {price.first_level:.2g} at the first look, {price.last_level:.4f} at the last; "
        f"{price.inflation:.3f} times the raters for the same power"
    )


def _power(options: argparse.Namespace) -> tuple[PowerPlan, SimulatedPower | None]:
    design = {name: getattr(options, name) for name in ("raters", "pairs", "votes_per_rater")}
    aims = {name: getattr(options, name) for name in ("votes_per_pair", "target_power", "significance")}
    scenario = Scenario(**design, **_behaviour(options), seed=options.seed)
    if options.pilot:
        plan = plan_power_from(_pilot_components(options), **design, **aims)
    else:
        plan = plan_power(scenario, **aims)
    if not options.repetitions:
        return plan, None
    if options.pilot:
        raise ValueError("--repetitions simulates the SDs given, not a pilot; leave out --pilot or --repetitions")
    scenario = replace(scenario, raters=plan.raters_with_places)
    return plan, simulate_power(scenario, repetitions=options.repetitions, significance=options.significance)


def _pilot_components(options: argparse.Namespace) -> VarianceComponents:
    table = select_votes(read_votes(options.pilot).table).table
    names = sorted(table.arms)
    arm = options.arm or next((name for name in names if name != options.baseline), None)
    baseline = options.baseline or next((name for name in names if name != arm), None)
    if arm is None or baseline is None:
        raise ValueError(f"--pilot {options.pilot}: the votes compare no two arms")
    return estimated_components(table.comparison(arm, baseline))


def _power_text(plan: PowerPlan, simulated: SimulatedPower | None) -> str:
    def needed(number: int | None, unit: str, other: str) -> str:
        if number is None:
            return f"no number of {unit} reaches {plan.target_power:.0%} with {other}"
        return f"{number:,} {unit} reach {plan.target_power:.0%} with {other}"

    beyond = "" if plan.raters_with_places == plan.raters else f" of whom {plan.raters_with_places:,} find a place,"
    lines = [
        f"design          {plan.raters:,} raters,{beyond} {plan.pairs:,} pairs, {plan.votes:,} votes",
        f"expected rate   {plan.rate:.3f} +- {plan.half_width:.3f} (95 % interval, {plan.df} degrees of freedom)",
        f"power           {plan.power:.3f}",
        f"ceiling         {plan.ceiling_power:.3f} with any number of raters on these {plan.pairs:,} pairs",
        f"raters needed   {needed(plan.raters_needed, 'raters', f'{plan.pairs:,} pairs')}",
        f"pairs needed    {needed(plan.pairs_needed, 'pairs', f'{plan.raters:,} raters')}",
    ]
    if simulated is not None:
        lines.append(
            f"simulated       power {simulated.power:.3f} +- {simulated.power_se:.3f}, "
            f"coverage {simulated.coverage:.3f} ({simulated.repetitions:,} repetitions)"
        )
    if plan.reason:
        lines.append(f"note            {plan.reason}")
    return "\n".join([*lines, f"method          {plan.method}"])


# --- simulate ------------------------------------------------------------------------------------


def _simulate_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m analysis simulate",
        description="Votes with known truth: raters and pairs that differ, ties, position bias, careless raters.",
        epilog=_SIMULATE_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--out", metavar="FILE", required=True, help="a .csv, .jsonl or .parquet file")
    _add_design(parser)
    parser.add_argument("--sd-class", type=float, default=0.0, help="SD of classes, log-odds (default: %(default)s)")
    parser.add_argument("--classes", type=int, default=1, help="number of classes (default: %(default)s)")
    parser.add_argument(
        "--careless-share", type=float, default=0.0, help="share of careless raters (default: %(default)s)"
    )
    parser.add_argument(
        "--left-share",
        type=float,
        help="probability that the first arm stands on the left (default: as often left as right for each rater)",
    )
    parser.add_argument(
        "--repeats", type=int, default=0, help="repeated pairs a rater, sides swapped (default: %(default)s)"
    )
    parser.add_argument(
        "--strength",
        action="append",
        metavar="ARM=LOGODDS",
        help="an arm and its log strength, once for each of two arms or more; replaces --preference "
        "(default: robust and vanilla by --preference)",
    )
    parser.add_argument("--seed", type=int, default=0, help="seed (default: %(default)s)")
    return parser


def _scenario(options: argparse.Namespace) -> Scenario:
    names = (
        "raters",
        "pairs",
        "votes_per_rater",
        "sd_class",
        "classes",
        "careless_share",
        "left_share",
        "repeats",
        "seed",
    )
    given = {name: getattr(options, name) for name in names}
    return Scenario(**given, **_behaviour(options), strengths=_strengths(options.strength))


def _strengths(given: list[str] | None) -> dict[str, float] | None:
    if not given:
        return None
    strengths = {}
    for text in given:
        arm, _, value = text.rpartition("=")
        try:
            strengths[arm] = float(value)
        except ValueError:
            raise ValueError(f"--strength {text}: give ARM=LOGODDS, for example robust=0.4") from None
    return strengths


def _write_one(table: VoteTable, path: Path, kind: str) -> None:
    """Write one file under its own name: the votes writers name theirs after the table."""
    folder = path.parent / f".{path.name}.writing"
    try:
        write_votes(_rows(table), folder, formats=[kind])
        os.replace(folder / f"votes.{kind}", path)
    finally:
        for left in folder.glob("*") if folder.exists() else ():
            left.unlink()
        if folder.exists():
            folder.rmdir()


def _rows(table: VoteTable) -> Iterator[dict[str, object]]:
    """Yield the rows of a simulated table under the names of the votes contract."""
    extra = {name: column.tolist() for name, column in table.extra.items()}
    for row in range(len(table)):
        left, right = table.arms[table.arm_left[row]], table.arms[table.arm_right[row]]
        values = {name: column[row] for name, column in extra.items()}
        yield {
            **{name: None if isinstance(value, float) and np.isnan(value) else value for name, value in values.items()},
            "study": "simulated",
            "rater": table.raters[table.rater[row]],
            "trial": f"t{row:08d}",
            "pair": table.pairs[table.pair[row]],
            "arm_left": left,
            "arm_right": right,
            "choice": _CHOICES[table.choice[row]],
            "choice_arm": (left, right, "")[table.choice[row]],
            "simulated": True,
        }


# --- what both take ------------------------------------------------------------------------------


def _add_design(parser: argparse.ArgumentParser) -> None:
    default = Scenario()
    parser.add_argument("--raters", type=int, default=default.raters, help="number of raters (default: %(default)s)")
    parser.add_argument("--pairs", type=int, default=default.pairs, help="number of pairs (default: %(default)s)")
    parser.add_argument("--votes-per-rater", type=int, help="pairs each rater sees (default: all)")
    for name, words in (
        ("preference", "probability that a typical rater prefers the arm on a typical pair"),
        ("sd_rater", "SD of raters, log-odds"),
        ("sd_pair", "SD of pairs, log-odds"),
        ("tie_rate", "probability of a tie"),
        ("lapse_rate", "probability of an answer by a fair coin"),
        ("position_bias", "advantage of the left image, log-odds"),
    ):
        option = "--" + name.replace("_", "-")
        words = f"{words} (default: %(default)s)"
        parser.add_argument(option, type=float, default=getattr(default, name), help=words)


class _Behaviour(TypedDict):
    """The fields of a scenario of these names."""

    preference: float
    sd_rater: float
    sd_pair: float
    tie_rate: float
    lapse_rate: float
    position_bias: float


def _behaviour(options: argparse.Namespace) -> _Behaviour:
    return _Behaviour(
        preference=options.preference,
        sd_rater=options.sd_rater,
        sd_pair=options.sd_pair,
        tie_rate=options.tie_rate,
        lapse_rate=options.lapse_rate,
        position_bias=options.position_bias,
    )
