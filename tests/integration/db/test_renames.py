"""Merging and renaming people: who counts as whom, in what is stored already and from then on, and taking it back."""

from typing import Any

import pytest

from core.errors import InputError, NothingToUndoError, PersonConflictError, UnknownIdError
from core.records import Split, Verdict
from db import labels, people, renames
from db.engine import Database
from db.renames import Undone
from db.result_filter import ResultFilter
from db.results import iter_results
from tests import labelled, ledger
from tests.labelled import key, ranked, say, store, stored
from tests.ledger import NOW


@pytest.fixture
def three(database: Database) -> list[int]:
    """Ada, Bob and Carl."""
    return ledger.add_people(database, "Ada", "Bob", "Carl")


@pytest.fixture
def model(database: Database) -> int:
    return labelled.add_model(database)


def merge(database: Database, name: str, into: str) -> None:
    with database.write() as session:
        renames.merge_people(session, name, into, who="eve", now=NOW)


def rename(database: Database, name: str, new: str) -> None:
    with database.write() as session:
        renames.rename_person(session, name, new, who="eve", now=NOW)


def undo(database: Database, name: str) -> Undone:
    with database.write() as session:
        return renames.undo_people(session, name, who="eve", now=NOW)


def rows(database: Database, **wanted: Any) -> list[dict[str, Any]]:
    with database.read() as session:
        return list(iter_results(session, ResultFilter(**wanted)))


def shown(database: Database) -> list[str | None]:
    return [row["person"] for row in rows(database)]


def listed(database: Database) -> dict[str, tuple[str, ...]]:
    with database.read() as session:
        return {person.name: person.also_called for person in people.list_people(session)}


def label(database: Database, name: str, photo: str) -> None:
    with database.write() as session:
        labels.label_photo(
            session,
            person=people.get_or_add_person(session, name, NOW),
            sha256=photo * 64,
            uri=f"/people/{photo}.jpg",
            split=Split.TRAIN,
            author="ada",
            now=NOW,
        )


def classes(database: Database) -> list[tuple[str, int]]:
    """The classes of the training set with their numbers of photos."""
    with database.read() as session:
        known, train, _ = people.training_set(session)
    return [(person.name, sum(e.class_index == number for e in train)) for number, person in enumerate(known)]


def test_results_and_labels_of_a_merged_person_show_the_other_until_it_is_taken_back(
    database: Database, three: list[int], model: int
) -> None:
    ada, bob, _ = three
    store(database, model, ledger.result(0, ranked((ada, 0.9))), ledger.result(1, ranked((bob, 0.9))))
    label(database, "Ada", "a")
    label(database, "Bob", "b")
    merge(database, "Ada", "Bob")
    assert shown(database) == ["Bob", "Bob"]
    assert [row["candidate"] for row in rows(database)] == ["Bob", "Bob"]
    assert [row["item"] for row in rows(database, person_id=bob)] == [0, 1]
    assert [row["item"] for row in rows(database, person_id=ada)] == [0, 1]
    assert classes(database) == [("Bob", 2)]
    assert listed(database) == {"Bob": ("Ada",), "Carl": ()}
    assert undo(database, "Ada") == Undone(action=renames.MERGE, name="Ada", other="Bob")
    assert shown(database) == ["Ada", "Bob"]
    assert [row["item"] for row in rows(database, person_id=bob)] == [1]
    assert classes(database) == [("Ada", 1), ("Bob", 1)]


def test_two_classes_of_one_person_are_no_rivals(database: Database, three: list[int], model: int) -> None:
    ada, bob, carl = three
    face = ranked((ada, 0.9), (bob, 0.88), (carl, 0.2))
    assert stored(database, key(store(database, model, ledger.result(0, face)))).outcome == "ambiguous"
    merge(database, "Ada", "Bob")
    store(database, model, ledger.result(0, face))
    assert shown(database) == [None, "Bob"]


def test_merges_follow_each_other_and_each_is_taken_back_alone(
    database: Database, three: list[int], model: int
) -> None:
    store(database, model, *[ledger.result(number, ranked((who, 0.9))) for number, who in enumerate(three)])
    merge(database, "Ada", "Bob")
    merge(database, "Bob", "Carl")
    assert shown(database) == ["Carl"] * 3
    assert listed(database) == {"Carl": ("Ada", "Bob")}
    undo(database, "Bob")  # Bob's own merge was later than the one into him
    assert shown(database) == ["Bob", "Bob", "Carl"]
    undo(database, "Bob")  # and now the one into him
    assert shown(database) == ["Ada", "Bob", "Carl"]
    with pytest.raises(NothingToUndoError, match="'Bob' was neither merged nor renamed"):
        undo(database, "Bob")


def test_nobody_is_merged_into_themselves_or_twice(database: Database, three: list[int]) -> None:
    with pytest.raises(PersonConflictError, match="are one person already"):
        merge(database, "Ada", "ada")
    merge(database, "Ada", "Bob")
    for one, other in (("Bob", "Ada"), ("Ada", "Bob")):
        with pytest.raises(PersonConflictError, match="are one person already"):
            merge(database, one, other)
    with pytest.raises(PersonConflictError, match="'Ada' counts as 'Bob' already"):
        merge(database, "Ada", "Carl")
    with pytest.raises(UnknownIdError):
        merge(database, "Ada", "Nobody")


def test_a_face_that_is_not_somebody_is_not_whoever_counts_as_them(
    database: Database, three: list[int], model: int
) -> None:
    """What was said before a merge holds after it, for what is stored and for what comes; and so does its undoing."""
    ada, bob, _ = three
    job = store(database, model, ledger.result(0, ranked((ada, 0.9), (bob, 0.7))))
    say(database, key(job), Verdict.IS_NOT, "Ada")
    assert shown(database) == ["Bob"]
    merge(database, "Bob", "Ada")
    store(database, model, ledger.result(0, ranked((bob, 0.9), (ada, 0.2))))
    assert shown(database) == [None, None]
    undo(database, "Bob")
    assert shown(database) == ["Bob", "Bob"]
    assert ledger.get_job(database, job).faces_identified == 1


def test_a_renamed_person_is_found_shown_and_imported_under_both_names(
    database: Database, three: list[int], model: int
) -> None:
    store(database, model, ledger.result(0, ranked((three[0], 0.9))))
    rename(database, "Ada", "Ada Lovelace")
    assert shown(database) == ["Ada Lovelace"]
    assert listed(database)["Ada Lovelace"] == ("Ada",)
    assert ledger.add_people(database, "Ada", "Ada Lovelace") == [three[0], three[0]]
    with database.read() as session:
        assert people.find_person(session, "ada").id == three[0]
    assert undo(database, "Ada") == Undone(action=renames.RENAME, name="Ada", other="Ada Lovelace")
    assert listed(database) == {"Ada": (), "Bob": (), "Carl": ()}
    assert ledger.add_people(database, "Ada Lovelace") != [three[0]]  # the name is free again


def test_the_spelling_of_a_name_can_be_changed(database: Database, three: list[int]) -> None:
    rename(database, "Ada", "ADA")
    assert set(listed(database)) == {"ADA", "Bob", "Carl"}


def test_a_name_that_somebody_bears_is_not_given_twice(database: Database, three: list[int]) -> None:
    with pytest.raises(PersonConflictError, match="people merge 'Ada' 'Bob'"):
        rename(database, "Ada", "bob")
    with pytest.raises(InputError, match="is called so already"):
        rename(database, "Ada", "Ada")
    rename(database, "Ada", "Countess")
    rename(database, "Bob", "Ada")  # free since
    assert ledger.add_people(database, "Ada") == [three[1]]
    with pytest.raises(PersonConflictError, match="somebody else's name"):
        undo(database, "Countess")
    assert set(listed(database)) == {"Countess", "Ada", "Carl"}


def test_renames_are_taken_back_one_by_one(database: Database, three: list[int]) -> None:
    rename(database, "Ada", "A")
    rename(database, "A", "B")
    assert listed(database)["B"] == ("Ada", "A")
    assert [undo(database, name).name for name in ("B", "A")] == ["A", "Ada"]
    with pytest.raises(NothingToUndoError):
        undo(database, "Ada")


def test_a_merge_can_be_done_again_after_it_was_taken_back(database: Database, three: list[int]) -> None:
    for _ in range(2):
        merge(database, "Ada", "Bob")
        assert undo(database, "Bob").name == "Ada"
    assert listed(database) == {"Ada": (), "Bob": (), "Carl": ()}
