"""Links between very many embeddings: the same whatever the size of a block."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.cluster.hierarchy import fcluster, linkage

from core.faces import linkage as own
from core.faces.linkage import ALONE, best_partners, group_means, join_groups, linked_components


def unit(count: int, dim: int = 8, seed: int = 0) -> NDArray[np.float32]:
    vectors = np.random.default_rng(seed).standard_normal((count, dim))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture(params=[2**22, 700, 1])
def block(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of all rows, of a few, and of one."""
    monkeypatch.setattr(own, "_BLOCK_NUMBERS", request.param)
    monkeypatch.setattr(own, "_LINKS_KEPT", min(request.param, 50))


@pytest.mark.usefixtures("block")
def test_components_are_those_of_single_linkage() -> None:
    vectors = unit(120)
    merged = linkage(vectors.astype(np.float64), "single")  # Euclidean, which orders unit vectors as the cosine does
    expected = fcluster(merged, np.sqrt(2 - 2 * 0.8), "distance")
    found = linked_components(vectors, 0.8)
    assert np.array_equal(found[:, None] == found[None], expected[:, None] == expected[None])
    assert sorted(set(found)) == list(range(found.max() + 1))


@pytest.mark.usefixtures("block")
def test_the_best_partner_is_the_most_similar_other() -> None:
    vectors = unit(50)
    products = vectors @ vectors.T
    np.fill_diagonal(products, -2.0)
    best, similarity = best_partners(vectors, vectors, same=True)
    assert np.array_equal(best, products.argmax(axis=1))
    assert similarity == pytest.approx(products.max(axis=1))


def test_joining_is_average_linkage() -> None:
    """The reference joins the nearest pair of all first; this one, neighbours that are nearest to each other."""
    vectors = unit(60, dim=4)
    products = np.clip(vectors.astype(np.float64) @ vectors.T.astype(np.float64), -1, 1)
    upper = (1.0 - products)[np.triu_indices(60, 1)]
    expected = fcluster(linkage(upper, "average"), 1.0 - 0.7, "distance")
    found = join_groups(vectors, np.ones(60, np.int64), 0.7)
    assert np.array_equal(found[:, None] == found[None], expected[:, None] == expected[None])


def test_sizes_weigh_in_a_union() -> None:
    means = np.array([[1, 0], [0.8, 0.6], [0, 1]], np.float32)
    assert join_groups(means, np.array([1, 1, 1]), 0.5).tolist() == [0, 0, 2]  # the union's mean is (0.9, 0.3)
    assert join_groups(means, np.array([1, 9, 1]), 0.5).tolist() == [0, 0, 0]  # here (0.82, 0.54)


def test_means_leave_out_who_is_alone() -> None:
    vectors = np.array([[1, 0], [0, 1], [0, -1]], np.float32)
    means, counts = group_means(vectors, np.array([0, 0, ALONE]))
    assert means.tolist() == [[0.5, 0.5]]
    assert counts.tolist() == [2]
