"""Ids that people see."""

from datetime import UTC, datetime, timedelta

from db.ids import face_id, model_version, new_public_id

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


def test_ids_sort_as_text_by_the_time_they_were_made() -> None:
    moments = [NOW + timedelta(milliseconds=number**3) for number in range(1, 3000)]
    ids = [new_public_id("j", moment) for moment in moments]
    assert ids == sorted(ids)
    assert len(set(ids)) == len(ids)


def test_ids_of_one_moment_differ() -> None:
    assert len({new_public_id("j", NOW) for _ in range(100)}) > 95


def test_an_id_is_short_and_holds_no_letter_that_can_be_misread() -> None:
    for number in range(500):
        public_id = new_public_id("r", NOW + timedelta(milliseconds=number))
        assert (public_id[0], len(public_id)) == ("r", 13)
        assert not set(public_id[1:]) & set("ilouILOU")


def test_ids_sort_until_2059() -> None:
    assert new_public_id("j", NOW) < new_public_id("j", datetime(2059, 1, 1, tzinfo=UTC))


def test_a_face_has_the_same_id_however_often_it_was_found() -> None:
    assert face_id("j123", 7, 0) == "j123-7-0"
    assert model_version(7) == "v7"
