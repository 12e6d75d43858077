"""Short ways to a training run of a small fleet: two people with drawn photos, a queued run, and what became of it."""

from PIL import Image

from core.clock import utc_now
from core.settings import Settings
from db import runs
from db.engine import Database
from db.tables import Run
from tests.factories import make_face
from tests.integration.workers.fleet import SmallFleet, wait_until
from workers.enrolment import import_people
from workers.pulse import SlotReporter
from workers.spec import Role, make_spec
from workers.stop import StopFlag
from workers.train import TrainContext


def make_context(database: Database, settings: Settings) -> TrainContext:
    """What a trainer on one core has at hand, without the trainer."""
    spec = make_spec(Role.TRAIN, settings, device="cpu", slots=1)
    return TrainContext(
        database=database,
        settings=settings,
        reporter=SlotReporter(spec, spec.slot_name(0), database, utc_now, None),
        stop=StopFlag(),
        clock=utc_now,
        devices=("cpu",),
        threads=1,
    )


def import_two_people(fleet: SmallFleet) -> None:
    """Label a few drawn photos of two people, and one photo that is damaged later."""
    for person, name in enumerate(["Ada", "Grace"]):
        for split, count in (("train", 4), ("test", 2)):
            folder = fleet.folder / "labelled" / split / name
            folder.mkdir(parents=True)
            for number in range(count):
                pixels = make_face(person, 64, shade=number if split == "train" else 7 + number)
                Image.fromarray(pixels).save(folder / f"{number}.png")
    report = import_people(fleet.database, fleet.settings, fleet.folder / "labelled", None, "test")
    assert (report.people, report.photos_added, report.failed) == (2, 12, [])


def queue_run(fleet: SmallFleet, *, epochs: int, activate: bool = True, recipe: str = "compact") -> Run:
    """Queue a run and ring for it."""
    options = {"epochs": epochs, "seed": 1, "activate": activate}
    with fleet.database.write() as session:
        run = runs.create_run(session, recipe=recipe, options=options, now=utc_now())
    fleet.doorbell.ring_run(run.id)
    return run


def state_of(fleet: SmallFleet, run: Run) -> Run:
    """Read a run."""
    with fleet.database.read() as session:
        return runs.get_run(session, run.public_id)


def epochs_of(fleet: SmallFleet, run: Run) -> list[int]:
    """Return the epochs that were recorded."""
    with fleet.database.read() as session:
        return [row.epoch for row in runs.list_epochs(session, run.id)]


def wait_ended(fleet: SmallFleet, run: Run, *, sweeping: bool = False) -> Run:
    """Wait until a run has ended; return it."""

    def has_ended() -> bool:
        if sweeping:
            fleet.sweep()
        return state_of(fleet, run).finished_at is not None

    wait_until(has_ended, "the run ended\n" + "\n".join(node.log for node in fleet.processes), 120)
    return state_of(fleet, run)
