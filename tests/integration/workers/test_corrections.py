"""Corrections while real workers store outcomes: they hold for whatever is stored later, under any model."""

from pathlib import Path

import pytest
from sqlalchemy import select

from core.clock import utc_now
from core.records import Verdict
from db import labels, people
from db.redecide import FaceKey
from db.tables import Face, Item, Job
from tests.integration.workers.fleet import SmallFleet, wait_until
from tests.integration.workers.held import HeldPhoto
from workers.enrolment import import_people
from workers.submit import Submission

pytestmark = pytest.mark.one_database


def names(fleet: SmallFleet, submission: Submission) -> list[str | None]:
    """Who is in the photos of a job, by the photos' names."""
    with fleet.database.read() as session:
        query = select(Item.uri, Face.person_id).join(
            Face, (Face.job_id == Item.job_id) & (Face.ordinal == Item.ordinal)
        )
        job = select(Job.id).where(Job.public_id == submission.job_public_id).scalar_subquery()
        rows = session.execute(query.where(Item.job_id == job)).all()
        known = people.person_names(session, {row.person_id for row in rows if row.person_id is not None})
    return [known.get(row.person_id) for row in sorted(rows, key=lambda row: Path(row.uri).name)]


def correct(fleet: SmallFleet, submission: Submission, ordinal: int, verdict: Verdict, name: str | None = None) -> None:
    """Say something of the face of a photo of a job."""
    with fleet.database.write() as session:
        job_id = session.scalars(select(Job.id).where(Job.public_id == submission.job_public_id)).one()
        face = FaceKey(job_id=job_id, ordinal=ordinal, face_index=0)
        person = people.find_person(session, name) if name else None
        labels.label_faces(session, [face], verdict, person=person, author="eve", now=utc_now())


def test_a_correction_made_while_a_job_runs_holds_for_every_outcome_stored_after_it(fleet: SmallFleet) -> None:
    fleet.add_model()
    folder = fleet.photos(8)
    fleet.start()
    first = fleet.submit(folder)
    fleet.wait_done(first)
    assert names(fleet, first) == ["Ada", "Grace", "Edsger", "Ada", "Grace", "Edsger", "Ada", "Grace"]
    held = HeldPhoto(folder / "0007.png")
    second = fleet.submit(held.manifest)
    wait_until(lambda: fleet.chunks()[-1].state == "claimed", "a worker is at the photos")
    correct(fleet, first, 0, Verdict.IS_NOT, "Ada")
    correct(fleet, first, 1, Verdict.IS, "Edsger")
    correct(fleet, first, 2, Verdict.IGNORE)
    assert names(fleet, first)[:4] == [None, "Edsger", None, "Ada"]
    held.let_go()
    job = fleet.wait_done(second)
    assert names(fleet, second) == names(fleet, first)
    assert (job.faces_identified, job.faces_unknown, job.faces_low_quality) == (6, 1, 1)


def test_what_is_not_somebody_is_not_after_a_new_model_an_import_and_another_job(fleet: SmallFleet) -> None:
    fleet.add_model()
    folder = fleet.photos(3)
    fleet.start()
    first = fleet.submit(folder)
    fleet.wait_done(first)
    correct(fleet, first, 0, Verdict.IS_NOT, "Ada")
    album = fleet.folder / "people" / "Ada"
    album.mkdir(parents=True)
    (album / "copy.png").write_bytes((folder / "0000.png").read_bytes())
    (album / "other.png").write_bytes((fleet.photos(4, name="more") / "0003.png").read_bytes())
    report = import_people(fleet.database, fleet.settings, album.parent, None, "test")
    assert (report.photos_added, report.photos_kept) == (1, 1)
    with fleet.database.read() as session:
        _, train, _ = people.training_set(session)
    assert [(Path(each.uri).name, each.class_index, each.not_classes) for each in train] == [
        ("other.png", 0, ()),
        ("0000.png", -1, (0,)),
    ]
    fleet.add_model(seed=1)
    again = fleet.submit(album)
    fleet.wait_done(again)
    assert names(fleet, again) == [None, "Ada"]
    with fleet.database.write() as session:
        assert labels.undo_labels(
            session,
            [FaceKey(job_id=fleet.job(again).id, ordinal=0, face_index=0)],
            author="eve",
            now=utc_now(),
        )
    assert names(fleet, again) == ["Ada", "Ada"]
    assert names(fleet, first) == ["Ada", "Grace", "Edsger"]
