import numpy as np

from core.records import RankedPerson
from db.rankings import ENTRY_FIELDS, pack_ranking, ranking_of, unpack_ranking
from db.tables import Face

RANKING = (RankedPerson(person_id=2**40, similarity=0.68), RankedPerson(person_id=7, similarity=-0.1))


def test_a_ranking_comes_back_as_it_was() -> None:
    assert unpack_ranking(pack_ranking(RANKING)) == RANKING
    assert unpack_ranking(pack_ranking(())) == ()


def test_many_rankings_are_packed_by_numpy_alike() -> None:
    entries = np.array([(ranked.person_id, ranked.similarity) for ranked in RANKING], ENTRY_FIELDS)
    assert entries.tobytes() == pack_ranking(RANKING)


def test_a_row_from_before_has_its_ranking_as_json() -> None:
    old = Face(ranking=None, top_k=[{"person_id": 7, "similarity": 0.5}])
    new = Face(ranking=pack_ranking(RANKING), top_k=[])
    assert ranking_of(old) == (RankedPerson(person_id=7, similarity=0.5),)
    assert ranking_of(new) == RANKING
