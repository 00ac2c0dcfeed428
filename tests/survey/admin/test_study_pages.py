from __future__ import annotations

import hashlib
import json
import re
from datetime import timedelta

import pytest
from django.core.cache import cache
from django.core.exceptions import ValidationError
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from jobs.runner import job_next, job_run
from survey.exceptions import LastOwner
from survey.models import Rater, RaterSession, Slot, Study, Trial, Vote
from survey.services.access.member import member_remove, member_set
from survey.services.assignment.slots import slots_ensure
from survey.services.results.progress import progress_of
from survey.services.study.study import study_transition, study_update
from survey.services.study.transitions import study_next
from survey.services.study.weaknesses import version_weaknesses
from tests.factories import make_running, make_study, make_user, make_version, make_visit
from tests.sent_forms import sent_by

pytestmark = pytest.mark.django_db

PAGES = ["", "progress/", "pairs/", "people/", "log/", "log.jsonl"]


def client_of(user) -> Client:
    client = Client()
    client.force_login(user)
    return client


def vote_on(version, *, raters: int = 2, trials: int = 3, choice: str = "left", **session_fields) -> None:
    """Store finished sessions with votes on free slots, as the rater pages leave them."""
    pool = Slot.Pool.PILOT if session_fields.get("is_pilot") else Slot.Pool.MAIN
    slots_ensure(version, pool)
    for number in range(raters):
        session = RaterSession.objects.create(
            rater=Rater.objects.create(), version=version, seed=number, state="completed", **session_fields
        )
        free = Slot.objects.filter(version=version, pool=pool, is_answered=False).exclude(
            pair__trials__session=session
        )[:trials]
        for position, slot in enumerate(free, start=1):
            images = {image.arm_id: image for image in slot.pair.images.all()}
            trial = Trial.objects.create(
                session=session,
                position=position,
                pair=slot.pair,
                slot=slot,
                arm_left=slot.arm_a,
                arm_right=slot.arm_b,
                image_left=images[slot.arm_a_id],
                image_right=images[slot.arm_b_id],
                state="answered",
                issued_at=timezone.now(),
            )
            Vote.objects.create(
                trial=trial,
                submission_key=f"{number:08d}-0000-4000-8000-{trial.pk.int % 10**12:012d}",
                choice=choice,
                response_ms=900 + 400 * position,
            )
            Slot.objects.filter(pk=slot.pk).update(is_answered=True, session=session)
            session.answered_count += 1
        session.save()


@pytest.fixture
def owner():
    return make_user("owner")


@pytest.mark.parametrize("page", PAGES)
def test_study_pages_exist_for_members_and_for_nobody_else(owner, page: str) -> None:
    study = make_study(owner=owner)
    viewer = make_user("viewer")
    member_set(study=study, user=viewer, role="viewer", actor=owner)
    address = f"/admin/survey/study/{study.pk}/{page}"
    assert client_of(owner).get(address).status_code == 200
    assert client_of(viewer).get(address).status_code == 200
    assert client_of(make_user("stranger")).get(address).status_code == 404
    assert client_of(make_user("admin", is_superuser=True)).get(address).status_code == 200
    assert Client().get(address).status_code == 302


def test_a_viewer_cannot_change_anything(owner) -> None:
    study = make_study(owner=owner)
    viewer = make_user("viewer")
    member_set(study=study, user=viewer, role="viewer", actor=owner)
    client = client_of(viewer)
    base = f"/admin/survey/study/{study.pk}"
    assert client.post(f"{base}/step/freeze/").status_code == 403
    assert client.post(f"{base}/people/", {"user": "viewer", "role": "owner", "do": "set"}).status_code == 403
    assert client.post(f"{base}/change/", {"title": "mine"}).status_code == 403
    study.refresh_from_db()
    assert (study.state, study.title.startswith("Study")) == ("draft", True)


def test_lists_and_autocomplete_show_nothing_of_others(owner) -> None:
    version = make_running(owner=owner)
    vote_on(version, raters=1)
    stranger = client_of(make_user("stranger"))
    for table in ("study", "studyversion", "imagepair", "ratersession", "trial", "vote", "exclusion", "faultreport"):
        answer = stranger.get(f"/admin/survey/{table}/")
        assert answer.status_code == 200, table
        assert version.study.slug.encode() not in answer.content
        assert len(answer.context["cl"].result_list) == 0, table
    session = RaterSession.objects.get()
    for row in (f"ratersession/{session.pk}", f"study/{version.study_id}", f"studyversion/{version.pk}"):
        assert stranger.get(f"/admin/survey/{row}/change/").status_code == 302
        assert stranger.get(f"/admin/survey/{row}/history/").status_code in {302, 404}


def test_freeze_open_and_close_through_the_pages(owner) -> None:
    study = make_study(owner=owner)
    client = client_of(owner)
    base = f"/admin/survey/study/{study.pk}"
    page = client.get(f"{base}/step/freeze/").content.decode()
    assert "the design can be frozen" in page
    assert client.post(f"{base}/step/freeze/").status_code == 302
    assert client.post(f"{base}/step/open/").status_code == 302
    study.refresh_from_db()
    assert study.state == "running"
    # Closing needs a reason: without one the form comes back.
    assert client.post(f"{base}/step/close/").status_code == 200
    study.refresh_from_db()
    assert study.state == "running"
    client.post(f"{base}/step/close/", {"reason": "all votes are in"})
    study.refresh_from_db()
    assert study.state == "closed"
    entry = study.audit_entries.order_by("-number").first()
    assert (entry.actor, entry.action, entry.detail["reason"]) == ("owner", "close", "all votes are in")


def test_a_step_that_is_not_possible_leaves_the_state_and_says_so(owner) -> None:
    study = make_study(owner=owner)
    answer = client_of(owner).post(f"/admin/survey/study/{study.pk}/step/open/", follow=True)
    study.refresh_from_db()
    assert study.state == "draft"
    assert "not possible now" in answer.content.decode()


def test_freeze_with_problems_lists_them_and_keeps_the_draft(owner) -> None:
    study = make_study(owner=owner, consent_text="", pairs=0)
    client = client_of(owner)
    base = f"/admin/survey/study/{study.pk}"
    assert "consent text is empty" in client.get(f"{base}/step/freeze/").content.decode()
    client.post(f"{base}/step/freeze/")
    study.refresh_from_db()
    assert study.state == "draft"


def form_of(client: Client, study: Study) -> dict[str, str]:
    """Return what a browser would post back from the untouched form of a whole study."""
    return sent_by(client.get(f"/admin/survey/study/{study.pk}/change/").content.decode(), "title")


def test_a_study_and_its_arms_are_edited_in_one_form(owner) -> None:
    study = make_study(owner=owner, pairs=0, arms=())
    client, edit = client_of(owner), f"/admin/survey/study/{study.pk}/change/"
    arms = {"arms-TOTAL_FORMS": "2", "arms-0-name": "a1", "arms-1-name": "a2", "arms-0-recipe": "{}"}
    arms |= {"arms-1-recipe": '{"classifier_scale": 1}'}
    answer = client.post(edit, form_of(client, study) | arms)
    assert answer["Location"] == f"/admin/survey/study/{study.pk}/"
    assert list(study.arms.values_list("name", "recipe")) == [("a1", {}), ("a2", {"classifier_scale": 1})]
    data = form_of(client, study) | {"title": "Written digits", "arms-0-name": "first"}
    assert client.post(edit, data).status_code == 302
    study.refresh_from_db()
    assert study.title == "Written digits"
    assert sorted(study.arms.values_list("name", flat=True)) == ["a2", "first"]
    assert "update" in study.audit_entries.values_list("action", flat=True)


def test_an_untouched_form_changes_nothing(owner) -> None:
    """Whatever the API has stored, also in the shapes of release 0.1, and with line ends of its own."""
    study = make_study(
        owner=owner,
        consent_text="I agree.\n\nTruly.",
        exit_questions=[
            {"name": "age", "caption": "Age?", "options": ["old", "young"]},
            {"name": "x", "caption": "X?"},
        ],
        exclusion_rules=[{"rule": "tie_share", "parameters": {"share": 0.8}}, {"rule": "too_fast", "parameters": {}}],
        recruitment={"provider": "prolific", "codes": {"complete": "C1"}, "is_signed": False},
    )
    client, before = client_of(owner), study.audit_entries.count()
    answer = client.post(f"/admin/survey/study/{study.pk}/change/", form_of(client, study))
    assert answer.status_code == 302
    assert study.audit_entries.count() == before


def test_a_frozen_study_cannot_be_edited_in_the_form(owner) -> None:
    version = make_version(owner=owner)
    client = client_of(owner)
    edit = f"/admin/survey/study/{version.study_id}/change/"
    assert client.get(edit).status_code == 200
    assert client.post(edit, {"title": "another"}).status_code == 403


def test_choices_stay_hidden_until_the_study_is_closed(owner) -> None:
    version = make_running(owner=owner)
    vote_on(version, raters=1, choice="right")
    client = client_of(owner)
    running = client.get("/admin/survey/vote/").content.decode()
    assert "hidden until closed" in running
    assert ">right<" not in running
    vote = Vote.objects.first()
    assert ">right<" not in client.get(f"/admin/survey/vote/{vote.pk}/change/").content.decode()
    # No way around: neither a filter nor a lookup on the choice.
    assert client.get("/admin/survey/vote/?choice=right").status_code == 400
    study_transition(study=version.study, name="close", actor=owner, reason="over")
    assert ">right<" in client.get("/admin/survey/vote/").content.decode()


def test_choices_show_while_running_under_an_anytime_plan(owner) -> None:
    version = make_running(owner=owner, stopping_rule="anytime")
    vote_on(version, raters=1, choice="right")
    assert ">right<" in client_of(owner).get("/admin/survey/vote/").content.decode()


def test_progress_counts_phases_apart() -> None:
    version = make_running(votes_per_pair=4)
    vote_on(version, raters=2, trials=3)
    vote_on(version, raters=1, trials=2, is_pilot=True)
    RaterSession.objects.create(rater=Rater.objects.create(), version=version, seed=1, state="expired")
    state = progress_of(version.study)
    assert (state.wanted, state.answered) == (24, 6)
    main, pilot = state.phases
    assert (main.name, main.started, main.completed, main.votes) == ("main", 3, 2, 6)
    assert main.completion_percent == pytest.approx(200 / 3)
    assert (pilot.name, pilot.votes) == ("pilot", 2)
    assert sum(count for _, count in state.response_times) == 6
    assert sum(votes * pairs for votes, pairs in state.votes_per_pair) == 6


def test_slow_counts_are_kept_for_a_while_and_quick_ones_are_not(monkeypatch) -> None:
    version = make_running(votes_per_pair=4)
    vote_on(version, raters=1)
    assert progress_of(version.study).answered == 3
    monkeypatch.setattr("survey.services.results.progress.SLOW_SECONDS", -1.0)
    assert progress_of(version.study).answered == 3
    vote_on(version, raters=1)
    assert progress_of(version.study).answered == 3
    version.study.state = "paused"
    assert progress_of(version.study).answered == 6, "a change of state is seen at once"
    cache.clear()


def test_progress_groups_by_day_when_it_is_long() -> None:
    version = make_running()
    vote_on(version)
    Vote.objects.filter(pk=Vote.objects.first().pk).update(submitted_at=timezone.now() - timedelta(days=9))
    state = progress_of(version.study)
    assert state.time_unit == "day"
    assert [count for _, count in state.votes_over_time] == [1, 5]


@pytest.mark.parametrize("page", ["study/", "study/{pk}/", "study/{pk}/pairs/", "vote/", "trial/", "ratersession/"])
def test_query_count_does_not_grow_with_rows(owner, page: str) -> None:
    version = make_running(owner=owner, pairs=4)
    vote_on(version, raters=1, trials=2)
    client = client_of(owner)

    def count() -> int:
        with CaptureQueriesContext(connection) as queries:
            assert client.get("/admin/survey/" + page.format(pk=version.study_id)).status_code == 200
        return len(queries)

    count()
    before = count()
    vote_on(version, raters=4, trials=4)
    other = make_running(owner=owner, pairs=9)
    vote_on(other, raters=2, trials=3)
    assert count() == before


def test_thumbnails_stay_inside_their_study(owner) -> None:
    study, other = make_study(owner=owner), make_study(owner=make_user("other"))
    client = client_of(owner)
    mine, theirs = (s.pairs.first().images.first() for s in (study, other))
    answer = client.get(f"/admin/survey/study/{study.pk}/image/{mine.pk}/")
    assert (answer.status_code, answer["Content-Type"]) == (200, "image/png")
    assert client.get(f"/admin/survey/study/{study.pk}/image/{theirs.pk}/").status_code == 404
    again = client.get(f"/admin/survey/study/{study.pk}/image/{mine.pk}/", headers={"if-none-match": answer["ETag"]})
    assert again.status_code == 304


def test_single_pairs_are_left_out_and_all_removed_before_freezing_alone(owner) -> None:
    study = make_study(owner=owner)
    client, address = client_of(owner), f"/admin/survey/study/{study.pk}/pairs/"
    key = study.pairs.first().key
    client.post(address, {"do": "leave out", "key": key})
    assert list(study.pairs.filter(is_selected=False).values_list("key", flat=True)) == [key]
    client.post(address, {"do": "take in", "key": key})
    assert study.pairs.filter(is_selected=True).count() == 6
    client.post(address, {"do": "remove all"})
    assert study.pairs.count() == 6, "not without the tick"
    version = make_version(study)
    client.post(address, {"do": "leave out", "key": key})
    study_transition(study=version.study, name="revise", actor=owner, reason="once more")
    assert "stays with it" in client.post(address, {"do": "remove all", "sure": "1"}, follow=True).content.decode()
    assert study.pairs.filter(is_selected=True).count() == 6
    fresh = make_study(owner=owner)
    client.post(f"/admin/survey/study/{fresh.pk}/pairs/", {"do": "remove all", "sure": "1"})
    assert (fresh.pairs.count(), fresh.arms.count()) == (0, 2)


def test_version_download_has_the_printed_digest(owner) -> None:
    version = make_version(owner=owner)
    body = client_of(owner).get(f"/admin/survey/study/{version.study_id}/version/1.json").content
    assert hashlib.sha256(body).hexdigest() == version.config_sha256
    assert json.loads(body) == version.config


def test_weaknesses_name_what_a_reviewer_would_ask() -> None:
    study = make_study(
        summary="Is robust better?", votes_per_pair=3, degraded_trials=0, identical_trials=0, target_raters=2
    )
    text = "\n".join(version_weaknesses(study))
    for part in (
        "'robust'",
        "no attention checks",
        "is odd",
        "only 6 pairs",
        "power is",
        "need as many raters",
        "pixel multiple",
    ):
        assert part in text, part
    sound = make_study(
        pairs=80,
        target_raters=120,
        instructions="Look.",
        contact="lab@example.org",
        votes_per_pair=60,
        pixel_multiple=8,
        exclusion_rules=[{"rule": "too_fast"}],
        trials_per_session=40,
    )
    study_update(study=sound, actor=None, baseline=sound.arms.get(name="vanilla"))
    sound.refresh_from_db()
    assert [w for w in version_weaknesses(sound) if "Study" not in w] == []


def test_raters_beyond_the_places_are_named_and_give_no_power() -> None:
    plan = {"pairs": 40, "trials_per_session": 40, "target_raters": 60}
    full = make_study(votes_per_pair=60, **plan)
    few = make_study(votes_per_pair=12, **plan)

    def said(study, start: str) -> str:
        return next((one for one in version_weaknesses(study) if one.startswith(start)), "")

    assert said(full, "more raters") == ""
    assert (
        "the study is full after 480, which 12 raters give; plan 12 raters or raise the votes per pair to 60"
        in said(few, "more raters than places: 60 raters")
    )
    twelve = make_study(votes_per_pair=12, **(plan | {"target_raters": 12}))
    power = [re.search(r"power is (\d+) %", said(study, "power is"))[1] for study in (few, twelve)]
    assert power[0] == power[1], "60 raters have no more votes to give than 12"
    assert "with the 12 raters who find a place" in said(few, "power is")


def test_next_leads_from_frozen_to_the_archive(owner) -> None:
    version = make_version(owner=owner, exclusion_rules=[{"rule": "too_fast"}])
    client, page = client_of(owner), f"/admin/survey/study/{version.study_id}/"

    def step(name: str, reason: str = "r") -> str:
        client.post(f"{page}step/{name}/", {"reason": reason})
        return client.get(page).content.decode()

    frozen = client.get(page).content.decode()
    assert "simulate_raters --study" in frozen
    assert f'{page}step/pilot/"' in frozen
    step("open")
    make_visit(version)
    asked = client.get(f"{page}step/close/").content.decode()
    assert re.search(r"<strong>6 of \d+</strong> votes, <strong>1 of \d+</strong> raters", asked)
    closed = step("close")
    assert f'class="bp-button bp-primary" href="{page}exclusions/"' in closed
    assert f'class="bp-button bp-primary bp-final" href="{page}step/archive/"' not in closed
    client.post(f"{page}reports/", {"phase": "main"})
    while job := job_next(["default"]):
        job_run(job.pk)
    reported = client.get(page).content.decode()
    assert f'class="bp-button bp-primary bp-final" href="{page}step/archive/"' in reported


def test_next_is_to_close_once_every_planned_vote_is_in(owner) -> None:
    version = make_running(owner=owner, pairs=6, votes_per_pair=2, exclusion_rules=[{"rule": "too_fast"}])
    client, page = client_of(owner), f"/admin/survey/study/{version.study_id}/"
    close = f'class="bp-button bp-primary bp-final" href="{page}step/close/"'
    make_visit(version)
    assert close not in client.get(page).content.decode()
    assert "nothing to do before the planned votes are in" in client.get(page).content.decode()
    assert study_next(version.study) == ""
    make_visit(version)
    page_now = client.get(page).content.decode()
    assert close in page_now
    assert "Every planned vote is in." in page_now
    assert study_next(version.study) == "Close for good"
    client.post(f"{page}step/close/", {"reason": "r"})
    # The rules stand there in words.
    assert "the plan&#x27;s rules: median response time under 500 ms" in client.get(page).content.decode()
    exclusions = client.get(f"{page}exclusions/").content.decode()
    assert "The frozen plan excludes by: median response time under 500 ms." in exclusions
    assert "too_fast:" not in exclusions


def test_a_study_keeps_an_owner(owner) -> None:
    study = make_study(owner=owner)
    other = make_user("other")
    with pytest.raises(LastOwner):
        member_set(study=study, user=owner, role="viewer", actor=owner)
    with pytest.raises(LastOwner):
        member_remove(study=study, user=owner, actor=owner)
    with pytest.raises(ValidationError):
        member_set(study=study, user=other, role="king", actor=owner)
    member_set(study=study, user=other, role="owner", actor=owner)
    member_remove(study=study, user=owner, actor=other)
    assert list(study.members.values_list("user__username", flat=True)) == ["other"]


def test_log_page_shows_a_broken_chain(owner) -> None:
    version = make_version(owner=owner)
    client = client_of(owner)
    address = f"/admin/survey/study/{version.study_id}/log/"
    assert "is intact" in client.get(address).content.decode()
    version.study.audit_entries.filter(number=2).update(actor="nobody")
    assert "broken at entry 2" in client.get(address).content.decode()
