"""The page of troubles quotes messages that the program has."""

from __future__ import annotations

import re
import subprocess

from tests.architecture.test_contracts import PACKAGES, ROOT


def messages_of_the_page() -> list[str]:
    rows = re.findall(r"^\| `(.+?)` \|", (ROOT / "docs" / "troubleshooting.md").read_text(), flags=re.MULTILINE)
    return [row for row in rows if row != "message"]


def test_every_message_of_the_page_is_in_the_source() -> None:
    files = subprocess.run(
        ["git", "ls-files", "Makefile", *PACKAGES], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    sources = [(ROOT / name).read_text() for name in files if name.endswith((".py", ".html", "Makefile"))]
    # A message may be broken into strings of several lines.
    text = re.sub(r'"\s*\n\s*f?"', "", "\n".join(sources))
    messages = messages_of_the_page()
    assert len(messages) > 15
    assert [message for message in messages if message not in text] == []


def test_the_readme_leads_to_the_page() -> None:
    assert "docs/troubleshooting.md" in (ROOT / "README.md").read_text()
