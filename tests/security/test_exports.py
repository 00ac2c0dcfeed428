from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import call_command
from django.test import RequestFactory

from config.backup import backup_write
from survey.models import RaterIdentity
from survey.recruitment import Entry
from survey.services.study.study import study_transition
from survey.services.visit.arrival import rater_of
from survey.services.visit.session import session_start
from survey.tokens import session_token
from tests.factories import make_running, make_user, make_visit

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]
PERSON, SUBMISSION = "5f3c-worker-of-the-panel", "submission-77aa"


def texts(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, and every file of its zips."""
    found = {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    for path in folder.rglob("*.zip"):
        with zipfile.ZipFile(path) as archive:
            found |= {f"{path}:{name}": archive.read(name) for name in archive.namelist()}
    return found


def test_exports_hold_no_person_token_or_secret(tmp_path: Path) -> None:
    owner = make_user("owner", email="owner@example.org")
    owner.set_password("a long password of hers")
    owner.save()
    version = make_running(pairs=6, trials_per_session=4)
    entry = Entry(provider="prolific", person=PERSON, submission=SUBMISSION, is_verified=True)
    rater = rater_of(study=version.study, entry=entry)
    session = make_visit(version, rater=rater)
    session.device = session.device | {"agent": RequestFactory().get("/").headers.get("User-Agent", "Telltale/1.0")}
    session.save()
    study_transition(study=version.study, name="close", actor=owner, reason="enough")
    call_command("export_votes", study=version.study.slug, format="csv,jsonl", out=tmp_path / "votes", verbosity=0)
    backup_write(tmp_path / "backup")
    exported = texts(tmp_path / "votes")
    identity = RaterIdentity.objects.get()
    persons = [
        PERSON,
        SUBMISSION,
        "owner@example.org",
        identity.submission_key,
        rater.provider_key,
        session.completion_code,
    ]
    assert sum(path.endswith((".csv", ".jsonl", ".json")) for path in exported) >= 3
    assert any(str(session.pk).encode() in content for content in exported.values()), "the visit must be in the export"
    for path, content in exported.items():
        for secret in [*persons, session_token(session.pk), settings.SECRET_KEY, owner.password, "Telltale"]:
            assert secret.encode() not in content, (path, secret)
    for path, content in texts(tmp_path / "backup").items():
        for secret in (PERSON, SUBMISSION, session_token(session.pk), settings.SECRET_KEY, "a long password"):
            assert secret.encode() not in content, (path, secret)


def test_starting_a_second_visit_needs_no_stored_name() -> None:
    version = make_running()
    entry = Entry(provider="prolific", person=PERSON, submission=SUBMISSION, is_verified=True)
    rater = rater_of(study=version.study, entry=entry)
    again = rater_of(study=version.study, entry=entry)
    assert rater == again
    assert session_start(study=version.study, rater=rater) == session_start(study=version.study, rater=again)
    assert PERSON not in str(rater.__dict__)
