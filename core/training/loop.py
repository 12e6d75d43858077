"""One network learning: its optimiser, its sampler and its epochs. Knows nothing of splits, rules or files."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from core.nets.dropout import Dropout
from core.nets.registry import NETWORKS
from core.nets.servable import FaceNetwork, Servable
from core.training.augment import augment
from core.training.dataset import CropSet
from core.training.recipes import Optimiser, Recipe, Schedule
from core.training.synthetic import make_people

_WARM_UP = 0.1  # share of all steps
_EVAL_BATCH = 64


@dataclass(kw_only=True)
class Learner:
    """A network, what it learns from, and where it stands."""

    recipe: Recipe
    epochs: int
    classes: int
    """Real people; outputs beyond them are made-up people."""
    network: FaceNetwork
    optimiser: torch.optim.Optimizer
    real: CropSet
    synthetic: CropSet | None
    generator: torch.Generator
    """Draws the photos, their changes and what is dropped out; on the CPU."""
    device: torch.device


@dataclass(frozen=True, kw_only=True)
class EpochFigures:
    """Means over the real photos of one epoch."""

    loss: float
    accuracy: float
    learning_rate: float
    """Of the last step."""


@dataclass(frozen=True, kw_only=True)
class Answers:
    """What a network says of some crops; on the CPU."""

    embeddings: Tensor
    """float32 [N, D], as long as core.faces.lengths says."""
    logits: Tensor
    """float32 [N, C]."""


Build = Callable[[CropSet, int], FaceNetwork]
"""(crops of real people, classes) -> a network for so many classes, the real people's first."""


def new_learner(
    recipe: Recipe, real: CropSet, *, epochs: int, seed: int, device: torch.device, build: Build | None = None
) -> Learner:
    """Build a fresh network for these people. Its weights come out of torch's global generator.

    Args:
        recipe: how to train.
        real: crops with labels 0..C-1, C >= 2.
        epochs: how many will be trained.
        seed: of the learner's own generator.
        device: where to compute.
        build: makes the network; None: it is the recipe's own, from scratch.
    """
    classes = int(real.labels.max()) + 1
    generator = torch.Generator().manual_seed(seed)
    made_up = max(round(recipe.synthetic_people * classes), recipe.fewest_synthetic_people)
    synthetic = make_people(real, made_up, generator) if made_up else None
    network = (build or _from_scratch(recipe))(real, classes + made_up)
    for module in network.modules():
        if isinstance(module, Dropout):
            module.generator = generator
    # Channels last trains a third faster on CPU, and fits the tensor cores of a GPU.
    network = network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return Learner(
        recipe=recipe,
        epochs=epochs,
        classes=classes,
        network=network,
        optimiser=_optimiser(recipe, network),
        real=real,
        synthetic=synthetic,
        generator=generator,
        device=device,
    )


def _from_scratch(recipe: Recipe) -> Build:
    spec = NETWORKS[recipe.backbone or ""]
    return lambda real, classes: spec.build(classes, real.crops.shape[-1])


class Epoch:
    """One epoch of one network, step by step. Several may be under way at once, each of another learner.

    Args:
        learner: changed in place.
        number: from 0.
    """

    def __init__(self, learner: Learner, number: int) -> None:
        learner.network.train()
        self._learner = learner
        self._number = number
        self._batches = _batches(learner)
        self._totals = torch.zeros(2, device=learner.device)
        self.steps_left = len(self._batches)

    def step(self) -> None:
        """Learn from the next batch; there must be one."""
        done, steps = len(self._batches) - self.steps_left, len(self._batches)
        _set_learning_rate(self._learner, (self._number + done / steps) / self._learner.epochs)
        self._totals += _train_one_batch(self._learner, self._batches[done])
        self.steps_left -= 1

    def figures(self) -> EpochFigures:
        """Return what it showed, when no step is left."""
        loss, accuracy = (self._totals / len(self._batches)).tolist()
        rate = self._learner.optimiser.param_groups[0]["lr"]
        return EpochFigures(loss=loss, accuracy=accuracy, learning_rate=rate)


def answer(network: FaceNetwork, crops: Tensor, device: torch.device) -> Answers:
    """Run a network over crops (uint8 [N, 3, S, S]) as it will be served."""
    servable = Servable(network).eval()
    with torch.inference_mode():
        parts = [servable(batch.to(device)) for batch in torch.split(crops, _EVAL_BATCH)]
    return Answers(
        embeddings=torch.cat([embeddings for embeddings, _ in parts]).cpu(),
        logits=torch.cat([logits for _, logits in parts]).cpu(),
    )


def _train_one_batch(learner: Learner, rows: Tensor) -> Tensor:
    """Step once; return the loss and the accuracy on the real photos, float32 [2]."""
    recipe, labels = learner.recipe, learner.real.labels[rows]
    crops = learner.real.crops[rows]
    if learner.synthetic is not None:
        count = max(1, round(recipe.synthetic_share * len(rows)))
        made_up = torch.randint(len(learner.synthetic), (count,), generator=learner.generator)
        crops = torch.cat([crops, learner.synthetic.crops[made_up]])
        labels = torch.cat([labels, learner.synthetic.labels[made_up]])
    labels = labels.to(learner.device)
    x = augment(crops.to(learner.device), recipe.augment, learner.generator)
    x = x.contiguous(memory_format=torch.channels_last)
    with torch.autocast(learner.device.type, torch.bfloat16, enabled=_is_fast_in_bf16(learner.device)):
        logits = learner.network.classify(learner.network.embed(x)).float()
    margins = recipe.logit_margin * F.one_hot(labels, logits.shape[1])
    loss = F.cross_entropy(logits - margins, labels, label_smoothing=recipe.label_smoothing)
    learner.optimiser.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    learner.optimiser.step()
    right = logits[: len(rows), : learner.classes].argmax(dim=1) == labels[: len(rows)]
    return torch.stack([loss.detach(), right.float().mean()])


def _is_fast_in_bf16(device: torch.device) -> bool:
    """Whether a device has units for products of bfloat16 matrices.

    On a Xeon with AMX a step of the compact network takes 75 ms in bfloat16 and 200 ms in float32 (one thread); with
    AVX512-BF16 alone, which has the instructions and not the units, it took 2 to 3 times as long as in float32.
    """
    return device.type == "cuda" or bool(torch.cpu.get_capabilities().get("amx_bf16"))


def _batches(learner: Learner) -> tuple[Tensor, ...]:
    """Return the rows of each batch of an epoch; none has fewer than two photos, which batch norm needs."""
    recipe, photos = learner.recipe, len(learner.real)
    batch_size = min(recipe.batch_size, 2 * photos)
    once, twice = math.ceil(photos / batch_size), math.ceil(2 * photos / batch_size)
    steps = max(once, recipe.fewest_steps, min(twice, recipe.enough_steps))
    rows = sample_rows(learner.real.labels, steps * batch_size, recipe.balance, learner.generator)
    return torch.split(rows, batch_size)


def sample_rows(labels: Tensor, count: int, balance: float, generator: torch.Generator) -> Tensor:
    """Draw photos, each as often as its share to within one.

    Args:
        labels (int64 [N]): class of each photo.
        count: how many to draw.
        balance: 0 draws every photo equally often, 1 every person.
        generator: decides the order.

    Returns:
        int64 [count]: rows of `labels`, shuffled.
    """
    order = torch.randperm(len(labels), generator=generator)
    sizes = torch.bincount(labels).to(torch.float64)
    per_photo = sizes[labels] ** -balance  # how often one photo comes, up to a factor
    wanted = per_photo / per_photo.sum() * count
    # Whole visits first; the fractions are settled by systematic sampling along a random order.
    edges = torch.cat([torch.zeros(1, dtype=torch.float64), wanted[order].cumsum(0)])
    offset = torch.rand((), generator=generator, dtype=torch.float64)
    visits = (edges[1:] - offset).ceil() - (edges[:-1] - offset).ceil()
    rows = order.repeat_interleave(visits.to(torch.int64))
    return rows[torch.randperm(len(rows), generator=generator)][:count]


def _optimiser(recipe: Recipe, network: nn.Module) -> torch.optim.Optimizer:
    if recipe.optimiser is Optimiser.ADAM:
        return torch.optim.Adam(network.parameters(), lr=recipe.learning_rate)
    named = dict(network.named_parameters())
    plain = [p for name, p in named.items() if p.ndim == 1 or name == "head.prototypes"]
    decayed = [p for name, p in named.items() if p.ndim > 1 and name != "head.prototypes"]
    groups = [{"params": decayed, "weight_decay": recipe.weight_decay}, {"params": plain, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=recipe.learning_rate, betas=(0.9, 0.99))


def _set_learning_rate(learner: Learner, progress: float) -> None:
    """Set the rate for a share 0..1 of all steps."""
    rate = learner.recipe.learning_rate
    if learner.recipe.schedule is Schedule.COSINE:
        falling = 0.5 * (1.0 + math.cos(math.pi * (progress - _WARM_UP) / (1.0 - _WARM_UP)))
        rate *= (progress + 1e-3) / _WARM_UP if progress < _WARM_UP else falling
    for group in learner.optimiser.param_groups:
        group["lr"] = rate
