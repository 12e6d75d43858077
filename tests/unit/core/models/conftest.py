"""A model store with a real network in it."""

import pytest
import torch

from core.models.export import write_artifact
from core.models.store import ModelStore
from core.nets.compact import CompactNetwork
from core.nets.servable import Servable
from tests.factories import make_manifest


@pytest.fixture(scope="module")
def compact(tmp_path_factory: pytest.TempPathFactory) -> tuple[ModelStore, str, Servable]:
    """A store with an untrained compact network of 32 pixels in it."""
    torch.manual_seed(0)
    servable = Servable(CompactNetwork(3, 32)).eval()
    folder = tmp_path_factory.mktemp("compact")
    manifest = make_manifest(input_size_px=32, embedding_dim=servable.embedding_dim)
    write_artifact(servable, servable.network.gallery().numpy(), manifest, folder / "staged.pt")
    store = ModelStore(folder / "store")
    return store, store.put(folder / "staged.pt"), servable
