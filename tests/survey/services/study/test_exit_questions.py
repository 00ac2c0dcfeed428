"""What a researcher may ask at the end, and how a question of release 0.1 is read."""

from __future__ import annotations

import pytest

from survey.services.study.exit_questions import ExitQuestion, question_problems

AGE = {"name": "age", "caption": "How old are you?"}


@pytest.mark.parametrize(
    "question",
    [
        AGE | {"options": ["under 30", "30 or more"]},
        AGE | {"options": []},
        AGE | {"kind": "single", "options": ["yes"]},
        AGE | {"kind": "multiple", "options": ["laptop", "phone"]},
        AGE | {"kind": "number"},
        AGE | {"kind": "number", "minimum": 0.5, "maximum": 120},
        AGE | {"kind": "text", "length": 40},
    ],
)
def test_questions_of_every_kind_may_be_asked(question: dict) -> None:
    assert question_problems([question]) == []


@pytest.mark.parametrize(
    ("questions", "part"),
    [
        ({}, "not a list"),
        (["age"], "not a list"),
        ([AGE | {"name": "my age"}], "needs a name"),
        ([AGE | {"name": "a" * 61}], "needs a name"),
        ([{"name": "age"}], "needs a caption"),
        ([AGE | {"options": "old"}], "list of texts"),
        ([AGE | {"options": ["old", " "]}], "list of texts"),
        ([AGE | {"kind": "single"}], "list of texts"),
        ([AGE | {"kind": "multiple", "options": ["old", "old "]}], "each of them once"),
        ([AGE | {"kind": "multiple", "options": ["old | wise"]}], "may hold |"),
        ([AGE | {"kind": "date"}], "there is no kind 'date'"),
        ([AGE | {"kind": ["number"]}], "there is no kind"),
        ([AGE | {"kind": "number", "minimum": "18"}], "its minimum is a number"),
        ([AGE | {"kind": "number", "maximum": float("nan")}], "its maximum is a number"),
        ([AGE | {"kind": "number", "minimum": 20, "maximum": 20}], "above its minimum"),
        ([AGE | {"kind": "text", "length": 0}], "from 1 to 2000"),
        ([AGE | {"kind": "text", "length": 2001}], "from 1 to 2000"),
        ([AGE | {"kind": "number", "length": 5}], "nothing that a question of kind number has"),
        ([AGE | {"captoin": "?"}], "captoin is nothing"),
        ([AGE, AGE], "same name"),
    ],
)
def test_wrong_exit_questions_are_named(questions, part: str) -> None:
    assert part in question_problems(questions)[0]


def test_a_question_that_names_no_kind_is_what_release_0_1_made_of_it() -> None:
    assert ExitQuestion.of(AGE | {"options": ["old", "young"]}).answer(["old"]) == "old"
    assert ExitQuestion.of(AGE).answer(["x" * 2000]) == "x" * 2000


def test_a_single_choice_takes_one_answer() -> None:
    with pytest.raises(ValueError, match="takes one answer"):
        ExitQuestion.of(AGE | {"options": ["old", "young"]}).answer(["old", "young"])


def test_a_length_counts_a_line_end_as_the_browser_does() -> None:
    question = ExitQuestion.of(AGE | {"kind": "text", "length": 3})
    assert question.answer(["a\r\nb"]) == "a\nb"
