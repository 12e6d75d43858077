"""Trains a network from labelled photos: the whole course of a run, read from top to bottom.

Networks learn side by side: the one that is kept, from every photo; and one or two rehearsals that never see some of
the people and photos. What a rehearsal does with those is the only honest source for the reject rule, the confidence
and the moment to stop, because a network gives even a stranger's photo to somebody it knows.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from core.nets.registry import NETWORKS
from core.nets.servable import Servable
from core.records import EpochProgress, PersonClass
from core.training.calibrate import Calibration
from core.training.checkpoint import fingerprint, load_checkpoint, save_checkpoint
from core.training.dataset import CropSet, check_memory, labels_at, load_crops, numbered, usable_people
from core.training.finetuned import calibrate_finetuned
from core.training.loop import Build, Epoch, Learner, new_learner
from core.training.recipes import Recipe, recipe_named
from core.training.rehearsal import (
    Rehearsal,
    answer_known,
    calibrate_on,
    gallery_of,
    seen_crops,
    unseen_crops,
    validate,
)
from core.training.report import describe, score
from core.training.reproducible import reproducible
from core.training.request import LoadCrop, SkippedPhoto, TestedPhotos, TrainedNetwork, TrainingRequest
from core.training.scored import MissedPhotos, missed_photos
from core.training.side_by_side import train_side_by_side
from core.training.split import split_for_rehearsals
from core.training.subclasses import split_classes

if TYPE_CHECKING:
    from core.faces.impostors import PublishedScores

_log = logging.getLogger(__name__)

__all__ = ["LoadCrop", "SkippedPhoto", "TrainedNetwork", "TrainingRequest", "train_network"]


def train_network(
    request: TrainingRequest,
    *,
    load_crop: LoadCrop,
    on_epoch: Callable[[EpochProgress], None],
    should_stop: Callable[[], bool],
    checkpoints: Path | None = None,
    pretrained: "Basis | None" = None,
) -> TrainedNetwork:
    """Train, calibrate and judge a network.

    Args:
        request: what to learn, from what, and how.
        load_crop: reads one photo; called from `request.read_threads` threads.
        on_epoch: told of every finished epoch, in order; of those of an earlier attempt, of the last one again.
        should_stop: asked between photos and between batches.
        checkpoints: a folder of this run alone; an interrupted run that is started again with it goes on where it was.
        pretrained: the backbone to begin from, for a recipe that has none of its own.

    Raises:
        TooFewPeopleError: fewer than two people have a usable photo.
        TrainingSetTooLargeError: the photos do not fit into `request.max_crop_bytes`.
        RunCancelledError: `should_stop` said so.
        TrainingError: there is no such recipe.
        SourceUnreachableError: out of `load_crop`.
    """
    recipe = recipe_named(request.recipe)
    epochs = request.epochs or recipe.epochs
    basis = pretrained or _from_scratch(recipe)
    data = load_data(request, load_crop, basis.input_size_px, should_stop)
    with reproducible(request):
        run = build_run(request, recipe, data, epochs, basis)
        history = train(run, on_epoch, should_stop, checkpoints)
        return finish(request, run, data, history)


@dataclass(frozen=True, kw_only=True)
class Basis:
    """What networks begin from."""

    backbone: str
    """Its name."""
    input_size_px: int
    """Side of the crops it takes."""
    build: Build | None
    """Makes a network; None: fresh weights of the recipe's own."""
    published: "PublishedScores | None" = None
    """What is known of the similarities of a pretrained backbone; None where nothing is."""


def _from_scratch(recipe: Recipe) -> Basis:
    spec = NETWORKS[recipe.backbone or ""]
    return Basis(backbone=spec.name, input_size_px=spec.input_size_px, build=None)


@dataclass(frozen=True, kw_only=True)
class Data:
    """The photos of a run, in memory."""

    classes: tuple[PersonClass, ...]
    """People with a usable training photo."""
    without_photos: tuple[PersonClass, ...]
    """People of the request without one."""
    train: CropSet
    strangers: CropSet
    """Labelled strangers, which no network learns from."""
    test: CropSet
    test_places: Tensor
    """int64: which of the request's test photos these are."""
    skipped: tuple[SkippedPhoto, ...]
    missed: MissedPhotos
    """Test photos that show no face to ask about."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """What is trained."""

    recipe: Recipe
    basis: Basis
    epochs: int
    final: Learner
    """The network that is kept."""
    rehearsals: tuple[Rehearsal, ...]
    """Those that are tried; none where there is nothing to leave out."""

    @property
    def learners(self) -> dict[str, Learner]:
        """The networks to train, by name."""
        rehearsals = {f"rehearsal {number}": each.learner for number, each in enumerate(self.rehearsals, start=1)}
        return {"final": self.final, **rehearsals}

    @property
    def devices(self) -> set[torch.device]:
        """Where they learn."""
        return {learner.device for learner in self.learners.values()}


def load_data(request: TrainingRequest, load_crop: LoadCrop, size_px: int, should_stop: Callable[[], bool]) -> Data:
    """Read all photos, and leave out the people of whom none can be read."""
    learned = [example for example in request.train if example.class_index >= 0 or not example.not_classes]
    check_memory(len(learned) + len(request.test), size_px, request.max_crop_bytes)
    (learned_set, train_skipped), (test_set, test_skipped) = (
        load_crops(examples, load_crop, size_px, read_threads=request.read_threads, should_stop=should_stop)
        for examples in (learned, numbered(request.test))
    )
    places = test_set.labels
    test_set = CropSet(crops=test_set.crops, labels=labels_at(request.test, places))
    train_set = learned_set.rows(learned_set.labels >= 0)
    kept, without, new_labels = usable_people(request.classes, train_set.labels)
    test_set = test_set.relabelled(new_labels)
    return Data(
        classes=kept,
        without_photos=without,
        train=train_set.relabelled(new_labels),
        strangers=learned_set.rows(learned_set.labels < 0),
        test=test_set.rows(test_set.labels > -2),
        test_places=places[test_set.labels > -2],
        skipped=train_skipped + test_skipped,
        missed=missed_photos(request.test, test_skipped, new_labels.numpy()),
    )


def build_run(request: TrainingRequest, recipe: Recipe, data: Data, epochs: int, basis: Basis) -> Run:
    """Split the data and build fresh networks."""
    devices = request.devices
    splits = split_for_rehearsals(data.train.labels, torch.Generator().manual_seed(request.seed))

    def learner(crops: CropSet, number: int) -> Learner:
        device = devices[(number - 1) % len(devices)]
        return new_learner(recipe, crops, epochs=epochs, seed=request.seed + number, device=device, build=basis.build)

    return Run(
        recipe=recipe,
        basis=basis,
        epochs=epochs,
        final=learner(data.train, 1),
        rehearsals=tuple(
            Rehearsal(
                learner=learner(seen_crops(data.train, split), number),
                unseen=unseen_crops(data.train, split),
            )
            for number, split in enumerate(splits, start=2)
        ),
    )


def train(
    run: Run, on_epoch: Callable[[EpochProgress], None], should_stop: Callable[[], bool], checkpoints: Path | None
) -> list[EpochProgress]:
    """Train to the last epoch or until the held-out photos say that it is enough."""
    run_fingerprint = fingerprint(run.learners) if checkpoints else ""
    history = load_checkpoint(checkpoints, run.learners, run_fingerprint) if checkpoints else []
    if history:
        _log.info("going on after epoch %d of %d", len(history), run.epochs)
        on_epoch(history[-1])  # the attempt before may have ended before it could tell
    while len(history) < run.epochs and not enough(history, run.recipe.patience):
        history.append(train_epoch_of_all(run, len(history), should_stop))
        if checkpoints:
            save_checkpoint(checkpoints, run.learners, history, run_fingerprint)
        on_epoch(history[-1])
    return history


def train_epoch_of_all(run: Run, epoch: int, should_stop: Callable[[], bool]) -> EpochProgress:
    """Train one epoch (from 0) of each network, and try the rehearsals on their held-out photos."""
    started = time.monotonic()
    epochs = {name: Epoch(learner, epoch) for name, learner in run.learners.items()}
    # A thread keeps a GPU busy: it only says what is to be computed there.
    threads = torch.get_num_threads() if run.final.device.type == "cpu" else len(run.devices)
    train_side_by_side(tuple(epochs.values()), threads, should_stop)
    figures = epochs["final"].figures()
    val_loss, val_accuracy = validate(run.rehearsals)
    return EpochProgress(
        epoch=epoch + 1,
        epochs=run.epochs,
        train_loss=figures.loss,
        train_accuracy=figures.accuracy,
        val_loss=val_loss,
        val_accuracy=val_accuracy,
        learning_rate=figures.learning_rate,
        seconds=time.monotonic() - started,
    )


def enough(history: list[EpochProgress], patience: float | None) -> bool:
    """Say whether the lowest held-out loss lies more than the share `patience` of all epochs back."""
    losses = [epoch.val_loss for epoch in history if epoch.val_loss is not None]
    if patience is None or not losses:
        return False
    return len(losses) - 1 - int(np.argmin(losses)) > patience * history[-1].epochs


def finish(request: TrainingRequest, run: Run, data: Data, history: list[EpochProgress]) -> TrainedNetwork:
    """Calibrate, judge, and take the final network out of training."""
    for learner in run.learners.values():
        split_classes(learner)
    calibration = choose_rule(request, run, data)
    gallery = gallery_of(run.final)
    network = run.final.network
    tested = ask_about_tests(run, data)
    metrics = judge(run, data, gallery, calibration, tested)
    network.keep_classes(len(data.classes))
    return TrainedNetwork(
        network=Servable(network.cpu()).eval(),
        gallery=gallery,
        classes=data.classes,
        backbone=run.basis.backbone,
        recipe=run.recipe.name,
        input_size_px=network.input_size_px,
        embedding_dim=network.embedding_dim,
        rule=calibration.rule,
        metrics=metrics,
        epochs=tuple(history),
        skipped=data.skipped,
        seed=request.seed,
        train_count=len(data.train),
        test_count=len(data.test),
        tested=tested,
    )


def choose_rule(request: TrainingRequest, run: Run, data: Data) -> Calibration:
    """Choose the final network's reject rule, from what is published of its backbone where anything is."""
    if run.basis.published is not None and run.rehearsals:
        return calibrate_finetuned(
            run.rehearsals,
            run.final,
            published=run.basis.published,
            backbone=run.basis.backbone,
            strangers=data.strangers,
            fpir=request.fpir,
        )
    generator = torch.Generator().manual_seed(request.seed)
    return calibrate_on(run.rehearsals, run.final, generator, strangers=data.strangers, fpir=request.fpir)


def ask_about_tests(run: Run, data: Data) -> TestedPhotos | None:
    """Return what the final network answers to the test photos; None without any."""
    if not len(data.test):
        return None
    answers = answer_known(run.final, data.test)
    return TestedPhotos(
        places=data.test_places.numpy(), embeddings=answers.embeddings.numpy(), logits=answers.logits.numpy()
    )


def judge(
    run: Run, data: Data, gallery: Tensor, calibration: Calibration, tested: TestedPhotos | None
) -> dict[str, Any]:
    """Return the metrics that the manifest keeps; see core.training.report."""
    test = None
    if tested is not None:
        arrays = tested.embeddings, tested.logits, gallery.numpy(), data.test.labels.numpy()
        test = score(*arrays, calibration.rule, data.classes, data.missed)
    return {
        "test": test,
        "rehearsal": describe(
            calibration,
            [each.unseen.held_out.labels.numpy() for each in run.rehearsals],
            [each.unseen.strangers.labels.numpy() for each in run.rehearsals],
        ),
        "people": len(data.classes),
        "people_without_photos": [person.name for person in data.without_photos],
        "photos_skipped": len(data.skipped),
    }
