"""A class label is a whole number for the networks and text in the tables; it becomes the other in one place."""

import ast
from pathlib import Path

import pytest

from generation.recipes.class_labels import (
    CLASS_LIMIT,
    UNKNOWN_CLASS,
    StudyClasses,
    class_number,
    class_text,
    class_texts,
    classes_called,
    classes_written,
)

GENERATION = Path(__file__).parents[3] / "generation"


@pytest.mark.parametrize("label", [0, 7, 207, CLASS_LIMIT - 1])
def test_a_stored_label_is_read_back_as_the_same_number(label):
    assert class_number(class_text(label)) == label


def test_texts_keep_the_order_of_the_labels():
    assert class_texts([5, 2, 9]) == ["5", "2", "9"]


@pytest.mark.parametrize("name", ["", "cats", "-1", "1.5"])
def test_a_class_that_has_a_name_instead_of_a_number_is_unknown_to_the_networks(name):
    assert class_number(name) == UNKNOWN_CLASS


@pytest.mark.parametrize(
    ("text", "labels"), [("207,360", [207, 360]), ("0-3", [0, 1, 2, 3]), ("3, 0-1", [3, 0, 1]), ("2-1", [])]
)
def test_labels_are_read_as_people_write_them(text, labels):
    assert classes_written(text) == labels


@pytest.mark.parametrize("text", ["cat", "1-", "-1", "1,,2", "1234567890-1234567890"])
def test_what_is_no_label_is_refused_with_the_form_to_give(text):
    with pytest.raises(ValueError, match="is no class label; give numbers such as 207,360 or 0-9"):
        classes_written(text)


def test_a_range_without_end_does_not_fill_the_memory():
    assert max(classes_written(f"{CLASS_LIMIT - 2}-99999999")) == CLASS_LIMIT


def test_no_other_module_turns_a_label_into_text_or_a_text_into_a_label():
    modules = [path for path in GENERATION.rglob("*.py") if path.name != "class_labels.py"]
    assert len(modules) > 30
    found = [
        f"{path.name}:{call.lineno}"
        for path in modules
        for call in ast.walk(ast.parse(path.read_text()))
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id in ("str", "int")
        if call.args and ast.unparse(call.args[0]).split(".")[-1] in ("label", "class_label")
    ]
    assert found == []


@pytest.mark.parametrize(
    ("text", "labels"),
    [("Bag,1", [2, 1]), ("0-1", [0, 1]), ("tench, Tinca tinca", [3]), (" Ankle boot ,0", [1, 0])],
)
def test_classes_are_written_by_name_or_number(text, labels):
    assert classes_called(text, ("Trouser", "Ankle boot", "Bag", "tench, Tinca tinca")) == labels


def test_a_class_that_is_none_is_refused_with_the_nearest_name():
    with pytest.raises(ValueError, match="'Bags' is no class of the arms' networks; did you mean 'Bag'"):
        classes_called("Trouser,Bags", ("Trouser", "Bag"))


def test_classes_of_a_study_keep_the_networks_numbers_or_get_places_by_name():
    numbered = StudyClasses.of([("207", "golden retriever"), ("7", ""), ("7", "cock"), ("", "")])
    assert (numbered.texts, numbered.labels, numbered.names) == (("207", "7"), (207, 7), ("golden retriever", "cock"))
    named = StudyClasses.of([("dog", ""), ("cat", "a cat")])
    assert (named.labels, named.names, named.number("dog"), named.text(0)) == ((0, 1), ("a cat", "dog"), 1, "cat")
    with pytest.raises(ValueError, match="class 7 is called 'cock' and 'hen'"):
        StudyClasses.of([("7", "cock"), ("7", "hen")])
