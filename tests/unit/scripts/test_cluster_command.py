"""Finding, looking at, naming, splitting and rejecting clusters on the command line."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core.records import Verdict
from db.engine import Database
from db.redecide import FaceKey
from db.tables import Face, Item
from tests import clustered, ledger
from tests.clustered import store_people
from tests.factories import make_photo
from tests.labelled import say, stored
from tests.unit.scripts.runner import Run

TWO_PEOPLE = [(1, 0), (2, 0), (1, 1), (2, 1), (1, 2), (3, 0)]


@pytest.fixture
def ada(database: Database) -> int:
    return ledger.add_people(database, "Ada")[0]


@pytest.fixture
def model(database: Database) -> int:
    return clustered.add_model(database)


@pytest.fixture
def faces(database: Database, ada: int, model: int) -> list[FaceKey]:
    """Three faces of a stranger, two of another and one of a third."""
    return store_people(database, model, ada, TWO_PEOPLE)[1]


def listed(run: Run) -> list[tuple[str, int]]:
    return [(each["cluster"], each["faces"]) for each in run("cluster", "list", "--json").document["clusters"]]


def members(run: Run, cluster: str) -> set[str]:
    return {each["face"] for each in run("cluster", "show", cluster, "--json").document["faces"]}


def ordinals(faces: set[str]) -> set[int]:
    return {int(face.split("-")[1]) for face in faces}


def add_photos(database: Database, model: int, ada: int, shown: Sequence[tuple[int, int]]) -> list[FaceKey]:
    return store_people(database, model, ada, shown)[1]


def test_faces_that_look_alike_become_clusters(run: Run, faces: list[FaceKey]) -> None:
    ran = run("cluster", "update", "--json")
    assert ran.code == 0
    assert ran.document == {
        "new_clusters": 2,
        "faces_in_new": 5,
        "faces_joined": 0,
        "faces_alone": 1,
        "left_out": False,
        "clusters": 2,
    }
    assert sorted(faces for _, faces in listed(run)) == [2, 3]
    assert ordinals(members(run, listed(run)[0][0])) == {0, 2, 4}


def test_new_faces_join_and_clusters_keep_their_ids(
    run: Run, database: Database, faces: list[FaceKey], model: int, ada: int
) -> None:
    run("cluster", "update")
    before = {cluster: members(run, cluster) for cluster, _ in listed(run)}
    add_photos(database, model, ada, [(2, 5), (3, 1), (4, 0)])
    again = run("cluster", "update", "--json").document
    assert (again["faces_joined"], again["new_clusters"], again["faces_in_new"]) == (1, 1, 2)
    after = {cluster: members(run, cluster) for cluster, _ in listed(run)}
    assert all(before[cluster] <= after[cluster] for cluster in before)
    assert len(after) == 3
    assert run("cluster", "update", "--json").document["faces_joined"] == 0


def test_the_same_photo_seen_twice_is_no_cluster(run: Run, database: Database, model: int, ada: int) -> None:
    add_photos(database, model, ada, [(1, 0)])
    add_photos(database, model, ada, [(1, 0)])
    assert run("cluster", "update", "--json").document["new_clusters"] == 0
    add_photos(database, model, ada, [(1, 1)])
    assert run("cluster", "update", "--json").document["faces_in_new"] == 3
    assert run("cluster", "list", "--json").document["clusters"][0]["photos"] == 2


def test_a_cluster_is_named_once_and_all_of_it_becomes_labels(
    run: Run, database: Database, faces: list[FaceKey]
) -> None:
    run("cluster", "update")
    (large, _), (small, _) = listed(run)
    ran = run("cluster", "name", large, "Grace", "--json")
    assert ran.document == {"cluster": large, "person": "Grace", "labels": 3}
    assert {stored(database, faces[ordinal]).outcome for ordinal in (0, 2, 4)} == {"identified"}
    assert [cluster for cluster, _ in listed(run)] == [small]
    assert run("cluster", "show", large, "--json").document["named"] == "Grace"
    assert run("cluster", "undo", large, "--json").document["undone"] == 3
    assert [cluster for cluster, _ in listed(run)] == [large, small]


def test_a_name_that_cannot_be_labels_nothing(run: Run, faces: list[FaceKey]) -> None:
    run("cluster", "update")
    (large, _), _ = listed(run)
    assert run("cluster", "name", large, "a/b").code == 2
    assert len(listed(run)) == 2


@pytest.mark.parametrize(
    ("what", "outcome"), [("stranger", "unknown"), ("ignore", "low_quality"), ("not-a-face", "low_quality")]
)
def test_a_rejected_cluster_does_not_come_back(
    run: Run, database: Database, faces: list[FaceKey], what: str, outcome: str
) -> None:
    run("cluster", "update")
    (large, _), (small, _) = listed(run)
    assert run("cluster", "reject", large, "--as", what, "--json").document["labels"] == 3
    assert stored(database, faces[0]).outcome == outcome
    run("cluster", "update")
    assert [cluster for cluster, _ in listed(run)] == [small]


def test_a_cluster_of_two_people_is_split(run: Run, database: Database, model: int, ada: int) -> None:
    keys = add_photos(database, model, ada, [(1, photo) for photo in range(4)] + [(2, photo) for photo in range(3)])
    from db.clusters import add_cluster

    with database.write() as session:
        cluster = add_cluster(session, bytes.fromhex(clustered.BACKBONE), keys, ledger.NOW)
    parts = run("cluster", "split", f"c{cluster}", "--json").document["parts"]
    assert [part["faces"] for part in parts] == [4, 3]
    assert ordinals(members(run, parts[0]["cluster"])) == {0, 1, 2, 3}
    assert run("cluster", "show", parts[0]["cluster"], "--json").document["split_from"] == f"c{cluster}"
    run("cluster", "update")
    assert listed(run) == [(part["cluster"], part["faces"]) for part in parts]


def test_a_cluster_too_small_for_its_parts_stays(run: Run, faces: list[FaceKey]) -> None:
    run("cluster", "update")
    _, (small, _) = listed(run)
    ran = run("cluster", "split", small, "--parts", "3")
    assert ran.code == 2
    assert "2 faces without a name, too few for 3 parts" in ran.err
    assert len(listed(run)) == 2


def test_the_face_least_like_the_others_is_shown_last(run: Run, database: Database, model: int, ada: int) -> None:
    keys = add_photos(database, model, ada, [(1, 0), (2, 0), (1, 1), (1, 2)])
    from db.clusters import add_cluster

    with database.write() as session:
        cluster = add_cluster(session, bytes.fromhex(clustered.BACKBONE), keys, ledger.NOW)
    shown = run("cluster", "show", f"c{cluster}", "--json").document["faces"]
    assert shown[-1]["face"].split("-")[1] == "1"
    assert shown[-1]["alike"] < 0.3 < 0.4 < shown[0]["alike"]


def test_a_model_trained_from_scratch_has_nothing_to_compare(run: Run, database: Database) -> None:
    clustered.add_model(database, backbone=None)
    ran = run("cluster", "update")
    assert ran.code == 2
    assert "trained from scratch" in ran.err
    assert ran.err.count("\n") == 1


def test_without_a_model_or_a_face_it_says_so(run: Run, database: Database) -> None:
    assert "facefleet retrain" in run("cluster", "update").err
    clustered.add_model(database)
    assert run("cluster", "update", "--json").document["clusters"] == 0
    assert "facefleet cluster update" in run("cluster", "list").out


@pytest.mark.parametrize("words", [("show",), ("split",), ("undo",), ("reject",), ("name",)])
def test_an_unknown_cluster_is_wrong_usage(run: Run, database: Database, words: tuple[str, ...]) -> None:
    ran = run("cluster", *words, "c9", *(["Ada"] if words == ("name",) else []))
    assert ran.code == 2
    assert "No cluster has the id 'c9'" in ran.err


def test_all_faces_of_a_cluster_are_in_one_picture(
    run: Run, database: Database, faces: list[FaceKey], tmp_path: Path
) -> None:
    lay_photos(database, faces, tmp_path)
    run("cluster", "update")
    (large, _), _ = listed(run)
    ran = run("cluster", "show", large, "--pictures", tmp_path / "out", "--json")
    assert ran.code == 0
    file = tmp_path / "out" / f"{large}.png"
    assert ran.document["picture"] == str(file)
    sheet = np.asarray(Image.open(file))
    assert sheet.shape[0] > 2 * 144 and sheet.shape[1] > 2 * 144  # two rows of two
    assert len(np.unique(sheet[6:150, 6:150].reshape(-1, 3), axis=0)) > 2  # the first face


def test_a_photo_that_is_gone_fails_alone(run: Run, database: Database, faces: list[FaceKey], tmp_path: Path) -> None:
    lay_photos(database, faces, tmp_path)
    (tmp_path / "2.png").unlink()
    run("cluster", "update")
    (large, _), _ = listed(run)
    ran = run("cluster", "show", large, "--pictures", tmp_path / "out", "--json")
    assert ran.code == 1
    assert [failure["error"]["code"] for failure in ran.document["failures"]] == ["photo_missing"]
    assert (tmp_path / "out" / f"{large}.png").exists()


def test_labels_leave_a_cluster_and_what_is_only_not_somebody_stays(
    run: Run, database: Database, faces: list[FaceKey]
) -> None:
    run("cluster", "update")
    (large, _), _ = listed(run)
    say(database, faces[0], Verdict.IS, "Ada")
    say(database, faces[2], Verdict.IS_NOT, "Ada")
    assert ordinals(members(run, large)) == {2, 4}


def lay_photos(database: Database, faces: Sequence[FaceKey], folder: Path) -> None:
    """Put a real photo behind each face."""
    with database.write() as session:
        for key in faces:
            file = folder / f"{key.ordinal}.png"
            file.write_bytes(make_photo(key.ordinal, width_px=200, height_px=200))
            item = session.get_one(Item, (key.job_id, key.ordinal))
            item.uri, item.sha256 = str(file), None
            face = session.get_one(Face, (key.job_id, key.ordinal, key.face_index))
            face.x1, face.y1, face.x2, face.y2 = 50.0, 50.0, 150.0, 150.0
