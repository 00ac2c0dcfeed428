"""Classes meet by name, by an explicit map or not at all."""

import pytest

from analysis.pictures.class_names import (
    NO_CLASS,
    ClassMismatch,
    class_map_named,
    match_classes,
    read_class_map,
    renamed_classes,
    two_spellings,
)

CLOTHES = ("T-shirt/top", "Trouser", "Ankle boot")


def matched(found, wanted=CLOTHES, **rest):
    return match_classes(found, wanted, images="the folder", reader="the network", **rest)


def test_a_set_that_lacks_a_class_keeps_the_labels_of_the_others_and_says_so():
    match = matched(("Ankle boot", "Trouser"))
    assert match.labels == (2, 1)
    assert match.notes == ("the folder has no image of class 'T-shirt/top'",)


def test_numbers_are_taken_for_labels_only_where_the_set_has_no_names_and_that_is_said():
    match = matched(("0", "2"))
    assert match.labels == (0, 2)
    assert "the folder has no class names: its numbers are taken as the labels of the network" in match.notes[0]
    assert "0 as 'T-shirt/top'" in match.notes[0]


def test_a_number_that_the_reader_names_is_a_name():
    # Folders 0 to 10 in character order: "10" comes before "2".
    wanted = tuple(sorted(str(number) for number in range(11)))
    assert matched(("2", "10"), wanted).labels == (wanted.index("2"), wanted.index("10"))


@pytest.mark.parametrize(
    ("found", "wanted", "message"),
    [
        (("Ankle boot", "Bag"), CLOTHES, "classes that the network does not know: 'Bag', which has"),
        (("Trousers",), CLOTHES, r"\(is 'Trousers' its 'Trouser'\?\)"),
        (("ankle_boot",), CLOTHES, "'ankle_boot' of the folder and 'Ankle boot' of the network are two spellings"),
        (("Ankle boot", "Bag"), ("0", "1"), "the network has no class names and the folder has 'Ankle boot', 'Bag'"),
        (("Ankle boot", "Bag"), (), "the network has no class names"),
        (("3",), CLOTHES, "a class of number 3, the network the classes 0 to 2"),
        (("crane",), ("crane", "crane"), "two classes named 'crane'"),
    ],
)
def test_what_cannot_be_brought_together_is_refused_with_the_difference(found, wanted, message):
    with pytest.raises(ClassMismatch, match=message):
        matched(found, wanted)


def test_an_explicit_map_says_which_class_is_which_by_name_or_number():
    assert matched(("boots", "Trouser"), renamed={"boots": "Ankle boot"}).labels == (2, 1)
    assert matched(("boots", "Trouser"), renamed={"boots": "2"}).labels == (2, 1)
    assert matched(("boots", "jeans"), (), renamed={"boots": "9", "jeans": "1"}).labels == (9, 1)
    assert matched(("boots", "jeans"), (), renamed="ranks").labels == (0, 1)


def test_more_classes_pass_where_the_reader_takes_some_and_nothing_is_missing():
    assert matched(("Bag", *CLOTHES), may_have_more=True).labels == (NO_CLASS, 0, 1, 2)
    with pytest.raises(ClassMismatch, match="'Bag'"):
        matched(("Bag", *CLOTHES[1:]), may_have_more=True)


def test_two_spellings_of_one_class_in_a_set_are_named_unless_a_map_names_both():
    with pytest.raises(ClassMismatch, match="'Ankle boot' and 'ankle-boot', two spellings of one"):
        renamed_classes(("Ankle boot", "ankle-boot"), {}, where="the folder")
    names, places = renamed_classes(
        ("Ankle boot", "Bag", "ankle-boot"),
        {"ankle-boot": "Ankle boot", "Ankle boot": "Ankle boot"},
        where="the folder",
    )
    assert (names, places) == (("Ankle boot", "Bag"), [0, 1, 0])
    with pytest.raises(ClassMismatch, match="'ankle_boot'"):
        matched(("Ankle boot", "ankle_boot", "Trouser", "T-shirt/top"), may_have_more=True)


def test_letters_in_both_cases_are_two_classes_where_the_reader_knows_both():
    assert matched(("A", "a"), ("A", "a")).labels == (0, 1)


def test_a_class_map_is_a_table_whose_faults_are_named_by_line(tmp_path):
    path = tmp_path / "map.csv"
    path.write_text("class,class_name\nboots,Ankle boot\n9, Bag \n")
    assert class_map_named(str(path)) == {"boots": "Ankle boot", "9": "Bag"}
    assert (class_map_named(None), class_map_named("ranks")) == ("", "ranks")
    path.write_bytes("class;class_name\r\nboots;Ankle boot\r\n".encode("utf-16"))
    assert class_map_named(str(path)) == {"boots": "Ankle boot"}
    for text, message in ((b"a\n", "line 1"), (b"a,b\na,c\n", "'a' is named twice"), (b"", "maps no class")):
        with pytest.raises(ClassMismatch, match=message):
            read_class_map(text, where="map.csv")
    with pytest.raises(ClassMismatch, match="cannot read the class map"):
        class_map_named(str(tmp_path / "none.csv"))
    with pytest.raises(ClassMismatch, match="'shoe', which the folder does not have"):
        renamed_classes(("boot",), {"shoe": "Boot"}, where="the folder")


def test_a_map_by_number_means_the_readers_numbers_where_it_has_some_of_many():
    study = ("golden retriever", "cock")
    found = ("hen", "rooster", "dog")
    names = {"rooster": "7", "dog": "207", "hen": "8"}
    match = matched(found, study, renamed=names, numbers=("207", "7"), may_have_more=True)
    assert match.labels == (NO_CLASS, 1, 0)
    # Names that are numbers are names: 1 is none of these, and no place among them.
    with pytest.raises(ClassMismatch, match="which is which cannot be told"):
        matched(("dog",), ("207", "7"), renamed={"dog": "1"})


@pytest.mark.parametrize("names", [("1_1", "11"), ("0-12", "01-2"), ("a_1_1", "a_11")])
def test_a_break_between_digits_tells_two_classes_apart(names):
    assert two_spellings(names) is None


@pytest.mark.parametrize("names", [("ice cream", "ice_cream"), ("cat 1", "cat1"), ("1 ", "1"), ("a\u200bb", "ab")])
def test_names_that_differ_in_breaks_alone_are_two_spellings(names):
    assert two_spellings(names) == names
