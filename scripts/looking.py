"""Runs a model over photos in this process, as a worker does, for commands that measure it. Stores no result."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from core.records import PhotoResult, PhotoTask
from core.settings import Settings
from scripts.progress import Bar, show_progress

if TYPE_CHECKING:
    from core.recognise import Recogniser

_PHOTOS_A_CALL = 256


@contextmanager
def open_recogniser(
    settings: Settings, artifact: Path, sha256: str, device: str | None = None, *, label: str
) -> Iterator["Recogniser"]:
    """Load a model as a worker does. The user names the photos, so FACEFLEET_IMAGE_ROOTS does not bind.

    Args:
        settings: limits, batch size and reading threads.
        artifact: the model's file.
        sha256: of its bytes.
        device: as torch calls it; None: a GPU if there is one.
        label: what is shown while it loads.
    """
    import torch

    from core.images.decode import DecodeLimits
    from core.images.read import PhotoReader
    from core.models.engine import load_engine
    from core.models.known import Known
    from core.models.tuning_cache import TuningCache
    from core.recognise import Recogniser

    place = device or ("cuda:0" if torch.cuda.is_available() else "cpu")
    with show_progress(label):
        engine = load_engine(
            artifact,
            sha256,
            place,
            batch_size=settings.batch_size,
            engine=settings.engine,
            tuning_budget_s=settings.tuning_budget_s,
            known=Known(TuningCache.from_settings(settings)),
        )
    recogniser = Recogniser(
        PhotoReader(max_bytes=settings.max_photo_bytes),
        engine,
        DecodeLimits.from_settings(settings),
        read_threads=settings.read_threads,
    )
    try:
        yield recogniser
    finally:
        recogniser.close()
        engine.close()


def recognise_all(recogniser: "Recogniser", uris: Sequence[str], bar: Bar, before: int = 0) -> Iterator[PhotoResult]:
    """Yield one result a photo, in order.

    Args:
        recogniser: looks at them.
        uris: the photos.
        bar: is told how many are done.
        before: how many were done before these.
    """
    tasks = (PhotoTask(ordinal=number, uri=uri) for number, uri in enumerate(uris))
    while some := list(islice(tasks, _PHOTOS_A_CALL)):
        yield from recogniser.recognise(some, _from(bar, before), faces=recogniser.mode)
        before += len(some)


def _from(bar: Bar, before: int) -> Callable[[int], None]:
    return lambda done: bar.update(done=before + done)
