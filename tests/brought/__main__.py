"""Count what becomes of generated inputs: python -m tests.brought [--examples 500]."""

from __future__ import annotations

import argparse
import os


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--examples", type=int, default=500, help="of each kind (default 500)")
    examples = parser.parse_args().examples
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings.test")
    import django

    django.setup()
    from tests.brought.trying import TRIALS, tried

    for kind in TRIALS:
        counts = tried(kind, examples)
        ends = ", ".join(f"{count} {end}" for end, count in sorted(counts.items()))
        print(f"{kind}: {sum(counts.values())} tried, {ends}")


if __name__ == "__main__":
    main()
