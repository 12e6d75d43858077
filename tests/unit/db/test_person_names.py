"""Names: what a person can be called, and which names are told apart."""

import unicodedata

import pytest

from core.errors import PersonNameError
from db.people import MAX_NAME_LENGTH, clean_name, name_key


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        ("Ada", "Ada"),
        ("  Ada   Lovelace ", "Ada Lovelace"),
        (unicodedata.normalize("NFD", "Zoë"), "Zoë"),
        ("s17", "s17"),
        ("O'Brien, Jr.", "O'Brien, Jr."),
        ("王小明", "王小明"),
        ("می\u200cخواهم", "می\u200cخواهم"),  # Persian spells with a zero-width non-joiner
    ],
)
def test_a_name_is_stored_in_one_form(given: str, stored: str) -> None:
    assert clean_name(given) == stored


@pytest.mark.parametrize("name", ["", "   ", "\u00a0", "\u200d", "\u0301"])
def test_a_name_of_nothing_visible_is_empty(name: str) -> None:
    with pytest.raises(PersonNameError, match="empty"):
        clean_name(name)


@pytest.mark.parametrize(
    "name",
    ["a/b", "a\\b", "Ada\n", "a\tb", "a\x00b", "a\udcffb", "a\u2028b", "a\u202eb", "a\u200bb", "\ufeffAda"],
)
def test_a_name_with_a_slash_or_something_invisible_is_refused(name: str) -> None:
    with pytest.raises(PersonNameError, match="cannot hold"):
        clean_name(name)


@pytest.mark.parametrize("name", ["x" * (MAX_NAME_LENGTH + 1), "\ufdfa" * 100])
def test_a_name_that_does_not_fit_is_refused(name: str) -> None:
    """The second is 100 characters of which each is 18 when taken apart."""
    with pytest.raises(PersonNameError, match="longer"):
        clean_name(name)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Ada", "ADA"),
        ("Zoë", "zoe"),
        ("Straße", "STRASSE"),
        ("Ａda", "Ada"),
        ("Ada Lovelace", "Ada\u00a0Lovelace"),
        ("Ada Lovelace", " Ada  Lovelace"),
        ("می\u200cخواهم", "میخواهم"),
        ("İpek", "ipek"),
    ],
)
def test_names_that_look_alike_are_one(one: str, other: str) -> None:
    assert name_key(one) == name_key(other)


@pytest.mark.parametrize(("one", "other"), [("Ada", "Ida"), ("s1", "s10"), ("Ann Lee", "AnnLee"), ("王", "玉")])
def test_other_names_are_told_apart(one: str, other: str) -> None:
    assert name_key(one) != name_key(other)
