"""Who takes part in a comparison: sets up the contenders that can run here, and says of the others why they cannot."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

from core.records import FacesMode
from scripts.bench.compare_celery import CARD as CELERY
from scripts.bench.compare_celery import celery_contender
from scripts.bench.compare_opencv import CARD as SCRIPT
from scripts.bench.compare_opencv import PACKAGES as SCRIPT_PACKAGES
from scripts.bench.compare_opencv import script_contender
from scripts.bench.compare_ours import BARE, CLUSTER, bare_contender, cluster_contender
from scripts.bench.compare_ray import CARD as RAY
from scripts.bench.compare_ray import PACKAGES as RAY_PACKAGES
from scripts.bench.compare_ray import ray_contender
from scripts.bench.compare_ray_plain import CARD as RAY_PLAIN
from scripts.bench.compare_ray_plain import PACKAGES as RAY_PLAIN_PACKAGES
from scripts.bench.compare_ray_plain import plain_ray_contender
from scripts.bench.contender import Absent, Card, Contender, ContenderError, absent_without, broken
from scripts.bench.fleet import BenchFleet

_DISTRIBUTIONS = ("celery", "torch", "opencv-python-headless", "openvino", "ray")


@dataclass(frozen=True, kw_only=True)
class _Entry:
    card: Card
    open: Callable[[BenchFleet], AbstractContextManager[Contender]]
    packages: tuple[str, ...] = ()
    needs: FacesMode | None = None
    """The only mode in which it does the same work; None: either."""


_ENTRIES = (
    _Entry(card=BARE, open=bare_contender),
    _Entry(card=CLUSTER, open=cluster_contender),
    _Entry(card=CELERY, open=celery_contender),
    _Entry(card=SCRIPT, open=script_contender, packages=SCRIPT_PACKAGES, needs=FacesMode.DETECT),
    _Entry(card=RAY, open=ray_contender, packages=RAY_PACKAGES),
    _Entry(card=RAY_PLAIN, open=plain_ray_contender, packages=RAY_PLAIN_PACKAGES),
)


@contextmanager
def open_field(fleet: BenchFleet) -> Iterator[tuple[list[Contender], list[Absent]]]:
    """Set up all contenders that can run, warm.

    Args:
        fleet: up.

    Raises:
        ContenderError: the cluster or the bare loop cannot be set up.
    """
    contenders: list[Contender] = []
    absent: list[Absent] = []
    with ExitStack() as stack:
        for entry in _ENTRIES:
            if why := why_absent(entry.card, fleet.faces_mode):
                absent.append(why)
                continue
            try:
                contenders.append(stack.enter_context(entry.open(fleet)))
            except ContenderError as error:
                if entry.card in (BARE, CLUSTER):
                    raise
                absent.append(broken(entry.card, error))
        yield contenders, absent


def why_absent(card: Card, mode: FacesMode) -> Absent | None:
    """Return why a contender does not take part; None when it does.

    Args:
        card: whose.
        mode: what is compared.
    """
    entry = next(each for each in _ENTRIES if each.card is card)
    if entry.needs not in (None, mode):
        remedy = "facefleet bench compare --faces detect --people DIR"
        reason = "it finds faces and embeds them with a pretrained network, which face crops need not"
        return Absent(card=card, reason=reason, remedy=remedy)
    return absent_without(card, entry.packages)


def versions() -> dict[str, str]:
    """Return the versions of what the contenders stand on, as far as it is installed."""
    found = {}
    for name in _DISTRIBUTIONS:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
