"""``manage.py simulate_raters``: rehearse a study with simulated raters, through the pages that people get."""

from __future__ import annotations

import itertools
from argparse import ArgumentParser
from collections import Counter
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import nullcontext
from typing import Any

from django.core import signing
from django.core.management.base import BaseCommand, CommandError
from django.db import connection

from jobs.console import Report, shown
from survey.exceptions import StudyUnknown
from survey.management.rehearsal.behaviour import Behaviour
from survey.management.rehearsal.browser import RehearsalFailed
from survey.management.rehearsal.rater import SimulatedRater, Visit
from survey.management.rehearsal.server import OwnServer
from survey.models import Slot
from survey.selectors.version import frozen_config, version_current
from survey.services.assignment.slots import slots_ensure, slots_reset
from survey.services.study.study import study_get
from survey.services.visit.session import REHEARSAL_SALT


class Command(BaseCommand):
    # Given by a command that shows several of these on its own board.
    stealth_options = ("report",)
    help = (
        "Send simulated raters with a known preference through the real pages of a frozen study. Their votes are "
        "marked simulated, fill slots of their own, and are never pooled with people's."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--study", required=True, metavar="SLUG")
        parser.add_argument("--raters", type=int, default=30, metavar="N", help="visits to make (default: %(default)s)")
        parser.add_argument(
            "--arm", default="", help="the arm that they prefer (default: the first that is not the baseline)"
        )
        parser.add_argument(
            "--preference", type=float, default=0.6, metavar="P", help="how often they choose it (default: %(default)s)"
        )
        parser.add_argument(
            "--position-bias",
            type=float,
            default=0.0,
            metavar="B",
            help="left rate above one half (default: %(default)s)",
        )
        parser.add_argument(
            "--lapse",
            type=float,
            default=0.02,
            metavar="L",
            help="share of answers without looking (default: %(default)s)",
        )
        parser.add_argument(
            "--tie-rate",
            type=float,
            default=0.1,
            metavar="T",
            help="ties where no difference is seen (default: %(default)s)",
        )
        parser.add_argument(
            "--rater-sd",
            type=float,
            default=0.3,
            metavar="SD",
            help="spread between raters, in logits (default: %(default)s)",
        )
        parser.add_argument(
            "--pair-sd",
            type=float,
            default=0.5,
            metavar="SD",
            help="spread between pairs, in logits (default: %(default)s)",
        )
        parser.add_argument(
            "--drop-out",
            type=float,
            default=0.0,
            metavar="D",
            help="share who leave before the end (default: %(default)s)",
        )
        parser.add_argument(
            "--response-ms",
            type=float,
            default=1800.0,
            metavar="MS",
            help="median response time (default: %(default)s)",
        )
        parser.add_argument(
            "--speed",
            type=float,
            default=0.0,
            help="1: in real time; 10: ten times as fast; 0: at once (default: %(default)s)",
        )
        parser.add_argument(
            "--concurrency", type=int, default=8, metavar="N", help="raters at the same time (default: %(default)s)"
        )
        parser.add_argument("--seed", type=int, default=1, help="of what they choose (default: %(default)s)")
        parser.add_argument("--base-url", default="", help="a running server (default: one of its own)")

    def handle(self, **options: Any) -> None:
        if options["raters"] < 1 or options["concurrency"] < 1 or options["speed"] < 0:
            raise CommandError("--raters and --concurrency must be at least 1, --speed 0 or more")
        try:
            study = study_get(options["study"])
        except StudyUnknown as error:
            raise CommandError(str(error)) from None
        version = version_current(study)
        if version is None:
            raise CommandError(f"{study.slug} is a draft: freeze it first, only a frozen design can be rehearsed")
        config = frozen_config(version.pk)
        slots_ensure(version, Slot.Pool.REHEARSAL)
        # A rehearsal can be done again and again: without this the second one would find its slots taken.
        slots_reset(version, Slot.Pool.REHEARSAL)
        behaviour = self._behaviour(options, config)
        ticket = signing.dumps(study.slug, salt=REHEARSAL_SALT)
        server = nullcontext(options["base_url"]) if options["base_url"] else OwnServer()
        # The raters' threads open their own; this one would idle for the whole rehearsal.
        connection.close()
        board = shown(f"simulating raters of {study.slug}", self.stderr, options.get("report"))
        with server as base_url, board as told:
            visits = _run(options, base_url, study.slug, ticket=ticket, behaviour=behaviour, told=told)
        outcomes = Counter(visit.outcome for visit in visits)
        votes = sum(visit.votes for visit in visits)
        self.stdout.write(
            f"{votes} votes of {len(visits)} simulated raters: "
            + ", ".join(f"{count} {outcome}" for outcome, count in sorted(outcomes.items()))
        )

    def _behaviour(self, options: dict[str, Any], config: dict[str, Any]) -> Behaviour:
        arms = [arm["name"] for arm in config["arms"]]
        baseline = config["analysis"]["baseline"]
        arm = options["arm"] or next(name for name in arms if name != baseline)
        if arm not in arms:
            raise CommandError(f"--arm is {arm!r}; the study's arms are {', '.join(arms)}")
        try:
            return Behaviour(
                arm=arm,
                preference=options["preference"],
                position_bias=options["position_bias"],
                lapse=options["lapse"],
                tie_rate=options["tie_rate"],
                sd_rater=options["rater_sd"],
                sd_pair=options["pair_sd"],
                drop_out=options["drop_out"],
                response_ms=options["response_ms"],
            )
        except ValueError as error:
            raise CommandError(str(error)) from None


def _run(
    options: dict[str, Any], base_url: str, slug: str, *, ticket: str, behaviour: Behaviour, told: Report
) -> list[Visit]:
    """Let the raters vote, several at a time; return their visits."""
    count, votes = options["raters"], itertools.count(1)
    latest = [0]

    def on_vote() -> None:
        latest[0] = next(votes)

    raters = [
        SimulatedRater(
            base_url=base_url,
            slug=slug,
            ticket=ticket,
            behaviour=behaviour,
            seed=options["seed"],
            number=number,
            speed=options["speed"],
            on_vote=on_vote,
        )
        for number in range(count)
    ]
    visits: list[Visit] = []
    with ThreadPoolExecutor(options["concurrency"]) as pool:
        running = {pool.submit(rater.run) for rater in raters}
        try:
            while running:
                done, running = wait(running, timeout=0.5, return_when=FIRST_COMPLETED)
                visits += [future.result() for future in done]
                told(len(visits), count, f"{latest[0]} votes")
        except (RehearsalFailed, OSError) as error:
            raise CommandError(f"the rehearsal stopped: {error}") from None
        finally:
            for future in running:
                future.cancel()
    return visits
