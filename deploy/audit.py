"""Ask the advisory database about every locked package: `make audit`.

A known fault that nobody has accepted ends with status 1. A service that is out of reach ends with 0 and says so: what
lands must not depend on somebody else's server.
"""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from pathlib import Path

HERE = Path(__file__).parent
LOCKS = ("web.lock", "gpu.lock")
SERVICE = "https://pypi.org/pypi/django/{version}/json"
# Advisories that were read and found to be no danger here: identifier, and why.
ACCEPTED: dict[str, str] = {}


def is_reachable() -> bool:
    """Return whether PyPI answers about a release that is locked: mirrors of its files often know no advisories."""
    pins = (line.split()[0].partition("==") for line in (HERE / LOCKS[0]).read_text().splitlines() if "==" in line)
    version = next(version for name, _, version in pins if name == "django")
    try:
        with urllib.request.urlopen(SERVICE.format(version=version), timeout=20) as answer:
            return "vulnerabilities" in json.load(answer)
    except (OSError, ValueError):
        return False


def verdict(dependencies: list[dict], accepted: dict[str, str]) -> tuple[int, list[str]]:
    """Return the exit status and the lines to print for the dependencies of pip-audit's report."""
    lines, status = [], 0
    for package in dependencies:
        for advisory in package.get("vulns", ()):
            names = {advisory["id"], *advisory.get("aliases", ())}
            fixed = ", ".join(advisory.get("fix_versions", ())) or "no version yet"
            reason = next((accepted[name] for name in sorted(names) if name in accepted), None)
            status = status if reason else 1
            lines.append(
                f"{package['name']} {package['version']}: {advisory['id']}, fixed in {fixed}"
                + (f"; accepted: {reason}" if reason else "")
            )
        if "skip_reason" in package:
            # An unknown package is a fault of the lock, or of the service: either way it was not audited.
            status = 1
            lines.append(f"{package['name']}: not audited: {package['skip_reason']}")
    lines.append(f"{len(dependencies)} packages audited: {'look at the lines above' if status else 'nothing to do'}")
    return status, lines


def main() -> int:
    if not is_reachable():
        print("the advisory database cannot be reached from here: nothing was audited")
        return 0
    locks = [word for lock in LOCKS for word in ("--requirement", str(HERE / lock))]
    command = [sys.executable, "-m", "pip_audit", "--require-hashes", "--disable-pip", "--format", "json", *locks]
    done = subprocess.run([*command, "--progress-spinner", "off"], capture_output=True, text=True, check=False)
    try:
        report = json.loads(done.stdout)
    except ValueError:
        print(f"pip-audit ended with {done.returncode} and no report: {done.stderr[-2000:]}")
        return 1
    status, lines = verdict(report["dependencies"], ACCEPTED)
    print("\n".join(lines))
    return status


if __name__ == "__main__":
    sys.exit(main())
