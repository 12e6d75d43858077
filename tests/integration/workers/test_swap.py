"""The model changes while workers run: between chunks, once, and only for one that proves itself."""

from collections.abc import Callable
from dataclasses import asdict

import pytest
from sqlalchemy import distinct, func, select

from core.clock import utc_now
from core.errors import ActivationConflictError
from core.models.store import ModelStore
from db import beside, health, nodes, registry, shadow, swaps
from db.registry import get_model, list_models
from db.tables import Item, SwapFailure
from tests import ledger
from tests.factories import make_artifact, make_artifact_of, make_manifest, make_network, put_bytes
from tests.integration.workers.fleet import SmallFleet, wait_until
from tests.networks import OutOfMemory, Slow, with_nan_weights
from tests.web import Metrics, scrape
from web.app import make_app
from workers.watch import is_in_share

pytestmark = pytest.mark.one_database


def serving(fleet: SmallFleet) -> set[int | None]:
    """The models that the slots report."""
    with fleet.database.read() as session:
        return {row.model_id for row in nodes.list_nodes(session)}


def models_of_chunks(fleet: SmallFleet, job_id: int) -> list[set[int | None]]:
    """The models that decided the photos of each chunk of a job."""
    models = {item.ordinal: item.model_id for item in ledger.items_of(fleet.database, job_id)}
    return [
        {models[ordinal] for ordinal in range(chunk.first_ordinal, chunk.first_ordinal + chunk.item_count)}
        for chunk in fleet.chunks()
        if chunk.job_id == job_id
    ]


def test_a_swap_shows_on_later_chunks_and_no_chunk_has_two_models(sqlite_fleet: SmallFleet) -> None:
    old = sqlite_fleet.add_model()
    new = sqlite_fleet.add_model(activate=False, seed=1)
    sqlite_fleet.start(slots=2)
    photos = sorted(sqlite_fleet.photos(16).glob("*.png"))
    manifest = sqlite_fleet.folder / "manifest.csv"  # more than is done while a model loads
    manifest.write_text("\n".join(["uri", *(str(photos[number % 16]) for number in range(1600))]))
    submission = sqlite_fleet.submit(manifest)
    wait_until(lambda: sqlite_fleet.job(submission).items_faces > 0, "the first chunk is done")
    sqlite_fleet.activate(new)
    wait_until(lambda: serving(sqlite_fleet) == {new}, "both slots serve it")
    later = sqlite_fleet.submit(sqlite_fleet.photos(16, name="later"))
    sqlite_fleet.wait_done(submission)
    sqlite_fleet.wait_done(later)
    of_chunks = models_of_chunks(sqlite_fleet, sqlite_fleet.job(submission).id)
    assert {len(models) for models in of_chunks} == {1}
    assert set().union(*of_chunks) == {old, new}
    assert models_of_chunks(sqlite_fleet, sqlite_fleet.job(later).id) == [{new}, {new}]


def test_photos_are_identified_while_a_model_loads(sqlite_fleet: SmallFleet) -> None:
    old = sqlite_fleet.add_model()
    store = ModelStore.from_settings(sqlite_fleet.settings)
    slow = register(sqlite_fleet, make_artifact_of(store, Slow(make_network(3).gallery), make_manifest()))
    node = sqlite_fleet.start()
    sqlite_fleet.activate(slow)
    job = sqlite_fleet.wait_done(sqlite_fleet.submit(sqlite_fleet.photos(80)))
    assert (job.items_faces, serving(sqlite_fleet)) == (80, {old})
    wait_until(lambda: serving(sqlite_fleet) == {slow}, f"it serves in the end:\n{node.log}")


def test_a_worker_that_is_stopped_while_a_model_loads_ends_soon_and_cleanly(sqlite_fleet: SmallFleet) -> None:
    sqlite_fleet.add_model()
    store = ModelStore.from_settings(sqlite_fleet.settings)
    slow = register(sqlite_fleet, make_artifact_of(store, Slow(make_network(3).gallery), make_manifest()))
    node = sqlite_fleet.start()
    sqlite_fleet.activate(slow)
    assert sqlite_fleet.wait_done(sqlite_fleet.submit(sqlite_fleet.photos(8))).items_faces == 8  # it has heard of it
    assert node.stop() == 0
    assert "Traceback" not in node.log
    assert f"model {slow} is loaded" not in node.log


def sha256_of(fleet: SmallFleet, model_id: int) -> str:
    with fleet.database.read() as session:
        return get_model(session, f"v{model_id}").sha256


def corrupt_file(store: ModelStore) -> str:
    """A file whose bytes changed after it was stored."""
    sha256 = make_artifact(store, seed=2)
    path = store.path(sha256)
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:-100] + bytes(100))
    return sha256


def another_file(store: ModelStore) -> str:
    """A good model under the name of another one."""
    good, other = make_artifact(store, seed=3), make_artifact(store, seed=4)
    store.path(other).unlink()
    store.path(good).rename(store.root / f"{other}.pt")
    return other


BAD: dict[str, tuple[Callable[[ModelStore], str], str]] = {
    "a missing file": (lambda store: "0" * 64, "artifact_missing"),
    "a corrupt file": (corrupt_file, "artifact_corrupt"),
    "no model at all": (lambda store: put_bytes(store, b"this is no model"), "artifact_corrupt"),
    "a wrong hash": (another_file, "artifact_corrupt"),
    "NaN weights": (lambda store: make_artifact_of(store, with_nan_weights(), make_manifest()), "model_parity"),
    "a wrong class count": (lambda store: make_artifact_of(store, make_network(4), make_manifest()), "model_parity"),
    "no memory for it": (
        lambda store: make_artifact_of(store, OutOfMemory(make_network(3).gallery), make_manifest()),
        "model_too_large_for_memory",
    ),
}


def register(fleet: SmallFleet, sha256: str) -> int:
    manifest = make_manifest()
    values = {"backbone": manifest.backbone, "recipe": manifest.recipe, "rule": asdict(manifest.rule)}
    with fleet.database.write() as session:
        return registry.register_model(
            session, sha256=sha256, manifest=values, run_id=None, parent_id=None, now=utc_now()
        ).id


def failures_of(fleet: SmallFleet, model_id: int) -> list[SwapFailure]:
    with fleet.database.read() as session:
        return list(swaps.failures_of_model(session, model_id))


def scraped(fleet: SmallFleet) -> Metrics:
    """What Prometheus sees."""
    return scrape(make_app(fleet.database, fleet.doorbell, fleet.settings))


def failing(fleet: SmallFleet) -> list[tuple[str, ...]]:
    """Worker, model, code and place of each failure that an alert would fire for."""
    names = ("worker", "model", "code", "place")
    found = scraped(fleet).labelled("swap_failing")
    return [tuple(labels[name] for name in names) for labels, value in found if value == 1]


def test_models_that_cannot_serve_are_recorded_and_the_old_one_serves_on(sqlite_fleet: SmallFleet) -> None:
    """One after the other, on one node."""
    old = sqlite_fleet.add_model()
    store = ModelStore.from_settings(sqlite_fleet.settings)
    bad = {name: (register(sqlite_fleet, make(store)), code) for name, (make, code) in BAD.items()}
    node = sqlite_fleet.start()
    for generation, (name, (model, code)) in enumerate(bad.items(), start=2):
        sqlite_fleet.activate(model)
        wait_until(lambda: failures_of(sqlite_fleet, model) != [], f"{name} is recorded:\n{node.log}")  # noqa: B023
        [failure], [slot] = failures_of(sqlite_fleet, model), sqlite_fleet.slots_of(node)
        expected = (slot.name, generation, code, None)
        assert (failure.worker, failure.generation, failure.code, failure.ended_at) == expected, name
        assert failure.message == slot.model_error, name
        assert (slot.model_id, slot.generation) == (old, 1), name
        photos = sqlite_fleet.photos(8, name=f"photos {generation}")
        assert sqlite_fleet.wait_done(sqlite_fleet.submit(photos)).items_faces == 8, name
        with sqlite_fleet.database.read() as session:
            found = health.read_health(session, utc_now(), sqlite_fleet.settings.lease_s)
        assert [each.code for each in found.failures] == [code], name
        assert found.problems == (f"{slot.name}: {failure.message}",), name
        assert failing(sqlite_fleet) == [(slot.name, f"v{model}", code, "active")], name
    metrics = scraped(sqlite_fleet)
    assert metrics.value("worker_current", worker=slot.name, role="identify") == 0
    assert metrics.value("worker_generation", worker=slot.name, role="identify") == 1
    assert len(metrics.labelled("swap_failures_total")) == len(bad)
    assert sqlite_fleet.count(Item, Item.model_id == old) == 8 * len(bad)


@pytest.mark.long  # a failure and its end without processes: tests/unit/core/models/test_loader.py
def test_a_file_that_comes_back_is_loaded_after_a_pause_and_the_failure_has_ended(sqlite_fleet: SmallFleet) -> None:
    sqlite_fleet.add_model()
    late = sqlite_fleet.add_model(activate=False, seed=1)
    store = ModelStore.from_settings(sqlite_fleet.settings)
    path = store.path(sha256_of(sqlite_fleet, late))
    aside = path.rename(sqlite_fleet.folder / "aside.pt")
    node = sqlite_fleet.start()
    sqlite_fleet.activate(late)
    wait_until(lambda: failures_of(sqlite_fleet, late) != [], "it is missed")
    aside.rename(path)
    wait_until(lambda: serving(sqlite_fleet) == {late}, f"it serves:\n{node.log}")
    wait_until(lambda: failures_of(sqlite_fleet, late)[0].ended_at is not None, "the failure has ended")
    [failure], [slot] = failures_of(sqlite_fleet, late), sqlite_fleet.slots_of(node)
    assert failure.attempts == 1, "it was not tried in a hot loop"
    assert failing(sqlite_fleet) == []
    assert scraped(sqlite_fleet).value("worker_current", worker=slot.name, role="identify") == 1
    assert slot.model_error is None


def test_of_two_activations_at_once_one_wins_and_all_serve_it(sqlite_fleet: SmallFleet) -> None:
    sqlite_fleet.add_model()
    both = [sqlite_fleet.add_model(activate=False, seed=seed) for seed in (1, 2)]
    sqlite_fleet.start(slots=2)

    def activate(model_id: int) -> int:
        with sqlite_fleet.database.write() as session:
            model = get_model(session, f"v{model_id}")
            return registry.activate_model(session, model, who="t", why="t", now=utc_now(), expected=1)

    ends = ledger.race([lambda: activate(both[0]), lambda: activate(both[1])])
    [winner] = [model for model, end in zip(both, ends, strict=True) if end == 2]
    [refused] = [end for end in ends if end != 2]
    assert isinstance(refused, ActivationConflictError)
    wait_until(lambda: serving(sqlite_fleet) == {winner}, "both slots serve the winner")
    with sqlite_fleet.database.read() as session:
        assert {row.generation for row in nodes.list_nodes(session)} == {2}
        assert [model.state for model in list_models(session)].count("active") == 1


def test_a_canary_decides_its_chunks_on_every_worker_and_a_shadow_scores_them(sqlite_fleet: SmallFleet) -> None:
    active = sqlite_fleet.add_model()
    other = sqlite_fleet.add_model(activate=False, seed=1)
    sqlite_fleet.start(slots=2)

    def stand_beside(put: Callable[..., None], share: float) -> None:
        with sqlite_fleet.database.write() as session:
            put(session, get_model(session, f"v{other}"), share, who="t", now=utc_now())

    def all_hold_it() -> bool:
        with sqlite_fleet.database.read() as session:
            return {row.beside_id for row in nodes.list_nodes(session)} == {other}

    stand_beside(beside.set_canary, 0.5)
    wait_until(all_hold_it, "both slots hold the canary")
    job = sqlite_fleet.wait_done(sqlite_fleet.submit(sqlite_fleet.photos(160)))
    chunk_ids = [chunk.id for chunk in sqlite_fleet.chunks()]
    expected = [{other if is_in_share(chunk_id, other, 0.5) else active} for chunk_id in chunk_ids]
    assert models_of_chunks(sqlite_fleet, job.id) == expected
    assert {active} in expected and {other} in expected

    stand_beside(beside.set_shadow, 0.5)
    later = sqlite_fleet.wait_done(sqlite_fleet.submit(sqlite_fleet.photos(160, name="later")))
    chunk_ids = [chunk.id for chunk in sqlite_fleet.chunks() if chunk.job_id == later.id]
    scored = sum(is_in_share(chunk_id, other, 0.5) for chunk_id in chunk_ids)

    def report() -> shadow.ShadowReport:
        with sqlite_fleet.database.read() as session:
            return shadow.read_report(session, other)

    wait_until(lambda: report().chunks == scored > 0, f"{scored} chunks are scored")
    assert set().union(*models_of_chunks(sqlite_fleet, later.id)) == {active}
    assert (report().agreed, report().failed_chunks) == (1.0, 0)


@pytest.mark.long  # the first test here, faster and for longer
def test_no_row_of_a_chunk_names_another_model_than_the_others(fleet: SmallFleet) -> None:
    """While models are activated as fast as that goes."""
    models = [fleet.add_model(activate=number == 0, seed=number) for number in range(4)]
    fleet.start(slots=2)
    submission = fleet.submit(fleet.photos(800))
    turn = 0
    while fleet.job(submission).state != "done":
        turn += 1
        fleet.activate(models[turn % len(models)])
    job = fleet.job(submission)
    assert (job.items_faces, job.items_error) == (800, 0)
    assert {len(models) for models in models_of_chunks(fleet, job.id)} == {1}
    last = models[turn % len(models)]
    wait_until(lambda: serving(fleet) == {last}, "both slots serve the last one")
    with fleet.database.read() as session:
        assert session.scalar(select(func.count(distinct(Item.model_id)))) > 1
