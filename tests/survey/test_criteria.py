from __future__ import annotations

from survey.criteria import criteria_of, design_of, headline_of, judged_by, keys_asked, slot_criteria

ONE = {"key": "detail", "question": "Which has better detail?", "definition": "", "is_tie_allowed": False}
OLD = {"texts": {"question": "Which is better?"}, "trial": {"are_ties_allowed": True}}


def version(*keys: str, design: str = "blocks") -> dict:
    listed = [ONE | {"key": key} for key in keys]
    return OLD | {"criteria": {"design": design, "headline": keys[-1], "list": listed}}


def test_a_version_without_criteria_asks_its_question() -> None:
    (only,) = criteria_of(OLD)
    assert (only.key, only.question, only.is_tie_allowed) == ("", "Which is better?", True)
    assert (design_of(OLD), headline_of(OLD), slot_criteria(OLD), keys_asked(OLD, "")) == ("", "", ("",), ("",))


def test_the_only_criterion_has_no_key_in_votes() -> None:
    (only,) = criteria_of(version("detail"))
    assert (only.key, only.question, only.is_tie_allowed) == ("", ONE["question"], False)
    assert (design_of(version("detail")), slot_criteria(version("detail"))) == ("", ("",))


def test_a_trial_asks_the_criterion_of_its_block_or_all() -> None:
    assert keys_asked(version("a", "b"), "b") == ("b",)
    assert keys_asked(version("a", "b", design="together"), "") == ("a", "b")
    assert slot_criteria(version("a", "b")) == ("a", "b")
    assert slot_criteria(version("a", "b", design="together")) == ("",)


def test_the_headline_judges_practice_where_it_was_asked() -> None:
    assert judged_by(version("a", "b"), ("a", "b")) == "b"
    assert judged_by(version("a", "b"), ("a",)) == "a"
