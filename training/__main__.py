"""`python -m training`: train from a shell, without Django; what torchrun starts for several GPUs.

torchrun --nproc-per-node 8 -m training --config adm128_classifier_robust --set data.path=/data/train --out runs/a
"""

import argparse
import json
import signal
import sys
from pathlib import Path

from diffusion.device import chosen_device
from training.learning.config import config_from_dict, read_config
from training.learning.loop import TrainingDiverged, train
from training.learning.progress import Progress
from training.presets import parse_change


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m training", description=__doc__.split(";")[0])
    parser.add_argument("--config", required=True, help="a preset, a .toml file, or a run's config.json")
    parser.add_argument("--set", action="append", default=[], metavar="SECTION.NAME=VALUE", help="change a setting")
    parser.add_argument("--out", required=True, type=Path, help="folder of the run")
    parser.add_argument("--device", default="cpu", help="auto, cpu, cuda or cuda:N (default: %(default)s)")
    parser.add_argument("--no-resume", action="store_true", help="start afresh")
    parser.add_argument("--max-seconds", type=float, help="pause after this time")
    parser.add_argument("--json", action="store_true", help="progress and result as lines of JSON")
    options = parser.parse_args(arguments)

    # The handler notes the wish alone: the loop saves between two updates, never in the middle of one.
    asked = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: asked.append(True))
    try:
        result = train(
            _read(options.config, options.set),
            out_dir=options.out,
            resume=not options.no_resume,
            on_progress=_print_progress if options.json else _print_row,
            should_stop=lambda: bool(asked),
            max_seconds=options.max_seconds,
            device=str(chosen_device(options.device, named_by="--device")),
        )
    except (ValueError, OSError, TrainingDiverged) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    line = {"state": result.state, "iteration": result.iteration, "checkpoint": str(result.checkpoint)}
    if options.json:
        _print_json(line)
    else:
        print(f"{result.state} at {result.iteration}: {result.checkpoint}")
    return 0


def _read(name: str, changes: list[str]):
    if name.endswith(".json"):
        return config_from_dict(json.loads(Path(name).read_text()))
    return read_config(name, changes=dict(parse_change(text) for text in changes))


def _print_row(progress: Progress) -> None:
    if progress.is_row:
        print(progress, flush=True)


def _print_progress(progress: Progress) -> None:
    _print_json({"progress": {**vars(progress), "note": str(progress)}})


def _print_json(values: dict) -> None:
    # In one write: an unbuffered `print` writes the line's end by itself, behind the text of another process.
    sys.stdout.write(json.dumps(values) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
