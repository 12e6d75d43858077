"""Makes sets of weights of a few bytes, as a user would describe them."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

from core.weights.manifest import MANIFEST, read_manifest
from core.weights.spec import WeightsSpec

FILES = {"net.onnx": b"a network" * 2000, "labels.txt": b"what it knows"}
EMBEDDER = """
[embedder]
graph = "net.onnx"
input_size_px = 112
channel_order = "rgb"
mean = [127.5, 127.5, 127.5]
scale = [0.0078125, 0.0078125, 0.0078125]
embedding_dim = 512
template = [[0.34, 0.46], [0.65, 0.46], [0.5, 0.64], [0.37, 0.82], [0.63, 0.82]]
"""


def manifest_text(name: str = "mine", files: Mapping[str, bytes] = FILES, url: str = "") -> str:
    """Return a manifest; each file is published at `url`/FILE, or nowhere."""
    head = f'name = "{name}"\nkind = "embedder"\nlicence = "MIT"\nsource = "https://example.org/mine"\n'
    entries = [
        f'[[files]]\nname = "{file}"\nurl = "{url and f"{url}/{file}"}"\n'
        f'sha256 = "{hashlib.sha256(data).hexdigest()}"\nsize_bytes = {len(data)}\n'
        for file, data in files.items()
    ]
    return "\n".join([head, *entries, EMBEDDER])


def describe(given: Path, name: str = "mine", files: Mapping[str, bytes] = FILES, url: str = "") -> WeightsSpec:
    """Put a manifest into a folder FACEFLEET_WEIGHTS; return what it says."""
    file = given / name / MANIFEST
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(manifest_text(name, files, url), encoding="utf-8")
    return read_manifest(file)


def lay(folder: Path, files: Mapping[str, bytes] = FILES) -> Path:
    """Put files into a folder; return it."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return folder
