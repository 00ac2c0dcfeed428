"""Which pairs take part: by class, distance and draw; the same seed draws the same pairs; the log knows the rule."""

from __future__ import annotations

from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from generation.services.pair_selection import PairSelection, SelectionRule, pairs_select
from survey.models import AuditEntry, ImagePair, Study
from survey.services.study.study import study_create
from survey.services.study.version import version_freeze
from tests.factories import make_study, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def study() -> Study:
    """Twelve pairs of three classes, distances 0.00, 0.01 ... 0.11, and one practice pair."""
    study = study_create(owner=make_user(), slug="s", title="S")
    ImagePair.objects.bulk_create(
        ImagePair(study=study, key=f"{n % 3}-{n:06d}", class_label=str(n % 3), distance=n / 100) for n in range(12)
    )
    ImagePair.objects.create(study=study, key="practice", kind="practice", distance=0.0)
    return study


def chosen(study: Study) -> set[str]:
    return set(study.pairs.filter(is_selected=True, kind="main").values_list("key", flat=True))


def test_pairs_that_differ_too_little_are_left_out(study):
    found = pairs_select(study=study, rule=SelectionRule(minimum_distance=0.05))
    assert found == PairSelection(selected=7, other_class=0, too_alike=5, not_drawn=0)
    assert chosen(study) == {f"{n % 3}-{n:06d}" for n in range(5, 12)}


def test_rules_combine_and_a_later_rule_replaces_an_earlier_one(study):
    rule = SelectionRule(classes=["2", "1"], minimum_distance=0.04, per_class=2)
    found = pairs_select(study=study, rule=rule)
    assert found == PairSelection(selected=4, other_class=4, too_alike=2, not_drawn=2)
    assert {key[0] for key in chosen(study)} == {"1", "2"}
    pairs_select(study=study, rule=SelectionRule())
    assert len(chosen(study)) == 12


def test_draw_depends_on_the_seed_alone(study):
    draws = {}
    for seed in (1, 2, 1):
        pairs_select(study=study, rule=SelectionRule(count=5, seed=seed))
        draws.setdefault(seed, []).append(chosen(study))
    assert draws[1][0] == draws[1][1]
    assert draws[1][0] != draws[2][0]
    assert {len(draw) for group in draws.values() for draw in group} == {5}


def test_pair_without_a_distance_is_no_different_pair(study):
    study.pairs.filter(key="2-000011").update(distance=None)
    pairs_select(study=study, rule=SelectionRule(minimum_distance=0.1))
    assert chosen(study) == {"1-000010"}


def test_practice_pairs_are_left_alone(study):
    pairs_select(study=study, rule=SelectionRule(minimum_distance=0.05))
    assert study.pairs.get(key="practice").is_selected


def test_rule_and_result_are_in_the_log(study):
    pairs_select(study=study, rule=SelectionRule(minimum_distance=0.05, count=3, seed=9), actor="ada")
    entry = AuditEntry.objects.get(study=study, action="select pairs")
    assert entry.actor == "ada"
    assert entry.detail["rule"]["minimum_distance"] == 0.05
    assert entry.detail["result"] == {"selected": 3, "other_class": 0, "too_alike": 5, "not_drawn": 4}
    assert entry.detail["distance_name"] == "dssim-gauss1.5"


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"minimum_distance": 1.5}, r"minimum_distance is 1.5; it must lie in \[0, 1\]"),
        ({"count": 0}, "count is 0; it must be at least 1"),
        ({"per_class": -1}, "per_class is -1"),
        ({"classes": ["9"]}, "s has no pairs of class 9; generate them"),
        (
            {"minimum_distance": 0.9},
            "the rule leaves no pair of 12: 0 are of another class, 12 differ by less than 0.9",
        ),
    ],
)
def test_rule_that_cannot_hold_is_refused_and_changes_nothing(study, fields, complaint):
    with pytest.raises(ValueError, match=complaint):
        pairs_select(study=study, rule=SelectionRule(**fields))
    assert len(chosen(study)) == 12


def test_command_selects_and_refuses_a_frozen_study(study):
    output = StringIO()
    call_command("select_pairs", study="s", classes="0,1", count=3, stdout=output)
    assert "3 pairs take part; left out: 4 of another class, 0 too alike, 5 not drawn" in output.getvalue()
    frozen = make_study()
    version_freeze(study=frozen)
    with pytest.raises(CommandError, match="only a draft can be changed"):
        call_command("select_pairs", study=frozen.slug)
