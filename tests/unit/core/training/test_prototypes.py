"""A head learns from embeddings alone; each person is a stranger once, and its rule keeps its promise."""

import dataclasses

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from core.training.calibrate import named
from core.training.decision import calibrate_head
from core.training.prototypes import (
    HEAD,
    Embeddings,
    Head,
    HeadRehearsal,
    build_rehearsals,
    class_means,
    train_heads,
    validate_heads,
)

DIM = 64


def drawn(people: int, photos: int, seed: int, first_label: int = 0, spread: float = 0.09) -> Embeddings:
    """Photos around one random direction a person, as a good backbone gives them."""
    generator = torch.Generator().manual_seed(seed)
    centres = F.normalize(torch.randn(people, DIM, generator=generator), dim=1)
    labels = torch.arange(people).repeat_interleave(photos)
    vectors = centres[labels] + spread * torch.randn(len(labels), DIM, generator=generator)
    return Embeddings(vectors=F.normalize(vectors, dim=1), labels=labels + first_label)


def trained(photos: Embeddings, seed: int = 0) -> tuple[Head, list[HeadRehearsal]]:
    final = Head(photos, HEAD, epochs=HEAD.epochs, seed=seed)
    rehearsals = build_rehearsals(photos, HEAD, epochs=HEAD.epochs, seed=seed)
    for epoch in range(HEAD.epochs):
        train_heads(final, rehearsals, epoch)
    return final, rehearsals


def test_people_are_imprinted_as_their_mean_direction() -> None:
    photos = drawn(5, 4, 0)
    expected = F.normalize(photos.vectors[photos.labels == 2].mean(dim=0), dim=0)
    assert torch.allclose(class_means(photos)[2], expected, atol=1e-6)
    assert torch.allclose(Head(photos, HEAD, epochs=3, seed=0).gallery, class_means(photos), atol=1e-6)


def test_people_stay_as_long_as_their_photos_while_they_are_turned() -> None:
    photos = drawn(4, 3, 0, spread=0.2)
    lengths = torch.tensor([0.85, 0.95, 1.05, 1.1])
    longer = Embeddings(vectors=photos.vectors * lengths[photos.labels, None], labels=photos.labels)
    head, _ = trained(longer)
    torch.testing.assert_close(head.gallery.norm(dim=1), lengths)
    assert not torch.allclose(head.gallery, class_means(longer), atol=1e-4), "they were turned"


def test_training_lowers_the_loss_and_stays_near_the_means() -> None:
    photos = drawn(20, 3, 0)
    head = Head(photos, HEAD, epochs=HEAD.epochs, seed=0)
    losses = [head.train_one_epoch(epoch).loss for epoch in range(HEAD.epochs)]
    assert losses[-1] < losses[0]
    assert (head.gallery * class_means(photos)).sum(dim=1).min() > 0.95


def test_the_same_seed_gives_the_same_head() -> None:
    photos = drawn(6, 3, 0)
    recipe = dataclasses.replace(HEAD, most_photos=8)  # so that photos are drawn
    galleries = []
    for seed in (1, 1, 2):
        head = Head(photos, recipe, epochs=4, seed=seed)
        for epoch in range(4):
            head.train_one_epoch(epoch)
        galleries.append(head.gallery)
    assert torch.equal(galleries[0], galleries[1])
    assert not torch.equal(galleries[0], galleries[2])


@pytest.mark.parametrize("people", [2, 3, 10, 25])
def test_each_person_is_a_stranger_to_exactly_one_rehearsal(people: int) -> None:
    photos = drawn(people, 3, 0)
    rehearsals = build_rehearsals(photos, HEAD, epochs=1, seed=0)
    assert sum(len(rehearsal.strangers) for rehearsal in rehearsals) == len(photos)
    for rehearsal in rehearsals:
        known = len(rehearsal.head.gallery)
        assert known + len(rehearsal.strangers.labels.unique()) == people
        assert (rehearsal.strangers.labels >= known).all()
        assert (rehearsal.held_out.labels < known).all()


def test_strangers_are_named_about_as_rarely_as_stated_and_the_known_nearly_always() -> None:
    realised, right = [], []
    for seed in range(5):
        photos = drawn(40, 3, seed)
        final, rehearsals = trained(photos, seed)
        rule = calibrate_head(rehearsals, final, photos).rule
        strangers = final.probe(drawn(4000, 1, 100 + seed, first_label=40))
        realised.append(named(strangers, rule).mean())
        probes = final.probe(drawn(40, 3, seed))
        right.append((named(probes, rule) & probes.right).mean())
        assert "40 people left out" in rule.basis
    assert 0.001 <= np.mean(realised) <= 0.02
    assert np.mean(right) > 0.97


def test_held_out_photos_say_how_well_it_learns() -> None:
    _, rehearsals = trained(drawn(10, 5, 0))
    loss, accuracy = validate_heads(rehearsals, HEAD.scale)
    assert loss is not None and 0.0 < loss < 1.0
    assert accuracy == 1.0
    single = build_rehearsals(drawn(10, 1, 0), HEAD, epochs=1, seed=0)
    assert validate_heads(single, HEAD.scale) == (None, None)


def test_relabelling_keeps_strangers_strangers() -> None:
    photos = Embeddings(vectors=torch.zeros(3, DIM), labels=torch.tensor([0, 1, -1]))
    assert photos.relabelled(torch.tensor([5, -2])).labels.tolist() == [5, -2, -1]


def test_a_margin_pushes_people_further_apart() -> None:
    photos = drawn(20, 3, 0, spread=0.12)
    apart = []
    for margin in (0.0, 0.35):
        head = Head(photos, dataclasses.replace(HEAD, margin=margin), epochs=HEAD.epochs, seed=0)
        for epoch in range(HEAD.epochs):
            head.train_one_epoch(epoch)
        cosines = head.gallery @ head.gallery.T
        apart.append(float(cosines[~torch.eye(20, dtype=torch.bool)].mean()))
    assert apart[1] < apart[0]


def test_a_person_with_one_photo_stays_where_it_is() -> None:
    photos = drawn(10, 1, 0)
    head = Head(photos, HEAD, epochs=3, seed=0)
    for epoch in range(3):
        head.train_one_epoch(epoch)
    assert torch.allclose(head.gallery, photos.vectors, atol=1e-6)


def test_a_photo_under_a_wrong_name_is_neither_learned_nor_a_stranger() -> None:
    photos = drawn(10, 4, 0)
    labels = photos.labels.clone()
    labels[0] = 5  # of person 0, among four of person 5
    wrong = Embeddings(vectors=photos.vectors, labels=labels)
    head = Head(wrong, HEAD, epochs=1, seed=0)
    assert head.outliers == 1
    assert torch.allclose(head.gallery[5], class_means(photos)[5], atol=1e-6)
    strangers = torch.cat([each.strangers.vectors for each in build_rehearsals(wrong, HEAD, epochs=1, seed=0)])
    assert not (strangers == photos.vectors[0]).all(dim=1).any()


def test_of_very_many_people_fewer_rehearsals_leave_enough_out() -> None:
    recipe = dataclasses.replace(HEAD, enough_strangers=20)
    rehearsals = build_rehearsals(drawn(50, 2, 0), recipe, epochs=1, seed=0)
    assert sum(len(each.strangers.labels.unique()) for each in rehearsals) == 20
    assert build_rehearsals(drawn(1, 3, 0), HEAD, epochs=1, seed=0) == []
