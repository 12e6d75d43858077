"""What labelled photos are to a backbone is kept by photo, face and way of seeing, and goes with photo and way."""

import os
from datetime import timedelta

import pytest
from sqlalchemy import delete, func, select

from core.records import ErrorRecord, Example, LearnedFace, Split
from db import labels, people
from db.engine import Database
from db.photo_embeddings import add_faces, find_faces, find_unused_ways, forget_faces, forget_way, use_way
from db.tables import Label, Photo, PhotoEmbedding
from tests import ledger
from tests.ledger import NOW

BOX = (1.5, 2.0, 30.25, 41.0)
NO_FACE = LearnedFace(vector=None, error=ErrorRecord(code="no_face", message="No face was found."))


def example(photo: str, box: tuple[float, float, float, float] | None = None) -> Example:
    return Example(uri=f"{photo}.jpg", class_index=0, sha256=photo * 64, box_xyxy_px=box)


def face() -> LearnedFace:
    return LearnedFace(vector=os.urandom(1024))


@pytest.fixture
def photos(database: Database) -> str:
    """Photos that are labelled."""
    with database.write() as session:
        person = people.get_or_add_person(session, "Ada", NOW)
        for photo in "abc":
            uri, split = f"{photo}.jpg", Split.TRAIN
            labels.label_photo(session, person=person, sha256=photo * 64, uri=uri, split=split, author="ada", now=NOW)
    return "abc"


def way(database: Database, digest: str = "w", *, days_ago: int = 0) -> int:
    with database.write() as session:
        return use_way(session, digest.ljust(64, "0"), NOW - timedelta(days=days_ago))


def add(database: Database, way_id: int, *faces: tuple[Example, LearnedFace]) -> None:
    with database.write() as session:
        add_faces(session, way_id, faces)


def find(database: Database, way_id: int, *examples: Example) -> list[LearnedFace | None]:
    with database.read() as session:
        return find_faces(session, way_id, examples)


def count(database: Database) -> int:
    with database.read() as session:
        return session.scalars(select(func.count()).select_from(PhotoEmbedding)).one()


def test_what_was_found_of_a_face_is_found_again_bit_for_bit(database: Database, photos: str) -> None:
    here, seen = way(database), [face(), NO_FACE]
    add(database, here, (example("a"), seen[0]), (example("b"), seen[1]))
    assert find(database, here, example("b"), example("c"), example("a")) == [seen[1], None, seen[0]]
    assert find(database, here) == []


def test_another_face_of_the_photo_or_another_way_is_another_matter(database: Database, photos: str) -> None:
    here, there = way(database, "1"), way(database, "2")
    only, boxed = face(), face()
    add(database, here, (example("a"), only), (example("a", BOX), boxed))
    moved = (BOX[0] + 1e-9, *BOX[1:])
    assert find(database, here, example("a", BOX), example("a"), example("a", moved)) == [boxed, only, None]
    assert find(database, there, example("a", BOX), example("a")) == [None, None]


def test_a_face_without_the_sha256_of_its_photo_is_never_known(database: Database, photos: str) -> None:
    here = way(database)
    add(database, here, (example("a"), face()))
    assert find(database, here, Example(uri="a.jpg", class_index=0)) == [None]


def test_a_photo_that_is_not_in_the_ledger_is_not_kept(database: Database, photos: str) -> None:
    here = way(database)
    add(database, here, (example("z"), face()), (example("a"), face()))
    assert count(database) == 1
    assert find(database, here, example("z")) == [None]


def test_of_two_that_add_a_face_the_first_stays(database: Database, photos: str) -> None:
    here, first = way(database), face()
    add(database, here, (example("a"), first))
    add(database, here, (example("a"), face()), (example("b"), NO_FACE))
    assert find(database, here, example("a"), example("b")) == [first, NO_FACE]


def test_two_trainers_may_add_the_same_faces_at_once(database: Database, photos: str) -> None:
    here = way(database)
    faces = [(example(photo), face()) for photo in photos]
    outcomes = ledger.race([lambda: add(database, here, *faces), lambda: add(database, here, *faces[::-1])])
    assert outcomes == [None, None]
    assert find(database, here, *(each for each, _ in faces)) == [found for _, found in faces]


def test_more_faces_than_a_page_are_found_in_their_order(database: Database) -> None:
    here, shas = way(database), [f"{number:064x}" for number in range(1234)]
    with database.write() as session:
        session.add_all(Photo(sha256=sha, uri="x", split="train", created_at=NOW) for sha in shas)
    faces = [(Example(uri="x", class_index=0, sha256=sha), face()) for sha in shas]
    add(database, here, *faces)
    assert find(database, here, *(each for each, _ in reversed(faces))) == [found for _, found in reversed(faces)]


def test_what_is_known_of_a_photo_goes_with_it(database: Database, photos: str) -> None:
    here, there = way(database, "1"), way(database, "2")
    for each in (here, there):
        add(database, each, (example("a"), face()), (example("b"), face()))
    with database.write() as session:
        gone = session.scalars(select(Photo.id).where(Photo.sha256 == "a" * 64)).one()
        session.execute(delete(Label).where(Label.photo_id == gone))
        session.execute(delete(Photo).where(Photo.id == gone))
    assert find(database, here, example("a"), example("b")) != [None, None]
    assert count(database) == 2
    assert find(database, there, example("a")) == [None]


def test_ways_that_no_run_uses_any_more_are_found_but_the_last_used(database: Database) -> None:
    oldest, old, last = (way(database, str(days), days_ago=days) for days in (90, 60, 50))
    before = NOW - timedelta(days=30)
    with database.read() as session:
        assert find_unused_ways(session, before) == [old, oldest]
        assert find_unused_ways(session, NOW - timedelta(days=80)) == [oldest]
    assert way(database, "90") == oldest, "it is used again"
    with database.read() as session:
        assert find_unused_ways(session, before) == [last, old]


def test_a_way_goes_after_its_faces_unless_it_is_used_again(database: Database, photos: str) -> None:
    here = way(database, days_ago=60)
    add(database, here, *((example(photo), face()) for photo in photos))
    with database.write() as session:
        assert not forget_way(session, here, NOW)
        assert [forget_faces(session, here, 2) for _ in range(3)] == [2, 1, 0]
        assert not forget_way(session, here, NOW - timedelta(days=70))
        assert forget_way(session, here, NOW)
    assert count(database) == 0
