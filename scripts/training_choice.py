"""What is to be trained, out of the options that a person gave and the weights that are there."""

from dataclasses import dataclass

from core.errors import InputError
from core.records import FacesMode
from core.weights.spec import DEFAULT_EMBEDDER, DETECTOR, WeightsKind
from core.weights.store import WeightsState, WeightsStore
from workers.preparation import PRETRAINED_RECIPES

SCRATCH_RECIPES = ("compact", "seed")
"""Each trains the network of its own name from nothing but the labelled photos."""
RECIPES = (*SCRATCH_RECIPES, *PRETRAINED_RECIPES)


@dataclass(frozen=True, kw_only=True)
class TrainingChoice:
    """What is to be trained."""

    recipe: str
    backbone: str
    """A network that is trained from scratch, or the name of pretrained weights."""
    faces: FacesMode
    """Whether the labelled photos are faces already, or show faces that are to be found."""


def choose_training(
    store: WeightsStore, recipe: str | None, backbone: str | None, faces: FacesMode | None
) -> TrainingChoice:
    """Fill in what was not asked for.

    A pretrained backbone on faces that are found, where its weights are there or faces are to be found; otherwise the
    compact network from scratch on face crops.

    Raises:
        InputError: what was asked for does not go together.
        UnknownWeightsError: no weights have the backbone's name.
    """
    chosen = backbone or _usual_backbone(store, recipe, faces)
    fitting = (chosen,) if chosen in SCRATCH_RECIPES else PRETRAINED_RECIPES
    if recipe and recipe not in fitting:
        raise InputError(
            f"The recipe {recipe!r} does not train the backbone {chosen!r}; nothing was queued. Leave one of them out."
        )
    if fitting is PRETRAINED_RECIPES and (kind := store.get_spec(chosen).kind) is not WeightsKind.EMBEDDER:
        raise InputError(
            f"The weights {chosen} are a {kind} and no backbone; nothing was queued. See `facefleet weights list`."
        )
    usual = FacesMode.DETECT if fitting is PRETRAINED_RECIPES else FacesMode.CROP
    return TrainingChoice(recipe=recipe or fitting[0], backbone=chosen, faces=faces or usual)


def faces_can_be_found(store: WeightsStore) -> bool:
    """Say whether the detector's weights are on this machine."""
    return _is_present(store, DETECTOR)


def _usual_backbone(store: WeightsStore, recipe: str | None, faces: FacesMode | None) -> str:
    """Return the backbone of whoever names none."""
    if recipe in SCRATCH_RECIPES:
        return recipe
    ready = _is_present(store, DEFAULT_EMBEDDER) and faces_can_be_found(store)
    if recipe in PRETRAINED_RECIPES or faces is FacesMode.DETECT or (ready and faces is None):
        return DEFAULT_EMBEDDER
    return SCRATCH_RECIPES[0]


def _is_present(store: WeightsStore, name: str) -> bool:
    return store.look(store.get_spec(name)).state is WeightsState.PRESENT
