"""Clusters in the ledger: who waits for a name, who is listed, what is said of all at once, and what is taken back."""

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from core.errors import UnknownIdError
from core.records import Verdict
from db import clusters
from db.engine import Database
from db.people import find_person, get_or_add_person
from db.redecide import FaceKey
from tests import clustered, ledger
from tests.clustered import BACKBONE, store_people
from tests.labelled import say, stored, undo
from tests.ledger import NOW

if TYPE_CHECKING:
    from db.clusters import OpenCluster

DIGEST = bytes.fromhex(BACKBONE)
LATER = NOW + timedelta(minutes=1)


@pytest.fixture
def ada(database: Database) -> int:
    return ledger.add_people(database, "Ada", "Bob")[0]


@pytest.fixture
def faces(database: Database, ada: int) -> list[FaceKey]:
    """Three faces of one stranger, two of another, one of a third; Ada is the nearest to all."""
    model = clustered.add_model(database)
    return store_people(database, model, ada, [(1, 0), (1, 1), (1, 2), (2, 0), (2, 1), (3, 0)])[1]


def waiting(database: Database) -> list[FaceKey]:
    with database.read() as session:
        return sorted((face.key for face in clusters.nameless_faces(session, DIGEST, 100)), key=lambda key: key.ordinal)


def listed(database: Database, **options: int) -> list[tuple[str, int]]:
    with database.read() as session:
        return [(each.name, each.faces) for each in clusters.open_clusters(session, 10, **options)]


def add(database: Database, *groups: list[FaceKey]) -> list[int]:
    with database.write() as session:
        return [clusters.add_cluster(session, DIGEST, group, NOW) for group in groups]


def name(database: Database, cluster_id: int, person: str) -> int:
    with database.write() as session:
        cluster = clusters.get_cluster(session, f"c{cluster_id}")
        who = get_or_add_person(session, person, NOW)
        return clusters.label_cluster(session, cluster, Verdict.IS, person=who, author="eve", now=LATER)


def take_back(database: Database, cluster_id: int) -> int:
    with database.write() as session:
        return clusters.undo_cluster(session, clusters.get_cluster(session, f"c{cluster_id}"), author="eve", now=LATER)


def test_faces_without_a_name_wait_and_those_in_a_cluster_no_longer(database: Database, faces: list[FaceKey]) -> None:
    assert waiting(database) == faces
    add(database, faces[:3])
    assert waiting(database) == faces[3:]


def test_the_newest_faces_are_asked_first(database: Database, faces: list[FaceKey]) -> None:
    with database.read() as session:
        assert [face.key for face in clusters.nameless_faces(session, DIGEST, 2)] == [faces[5], faces[4]]


def test_embeddings_of_another_backbone_are_not_compared(database: Database, faces: list[FaceKey]) -> None:
    with database.read() as session:
        assert list(clusters.nameless_faces(session, b"x" * 32, 100)) == []


def test_who_was_named_or_is_nobody_does_not_wait_and_who_is_only_not_ada_does(
    database: Database, faces: list[FaceKey]
) -> None:
    say(database, faces[0], Verdict.IS, "Ada")
    say(database, faces[1], Verdict.IS_NOT)
    say(database, faces[2], Verdict.IGNORE)
    say(database, faces[3], Verdict.NOT_A_FACE)
    say(database, faces[4], Verdict.IS_NOT, "Ada")
    assert waiting(database) == faces[4:]


def test_clusters_are_listed_the_largest_first_in_pages(database: Database, faces: list[FaceKey]) -> None:
    small, large, single = add(database, faces[3:5], faces[:3], faces[5:])
    assert listed(database) == [(f"c{large}", 3), (f"c{small}", 2), (f"c{single}", 1)]
    assert listed(database, least_faces=2) == [(f"c{large}", 3), (f"c{small}", 2)]
    with database.read() as session:
        first = clusters.open_clusters(session, 1)
        rest = clusters.open_clusters(session, 10, first[-1])
        assert [each.cluster_id for each in rest] == [small, single]
        assert clusters.count_open(session) == (3, 6)


def test_pages_join_between_clusters_of_one_size(database: Database, faces: list[FaceKey]) -> None:
    added = add(database, faces[:2], faces[2:4], faces[4:])
    seen: list[int] = []
    after: OpenCluster | None = None
    with database.read() as session:
        while page := clusters.open_clusters(session, 1, after):
            seen += [each.cluster_id for each in page]
            after = page[-1]
    assert seen == added


def test_a_cluster_says_who_is_nearest_and_how_many_photos_it_is_from(database: Database, ada: int) -> None:
    model = clustered.add_model(database)
    near = clustered.photo_of(1, 1, 0, ada, similarity=0.45)  # the same photo as the first one, seen again
    job = clustered.store(database, model, clustered.photo_of(0, 1, 0, ada), near)
    keys = [FaceKey(job_id=job, ordinal=ordinal, face_index=0) for ordinal in (0, 1)]
    add(database, keys)
    public_id = ledger.get_job(database, job).public_id
    with database.read() as session:
        (found,) = clusters.open_clusters(session, 10)
        assert (found.faces, found.photos, found.nearest, found.similarity) == (2, 1, "Ada", 0.45)
        assert found.sample == f"{public_id}-0-0"


def test_naming_a_cluster_names_its_faces_at_once_and_closes_it(database: Database, faces: list[FaceKey]) -> None:
    (cluster,) = add(database, faces[:3])
    assert name(database, cluster, "Carl") == 3
    with database.read() as session:
        carl = find_person(session, "Carl").id
    assert {(stored(database, key).outcome, stored(database, key).person) for key in faces[:3]} == {
        ("identified", carl)
    }
    assert ledger.get_job(database, faces[0].job_id).faces_identified == 3
    assert listed(database) == []
    assert name(database, cluster, "Carl") == 0


def test_taking_a_name_back_opens_the_cluster_and_leaves_what_was_said_of_one_face(
    database: Database, faces: list[FaceKey]
) -> None:
    (cluster,) = add(database, faces[:3])
    say(database, faces[0], Verdict.IS, "Bob")
    assert name(database, cluster, "Carl") == 2
    assert take_back(database, cluster) == 2
    assert listed(database) == [(f"c{cluster}", 2)]
    assert stored(database, faces[0]).outcome == "identified"
    assert take_back(database, cluster) == 0


def test_taking_back_the_label_of_one_face_opens_its_cluster(database: Database, faces: list[FaceKey]) -> None:
    (cluster,) = add(database, faces[:3])
    name(database, cluster, "Carl")
    undo(database, faces[1])
    assert listed(database) == [(f"c{cluster}", 1)]


def test_a_rejected_cluster_is_closed_and_can_be_opened_again(database: Database, faces: list[FaceKey]) -> None:
    (cluster,) = add(database, faces[:3])
    with database.write() as session:
        found = clusters.get_cluster(session, f"c{cluster}")
        assert clusters.label_cluster(session, found, Verdict.IS_NOT, person=None, author="eve", now=LATER) == 3
    assert listed(database) == []
    assert take_back(database, cluster) == 3
    assert listed(database) == [(f"c{cluster}", 3)]


def test_parts_of_a_cluster_take_its_place(database: Database, faces: list[FaceKey]) -> None:
    (cluster,) = add(database, faces[:5])
    with database.write() as session:
        found = clusters.get_cluster(session, f"c{cluster}")
        one, other = clusters.split_cluster(session, found, [faces[:3], faces[3:5]], NOW)
    assert listed(database) == [(f"c{one}", 3), (f"c{other}", 2)]
    with database.read() as session:
        assert clusters.get_cluster(session, f"c{one}").parent_id == cluster
        assert {member.key for member in clusters.cluster_members(session, other)} == set(faces[3:5])


def test_a_face_is_in_one_cluster_whoever_comes_second(database: Database, faces: list[FaceKey]) -> None:
    first, second = add(database, faces[:3], faces[1:5])
    assert listed(database) == [(f"c{first}", 3), (f"c{second}", 2)]


def test_open_clusters_are_compared_by_the_faces_that_still_wait(database: Database, faces: list[FaceKey]) -> None:
    first, second = add(database, faces[:3], faces[3:5])
    say(database, faces[0], Verdict.IS, "Ada")
    with database.read() as session:
        rows = list(clusters.open_vectors(session, DIGEST))
        members = clusters.member_vectors(session, clusters.get_cluster(session, f"c{first}"))
    assert [cluster for cluster, _ in rows] == [first, first, second, second]
    assert set(members) == set(faces[1:3])


@pytest.mark.parametrize("wrong", ["c99", "7", "c", "c-1", "x7", "c1 "])
def test_an_id_that_no_cluster_has_is_named(database: Database, wrong: str) -> None:
    with database.read() as session, pytest.raises(UnknownIdError, match="facefleet cluster list"):
        clusters.get_cluster(session, wrong)
