"""Kill every process, at random times, while raters vote and two generation jobs run; then count what is left.

    python benchmarks/faults.py --rounds 12 --raters 200 --broker rabbitmq --out benchmarks/faults.json
    python benchmarks/faults.py --rounds 12 --raters 200 --seed 2 --out benchmarks/faults.json --append

A round lets raters vote and orders the pairs of two studies; ``--faults`` times something is killed with SIGKILL (web
server, worker, a worker's child, PostgreSQL, broker) or the disk is filled. What is dead is started again as a
container would be; nothing else is done by hand. At the end of the round every acknowledged vote must be there once,
and every pair complete and byte-identical to those of an undisturbed run. Exit status 1 if anything is not so.
"""

from __future__ import annotations

import argparse
import hashlib
import http.client
import itertools
import json
import os
import random
import resource
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).parents[1]))
from benchmarks.lab import Lab, Process, running_lab, wait_until

KINDS = ("web", "worker", "child", "postgresql", "broker", "disk")
GENERATION = ("generation.plan", "generation.make_shard")


@dataclass
class Ballots:
    """One rater's votes, and which of them the server has acknowledged."""

    path: str
    bodies: list[dict]
    acknowledged: dict[str, str] = field(default_factory=dict)
    retries: int = 0

    def send_all(self, lab: Lab, think: float, stop_after: float, over: threading.Event) -> None:
        """Send each vote until it is acknowledged, as the page's outbox does: same key, again and again."""
        connection = http.client.HTTPConnection("127.0.0.1", lab.port, timeout=10)
        for body in self.bodies:
            over.wait(random.expovariate(1 / think))
            while not self._send(connection, body):
                self.retries += 1
                if over.wait(0.3) or time.monotonic() > stop_after:
                    return
        connection.close()

    def _send(self, connection: http.client.HTTPConnection, body: dict) -> bool:
        try:
            connection.request("POST", self.path, json.dumps(body), {"Content-Type": "application/json"})
            answer = connection.getresponse()
            content = answer.read()
        except (OSError, http.client.HTTPException):
            connection.close()
            return False
        if answer.status == 200:
            self.acknowledged[body["key"]] = json.loads(content)["stored"]["choice"]
            return True
        if answer.status < 500:
            raise AssertionError(f"a vote was refused: {answer.status} {content[:200]!r}")
        return False


class Disk:
    """The folder of the images, on a file system small enough to fill where this user may mount one."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        mount = ["mount", "-t", "tmpfs", "-o", "size=48m,mode=777", "tmpfs", str(lab.media)]
        self.is_mounted = os.geteuid() == 0 and subprocess.run(mount, capture_output=True, check=False).returncode == 0
        self._filler = lab.media / "filler"

    def fill(self, seconds: float) -> None:
        """Leave no byte free for a while; without a file system of its own, forbid the workers to write."""
        if not self.is_mounted:
            self._forbid(seconds)
            return
        with suppress(OSError), self._filler.open("wb") as file:
            while True:
                file.write(bytes(1 << 16))
                file.flush()
        time.sleep(seconds)
        self._filler.unlink()

    def _forbid(self, seconds: float) -> None:
        children = [child for worker in self._lab.workers for child in worker.children()]
        for limit in (0, resource.RLIM_INFINITY):
            for child in children:
                with suppress(OSError):
                    resource.prlimit(child.pid, resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
            time.sleep(seconds if limit == 0 else 0)

    @property
    def kind(self) -> str:
        return "a file system of its own, filled" if self.is_mounted else "workers forbidden to write"

    def __enter__(self) -> Disk:
        return self

    def __exit__(self, *error: object) -> None:
        if self.is_mounted:
            subprocess.run(["umount", "--lazy", str(self._lab.media)], check=False)


class Storm:
    """Does the damage, and starts again what has died."""

    def __init__(self, lab: Lab, disk: Disk, seed: int) -> None:
        self._lab, self._disk, self._random = lab, disk, random.Random(seed)
        order = list(KINDS)
        self._random.shuffle(order)
        self._order = itertools.cycle(order)

    def strike(self) -> str:
        lab, kind = self._lab, next(self._order)
        if kind == "web":
            self._kill(lab.web)
        elif kind == "worker":
            self._kill(self._random.choice(lab.workers))
        elif kind == "child":
            wait_until(self._kill_a_child, "a worker has a child to kill")
        elif kind == "postgresql":
            lab.database.kill()
            time.sleep(self._random.uniform(0, 1))
            lab.database.start()
        elif kind == "broker":
            lab.broker.kill()
            time.sleep(self._random.uniform(0, 1))
            lab.broker.start()
        else:
            self._disk.fill(self._random.uniform(0.5, 2))
        lab.restart_dead()
        return kind

    def _kill(self, process: Process) -> None:
        """Kill a process that runs: what an earlier fault has killed may not be back yet."""
        wait_until(process.is_alive, f"{process.name} runs again")
        process.kill()

    def _kill_a_child(self) -> bool:
        children = [child for worker in self._lab.workers for child in worker.children()]
        try:
            self._random.choice(children).send_signal(signal.SIGKILL)
        except (IndexError, psutil.NoSuchProcess):
            return False
        return True


def make_checkpoints(folder: Path) -> dict[str, str]:
    """Write three tiny networks with random weights; return their paths."""
    from diffusion.checkpoints import save_network
    from tests.generation.toys import NUM_CLASSES, tiny_classifier, tiny_denoiser

    schedule = {"name": "cosine", "timesteps": 1000, "rescale_timesteps": True}
    facts = {"schedule": schedule, "class_names": tuple(f"digit {number}" for number in range(NUM_CLASSES))}
    networks = {"denoiser": tiny_denoiser(), "vanilla": tiny_classifier(1), "robust": tiny_classifier(2)}
    paths = {}
    for name, network in networks.items():
        paths[name] = str(folder / f"{name}.safetensors")
        save_network(paths[name], network, **facts)
    return paths


def make_draft(owner, slug: str, checkpoints: dict[str, str], steps: int):
    """Return a draft whose two arms are guided by the two classifiers; every draft has the same seed."""
    from generation.recipes.recipe import ArmRecipe
    from survey.services.study.study import arm_add, study_create

    study = study_create(owner=owner, slug=slug, title=slug, seed=77, consent_text="I agree.", practice_trials=0)
    for name, scale in (("vanilla", 0.5), ("robust", 2.0)):
        recipe = {"denoiser": checkpoints["denoiser"], "spacing": str(steps)}
        recipe |= {"classifier": checkpoints[name], "classifier_scale": scale}
        arm_add(study=study, name=name, actor=owner, recipe=ArmRecipe.from_json(name, recipe).to_json())
    return study


def order_pairs(slug: str, pairs: int, *, queue: bool) -> None:
    from django.core.management import call_command

    call_command("generate_pairs", study=slug, pairs=pairs, batch=2, shard=4, verbosity=0, queue=queue)


def images_of(lab: Lab, study) -> dict[tuple[str, str], str]:
    """Return the digest of every image of a study's pairs, from the bytes that are on the disk."""
    from survey.models import PairImage

    rows = PairImage.objects.filter(pair__study=study).values_list("pair__key", "arm__name", "file")
    return {(key, arm): hashlib.sha256((lab.media / file).read_bytes()).hexdigest() for key, arm, file in rows}


def make_electorate(owner, slug: str, raters: int, votes: int) -> list[Ballots]:
    """Return the ballots of raters of a new running study, whose visits stand before the first trial."""
    from django.urls import reverse

    from survey.tokens import session_token
    from tests.factories import make_running, make_study
    from tests.visits import TAB, active

    checks = {"practice_trials": 0, "repeat_trials": 0, "identical_trials": 0, "degraded_trials": 0}
    pairs = max(8, votes)
    study = make_study(
        owner=owner, slug=slug, pairs=pairs, votes_per_pair=2 * raters, trials_per_session=votes, **checks
    )
    version = make_running(study)
    ballots = []
    for _ in range(raters):
        session = active(version)
        trials = session.trials.order_by("position").values_list("pk", flat=True)
        bodies = [
            {"tab": TAB, "trial": str(pk), "key": str(uuid.uuid4()), "choice": random.choice(("left", "right", "tie"))}
            for pk in trials
        ]
        ballots.append(Ballots(reverse("survey:api-vote", args=[session_token(session.pk)]), bodies))
    return ballots


def patiently(read):
    """Ask the database; None while it does not answer."""
    from django.db import InterfaceError, OperationalError, connection

    try:
        return read()
    except (InterfaceError, OperationalError):
        connection.close()
        return None


def count_votes(ballots: list[Ballots]) -> dict[str, int]:
    """Compare what was acknowledged with the rows of the table."""
    from survey.models import Vote

    keys = [body["key"] for ballot in ballots for body in ballot.bodies]
    acknowledged = {key: choice for ballot in ballots for key, choice in ballot.acknowledged.items()}
    rows = Vote.objects.filter(submission_key__in=keys).values_list(
        "submission_key", "choice", "trial_id", "is_current"
    )
    stored = Counter(str(key) for key, *_ in rows)
    choices = {str(key): choice for key, choice, *_ in rows}
    trials = Counter(trial for _, _, trial, is_current in rows if is_current)
    return {
        "sent": len(keys),
        "acknowledged": len(acknowledged),
        "lost": sum(stored[key] == 0 for key in acknowledged),
        "changed": sum(choices.get(key, choice) != choice for key, choice in acknowledged.items()),
        "duplicated": sum(count - 1 for count in stored.values()) + sum(count - 1 for count in trials.values()),
        "retries": sum(ballot.retries for ballot in ballots),
    }


def count_jobs(studies: list, reference: dict, lab: Lab, since) -> dict[str, int]:
    """Compare the images with the undisturbed run's, and the jobs with what they should have become."""
    from jobs.models import Job

    made = [images_of(lab, study) for study in studies]
    jobs = Job.objects.filter(kind__in=GENERATION, created_at__gte=since)
    return {
        "images": sum(len(images) for images in made),
        "images_wanted": len(reference) * len(studies),
        "images_different": sum(images.get(name) != digest for images in made for name, digest in reference.items()),
        "jobs": jobs.count(),
        "jobs_unfinished": jobs.exclude(state=Job.State.SUCCEEDED).count(),
        "attempts": sum(jobs.values_list("attempt", flat=True)),
    }


class Rounds:
    """The workload and its check, round after round."""

    def __init__(self, lab: Lab, disk: Disk, arguments: argparse.Namespace) -> None:
        from tests.factories import make_user

        self.lab, self.arguments = lab, arguments
        self.storm = Storm(lab, disk, arguments.seed)
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
        ballots = make_electorate(self.owner, f"votes-{number}", arguments.raters, arguments.votes)
        drafts = [
            make_draft(self.owner, f"pairs-{number}-{which}", self.checkpoints, arguments.steps) for which in range(2)
        ]
        for draft in drafts:
            order_pairs(draft.slug, arguments.pairs, queue=True)
        struck: list[dict] = []
        over = threading.Event()
        nurse = threading.Thread(target=self._nurse, args=(over,), daemon=True)
        nurse.start()
        deadline = time.monotonic() + arguments.patience
        with ThreadPoolExecutor(len(ballots)) as pool:
            try:
                voting = [pool.submit(one.send_all, self.lab, arguments.think, deadline, over) for one in ballots]
                for _ in range(arguments.faults):
                    time.sleep(self.random.uniform(*arguments.pause))
                    at_work = self._at_work(ballots, drafts)
                    struck.append({"kind": self.storm.strike()} | at_work)
                recovered = self._wait_for_pairs(drafts, deadline)
                for rater in voting:
                    rater.result()
            finally:
                # The pool waits for its raters, and the lab must not be cleared away under the nurse.
                over.set()
                nurse.join()
        counts = count_votes(ballots) | count_jobs(drafts, self.reference, self.lab, since)
        return counts | {
            "faults": struck,
            "seconds": round(time.monotonic() - start, 1),
            "seconds_from_last_fault_to_all_pairs": round(recovered, 1),
        }

    def _at_work(self, ballots: list[Ballots], drafts: list) -> dict[str, int]:
        """Return how much is still to be done: a fault that comes after the work proves nothing."""
        made = None
        while made is None:
            made = patiently(lambda: sum(draft.pairs.count() for draft in drafts))
        return {
            "votes_open": sum(len(one.bodies) - len(one.acknowledged) for one in ballots),
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
    """Return whether a round lost, doubled, changed or left out nothing."""
    bad = ("lost", "changed", "duplicated", "images_different", "jobs_unfinished")
    return (
        not any(count[name] for name in bad)
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
    arguments = parser.parse_args(text)
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
        "totals": {key: sum(count[key] for count in rounds) for key, value in rounds[0].items() if type(value) is int},
        "longest_recovery_seconds": max(count["seconds_from_last_fault_to_all_pairs"] for count in rounds),
        "seconds": round(sum(run["seconds"] for run in runs), 1),
        "runs": runs,
    }


def main() -> int:
    arguments = parsed()
    start = time.monotonic()
    runs = json.loads(arguments.out.read_text())["runs"] if arguments.append else []
    options = {key: value for key, value in vars(arguments).items() if key not in {"out", "append"}}
    with running_lab(broker=arguments.broker, BLINDPAIR_JOB_MAX_ATTEMPTS="100") as lab, Disk(lab) as disk:
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
