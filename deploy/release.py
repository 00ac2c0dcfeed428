"""Make this tree a release: ``make release VERSION=0.2.0``, then read the difference, run the tests, commit.

Writes the version into pyproject.toml and the compose file, the date into the change log, and the digests of all
migrations into tests/data, where a test keeps each as it was published. A second run changes nothing.
"""

from __future__ import annotations

import argparse
import datetime
import hashlib
import json
import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
RELEASED = "tests/data/released_migrations.json"
# Where the version stands, with a group for it: each must be there.
PLACES = {
    "pyproject.toml": r'(?m)^version = "([^"]+)"$',
    "docker-compose.yml": r"\$\{BLINDPAIR_VERSION:-([^}]+)\}",
}


def migrations(root: Path) -> dict[str, str]:
    """Return the SHA-256 of each migration by its path."""
    files = sorted(file.relative_to(root).as_posix() for file in root.glob("*/migrations/[0-9]*.py"))
    return {name: hashlib.sha256((root / name).read_bytes()).hexdigest() for name in files}


def versions(root: Path) -> set[str]:
    """Return every version that the tree says it is."""
    return {found for place, form in PLACES.items() for found in re.findall(form, (root / place).read_text())}


def release(root: Path, *, version: str, date: datetime.date) -> None:
    """Write what makes the tree this version.

    Raises
    ------
    ValueError
        If a place has no version, the change log no section of it, or a released migration was edited: nothing is
        written then.
    """
    written = {}
    for place, form in PLACES.items():
        text = (root / place).read_text()
        written[place] = re.sub(form, lambda found: found[0].replace(found[1], version), text)
        if not re.search(form, text):
            raise ValueError(f"{place} has no version; look at PLACES in deploy/release.py")
    log = (root / "CHANGELOG.md").read_text()
    heading = re.compile(rf"(?m)^## {re.escape(version)} \((?:unreleased|\d{{4}}-\d\d-\d\d)\)$")
    if not heading.search(log):
        raise ValueError(f"CHANGELOG.md has no section '## {version} (unreleased)'")
    written["CHANGELOG.md"] = heading.sub(f"## {version} ({date.isoformat()})", log)
    now = migrations(root)
    for name, sha256 in json.loads((root / RELEASED).read_text()).items():
        if now.get(name) != sha256:
            raise ValueError(f"{name} was released and is not what it was: restore it, and write a new migration")
    written[RELEASED] = json.dumps(now, indent=1) + "\n"
    for place, text in written.items():
        (root / place).write_text(text)


def main() -> int:
    """Release as the options say; return the exit code."""
    parser = argparse.ArgumentParser(prog="python deploy/release.py", description=__doc__.splitlines()[0])
    parser.add_argument("version", help="such as 0.2.0")
    parser.add_argument("--date", type=datetime.date.fromisoformat, help="YYYY-MM-DD (default: today, UTC)")
    options = parser.parse_args()
    try:
        release(ROOT, version=options.version, date=options.date or datetime.datetime.now(datetime.UTC).date())
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(
        f"{options.version}: {len(migrations(ROOT))} migrations released. Read the difference, run the tests, commit."
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
