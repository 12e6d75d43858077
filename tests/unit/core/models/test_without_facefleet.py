"""The lines of docs/models.md that use an exported model, as they stand there, where no facefleet can be imported."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image

from core.faces.match import decide
from core.models.engine import Engine, load_engine
from core.models.export import write_artifact
from core.models.store import ModelStore
from core.nets.compact import CompactNetwork
from core.nets.servable import Servable
from core.records import FaceOutcome
from tests.factories import make_artifact, make_classes, make_face, make_manifest

ROOT = Path(__file__).resolve().parents[4]
LINES = re.search(r"^```python\n(.*?)^```", (ROOT / "docs/models.md").read_text(encoding="utf-8"), re.M | re.S)[1]  # type: ignore[index]

_NO_FACEFLEET = """
import sys

class Refusing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"core", "db", "workers", "web", "scripts", "tests"}:
            raise ImportError("facefleet is not to be had: " + name)

sys.meta_path.insert(0, Refusing())
"""


def run_lines(folder: Path) -> tuple[str, float]:
    """Run the lines beside `model.pt` and `face.png`; return the name and the similarity that they print."""
    ran = subprocess.run(
        [sys.executable, "-I", "-c", _NO_FACEFLEET + LINES], cwd=folder, capture_output=True, text=True, timeout=300
    )
    assert ran.returncode == 0, ran.stderr
    name, similarity = ran.stdout.rsplit(maxsplit=1)
    return name, float(similarity)


def expected(engine: Engine, folder: Path) -> tuple[str, float]:
    """Return what the model says of the same face when it serves."""
    with Image.open(folder / "face.png") as face:
        pixels = torch.frombuffer(bytearray(face.tobytes()), dtype=torch.uint8)
    size = engine.manifest.input_size_px
    answer = engine.run(pixels.reshape(1, size, size, 3).permute(0, 3, 1, 2))
    (match,) = decide(*answer, engine.gallery, engine.manifest.rule)
    assert match.candidate is not None and match.similarity is not None
    name = engine.manifest.classes[match.candidate].name
    return name if match.outcome is FaceOutcome.IDENTIFIED else "unknown", match.similarity


def test_there_are_ten_of_them() -> None:
    statements = [each for each in ast.parse(LINES).body if not isinstance(each, ast.Import | ast.ImportFrom)]
    assert len(statements) == len(LINES.strip().split("\n\n")[1].splitlines()) == 10


@pytest.mark.parametrize(("person", "name"), [(1, "Grace"), (7, "unknown")])
def test_they_say_what_a_worker_says(tmp_path: Path, person: int, name: str) -> None:
    store = ModelStore(tmp_path / "store")
    sha256 = make_artifact(store, make_classes("Ada", "Grace", "Edsger"))
    (tmp_path / "model.pt").write_bytes(store.path(sha256).read_bytes())
    Image.fromarray(make_face(person, shade=3)).save(tmp_path / "face.png")
    engine = load_engine(store.path(sha256), sha256, "cpu", batch_size=1, tuning_budget_s=0.0)

    said = run_lines(tmp_path)

    assert said == (name, pytest.approx(expected(engine, tmp_path)[1], abs=1e-5))
    assert said[0] == expected(engine, tmp_path)[0]


def test_a_network_that_was_trained_here_needs_no_facefleet_either(tmp_path: Path) -> None:
    """Its code is in the file, whatever layers it is made of; of a single person nobody is the next one."""
    torch.manual_seed(0)
    network = CompactNetwork(2).eval()
    network.keep_classes(1)
    gallery = network.gallery()
    assert gallery is not None
    manifest = make_manifest(
        make_classes("Ada"), input_size_px=network.input_size_px, embedding_dim=network.embedding_dim
    )
    write_artifact(Servable(network).eval(), gallery.detach().numpy(), manifest, tmp_path / "model.pt")
    Image.fromarray(make_face(0, network.input_size_px)).save(tmp_path / "face.png")
    name, similarity = run_lines(tmp_path)
    assert name == "unknown"
    assert -1.0 <= similarity <= 1.0
