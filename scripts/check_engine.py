"""The doctor's look at how the active model is run on this machine: the way that was chosen, and the others.

Reads what workers have measured; measures nothing.
"""

from typing import TYPE_CHECKING, Any

from core.models.tuning import Fate
from core.settings import Settings
from scripts.check import Check, Finding, ok
from scripts.check_services import NO_DATABASE, is_database_missing, open_ledger
from scripts.output import show_count, show_minute

if TYPE_CHECKING:
    from collections.abc import Mapping

    from core.models.tuning import Tuning, TuningKey

_WITHOUT_FIGURES = {
    Fate.PARITY: "not right",
    Fate.FAILED: "do not run here",
    Fate.OUT_OF_MEMORY: "found no memory",
    Fate.BUDGET: "not tried, as the time was over",
}


def check_engine(settings: Settings) -> list[Finding]:
    """How is the active model run here, and what was that compared with?"""
    from db.registry import get_model, serving_model

    if is_database_missing(settings):
        return [ok("engine", NO_DATABASE)]
    with open_ledger(settings) as database, database.read() as session:
        serving = serving_model(session)
        if serving is None:
            return [ok("engine", "no model is active: none is run")]
        manifest = get_model(session, serving.version).manifest
    tunings = _tunings_of(settings, manifest)
    if not tunings:
        detail = f"how to run {serving.version} was not measured here yet; the first worker that loads it does"
        return [ok("engine", detail)]
    return [
        ok("engine", _sentence(serving.version, key, tuning), figures=_document(key, tuning)) for key, tuning in tunings
    ]


ENGINE_CHECKS: dict[str, Check] = {"engine": check_engine}
"""The checks by name, in the order of the report."""


def _tunings_of(settings: Settings, manifest: "Mapping[str, Any]") -> "list[tuple[TuningKey, Tuning]]":
    """Return what holds for a model on the devices of this machine: with other threads or batches, another one each."""
    from core.models.devices import describe_device, local_devices
    from core.models.tuning_cache import TuningCache
    from core.models.variants import variants_for

    here = {
        (place.name, place.capabilities, place.libraries, tuple(variant.name for variant in variants))
        for device in local_devices()
        for place in [describe_device(device, settings.engine)]
        for variants in [variants_for(device, settings.engine)]
    }
    kind = tuple(manifest.get(name) for name in ("backbone", "input_size_px", "embedding_dim"))
    return [
        (key, tuning)
        for key, tuning in TuningCache.from_settings(settings).list_tunings()
        if (key.backbone, key.input_size_px, key.embedding_dim) == kind
        and (key.device, key.capabilities, key.libraries, key.variants) in here
    ]


def _sentence(version: str, key: "TuningKey", tuning: "Tuning") -> str:
    """Return it as people read it: the choice, then the others, the fastest first."""
    threads = f", {show_count(key.threads, 'thread')}" if key.threads else ""
    measured = sorted(
        ((each.images_per_s, each.variant) for each in tuning.candidates if each.images_per_s), reverse=True
    )
    parts = [f"{variant} {images_per_s:,.0f}" for images_per_s, variant in measured if variant != tuning.variant]
    others = [f"others: {', '.join(parts)}"] if parts else []
    for fate, words in _WITHOUT_FIGURES.items():
        names = [each.variant for each in tuning.candidates if each.fate is fate]
        others += [f"{words}: {', '.join(names)}"] if names else []
    return "; ".join(
        [
            f"{version} on {key.device}{threads}, {key.buckets[-1]} crops at once: {tuning.variant}, "
            f"{tuning.images_per_s:,.0f} images/s (measured {show_minute(tuning.measured_at)})",
            *others,
        ]
    )


def _document(key: "TuningKey", tuning: "Tuning") -> dict[str, Any]:
    return {
        "device": key.device,
        "threads": key.threads,
        "libraries": list(key.libraries),
        "variant": tuning.variant,
        "images_per_s": tuning.images_per_s,
        "budget_s": tuning.budget_s,
        "measured_at": tuning.measured_at.isoformat(),
        "candidates": [
            {
                "variant": each.variant,
                "fate": each.fate,
                "images_per_s": each.images_per_s,
                "seconds": {str(bucket): seconds for bucket, seconds in each.seconds},
                "reason": each.reason,
            }
            for each in tuning.candidates
        ],
    }
