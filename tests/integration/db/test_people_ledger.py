"""People: names that cannot be confused, photos known by their bytes, the newest label holds."""

import unicodedata
from typing import Any

import pytest

from core.errors import PersonConflictError, UnknownIdError
from core.records import Example, PersonClass, Split, Verdict
from db import labels, people
from db.engine import Database
from db.tables import Label
from tests import ledger
from tests.ledger import NOW


def label(database: Database, name: str, photo: str, split: Split = Split.TRAIN, uri: str | None = None) -> bool:
    with database.write() as session:
        person = people.get_or_add_person(session, name, NOW)
        return labels.label_photo(
            session,
            person=person,
            sha256=photo * 64,
            uri=uri or f"file:///people/{photo}.jpg",
            split=split,
            author="ada",
            now=NOW,
        )


def test_a_person_is_added_once(database: Database) -> None:
    assert ledger.add_people(database, "Ada", "Ada") == ledger.add_people(database, "Ada") * 2


def test_a_name_decomposed_is_the_same_name(database: Database) -> None:
    composed, decomposed = (unicodedata.normalize(form, "Zoë Müller") for form in ("NFC", "NFD"))
    assert composed != decomposed
    assert ledger.add_people(database, composed) == ledger.add_people(database, decomposed)
    with database.read() as session:
        assert [person.name for person in people.list_people(session)] == [composed]


@pytest.mark.parametrize(
    "other", ["ada lovelace", "Ada Lovelacé", "ADA LOVELACE", "Ａda Lovelace", "Ada\u00a0Lovelace"]
)
def test_a_name_that_differs_only_in_looks_is_refused(database: Database, other: str) -> None:
    ledger.add_people(database, "Ada Lovelace")
    with pytest.raises(PersonConflictError, match="'Ada Lovelace'"):
        ledger.add_people(database, other)
    with database.read() as session:
        assert len(people.list_people(session)) == 1


def test_four_imports_at_once_add_a_person_once(database: Database) -> None:
    outcomes = ledger.race([lambda: label(database, "Ada", "a")] * 4)
    assert sorted(str(outcome) for outcome in outcomes) == ["False", "False", "False", "True"]
    with database.read() as session:
        (ada,) = people.list_people(session)
    assert ada.train_photos == 1


def test_a_person_is_found_whatever_the_case_and_accents(database: Database) -> None:
    (person_id,) = ledger.add_people(database, "Zoë Müller")
    with database.read() as session:
        assert people.find_person(session, " zoe  MULLER").id == person_id
        with pytest.raises(UnknownIdError, match="people list"):
            people.find_person(session, "Zoe")


def test_the_newest_label_of_a_photo_holds(database: Database) -> None:
    label(database, "Ada", "a")
    label(database, "Bob", "a")
    with database.read() as session:
        [found] = people.find_labelled(session, "a" * 64)
        counts = {person.name: person.train_photos for person in people.list_people(session)}
    assert found.person == "Bob"
    assert counts == {"Ada": 0, "Bob": 1}
    label(database, "Ada", "a")
    with database.read() as session:
        assert [photo.person for photo in people.labelled_photos(session)] == ["Ada"]


def test_a_photo_that_shows_nobody_is_in_no_set(database: Database) -> None:
    label(database, "Ada", "a")
    with database.write() as session:
        [found] = people.find_labelled(session, "a" * 64)
        session.add(
            Label(photo_id=found.photo_id, person_id=None, verdict=Verdict.IGNORE, author="ada", created_at=NOW)
        )
    with database.read() as session:
        assert people.find_labelled(session, "a" * 64) == []
        assert people.training_set(session) == ([], [], [])


def test_a_label_said_twice_is_known(database: Database) -> None:
    assert label(database, "Ada", "a") is True
    assert label(database, "Ada", "a") is False
    assert label(database, "Ada", "a", split=Split.TEST) is True
    assert label(database, "Ada", "a", split=Split.TEST, uri="file:///moved/a.jpg") is True
    with database.read() as session:
        (photo,) = people.labelled_photos(session)
    assert (photo.uri, photo.split) == ("file:///moved/a.jpg", Split.TEST)


def test_a_photo_nobody_spoke_of_has_no_label(database: Database) -> None:
    with database.read() as session:
        assert people.find_labelled(session, "f" * 64) == []


def test_the_training_set_is_in_order_and_knows_its_strangers(database: Database) -> None:
    """Carl has only a test photo: to the model he is a stranger. Dora has no photo at all."""
    ada, bob, carl, _dora = ledger.add_people(database, "Ada", "Bob", "Carl", "Dora")
    label(database, "Bob", "1")
    label(database, "Ada", "2")
    label(database, "Carl", "3", Split.TEST)
    label(database, "Ada", "4", Split.TEST)
    label(database, "Ada", "5")
    with database.read() as session:
        classes, train, test = people.training_set(session)

    def example(photo: str, class_index: int, shows: int | None = None) -> Example:
        return Example(uri=f"file:///people/{photo}.jpg", class_index=class_index, sha256=photo * 64, shows=shows)

    assert classes == [PersonClass(person_id=ada, name="Ada"), PersonClass(person_id=bob, name="Bob")]
    assert train == [example("2", 0), example("5", 0), example("1", 1)]
    assert test == [example("4", 0), example("3", -1, shows=carl)]


def say(database: Database, photo: str, verdict: Verdict, name: str | None = None, **changes: Any) -> None:
    with database.write() as session:
        labels.label_photo(
            session,
            person=people.find_person(session, name) if name else None,
            verdict=verdict,
            sha256=photo * 64,
            uri=f"file:///people/{photo}.jpg",
            author="eve",
            now=NOW,
            **{"split": None, **changes},
        )


def test_training_learns_from_what_is_not_somebody(database: Database) -> None:
    """Strangers, and faces that were taken for somebody, stand after the people's; what shows nobody is left out."""
    ledger.add_people(database, "Ada", "Bob", "Carl")
    for photo, name in (("1", "Ada"), ("2", "Bob"), ("3", "Ada"), ("4", "Ada"), ("5", "Bob")):
        label(database, name, photo)
    say(database, "3", Verdict.NOT_A_FACE)
    say(database, "4", Verdict.IS_NOT, "Ada")
    say(database, "4", Verdict.IS_NOT, "Bob")
    say(database, "5", Verdict.IGNORE)
    say(database, "6", Verdict.IS_NOT)
    say(database, "7", Verdict.IS_NOT, "Carl")  # of whom no photo is known
    say(database, "8", Verdict.IS_NOT, "Ada", split=Split.TEST)
    say(database, "9", Verdict.IS_NOT, split=Split.TEST)
    with database.read() as session:
        _, train, test = people.training_set(session)
    assert [(e.uri[-5], e.class_index, e.not_classes) for e in train] == [
        ("1", 0, ()),
        ("2", 1, ()),
        ("4", -1, (0, 1)),
        ("6", -1, ()),
    ]
    assert [(e.uri[-5], e.class_index, e.not_classes) for e in test] == [("9", -1, ())]


def test_training_learns_each_face_of_a_photo_that_shows_several(database: Database) -> None:
    ledger.add_people(database, "Ada", "Bob")
    boxes = [(200.0 * n, 0.0, 200.0 * n + 90.0, 90.0) for n in range(4)]
    say(database, "1", Verdict.IS, "Ada", box_xyxy_px=boxes[0])
    say(database, "1", Verdict.IS, "Bob", box_xyxy_px=boxes[1])
    say(database, "1", Verdict.IS_NOT, "Ada", box_xyxy_px=boxes[2])
    say(database, "1", Verdict.IGNORE, box_xyxy_px=boxes[3])
    with database.read() as session:
        _, train, _ = people.training_set(session)
    assert [(e.class_index, e.not_classes, e.box_xyxy_px) for e in train] == [
        (0, (), boxes[0]),
        (1, (), boxes[1]),
        (-1, (0,), boxes[2]),
    ]


def test_people_are_listed_by_name_with_their_photos(database: Database) -> None:
    label(database, "bob", "1")
    label(database, "Ada", "2")
    label(database, "Ada", "3", Split.TEST)
    ledger.add_people(database, "Élise")
    with database.read() as session:
        listed = [(person.name, person.train_photos, person.test_photos) for person in people.list_people(session)]
    assert listed == [("Ada", 1, 1), ("bob", 1, 0), ("Élise", 0, 0)]


def test_names_are_looked_up_by_id(database: Database) -> None:
    ada, bob = ledger.add_people(database, "Ada", "Bob")
    with database.read() as session:
        assert people.person_names(session, {ada, bob, 999}) == {ada: "Ada", bob: "Bob"}
        assert people.person_names(session, set()) == {}
