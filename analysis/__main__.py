"""``python -m analysis VOTES.csv --out DIR``: the report from the file of votes alone."""

from __future__ import annotations

import argparse
import json
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from analysis.report.provenance import code_commit, code_version
from analysis.votes.foreign.options import add_reading_options, read_as_told
from analysis.votes.reading import BadRow, BadVotesError, ReadVotes, reading_facts

__all__ = ["main"]

_EPILOG = """\
examples:
  python -m analysis votes.csv --out report
  python -m analysis votes.csv --out report --arm robust --baseline vanilla --plan plan.json
  python -m analysis votes.csv --json --skip-bad-rows
  python -m analysis results.json --from jspsych --out report
  python -m analysis ratings.csv --map rater=user,pair=item,arm_left=A,arm_right=B,choice=answer --out report

other commands, each with --help of its own:
  python -m analysis convert     votes of other tools as our table
  python -m analysis power       raters, pairs and votes that a study needs
  python -m analysis simulate    votes with a known truth, to try the report on

exit codes:
  0  the report is written
  2  the votes, the plan or an option cannot be used: every bad row is listed, nothing is written
  3  a format or a figure could not be made; the others are written
"""


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return 0, 2 for input that cannot be used, or 3 for a report that is not whole."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments and arguments[0] == "convert":
        from analysis.votes.foreign.command import convert_command

        return _reported(lambda: convert_command(arguments[1:]))
    if arguments and arguments[0] in ("power", "simulate"):
        from analysis import commands

        return {"power": commands.power_command, "simulate": commands.simulate_command}[arguments[0]](arguments[1:])
    options = _parser().parse_args(arguments)
    return _reported(lambda: _report(options))


def _reported(work: Callable[[], int]) -> int:
    """Return the work's exit code, or 2 with what is wrong with the input."""
    try:
        return work()
    except BadVotesError as error:
        _list_bad_rows(error.bad_rows, error.unlisted)
        remedy = "fix them, or take the remedy named beside each; --skip-bad-rows drops and counts the rows at fault"
        print(f"error: {error.total:,} bad row(s), nothing was computed; {remedy}", file=sys.stderr)
    except (OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
    return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m analysis",
        description="Report of a blind pairwise preference study from its votes.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("votes", metavar="VOTES", help="file of votes: .csv, .jsonl or .parquet; with --from others")
    parser.add_argument(
        "--out",
        metavar="DIR",
        help="folder for report.html, report.pdf, report.json, tables and figures (default: none written)",
    )
    parser.add_argument(
        "--arm",
        help="arm whose preference rate is reported (default: the plan's; else the first by name, "
        "of three or more the strongest)",
    )
    parser.add_argument("--baseline", help="arm it is compared with (default: the plan's; else the second of these)")
    parser.add_argument("--criterion", help="of votes by several criteria, the one to report (default: the plan's)")
    plan = parser.add_mutually_exclusive_group()
    plan.add_argument(
        "--plan",
        metavar="PLAN.json",
        help="analysis plan fixed before unblinding (default: plan.json beside the votes)",
    )
    plan.add_argument(
        "--alone",
        action="store_true",
        help="take nothing beside the votes: no plan.json, study.json, raters.csv or pairs.csv",
    )
    look = parser.add_mutually_exclusive_group()
    look.add_argument("--look", type=int, metavar="K", help="which of the planned looks this is (default: the last)")
    look.add_argument(
        "--information",
        metavar="T1,T2,...",
        help="information fractions of all looks so far, this one last, planned or not (default: the plan's)",
    )
    ranking = parser.add_argument_group("ranking of several arms (each wins over the plan's)")
    ranking.add_argument("--no-left-effect", action="store_true", help="leave the advantage of the left out")
    ranking.add_argument("--reference", metavar="ARM", help="arm whose strength is 0 (default: none, they sum to 0)")
    ranking.add_argument("--bias-reduction", action="store_true", help="Firth's penalty: finite under separation")
    ranking.add_argument(
        "--covariates", metavar="FILE.csv", help="pair, arm and a number a column to adjust for (default: none)"
    )
    parser.add_argument(
        "--study",
        metavar="STUDY.json",
        help="facts of the study for the design table and checklist (default: study.json beside the votes)",
    )
    parser.add_argument(
        "--figures", metavar="DIR", help="figures of `manage.py make_figures`, PNG among their formats (default: none)"
    )
    parser.add_argument(
        "--image-metrics", metavar="FILE", help="what `manage.py evaluate_images --out` wrote (default: none)"
    )
    parser.add_argument(
        "--pair-distances", metavar="FILE", help="pair_distances.json of an earlier report (default: none)"
    )
    parser.add_argument(
        "--raters",
        metavar="RATERS.csv",
        help="who the raters are: preference by group, sites (default: raters.csv beside the votes)",
    )
    parser.add_argument(
        "--pairs",
        metavar="PAIRS.csv",
        help="prompts, names and tags: preference by tag and by prompt (default: pairs.csv beside the votes)",
    )
    parser.add_argument(
        "--scores", metavar="SCORES.csv", help="what automatic judges said of the images (default: none)"
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of everything random (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="print report.json to standard output")
    parser.add_argument("--skip-bad-rows", action="store_true", help="drop rows that cannot be used, and count them")
    add_reading_options(parser, default="our own table")
    spelling = parser.add_mutually_exclusive_group()
    spelling.add_argument(
        "--trim",
        dest="spelling",
        action="store_const",
        const="trim",
        default="refuse",
        help="make names that differ only in spaces, case, Unicode form or a .0 one",
    )
    spelling.add_argument(
        "--as-spelt", dest="spelling", action="store_const", const="keep", help="take such names as different"
    )
    parser.add_argument(
        "--keep-copies", action="store_true", help="count rows without a trial that repeat another word for word"
    )
    return parser


def _report(options: argparse.Namespace) -> int:
    from analysis.judges.scores import read_scores
    from analysis.pairs.table import read_pairs
    from analysis.ranking.options import read_covariates
    from analysis.raters.table import read_raters
    from analysis.report.content.assemble import build_report
    from analysis.report.content.external_figures import read_figures

    if not options.out and not options.json:
        raise ValueError("nothing to do: give --out DIR, --json or both")
    plan = _plan(options)
    study = _json_object(options.study or _beside(options, "study.json"), "--study")
    raters = options.raters or _beside(options, "raters.csv")
    pairs = options.pairs or _beside(options, "pairs.csv")
    read = read_as_told(options)
    if read.bad_rows:
        dropped = sum(read.bad_row_counts.values())
        _list_bad_rows(read.bad_rows, read.unlisted)
        print(f"warning: {dropped:,} bad row(s) dropped; the report counts them", file=sys.stderr)
    metrics = _json_object(options.image_metrics, "--image-metrics") or {}
    figures = read_figures(options.figures) if options.figures else []
    report = build_report(
        read.table,
        arm=options.arm,
        baseline=options.baseline,
        criterion=options.criterion,
        plan=plan,
        study=study,
        provenance={"version": code_version(), "commit": code_commit()},
        image_metrics=metrics.get("arms"),
        image_metrics_by_class=metrics.get("per_class"),
        image_metrics_seen=metrics.get("seen"),
        image_metric_differences=metrics.get("differences"),
        pair_distances=_json_object(options.pair_distances, "--pair-distances"),
        figures=figures,
        data=reading_facts(read),
        raters=read_raters(raters) if raters else None,
        pairs=read_pairs(pairs) if pairs else None,
        scores=read_scores(options.scores) if options.scores else None,
        looks_taken=_looks_taken(options),
        covariates=read_covariates(options.covariates) if options.covariates else None,
        seed=options.seed,
    )
    code = _write(report, read, options, figures) if options.out else 0
    print(report["text"]["lead"], file=sys.stderr)
    if options.json:
        from analysis.report.formats.text_files import render_json

        sys.stdout.write(render_json(report))
    return code


def _write(report: dict, read: ReadVotes, options: argparse.Namespace, figures: Sequence) -> int:
    """Write the folder; return 0, or 3 where a format could not be made and the others were."""
    from analysis.report.formats.output import IncompleteReportError, write_report

    try:
        write_report(report, read.table, options.out, figures=figures)
    except IncompleteReportError as error:
        print(f"error: {error}", file=sys.stderr)
        return 3
    print(f"report: {Path(options.out) / 'report.html'}", file=sys.stderr)
    return 0


def _plan(options: argparse.Namespace) -> dict | None:
    """Return the plan named, or the one beside the votes, with what the options ask of the ranking."""
    plan = _json_object(options.plan or _beside(options, "plan.json"), "--plan") or {}
    asked = {
        "left_effect": False if options.no_left_effect else None,
        "reference": options.reference,
        "bias_reduction": options.bias_reduction or None,
    }
    asked = {name: value for name, value in asked.items() if value is not None}
    if asked:
        plan["ranking"] = {**(plan.get("ranking") or {}), **asked}
    return plan or None


def _beside(options: argparse.Namespace, name: str) -> str | None:
    """Return a file of an export that lies beside its votes, and say that it is taken."""
    path = Path(options.votes).with_name(name)
    if options.alone or not path.is_file():
        return None
    print(f"beside the votes: {path} (leave it out with --alone)", file=sys.stderr)
    return str(path)


def _looks_taken(options: argparse.Namespace) -> int | list[float] | None:
    if options.information is None:
        return options.look
    try:
        return [float(part) for part in options.information.split(",")]
    except ValueError:
        raise ValueError(f"--information {options.information}: give fractions such as 0.25,0.6") from None


def _json_object(path: str | None, option: str) -> dict | None:
    if path is None:
        return None
    try:
        value = json.loads(Path(path).read_text(encoding="utf-8-sig"))
    except ValueError as error:
        raise ValueError(f"{option} {path} is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise ValueError(f"{option} {path} is not a JSON object")
    return value


def _list_bad_rows(bad_rows: Sequence[BadRow], unlisted: Sequence[str]) -> None:
    for said in (*bad_rows, *unlisted):
        print(said, file=sys.stderr)


if __name__ == "__main__":
    if hasattr(signal, "SIGPIPE"):
        # A reader that closes early (head, say) ends the command without a traceback.
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    sys.exit(main())
