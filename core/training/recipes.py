"""The training recipes: frozen presets, one per way of training. A tuned number cites what it was measured on."""

from dataclasses import dataclass
from enum import StrEnum

from core.errors import TrainingError
from core.training.augment import AugmentPolicy


class Optimiser(StrEnum):
    """How weights are stepped."""

    ADAM = "adam"
    ADAMW = "adamw"  # weight decay on matrices and kernels only


class Schedule(StrEnum):
    """How the learning rate moves."""

    CONSTANT = "constant"
    COSINE = "cosine"  # rises over the first tenth, then falls to zero along a cosine


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Everything about a training run but its data and its seed."""

    name: str
    backbone: str | None
    """A name out of core.nets.registry; None: pretrained weights, which the run names."""
    epochs: int
    batch_size: int
    fewest_steps: int
    """Batches an epoch has at least; a set too small for them is gone through again, changed anew each time."""
    enough_steps: int
    """Batches up to which an epoch may go through a set twice."""
    optimiser: Optimiser
    learning_rate: float
    weight_decay: float
    schedule: Schedule
    augment: AugmentPolicy
    label_smoothing: float
    logit_margin: float
    """Taken off the right person's logit while training (an additive margin)."""
    balance: float
    """0: every photo is drawn equally often; 1: every person is."""
    synthetic_people: float
    """Made-up people per real one that the network must tell apart too while training (core.training.synthetic)."""
    fewest_synthetic_people: int
    """So many at least: few real people alone teach too little about faces to notice a stranger."""
    synthetic_share: float
    """Crops of made-up people per crop of a real one."""
    prototypes: int
    """Directions that a person has in the end: the nearest counts (core.training.subclasses)."""
    patience: float | None
    """Stop after this share of all epochs without a lower loss on the held-out photos; None: never. Below a half it
    would cut off the falling part of a cosine schedule, which is where strangers come to lie closer together."""


SEED = Recipe(
    name="seed",
    backbone="seed",
    epochs=30,
    batch_size=32,
    fewest_steps=1,
    enough_steps=1,
    optimiser=Optimiser.ADAM,
    learning_rate=1e-3,
    weight_decay=0.0,
    schedule=Schedule.CONSTANT,
    augment=AugmentPolicy(rotate_deg=40.0, shift=0.2, shear=0.2, zoom=0.2, flip=True),
    label_smoothing=0.0,
    logit_margin=0.0,
    balance=0.0,
    synthetic_people=0.0,
    fewest_synthetic_people=0,
    synthetic_share=0.0,
    prototypes=1,
    patience=None,
)
"""The seed document's own training, as written there."""

COMPACT = Recipe(
    name="compact",
    backbone="compact",
    epochs=40,
    batch_size=32,
    fewest_steps=5,
    enough_steps=10,
    optimiser=Optimiser.ADAMW,
    learning_rate=3e-3,
    weight_decay=0.05,
    schedule=Schedule.COSINE,
    augment=AugmentPolicy(
        rotate_deg=12.0,
        shift=0.08,
        shear=0.08,
        zoom=0.15,
        elastic=0.03,
        turn=0.25,
        flip=True,
        brightness=0.25,
        contrast=0.35,
        gamma=0.3,
        side_light=0.12,
        grey=0.2,
        blur=0.3,
        erase=0.5,
    ),
    label_smoothing=0.05,
    logit_margin=1.6,
    balance=0.5,
    synthetic_people=1.0,
    fewest_synthetic_people=32,
    synthetic_share=0.33,
    prototypes=5,
    patience=0.6,
)
"""From scratch in a minute. Measured in docs/benchmarks.md."""

FINETUNE = Recipe(
    name="finetune",
    backbone=None,
    epochs=4,
    batch_size=32,
    fewest_steps=4,
    enough_steps=8,
    optimiser=Optimiser.ADAMW,
    learning_rate=1e-4,
    weight_decay=0.01,
    schedule=Schedule.COSINE,
    augment=AugmentPolicy(
        rotate_deg=4.0,
        shift=0.02,
        zoom=0.04,
        flip=True,
        brightness=0.15,
        contrast=0.2,
        gamma=0.2,
        grey=0.1,
        blur=0.2,
    ),
    label_smoothing=0.05,
    logit_margin=1.6,
    balance=0.5,
    synthetic_people=0.0,
    fewest_synthetic_people=0,
    synthetic_share=0.0,
    prototypes=1,
    patience=0.6,
)
"""A pretrained backbone and the head on it, in small steps from where a head alone would begin. Photos are changed
slightly, as faces are aligned."""

RECIPES: dict[str, Recipe] = {recipe.name: recipe for recipe in (SEED, COMPACT, FINETUNE)}
DEFAULT_RECIPE = COMPACT.name


def recipe_named(name: str) -> Recipe:
    """Return the preset of this name.

    Raises:
        TrainingError: there is none.
    """
    if name not in RECIPES:
        known = ", ".join(sorted(RECIPES))
        raise TrainingError(f"There is no training recipe {name!r}; nothing was trained. Choose one of: {known}.")
    return RECIPES[name]
