"""What people say of stored faces: what holds, at once and for every outcome stored later; nothing is ever deleted."""

import threading
from dataclasses import replace

import pytest
from sqlalchemy import func, select

from core.errors import UnknownIdError
from core.faces.rule import OperatingPoint
from core.records import FaceOutcome, Split, Verdict
from db import labels
from db.corrections import load_corrections
from db.engine import Database
from db.people import find_person
from db.redecide import FaceKey
from db.tables import Face, Label, Person
from tests import labelled, ledger
from tests.labelled import key, ranked, say, store, stored, undo
from tests.ledger import NOW


@pytest.fixture
def people(database: Database) -> list[int]:
    """Ada, Bob and Carl."""
    return ledger.add_people(database, "Ada", "Bob", "Carl")


@pytest.fixture
def model(database: Database) -> int:
    return labelled.add_model(database)


def counters(database: Database, job_id: int) -> tuple[int, int, int, int]:
    """Faces identified, unknown, ambiguous and of low quality, as the job counts them."""
    job = ledger.get_job(database, job_id)
    return job.faces_identified, job.faces_unknown, job.faces_ambiguous, job.faces_low_quality


def test_a_name_given_by_a_person_holds_at_once_and_the_models_answer_stays_visible(
    database: Database, people: list[int], model: int
) -> None:
    ada, bob, _ = people
    job = store(database, model, ledger.result(0, ranked((ada, 0.4), (bob, 0.3))))
    assert say(database, key(job), Verdict.IS, "Bob") == 1
    [label] = labelled.label_ids(database)
    now = stored(database, key(job))
    assert (now.outcome, now.person, now.candidate, now.label) == ("identified", bob, ada, label)
    assert counters(database, job) == (1, 0, 0, 0)


def test_what_holds_already_is_not_said_again(database: Database, people: list[int], model: int) -> None:
    job = store(database, model, ledger.result(0, ranked((people[0], 0.9))))
    assert [say(database, key(job), Verdict.IS, "Ada") for _ in range(2)] == [1, 0]
    assert [say(database, key(job), Verdict.IS_NOT, "Bob") for _ in range(2)] == [1, 0]
    assert [say(database, key(job), Verdict.IGNORE) for _ in range(2)] == [1, 0]
    assert say(database, [key(job), key(job)], Verdict.IS, "Ada") == 1


@pytest.mark.parametrize(
    ("second", "outcome"), [(0.8, "identified"), (0.45, "unknown")], ids=["similar enough", "not similar enough"]
)
def test_a_face_that_is_not_somebody_is_decided_anew_without_them(
    database: Database, people: list[int], model: int, second: float, outcome: str
) -> None:
    ada, bob, carl = people
    job = store(database, model, ledger.result(0, ranked((ada, 0.9), (bob, second), (carl, 0.1))))
    say(database, key(job), Verdict.IS_NOT, "Ada")
    now = stored(database, key(job))
    assert (now.outcome, now.candidate) == (outcome, bob)
    assert now.person == (bob if outcome == "identified" else None)


def test_a_face_is_decided_anew_under_the_share_of_strangers_that_its_job_asked_for(
    database: Database, people: list[int]
) -> None:
    ada, bob, _ = people
    strict = OperatingPoint(fpir=0.001, threshold=0.9, margin=0.1)
    lax = OperatingPoint(fpir=0.1, threshold=0.3, margin=0.1)
    model = labelled.add_model(database, rule=replace(labelled.RULE, other_points=(strict, lax)))
    photo = ledger.result(0, ranked((ada, 0.95), (bob, 0.8)))
    jobs = [store(database, model, photo, fpir=fpir) for fpir in (None, 0.001, 0.1)]
    say(database, [key(job) for job in jobs], Verdict.IS_NOT, "Ada")
    assert [stored(database, key(job)).person for job in jobs] == [bob, None, bob]
    # Whatever is stored after it obeys too, by the same rule.
    later = [store(database, model, photo, fpir=fpir) for fpir in (None, 0.001, 0.1)]
    assert [stored(database, key(job)).person for job in later] == [bob, None, bob]


def test_a_face_is_not_several_people_at_once(database: Database, people: list[int], model: int) -> None:
    ada, bob, carl = people
    job = store(database, model, ledger.result(0, ranked((ada, 0.95), (bob, 0.8), (carl, 0.65))))
    say(database, key(job), Verdict.IS_NOT, "Ada")
    say(database, key(job), Verdict.IS_NOT, "Bob")
    assert stored(database, key(job)).person == carl
    say(database, key(job), Verdict.IS, "Ada")  # takes back that it is not Ada, and nothing else
    assert stored(database, key(job)).person == ada
    say(database, key(job), Verdict.IS_NOT, "Ada")
    assert stored(database, key(job)).person == carl


@pytest.mark.parametrize(
    ("verdict", "outcome", "reasons"),
    [
        (Verdict.NOT_A_FACE, "low_quality", ("not_a_face",)),
        (Verdict.IGNORE, "low_quality", ("ignored",)),
        (Verdict.IS_NOT, "unknown", ()),
    ],
)
def test_what_takes_a_name_away_gives_none_and_undone_gives_it_back(
    database: Database, people: list[int], model: int, verdict: Verdict, outcome: str, reasons: tuple[str, ...]
) -> None:
    job = store(database, model, ledger.result(0, ranked((people[0], 0.9), (people[1], 0.2))))
    before = stored(database, key(job))
    say(database, key(job), verdict)
    now = stored(database, key(job))
    assert (now.outcome, now.person, now.candidate, now.reasons) == (outcome, None, people[0], reasons)
    assert undo(database, key(job)) == 1
    assert stored(database, key(job)) == before
    assert counters(database, job) == (1, 0, 0, 0)


def test_undo_goes_back_step_by_step_and_deletes_nothing(database: Database, people: list[int], model: int) -> None:
    ada, bob, carl = people
    job = store(database, model, ledger.result(0, ranked((ada, 0.9), (bob, 0.7))))
    say(database, key(job), Verdict.IS_NOT, "Ada")
    say(database, key(job), Verdict.IS, "Carl")
    seen = []
    for _ in range(3):
        seen.append(stored(database, key(job)).person)
        undo(database, key(job))
    assert seen == [carl, bob, ada]
    assert undo(database, key(job)) == 0
    assert len(labelled.label_ids(database)) == 4  # two that were said, two that took them back


def test_a_poor_face_that_is_not_somebody_stays_poor(database: Database, people: list[int], model: int) -> None:
    poor = ranked((people[0], 0.9), outcome=FaceOutcome.LOW_QUALITY)
    job = store(database, model, ledger.result(0, poor))
    say(database, key(job), Verdict.IS_NOT, "Ada")
    assert (stored(database, key(job)).outcome, stored(database, key(job)).reasons) == ("low_quality", ("blurred",))
    say(database, key(job), Verdict.IS, "Bob")
    assert (stored(database, key(job)).outcome, stored(database, key(job)).person) == ("identified", people[1])


def test_the_same_bytes_in_another_job_obey(database: Database, people: list[int], model: int) -> None:
    """Also where the face is found a few pixels beside, and under another model."""
    ada, bob, _ = people
    face = ranked((ada, 0.9), (bob, 0.2))
    say(database, key(store(database, model, ledger.result(0, face))), Verdict.IS_NOT, "Ada")
    moved = replace(face, box_xyxy_px=(6.0, 14.0, 104.0, 138.0))
    again = store(database, labelled.add_model(database, "f" * 64), ledger.result(0, moved))
    assert (stored(database, key(again)).outcome, stored(database, key(again)).person) == ("unknown", None)
    assert stored(database, key(again)).label == labelled.label_ids(database)[0]
    assert counters(database, again) == (0, 1, 0, 0)


def test_each_face_of_a_photo_has_labels_of_its_own(database: Database, people: list[int], model: int) -> None:
    ada, bob, carl = people
    photo = ledger.result(0, ranked((ada, 0.9), (bob, 0.2)), ranked((ada, 0.8), (bob, 0.2), index=1))
    job = store(database, model, photo)
    say(database, key(job, 0, 1), Verdict.IS, "Carl")
    assert [stored(database, key(job, 0, number)).person for number in range(2)] == [ada, carl]
    again = store(database, model, photo)
    assert [stored(database, key(again, 0, number)).person for number in range(2)] == [ada, carl]


def test_undoing_a_label_frees_the_faces_of_other_jobs_on_which_it_bore(
    database: Database, people: list[int], model: int
) -> None:
    face = ranked((people[0], 0.9), (people[1], 0.2))
    first = store(database, model, ledger.result(0, face))
    say(database, key(first), Verdict.IGNORE)
    second = store(database, model, ledger.result(0, face))
    assert stored(database, key(second)).outcome == "low_quality"
    undo(database, key(first))
    assert [stored(database, key(job)).person for job in (first, second)] == [people[0]] * 2
    assert counters(database, second) == (1, 0, 0, 0)


def test_a_photo_without_another_face_is_what_its_label_says(database: Database, people: list[int], model: int) -> None:
    """A label of the photo names its only face, or its only good one; of two good ones it names neither."""
    ada, bob, carl = people
    for number in range(3):
        with database.write() as session:
            labels.label_photo(
                session,
                person=find(database, "Carl"),
                sha256=f"{number:064x}",
                uri="/a.jpg",
                split=Split.TRAIN,
                author="eve",
                now=NOW,
            )
    poor = ranked((bob, 0.3), index=1, outcome=FaceOutcome.LOW_QUALITY)
    job = store(
        database,
        model,
        ledger.result(0, ranked((ada, 0.9), (bob, 0.2))),
        ledger.result(1, ranked((ada, 0.9), (bob, 0.2)), poor),
        ledger.result(2, ranked((ada, 0.9), (bob, 0.2)), ranked((bob, 0.4), index=1)),
    )
    assert stored(database, key(job, 0)).person == carl
    assert [stored(database, key(job, 1, number)).person for number in range(2)] == [carl, None]
    assert [stored(database, key(job, 2, number)).person for number in range(2)] == [ada, None]


def test_a_photo_that_shows_none_of_the_people_names_none_of_its_faces(
    database: Database, people: list[int], model: int
) -> None:
    with database.write() as session:
        labels.label_photo(
            session,
            person=None,
            verdict=Verdict.IS_NOT,
            sha256=f"{0:064x}",
            uri="/a.jpg",
            split=Split.TRAIN,
            author="eve",
            now=NOW,
        )
    job = store(database, model, ledger.result(0, ranked((people[0], 0.9)), ranked((people[1], 0.9), index=1)))
    assert {stored(database, key(job, 0, number)).outcome for number in range(2)} == {"unknown"}


def find(database: Database, name: str) -> Person:
    with database.read() as session:
        return find_person(session, name)


def test_faces_are_found_by_their_ids(database: Database, people: list[int], model: int) -> None:
    job = store(database, model, ledger.result(0), ledger.result(1, ranked((people[0], 0.9))))
    public = ledger.get_job(database, job).public_id
    with database.read() as session:
        assert labels.find_face(session, f"{public}-1-0") == FaceKey(job_id=job, ordinal=1, face_index=0)
        for wrong in (f"{public}-0-0", f"{public}-1-1", f"{public}-1", "j0-1-0", "ada.jpg", ""):
            with pytest.raises(UnknownIdError, match="No face has the id"):
                labels.find_face(session, wrong)


def test_the_history_of_a_face_says_who_said_what_and_what_holds(
    database: Database, people: list[int], model: int
) -> None:
    job = store(database, model, ledger.result(0, ranked((people[0], 0.9)), ranked((people[1], 0.9), index=1)))
    say(database, key(job), Verdict.IS_NOT, "Ada", by="ann")
    say(database, key(job), Verdict.IS, "Bob", by="ben")
    undo(database, key(job))
    say(database, key(job, 0, 1), Verdict.IGNORE)
    face = ranked((people[0], 0.9))
    with database.read() as session:
        past = labels.list_labels(session, f"{0:064x}", face.box_xyxy_px, alone=False)
        everything = labels.list_labels(session, f"{0:064x}", None)
    assert [(each.author, each.verdict, each.person, each.undone, each.holds) for each in past] == [
        ("ann", "is_not", "Ada", False, True),
        ("ben", "is", "Bob", True, False),
        ("eve", "is", "Bob", False, False),
    ]
    assert past[2].undoes_id == past[1].label_id
    assert len(everything) == 4


def test_no_outcome_is_stored_beside_a_correction_that_it_does_not_know(
    database: Database, people: list[int], model: int
) -> None:
    """A correction waits for the outcomes that are being stored, and those that follow wait for the correction."""
    face = ranked((people[0], 0.9), (people[1], 0.2))
    first = store(database, model, ledger.result(0, face))
    order: list[str] = []

    def correct() -> None:
        say(database, key(first), Verdict.IS_NOT, "Ada")
        order.append("corrected")

    thread = threading.Thread(target=correct)
    with database.write() as session:
        load_corrections(session, [f"{0:064x}"])  # as whoever stores outcomes does
        thread.start()
        thread.join(timeout=0.3)
        order.append("stored")
    thread.join(timeout=30)
    assert order == ["stored", "corrected"]


def test_an_outcome_that_comes_while_a_correction_is_made_waits_for_it_and_obeys(
    database: Database, people: list[int], model: int
) -> None:
    photo = ledger.result(0, ranked((people[0], 0.9), (people[1], 0.2)))
    first = store(database, model, photo)
    later, (chunk,) = ledger.add_job(database, items=1)
    lease = ledger.must_claim(database, chunk)
    thread = threading.Thread(target=ledger.finish, args=(database, lease, [photo], model))
    with database.write() as session:
        ada = find_person(session, "Ada")
        labels.label_faces(session, [key(first)], Verdict.IS_NOT, person=ada, author="eve", now=NOW)
        thread.start()
        thread.join(timeout=0.3)
        assert thread.is_alive()
    thread.join(timeout=30)
    assert stored(database, key(later)).outcome == "unknown"


def test_a_model_without_a_rule_gives_no_name_where_a_person_spoke(database: Database, people: list[int]) -> None:
    with database.write() as session:
        model = ledger.add_model(session)
    job = store(database, model, ledger.result(0, ranked((people[0], 0.9), (people[1], 0.8))))
    say(database, key(job), Verdict.IS_NOT, "Ada")
    assert stored(database, key(job)).outcome == "unknown"


def test_many_faces_are_labelled_in_one_go(database: Database, people: list[int], model: int) -> None:
    photos = [ledger.result(number, ranked((people[0], 0.9))) for number in range(600)]
    job = store(database, model, *photos)
    assert say(database, [key(job, number) for number in range(600)], Verdict.IS, "Bob") == 600
    with database.read() as session:
        named = session.scalar(select(func.count()).select_from(Face).where(Face.person_id == people[1]))
        assert session.scalar(select(func.count()).select_from(Label)) == 600
    assert named == 600
    assert counters(database, job) == (600, 0, 0, 0)
