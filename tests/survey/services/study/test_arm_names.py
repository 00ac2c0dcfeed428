from __future__ import annotations

import pytest

from survey.services.study.arm_names import arm_names, short_name
from survey.services.study.study import arm_add
from tests.factories import make_study

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("title", "name"),
    [
        ("ours_v2.1", "ours_v2-1"),
        ("SDXL 1.0", "SDXL-1-0"),
        ("café", "cafe"),
        ("我们的", "arm"),
        ("(ours)", "ours"),
        ("x" * 80, "x" * 56),
    ],
)
def test_a_title_has_a_short_name(title: str, name: str) -> None:
    assert short_name(title) == name


def test_names_that_are_short_already_stay_and_no_two_are_alike() -> None:
    study = make_study(arms=("vanilla",), pairs=0)
    arm_add(study=study, name="sdxl", title="SDXL 1.0")
    given = ["vanilla", "SDXL 1.0", "a b", "a-b", "a.b", "я", "ю"]
    found = arm_names(study, given)
    assert (found["vanilla"], found["SDXL 1.0"], found["a-b"]) == ("vanilla", "sdxl", "a-b")
    assert len(set(found.values())) == len(given)
