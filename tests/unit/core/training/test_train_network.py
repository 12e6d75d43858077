"""A run as a whole: what it gives, what it leaves out, and what it refuses."""

import dataclasses
import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from core.errors import RunCancelledError, TooFewPeopleError, TrainingError
from core.records import EpochProgress
from core.training.recipes import COMPACT
from core.training.train import Basis, TrainedNetwork, TrainingRequest, build_run, enough, load_data, train_network
from tests.gpu import on_every_device
from tests.unit.core.training.learning import example, load_drawn, make_request


def _train(request: TrainingRequest, **changes: Any) -> TrainedNetwork:
    values: dict[str, Any] = {
        "load_crop": load_drawn,
        "on_epoch": lambda epoch: None,
        "should_stop": lambda: False,
        "checkpoints": None,
    }
    return train_network(request, **{**values, **changes})


def _weights(trained: TrainedNetwork) -> dict[str, torch.Tensor]:
    return dict(trained.network.state_dict())


def _same(first: TrainedNetwork, second: TrainedNetwork) -> bool:
    return all(torch.equal(value, _weights(second)[name]) for name, value in _weights(first).items())


@pytest.fixture(scope="module")
def trained() -> TrainedNetwork:
    return _train(make_request([2] * 4, epochs=2))


def test_a_run_gives_a_network_that_can_be_served(trained: TrainedNetwork) -> None:
    crops = torch.zeros(2, 3, trained.input_size_px, trained.input_size_px, dtype=torch.uint8)
    with torch.inference_mode():
        embeddings, logits = torch.jit.script(trained.network)(crops)
    assert not trained.network.training
    assert embeddings.shape == (2, trained.embedding_dim)
    assert logits.shape == (2, 4)
    assert trained.gallery.shape == (4, COMPACT.prototypes, trained.embedding_dim)
    assert torch.allclose(trained.gallery.norm(dim=2), torch.ones(4, COMPACT.prototypes), atol=1e-5)


@on_every_device
def test_a_run_on_any_device_leaves_its_network_on_the_cpu(device: str) -> None:
    network = _train(make_request([2] * 3, device=device)).network
    crops = torch.zeros(1, 3, 64, 64, dtype=torch.uint8)
    with torch.inference_mode():
        assert all(answer.isfinite().all() for answer in network(crops))
    assert {value.device.type for value in network.state_dict().values()} == {"cpu"}


def test_a_run_says_what_it_was_made_from(trained: TrainedNetwork) -> None:
    assert [person.name for person in trained.classes] == ["P0", "P1", "P2", "P3"]
    assert (trained.train_count, trained.test_count, trained.skipped) == (8, 4, ())
    assert [epoch.epoch for epoch in trained.epochs] == [1, 2]
    assert trained.epochs[-1].val_accuracy is not None
    assert "left out" in trained.rule.basis
    assert json.loads(json.dumps(trained.metrics)) == trained.metrics


def test_every_test_photo_is_named_right_or_wrong_or_refused(trained: TrainedNetwork) -> None:
    test = trained.metrics["test"]
    assert test["named_right"] + test["named_wrong"] + test["refused"] == 4
    assert [person["photos"] for person in test["people"]] == [1] * 4


def test_the_same_seed_gives_the_same_network_and_another_does_not(trained: TrainedNetwork) -> None:
    assert _same(trained, _train(make_request([2] * 4, epochs=2)))
    assert not _same(trained, _train(make_request([2] * 4, epochs=2, seed=1)))


def test_training_leaves_the_global_generator_and_threads_alone() -> None:
    torch.manual_seed(7)
    threads, expected = torch.get_num_threads(), torch.rand(3)
    torch.manual_seed(7)
    _train(make_request([1, 1]))
    assert torch.equal(torch.rand(3), expected)
    assert torch.get_num_threads() == threads


def test_a_run_that_was_cut_off_goes_on_to_the_same_bits(trained: TrainedNetwork, tmp_path: Path) -> None:
    class PowerCutError(Exception):
        pass

    def cut_after_first(epoch: EpochProgress) -> None:
        raise PowerCutError

    request = make_request([2] * 4, epochs=2)
    with pytest.raises(PowerCutError):
        _train(request, on_epoch=cut_after_first, checkpoints=tmp_path)
    told: list[int] = []
    resumed = _train(request, on_epoch=lambda epoch: told.append(epoch.epoch), checkpoints=tmp_path)
    assert told == [1, 2], "the first attempt may have ended before anybody heard of its epoch"
    assert [epoch.epoch for epoch in resumed.epochs] == [1, 2]
    assert _same(trained, resumed)
    assert resumed.rule == trained.rule


def test_unreadable_photos_are_listed_and_the_rest_is_learned_from() -> None:
    request = make_request([2, 2])
    broken = dataclasses.replace(request, train=(*request.train, example(0, 99)), test=(example(1, 99),))
    trained = _train(broken)
    assert trained.train_count == 4
    assert [photo.uri for photo in trained.skipped] == ["drawn:0/99", "drawn:1/99"]
    assert trained.metrics["test"] is None


def test_a_person_without_usable_photos_is_reported_and_is_no_class() -> None:
    request = make_request([2, 0, 2])
    changed = dataclasses.replace(request, train=(*request.train, example(1, 99)))
    trained = _train(changed)
    assert [person.name for person in trained.classes] == ["P0", "P2"]
    assert trained.metrics["people_without_photos"] == ["P1"]
    assert trained.test_count == 2
    assert [person["name"] for person in trained.metrics["test"]["people"]] == ["P0", "P2"]


def test_one_photo_of_each_of_two_people_trains_and_says_what_the_rule_rests_on() -> None:
    trained = _train(make_request([1, 1]))
    assert trained.epochs[0].val_loss is None
    assert "no stranger has tested" in trained.rule.basis
    assert trained.metrics["rehearsal"]["held_out_photos"] == 0


@pytest.mark.parametrize("photos", [(), (3,), (3, 0)])
def test_fewer_than_two_people_are_refused_in_a_sentence(photos: tuple[int, ...]) -> None:
    with pytest.raises(TooFewPeopleError, match="at least two"):
        _train(make_request(photos))


def test_strangers_among_the_test_photos_are_counted_apart() -> None:
    request = make_request([2, 2])
    strangers = tuple(example(person, 0, class_index=-1) for person in (50, 51, 52))
    test = _train(dataclasses.replace(request, test=request.test + strangers)).metrics["test"]
    assert test["strangers_named"] + test["strangers_refused"] == 3
    assert test["photos"] == 5


def test_labelled_strangers_are_asked_and_not_learned() -> None:
    request = make_request([2, 2])
    strangers = tuple(example(person, 0, class_index=-1) for person in (50, 51, 52))
    mistaken = dataclasses.replace(example(60, 0, class_index=-1), not_classes=(1,))
    trained = _train(dataclasses.replace(request, train=(*request.train, *strangers, mistaken), fpir=0.05))
    assert (trained.train_count, len(trained.classes)) == (4, 2)
    assert trained.metrics["rehearsal"]["stranger_people"] == 3
    assert (trained.rule.fpir_target, trained.rule.people) == (0.05, 2)


def test_a_cancelled_run_gives_no_network() -> None:
    answers = iter([False] * 4)
    with pytest.raises(RunCancelledError):
        _train(make_request([2, 2]), should_stop=lambda: next(answers, True))


def test_an_unknown_recipe_is_refused_with_the_known_ones() -> None:
    with pytest.raises(TrainingError, match="compact"):
        _train(make_request([1, 1], recipe="sourdough"))


def test_the_seed_documents_recipe_trains_through_the_same_door() -> None:
    trained = _train(make_request([1, 1], recipe="seed"), load_crop=partial(load_drawn, size_px=150))
    assert trained.backbone == "seed"
    assert trained.input_size_px == 150
    assert trained.gallery.shape == (2, 512)


def _history(*losses: float) -> list[EpochProgress]:
    return [
        EpochProgress(
            epoch=number,
            epochs=10,
            train_loss=0.0,
            train_accuracy=1.0,
            val_loss=loss,
            val_accuracy=1.0,
            learning_rate=0.0,
            seconds=0.0,
        )
        for number, loss in enumerate(losses, start=1)
    ]


def test_training_stops_when_the_held_out_loss_has_not_fallen_for_long_enough() -> None:
    assert not enough(_history(3.0, 1.0, 2.0, 2.0), patience=0.2)
    assert enough(_history(3.0, 1.0, 2.0, 2.0, 2.0), patience=0.2)
    assert not enough(_history(3.0, 1.0, 2.0, 2.0, 2.0), patience=None)
    assert not enough([], patience=0.1)


def test_the_networks_of_a_run_are_spread_over_its_devices() -> None:
    """The device `meta` stands for a second GPU: networks can be put there, and compute nothing."""
    request = make_request([2] * 12, device="cpu", more_devices=("meta",))
    data = load_data(request, load_drawn, 64, lambda: False)
    run = build_run(request, COMPACT, data, 1, Basis(backbone="compact", input_size_px=64, build=None))
    assert [learner.device.type for learner in run.learners.values()] == ["cpu", "meta", "cpu"]
    assert {next(each.network.parameters()).device.type for each in run.learners.values()} == {"cpu", "meta"}
    assert run.devices == {torch.device("cpu"), torch.device("meta")}
