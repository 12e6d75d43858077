"""Removing what nothing refers to: model artifacts, and what labelled photos are to backbones that nobody trains on.

An artifact stays while a model of the ledger names it, while a run is in progress that began before it was stored, and
for a while after it was stored in any case: it lies in the store before it is registered. Removing a file is the
store's. What is kept of a photo goes with the photo; here it goes when no run has seen photos in its way for a while.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from core.errors import ForeignStoreError
from core.models.store import ModelStore, StoredArtifact
from db import photo_embeddings, registry, runs
from db.engine import Database

GRACE = timedelta(days=7)
"""Long, as two fleets may share a store by mistake, and a ledger may be brought back from a backup."""

UNUSED = timedelta(days=30)
"""So long what a run saw in photos is kept for another; what the last run of all saw is kept in any case."""

_FACES_PAGE = 5000  # removed in one transaction, for which others wait
_CLOCKS_APART = timedelta(hours=1)
"""By so much the store's clock and the ledger's may differ."""


@dataclass(frozen=True, kw_only=True)
class Collection:
    """What a look at the store gave."""

    removed: tuple[StoredArtifact, ...]
    """What was removed, or with a dry run would have been."""
    kept: int
    """Artifacts that stay."""
    registered: int
    """Of those, how many a model of the ledger names."""


def collect_artifacts(
    database: Database,
    store: ModelStore,
    now: datetime,
    *,
    grace: timedelta = GRACE,
    dry_run: bool = False,
    force: bool = False,
) -> Collection:
    """Remove the artifacts that nothing refers to and that are old, with what interrupted writers left.

    Args:
        database: the ledger.
        store: where the artifacts lie.
        now: aware time.
        grace: younger ones stay.
        dry_run: only say what would be removed.
        force: also when more of them would go than models of the ledger have one.

    Raises:
        ForeignStoreError: more would go than are known; nothing was removed.
        DatabaseUnreachableError: the ledger did not say which are referred to; nothing was removed.
        ArtifactsUnreachableError: the store did not answer.
        ArtifactStoreError: the store may not be written.
    """
    with database.read() as session:
        began = runs.oldest_in_progress(session)
        named = registry.referenced_artifacts(session)
    before = min(now - grace, now if began is None else began - _CLOCKS_APART)
    everything = store.list_artifacts()
    registered = sum(each.sha256 in named for each in everything)
    old = [each for each in everything if each.sha256 not in named and each.stored_at < before]
    if not dry_run and not force and len(old) > registered:
        raise _foreign(store, len(old), registered)
    removed = old if dry_run else [each for each in old if store.remove(each)]
    if not dry_run:
        store.remove_partials(stored_before=before)
    return Collection(removed=tuple(removed), kept=len(everything) - len(removed), registered=registered)


def collect_embeddings(database: Database, now: datetime, *, unused: timedelta = UNUSED) -> int:
    """Remove what was kept of labelled photos in ways in which no run sees them any more, page by page.

    Returns:
        How many faces were removed.

    Raises:
        DatabaseUnreachableError: the ledger did not answer; what was removed by then is.
    """
    removed = 0
    with database.read() as session:
        ways = photo_embeddings.find_unused_ways(session, now - unused)
    for way_id in ways:
        gone = -1
        while gone:
            with database.write() as session:
                gone = photo_embeddings.forget_faces(session, way_id, _FACES_PAGE)
                photo_embeddings.forget_way(session, way_id, now - unused)
            removed += gone
    return removed


def _foreign(store: ModelStore, unknown: int, registered: int) -> ForeignStoreError:
    return ForeignStoreError(
        f"{store.place} holds {unknown} artifacts that no model of this database names, and {registered} that one "
        "does: the store may belong to another fleet, or the database may be an older one. Nothing was removed. Check "
        "FACEFLEET_ARTIFACTS and FACEFLEET_DATABASE_URL; to remove them all the same: facefleet model prune --force"
    )
