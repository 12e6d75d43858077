"""What earlier training runs saw in labelled photos: the cache of core.training.embedding, kept in the ledger."""

from collections.abc import Callable, Sequence

from core.clock import Clock
from core.records import Example, LearnedFace
from db import photo_embeddings
from db.engine import Database
from workers.retry import retry_database


class LedgerFaces:
    """Labelled faces that were seen in one way, shared by all trainers.

    Args:
        database: the ledger.
        way: digest of all that decides how photos are seen.
        has_changed: says whether other bytes were read of a photo than its label speaks of; such faces are not kept.
        clock: the time.
    """

    def __init__(self, database: Database, way: str, has_changed: Callable[[Example], bool], clock: Clock) -> None:
        self._database = database
        self._has_changed = has_changed
        self._way_id = retry_database(lambda: self._use(way, clock))

    def find(self, examples: Sequence[Example]) -> list[LearnedFace | None]:
        """Return what is known of the faces that these labels mean, in their order; None where nothing is.

        Raises:
            DatabaseUnreachableError: the ledger stayed away.
        """
        return retry_database(lambda: self._find(examples))

    def add(self, faces: Sequence[tuple[Example, LearnedFace]]) -> None:
        """Keep what was found of some faces, in one transaction.

        Raises:
            DatabaseUnreachableError: the ledger stayed away; none of them is kept.
        """
        kept = [(example, face) for example, face in faces if not self._has_changed(example)]
        if kept:
            retry_database(lambda: self._add(kept))

    def _use(self, way: str, clock: Clock) -> int:
        with self._database.write() as session:
            return photo_embeddings.use_way(session, way, clock())

    def _find(self, examples: Sequence[Example]) -> list[LearnedFace | None]:
        with self._database.read() as session:
            return photo_embeddings.find_faces(session, self._way_id, examples)

    def _add(self, faces: Sequence[tuple[Example, LearnedFace]]) -> None:
        with self._database.write() as session:
            photo_embeddings.add_faces(session, self._way_id, faces)
