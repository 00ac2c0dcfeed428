import pytest

from analysis.pictures.errors import PictureError
from analysis.pictures.listing import classes_of, listing_of


@pytest.mark.parametrize(
    ("name", "head", "said"),
    [
        ("a.npy", b"\x93NUMPY", "1 NumPy array (a.npy)"),
        ("readme", b"words", "1 text file (readme)"),
        ("a.png~", b"", "1 left by other programs (a.png~)"),
    ],
)
def test_what_is_left_out_is_counted_and_named(name: str, head: bytes, said: str) -> None:
    assert listing_of([(name, lambda: head)], where="set").found() == said


@pytest.mark.parametrize(("name", "head", "said"), [("npy", b"\x93NUMPY", "arrays"), ("json", b"{", "text files")])
def test_several_of_a_kind_are_counted_in_good_english(name: str, head: bytes, said: str) -> None:
    listing = listing_of([(f"{number}.{name}", lambda: head) for number in range(5)], where="set")
    (note,) = listing.notes()
    assert f"{said} (0.{name}, 1.{name}, 2.{name}, ...)" in note
    assert note.startswith("left out: 5 ")


def test_the_parts_of_a_set_are_no_classes_and_a_class_may_be_called_test() -> None:
    with pytest.raises(PictureError, match="the folders train, val are parts of a set, not classes"):
        classes_of(["train/cat/1.png", "val/cat/1.png"], where="set")
    assert classes_of(["test/1.png", "train/1.png"], where="set").names == ("test", "train")
    assert classes_of(["train/a/1.png", "boat/a/1.png"], where="set").names == ("boat", "train")
