"""The review's queue, its questions and what becomes of the answers, and answering many at once."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from core.records import Verdict
from core.settings import Settings
from db.clusters import add_cluster
from db.engine import Database
from db.redecide import FaceKey
from scripts.review import queue
from scripts.review_loop import ReviewLoop
from tests import clustered, ledger
from tests.clustered import photo_of, store_people
from tests.labelled import key, label_ids, ranked, say, store, stored
from tests.unit.scripts.runner import Run


class Script:
    """Types what it was given, and keeps what it was shown."""

    def __init__(self, *answers: str) -> None:
        self.answers = list(answers)
        self.shown: list[str] = []

    def show(self, text: str) -> None:
        self.shown.append(text)

    def ask(self, question: str) -> str:
        if not self.answers:
            raise EOFError
        return self.answers.pop(0)

    @property
    def text(self) -> str:
        return "\n".join(self.shown)

    @property
    def asked_about(self) -> list[str]:
        """The face or cluster of each entry, in the order in which they were shown."""
        heads = [line.strip() for line in self.text.split("\n")]
        return [
            head.split()[1].rstrip(":")
            for head in heads
            if head.startswith(("Face ", "Cluster ")) and head.split()[1].endswith(":")
        ]


@pytest.fixture
def ada(database: Database) -> int:
    return ledger.add_people(database, "Ada", "Bob")[0]


@pytest.fixture
def model(database: Database) -> int:
    return clustered.add_model(database)


@pytest.fixture
def job(database: Database, ada: int, model: int) -> int:
    """An ambiguous face, one just above the threshold, one just below, and one far from everybody."""
    return store(
        database,
        model,
        ledger.result(0, ranked((ada, 0.2))),
        ledger.result(1, ranked((ada, 0.48))),
        ledger.result(2, ranked((ada, 0.7), (ada + 1, 0.68))),
        ledger.result(3, ranked((ada, 0.51))),
    )


@pytest.fixture
def cluster(database: Database, ada: int, model: int) -> tuple[str, list[FaceKey]]:
    """A cluster of four faces of two strangers."""
    keys = store_people(database, model, ada, [(1, 0), (1, 1), (2, 0), (2, 1)])[1]
    with database.write() as session:
        return f"c{add_cluster(session, bytes.fromhex(clustered.BACKBONE), keys, ledger.NOW)}", keys


def play(database: Database, *answers: str, folder: Path | None = None) -> Script:
    """Answer the queue."""
    script = Script(*answers)
    ReviewLoop(database, script, author="eve", settings=Settings(), folder=folder).run(queue(database))
    return script


def places(faces: Sequence[str]) -> list[int]:
    return [int(face.split("-")[1]) for face in faces]


def test_the_most_worth_comes_first(database: Database, job: int, cluster: tuple[str, list[FaceKey]]) -> None:
    asked = play(database, *[""] * 5).asked_about
    assert places([*asked[:3], asked[4]]) == [2, 3, 1, 0]
    assert asked[3] == cluster[0]


def test_the_queue_is_printed_as_json(run: Run, database: Database, job: int) -> None:
    ran = run("review", "--json", "--limit", "3")
    assert ran.code == 0
    assert [entry["reason"] for entry in ran.document["entries"]] == ["ambiguous", "near_threshold", "near_threshold"]
    assert ran.document["more"] is True
    assert ran.document["entries"][0]["runner_up"] == "Bob"
    assert run("review", "--json").document["more"] is False


def test_without_a_terminal_a_review_is_wrong_usage(run: Run, database: Database) -> None:
    ran = run("review")
    assert ran.code == 2
    assert "no terminal" in ran.err
    assert ran.err.count("\n") == 1


@pytest.mark.parametrize(
    ("answer", "outcome", "named"),
    [
        ("y", "identified", "Ada"),
        ("s", "unknown", None),
        ("x", "low_quality", None),
        ("i", "low_quality", None),
        ("bob", "identified", "Bob"),
    ],
)
def test_an_answer_is_stored_at_once(
    database: Database, job: int, ada: int, answer: str, outcome: str, named: str | None
) -> None:
    script = play(database, answer)
    found = stored(database, key(job, 2))
    assert found.outcome == outcome
    assert found.person == {"Ada": ada, "Bob": ada + 1, None: None}[named]
    assert "1 answer stored" in script.text


def test_who_is_not_the_nearest_person_does_not_come_back_as_them(database: Database, job: int, ada: int) -> None:
    play(database, "n")
    assert stored(database, key(job, 2)).candidate == ada + 1
    assert places(play(database, "").asked_about[:1]) == [3]


def test_somebody_new_is_added_when_meant(database: Database, job: int) -> None:
    script = play(database, "Zoe", "n", "Zoe", "y", "q")
    assert len(label_ids(database)) == 1
    assert stored(database, key(job, 2)).outcome == "identified"
    assert script.answers == []


def test_a_slip_of_the_finger_names_nobody(database: Database, job: int) -> None:
    script = play(database, "z", "a/b", "y", "q")
    assert "'z' is no answer here" in script.text
    assert "cannot hold" in script.text
    assert label_ids(database) == []


def test_the_last_answer_is_taken_back_and_asked_again(database: Database, job: int) -> None:
    script = play(database, "u", "y", "u", "s", "q")
    assert "Nothing was answered yet" in script.text
    assert places(script.asked_about) == [2, 3, 2, 3]
    assert stored(database, key(job, 2)).outcome == "unknown"
    assert "1 answer stored" in script.text


def test_the_end_of_the_input_ends_the_review(database: Database, job: int) -> None:
    assert "0 answers stored" in play(database).text


def test_nothing_is_asked_when_nothing_waits(database: Database) -> None:
    assert "Nothing more is worth a label" in play(database).text


def test_what_somebody_else_answered_meanwhile_is_passed_over(database: Database, job: int) -> None:
    def interrupted() -> Iterator[object]:
        entries = list(queue(database))
        say(database, key(job, 2), Verdict.IS, "Ada")
        yield from entries

    script = Script("q")
    ReviewLoop(database, script, author="eve", settings=Settings(), folder=None).run(interrupted())  # type: ignore[arg-type]
    assert places(script.asked_about) == [3]


def test_a_cluster_is_named_in_one_answer(database: Database, cluster: tuple[str, list[FaceKey]]) -> None:
    script = play(database, "Grace", "y", "u", "", "")
    assert script.asked_about == [cluster[0], cluster[0]]
    assert {stored(database, each).outcome for each in cluster[1]} == {"unknown"}
    play(database, "Ada")
    assert {stored(database, each).outcome for each in cluster[1]} == {"identified"}


@pytest.mark.parametrize(("answer", "outcome"), [("s", "unknown"), ("i", "low_quality")])
def test_a_cluster_is_rejected_in_one_answer(
    database: Database, cluster: tuple[str, list[FaceKey]], answer: str, outcome: str
) -> None:
    play(database, answer)
    assert {stored(database, each).outcome for each in cluster[1]} == {outcome}
    assert play(database).asked_about == []


def test_a_divided_cluster_is_asked_about_in_parts(database: Database, cluster: tuple[str, list[FaceKey]]) -> None:
    script = play(database, "d", "Ada", "Bob")
    assert len(script.asked_about) == 3
    people = [stored(database, each).person for each in cluster[1]]
    assert people[0] == people[1] != people[2] == people[3]


def test_a_picture_that_cannot_be_made_stops_nothing(
    database: Database, job: int, cluster: tuple[str, list[FaceKey]], tmp_path: Path
) -> None:
    script = play(database, "", "", "", "l", "q", folder=tmp_path)
    assert script.text.count("No picture:") == 5


def test_many_are_accepted_and_rejected_at_once(run: Run, database: Database, job: int, ada: int) -> None:
    ran = run("review", "--accept-above", "0.6", "--reject-below", "0.49", "--yes", "--json")
    assert ran.document == {"accepted": 1, "rejected": 1, "labels": 2}
    assert stored(database, key(job, 2)).person == ada
    assert stored(database, key(job, 1)).label is not None
    assert [stored(database, key(job, place)).label for place in (0, 3)] == [None, None]
    assert run("review", "--accept-above", "0.6", "--yes", "--json").document["labels"] == 0


def test_more_than_a_page_is_labelled_page_by_page(run: Run, database: Database, model: int, ada: int) -> None:
    store(database, model, *(photo_of(place, 1, place, ada, similarity=0.47) for place in range(1100)))
    assert run("review", "--reject-below", "0.5", "--yes", "--json").document["labels"] == 1100


@pytest.mark.parametrize(
    "options", [("--accept-above", "0.6"), ("--accept-above", "0.4", "--reject-below", "0.6", "--yes")]
)
def test_nothing_is_labelled_without_a_yes_or_twice(
    run: Run, database: Database, job: int, options: tuple[str, ...]
) -> None:
    assert run("review", *options).code == 2
    assert label_ids(database) == []
