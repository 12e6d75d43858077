"""Tunings outlive their process; a file that is damaged, of another version or of another key is as good as none."""

import json
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from core.models.tuning import Candidate, Fate, Tuning, TuningKey
from core.models.tuning_cache import TuningCache

KEY = TuningKey(
    backbone="compact",
    input_size_px=112,
    embedding_dim=128,
    buckets=(4, 8),
    device="A processor",
    capabilities=("avx2", "avx512_bf16"),
    threads=1,
    libraries=("torch 2.15.0",),
    variants=("fast", "slow", "wrong", "late"),
)
TUNING = Tuning(
    variant="fast",
    candidates=(
        Candidate(variant="fast", fate=Fate.MEASURED, seconds=((4, 0.002), (8, 0.004))),
        Candidate(variant="slow", fate=Fate.MEASURED, seconds=((4, 0.02), (8, 0.04))),
        Candidate(variant="wrong", fate=Fate.PARITY, reason="It differs."),
        Candidate(variant="late", fate=Fate.BUDGET),
    ),
    budget_s=1.5,
    measured_at=datetime(2026, 11, 2, 10, 11, tzinfo=UTC),
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "home" / "tuning"


@pytest.fixture
def cache(folder: Path) -> TuningCache:
    return TuningCache(folder)


def test_what_one_process_stores_another_finds(cache: TuningCache, folder: Path) -> None:
    assert cache.find(KEY) is None
    cache.store(KEY, TUNING)
    assert TuningCache(folder).find(KEY) == TUNING
    assert TUNING.images_per_s == pytest.approx(2000)
    assert folder.parent.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(
    "change",
    [
        {"backbone": "seed"},
        {"input_size_px": 96},
        {"embedding_dim": 64},
        {"buckets": (8,)},
        {"device": "Another processor"},
        {"capabilities": ("avx2",)},
        {"threads": 2},
        {"libraries": ("torch 2.16.0",)},
        {"variants": ("fast", "slow")},
    ],
    ids=lambda change: next(iter(change)),
)
def test_what_was_measured_elsewhere_is_not_found(cache: TuningCache, change: dict[str, Any]) -> None:
    cache.store(KEY, TUNING)
    assert cache.find(replace(KEY, **change)) is None
    cache.store(replace(KEY, **change), replace(TUNING, variant="slow"))
    assert cache.find(KEY) == TUNING


def _changed(**changes: Any) -> Callable[[bytes], bytes]:
    return lambda data: json.dumps({**json.loads(data), **changes}).encode()


def _first_candidate(**changes: Any) -> Callable[[bytes], bytes]:
    def change(data: bytes) -> bytes:
        document = json.loads(data)
        document["candidates"][0] |= changes
        return json.dumps(document).encode()

    return change


DAMAGED: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda data: b"",
    "cut off": lambda data: data[: len(data) // 2],
    "zeros": lambda data: bytes(len(data)),
    "no object": lambda data: b"[1, 2]",
    "too deep": lambda data: b"[" * 100_000,
    "too large": lambda data: data + b" " * 2**21,
    "another version": _changed(format_version=0),
    "without a choice": _changed(variant=None),
    "a choice that was not measured": _changed(variant="wrong"),
    "a choice of something else": _changed(variant="os.system"),
    "no candidates": _changed(candidates=[]),
    "candidates that are none": _changed(candidates={"fast": 1}),
    "a time without a zone": _changed(measured_at="2026-11-02T10:11:00"),
    "a budget of words": _changed(budget_s="much"),
    "a key that is none": _changed(key={"backbone": "compact"}),
    "nothing takes no time": _first_candidate(seconds=[[8, 0]]),
    "NaN": _first_candidate(seconds=[[8, float("nan")]]),
    "a number beyond all": _first_candidate(seconds=[[8, 10**400]]),
    "a fate that nobody knows": _first_candidate(fate="great"),
    "measured without figures": _first_candidate(seconds=[]),
}


@pytest.mark.parametrize("damage", DAMAGED.values(), ids=DAMAGED.keys())
def test_a_damaged_file_is_told_and_not_used_and_the_next_tuning_mends_it(
    cache: TuningCache, folder: Path, damage: Callable[[bytes], bytes], caplog: pytest.LogCaptureFixture
) -> None:
    cache.store(KEY, TUNING)
    [path] = folder.iterdir()
    path.write_bytes(damage(path.read_bytes()))
    assert cache.find(KEY) is None
    assert cache.list_tunings() == []
    assert f"the tuning {path} is not used" in caplog.text
    cache.store(KEY, TUNING)
    assert cache.find(KEY) == TUNING


def test_a_file_under_the_name_of_another_is_not_used(cache: TuningCache, folder: Path) -> None:
    cache.store(KEY, TUNING)
    [mine] = folder.iterdir()
    other = replace(KEY, threads=2)
    cache.store(other, TUNING)
    [its] = set(folder.iterdir()) - {mine}
    mine.replace(its)
    assert cache.find(other) is None


def test_a_folder_that_cannot_be_written_is_told_and_no_error(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("in the way")
    for folder in (tmp_path / "file", tmp_path / "file" / "tuning"):
        cache = TuningCache(folder)
        cache.store(KEY, TUNING)
        assert cache.find(KEY) is None
        assert cache.list_tunings() == []
    assert caplog.text.count("is not kept for other processes") == 2


def test_processes_that_store_at_once_leave_a_whole_tuning_at_every_moment(folder: Path) -> None:
    """Caches of their own, as processes have."""
    choices = [replace(TUNING, variant=variant) for variant in ("fast", "slow")]
    TuningCache(folder).store(KEY, TUNING)
    seen: list[Tuning | None] = []
    threads = [
        threading.Thread(target=lambda choice=choice: [TuningCache(folder).store(KEY, choice) for _ in range(100)])
        for choice in choices
    ]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        seen.append(TuningCache(folder).find(KEY))
    for thread in threads:
        thread.join()
    assert all(tuning in choices for tuning in seen)
    assert len(list(folder.iterdir())) == 1, "nothing is left beside it"


def test_what_is_kept_is_listed_with_the_newest_first(cache: TuningCache) -> None:
    assert cache.list_tunings() == []
    later = replace(TUNING, measured_at=TUNING.measured_at + timedelta(days=1))
    cache.store(KEY, TUNING)
    cache.store(replace(KEY, threads=2), later)
    assert [(key.threads, tuning) for key, tuning in cache.list_tunings()] == [(2, later), (1, TUNING)]


def test_a_tuning_leaves_open_what_was_cut_short_or_found_no_room() -> None:
    assert [TUNING.leaves_open(budget_s) for budget_s in (0.0, 1.5, 1.6)] == [False, False, True]
    whole = replace(TUNING, candidates=TUNING.candidates[:3])
    assert not whole.leaves_open(100.0)
    no_room = Candidate(variant="large", fate=Fate.OUT_OF_MEMORY, reason="CUDA out of memory")
    assert replace(whole, candidates=(*whole.candidates, no_room)).leaves_open(0.0)
