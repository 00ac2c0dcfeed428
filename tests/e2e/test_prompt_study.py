"""A study of twenty prompts with references and two criteria, in two languages, from the zip to the report.

It is voted in a browser on a laptop and on a phone.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections import Counter
from pathlib import Path

import pytest

from survey.reports.bundle import report_bundle
from survey.services.images.import_sources import zip_sources
from survey.services.images.importing import images_import
from survey.services.study.study import study_transition
from survey.services.study.version import version_freeze
from tests.e2e.rater import PHONE
from tests.factories import make_study
from tests.photos import photo
from tests.survey.services.images.test_importing import zipped

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]
PROMPTS = [
    "A lighthouse at dusk, {}, oil on canvas",
    "قطة نائمة على كرسي قرب النافذة، {}",
    "窓辺で眠る猫、{}",
    "Ein Leuchtturm in der Dämmerung, {}, Öl auf Leinwand",
]


CRITERIA = [
    {"key": "text", "question": "Which image follows the text better?"},
    {"key": "quality", "question": "Which image looks better?", "definition": "Sharp, whole, without odd parts."},
]
GERMAN = {
    "consent_text": "Ich nehme freiwillig teil.",
    "instructions": "Sieh beide Bilder an und wähle.",
    "criteria": {
        "text": {"question": "Welches Bild passt besser zum Text?"},
        "quality": {"question": "Welches Bild sieht besser aus?", "definition": "Scharf, ganz, ohne seltsame Teile."},
    },
}


def png(width: int, height: int, seed: int) -> bytes:
    buffer = io.BytesIO()
    photo(width, height, seed).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def brought() -> dict[str, bytes]:
    """Return a zip's files: twenty prompts of two pairs each, a reference of each pair, two tags."""
    rows = [["path", "prompt", "class", "tags", "reference", "seed"]]
    files = {}
    for number in range(40):
        prompt = PROMPTS[number // 2 % 4].format(number // 2) + " " + "x" * (number // 2 % 3 * 300)
        tags = f"{'indoor' if number % 2 else 'outdoor'}|all"
        rows.append([f"{number:02d}.png", prompt, "scene", tags, f"sources/{number:02d}.png", str(number)])
        files[f"vanilla/{number:02d}.png"] = png(160, 120, number)
        files[f"robust/{number:02d}.png"] = png(160, 120, 100 + number)
        files[f"sources/{number:02d}.png"] = png(160, 120, 200 + number)
    buffer = io.StringIO()
    csv.writer(buffer).writerows(rows)
    return files | {"pairs.csv": buffer.getvalue().encode()}


def test_twenty_prompts_with_references_are_frozen_voted_by_two_criteria_exported_and_reported(
    rater, tmp_path: Path
) -> None:
    plan = {"practice_trials": 1, "repeat_trials": 1, "identical_trials": 1, "degraded_trials": 1}
    study = make_study(
        arms=(),
        pairs=0,
        trials_per_session=20,
        votes_per_pair=1,
        least_box_px=64,
        narrow_screens="stack",
        criteria=CRITERIA,
        criteria_design="together",
        language="en",
        translations={"de": GERMAN},
        **plan,
    )
    with zip_sources(zipped(brought())) as sources:
        images_import(study=study, sources=sources)
    version = version_freeze(study=study)
    study_transition(study=study, name="open", actor=None)
    seen, asked = set(), set()
    for profile in ({"viewport": {"width": 1366, "height": 657}}, PHONE | {"locale": "de"}):
        one = rater(version, **profile)
        one.start()
        for _ in range(60):
            one.pass_cards()
            if not one.page.locator("#trial").count():
                break
            seen.add(one.page.text_content("#prompt-text"))
            assert one.page.locator("#reference canvas").count() == 1
            assert one.page.evaluate("document.documentElement.scrollHeight <= innerHeight")
            asked.add(one.page.text_content("#trial"))
            one.page.click("#choose-left-text")
            one.page.click("#choose-right-quality")
        one.page.wait_for_selector("#code")
    assert len(seen) == 20
    for question in (CRITERIA[0]["question"], GERMAN["criteria"]["quality"]["question"]):
        assert any(question in text for text in asked), question
    study.refresh_from_db()
    study_transition(study=study, name="close", actor=None, reason="done")
    report = report_bundle(study, tmp_path)
    with (tmp_path / "pairs.csv").open(encoding="utf-8", newline="") as file:
        pairs = {row["pair"]: row for row in csv.DictReader(file)}
    with (tmp_path / "votes.csv").open(encoding="utf-8", newline="") as file:
        votes = list(csv.DictReader(file))
    main = [vote for vote in votes if not vote["check_kind"]]
    assert Counter((vote["criterion"], vote["choice"]) for vote in main) == {
        ("text", "left"): 40,
        ("quality", "right"): 40,
    }
    with (tmp_path / "raters.csv").open(encoding="utf-8", newline="") as file:
        assert {row["language"] for row in csv.DictReader(file)} == {"en", "de"}
    assert [one["criterion"] for one in report["criteria"]["criteria"]] == ["text", "quality"]
    assert {vote["pair"] for vote in votes} <= set(pairs)
    assert {pair["reference_sha256"] for pair in pairs.values()} == {
        hashlib.sha256(png(160, 120, 200 + number)).hexdigest() for number in range(40)
    }
    lines = (tmp_path / "manifest.jsonl").read_bytes()
    assert hashlib.sha256(lines).hexdigest() == version.config["pairs"]["manifest_sha256"]
    assert {json.loads(line)["prompt"] for line in lines.splitlines()} == {pair["prompt"] for pair in pairs.values()}
    groups = report["comparisons"][0]["per_group"]
    assert [group["name"] for group in groups["tag"]["groups"]] == ["all", "indoor", "outdoor"]
    assert "窓辺で眠る猫" in (tmp_path / "report.html").read_text(encoding="utf-8")
