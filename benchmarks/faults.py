"""Kill every process, at random times, while raters vote and two generation jobs run; then count what is left.

    python benchmarks/faults.py --rounds 12 --raters 200 --broker rabbitmq --out benchmarks/faults.json
    python benchmarks/faults.py --rounds 12 --raters 200 --seed 2 --out benchmarks/faults.json --append

    python benchmarks/faults.py --campaign --rounds 40 --raters 200 --broker rabbitmq --out benchmarks/campaign.json

A round lets raters vote and orders the pairs of two studies; ``--faults`` times something is killed with SIGKILL (web
server, worker, a worker's child, PostgreSQL, broker) or the disk is filled. ``--campaign`` puts the deployment's nginx
in front and adds: nginx killed, SIGTERM to each process, a clock that jumps by an hour, a database that hangs for half
a minute, slow senders on every location, a rolling restart (Debian: nginx-light, gcc). What is dead is started again
as a container would be; nothing else is done by hand. At the end of the round every acknowledged vote must be there
once, and every pair complete and byte-identical to those of an undisturbed run. Exit status 1 if anything is not so.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from benchmarks.campaign.orders import GENERATION, count_jobs, images_of, make_checkpoints, make_draft, order_pairs
from benchmarks.campaign.storm import ALL_KINDS, KILLS, Disk, Storm
from benchmarks.campaign.submissions import RaterSubmissions, count_votes, longest_waits, make_electorate, patiently
from benchmarks.lab import Lab, running_lab
from benchmarks.machinery import wait_until


class Rounds:
    """The workload and its check, round after round."""

    def __init__(self, lab: Lab, disk: Disk, arguments: argparse.Namespace) -> None:
        from tests.factories import make_user

        self.lab, self.arguments = lab, arguments
        self.storm = Storm(lab, disk, arguments.seed, tuple(arguments.kinds))
        self.owner = make_user("owner")
        self.checkpoints = make_checkpoints(lab.folder)
        self.reference = self._undisturbed()
        self.random = random.Random(arguments.seed)

    def _undisturbed(self) -> dict[tuple[str, str], str]:
        study = make_draft(self.owner, "undisturbed", self.checkpoints, self.arguments.steps)
        order_pairs("undisturbed", self.arguments.pairs, queue=False)
        return images_of(self.lab, study)

    def run(self, number: int) -> dict:
        """Run one round; return its counts."""
        from django.utils import timezone

        arguments, since, start = self.arguments, timezone.now(), time.monotonic()
        submissions = make_electorate(self.owner, f"votes-{number}", arguments.raters, arguments.votes)
        drafts = [
            make_draft(self.owner, f"pairs-{number}-{which}", self.checkpoints, arguments.steps) for which in range(2)
        ]
        for draft in drafts:
            order_pairs(draft.slug, arguments.pairs, queue=True)
        struck: list[dict] = []
        spans: list[tuple[str, float, float]] = []
        over = threading.Event()
        nurse = threading.Thread(target=self._nurse, args=(over,), daemon=True)
        nurse.start()
        deadline = time.monotonic() + arguments.patience
        with ThreadPoolExecutor(len(submissions)) as pool:
            try:
                voting = [pool.submit(one.send_all, self.lab, arguments.think, deadline, over) for one in submissions]
                for _ in range(arguments.faults):
                    time.sleep(self.random.uniform(*arguments.pause))
                    at_work = self._at_work(submissions, drafts)
                    began = time.monotonic()
                    struck.append({"kind": self.storm.strike()} | at_work)
                    spans.append((struck[-1]["kind"], began, time.monotonic()))
                recovered = self._wait_for_pairs(drafts, deadline)
                for rater in voting:
                    rater.result()
            finally:
                # The pool waits for its raters, and the lab must not be cleared away under the nurse.
                over.set()
                nurse.join()
        counts = count_votes(submissions) | count_jobs(drafts, self.reference, self.lab, since)
        return counts | {
            "faults": struck,
            "longest_wait_seconds": longest_waits(submissions, spans),
            "seconds": round(time.monotonic() - start, 1),
            "seconds_from_last_fault_to_all_pairs": round(recovered, 1),
        }

    def _at_work(self, submissions: list[RaterSubmissions], drafts: list) -> dict[str, int]:
        """Return how much is still to be done: a fault that comes after the work proves nothing."""
        made = None
        while made is None:
            made = patiently(lambda: sum(draft.pairs.count() for draft in drafts))
        return {
            "votes_open": sum(len(one.bodies) - len(one.acknowledged) for one in submissions),
            "pairs_open": self.arguments.pairs * len(drafts) - made,
        }

    def _nurse(self, over: threading.Event) -> None:
        """Start again what dies later on, such as a worker that gives up on a dead broker."""
        while not over.wait(0.5):
            self.lab.restart_dead()

    def _wait_for_pairs(self, drafts: list, deadline: float) -> float:
        from jobs.models import Job

        open_states = [Job.State.QUEUED, Job.State.RUNNING]

        def are_done() -> bool:
            has_open = patiently(lambda: Job.objects.filter(kind__in=GENERATION, state__in=open_states).exists())
            pairs = patiently(lambda: [draft.pairs.count() for draft in drafts])
            return has_open is False and pairs == [self.arguments.pairs] * len(drafts)

        start = time.monotonic()
        with suppress(TimeoutError):
            wait_until(are_done, "every pair is made", seconds=max(1.0, deadline - start))
        return time.monotonic() - start


def poison(lab: Lab) -> dict:
    """Queue a job that always kills its process; return how it ended."""
    from jobs.models import Job
    from jobs.services import job_announce, job_enqueue

    job = job_enqueue(kind="tests.die", announce=False)
    Job.objects.filter(pk=job.pk).update(max_attempts=3)
    job_announce(job)

    def is_over() -> bool:
        lab.restart_dead()
        return patiently(lambda: Job.objects.get(pk=job.pk).is_over) is True

    with suppress(TimeoutError):
        wait_until(is_over, "the poison job is stopped", seconds=240)
    job.refresh_from_db()
    return {"state": job.state, "attempts": job.attempt, "error": job.error}


def is_clean(count: dict) -> bool:
    """Return whether a round lost, doubled, changed or left out nothing, and showed nobody another's trials."""
    bad = ("lost", "changed", "duplicated", "misdirected", "images_different", "jobs_unfinished")
    return (
        not any(count.get(name) for name in bad)
        and count["acknowledged"] == count["sent"] > 0
        and count["images"] == count["images_wanted"] > 0
    )


def parsed(text: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--faults", type=int, default=2, help="in each round; the kinds take turns")
    parser.add_argument("--raters", type=int, default=24)
    parser.add_argument("--votes", type=int, default=10, help="of each rater")
    parser.add_argument("--pairs", type=int, default=12, help="of each of the two jobs")
    parser.add_argument("--steps", type=int, default=60, help="of the sampler: how long a pair takes")
    parser.add_argument("--think", type=float, default=0.5, help="mean seconds between a rater's votes")
    parser.add_argument("--pause", type=float, nargs=2, default=(0.3, 2.0), help="range of seconds before a fault")
    parser.add_argument("--patience", type=float, default=240.0, help="seconds in which a round must have recovered")
    parser.add_argument("--broker", choices=["valkey", "rabbitmq"], default="valkey")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, help="write the counts as JSON")
    parser.add_argument("--append", action="store_true", help="add to the runs that --out holds")
    parser.add_argument("--campaign", action="store_true", help="nginx in front, and every kind of fault")
    parser.add_argument("--kinds", nargs="+", choices=ALL_KINDS, help="of faults; default: all that the set-up allows")
    arguments = parser.parse_args(text)
    arguments.kinds = arguments.kinds or list(ALL_KINDS if arguments.campaign else KILLS)
    if arguments.append and not (arguments.out and arguments.out.exists()):
        parser.error("--append needs --out with the file of an earlier run")
    return arguments


def is_poison_stopped(poisoned: dict) -> bool:
    return poisoned["state"] == "failed" and poisoned["attempts"] == 3 and bool(poisoned["error"])


def summary(runs: list[dict]) -> dict:
    """Return the totals over the rounds of every run, and whether all is as it must be."""
    rounds = [count for run in runs for count in run["rounds"]]
    faults = [fault for count in rounds for fault in count["faults"]]
    return {
        "is_clean": all(map(is_clean, rounds)) and all(is_poison_stopped(run["poison"]) for run in runs),
        "rounds_run": len(rounds),
        "faults": dict(Counter(fault["kind"] for fault in faults)),
        "faults_amid_votes_and_jobs": sum(bool(fault["votes_open"] and fault["pairs_open"]) for fault in faults),
        "totals": {
            key: sum(count.get(key, 0) for count in rounds) for key, value in rounds[-1].items() if type(value) is int
        },
        "longest_wait_seconds": _longest(rounds),
        "longest_recovery_seconds": max(count["seconds_from_last_fault_to_all_pairs"] for count in rounds),
        "seconds": round(sum(run["seconds"] for run in runs), 1),
        "runs": runs,
    }


def _longest(rounds: list[dict]) -> dict[str, float]:
    """Return the longest wait of a vote over all rounds, by the kind of fault; records of 0.1 hold none."""
    longest: dict[str, float] = {}
    for count in rounds:
        for kind, seconds in count.get("longest_wait_seconds", {}).items():
            longest[kind] = max(longest.get(kind, 0.0), seconds)
    return longest


def main() -> int:
    arguments = parsed()
    start = time.monotonic()
    runs = json.loads(arguments.out.read_text())["runs"] if arguments.append else []
    variables = {"BLINDPAIR_JOB_MAX_ATTEMPTS": "100"}
    options = {key: value for key, value in vars(arguments).items() if key not in {"out", "append"}}
    with running_lab(broker=arguments.broker, with_proxy=arguments.campaign, **variables) as lab, Disk(lab) as disk:
        rounds = Rounds(lab, disk, arguments)
        run = {"options": options, "cores": os.cpu_count(), "disk": disk.kind, "poison": poison(lab)}
        runs.append(run | {"rounds": []})
        print(f"ready after {time.monotonic() - start:.0f} s; poison job: {run['poison']}", flush=True)
        for number in range(arguments.rounds):
            count = rounds.run(number)
            runs[-1]["rounds"].append(count)
            runs[-1]["seconds"] = round(time.monotonic() - start, 1)
            print(f"round {number + 1}: {'clean' if is_clean(count) else 'NOT CLEAN'} {count}", flush=True)
            result = summary(runs)
            if arguments.out:
                # After each round: a long run that is broken off keeps what it has counted.
                arguments.out.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps({key: value for key, value in result.items() if key != "runs"}))
    return 0 if result["is_clean"] else 1


if __name__ == "__main__":
    sys.exit(main())
