"""Reads the TOML manifest of a set of weights, strictly. Which manifests there are stands in core/weights/known.py."""

import re
import tomllib
from pathlib import Path
from urllib.parse import urlsplit

from core.errors import WeightsManifestError
from core.faces.impostors import ImpostorScores, PublishedScores
from core.faces.lengths import SAYS_NOTHING, FeatureLength
from core.weights.spec import ChannelOrder, EmbedderSpec, WeightsFile, WeightsKind, WeightsSpec
from core.weights.table import Table

MANIFEST = "weights.toml"
"""The manifest's own file name in a folder that a user made."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_PLAIN = re.compile(r"[!-~]+")
_GRAPHS = (".xml", ".onnx")
_LARGEST_FILE_BYTES = 16 * 2**30
_CROP_SIDES_PX = (16, 1024)
_LONGEST_EMBEDDING = 8192
_LANDMARKS = 5


def read_manifest(file: Path) -> WeightsSpec:
    """Read what is known of a set of weights.

    Args:
        file: the manifest; docs/weights.md explains its keys.

    Raises:
        WeightsManifestError: it cannot be read, or a key is unknown, missing or of no use; names file and key.
    """
    try:
        values = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise _unreadable(file, error.strerror or str(error)) from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise _unreadable(file, f"it is no TOML: {error}") from error
    table = Table(values, file)
    name, kind = _read_name(table), table.choice("kind", WeightsKind)
    licence, source = _read_words(table, "licence"), _read_words(table, "source")
    files = _read_files(table)
    embedder = None
    if kind is WeightsKind.EMBEDDER:
        embedder = _read_embedder(table.table("embedder"), files)
    elif table.has("embedder"):
        raise table.refuse("embedder", f"stands there, and the kind is {kind}")
    table.finish()
    return WeightsSpec(name=name, kind=kind, licence=licence, source=source, files=files, embedder=embedder)


def is_name(text: str) -> bool:
    """Whether a set of weights may have this name: it is a folder's name everywhere, and never a path."""
    return _NAME.fullmatch(text) is not None


def _read_name(table: Table) -> str:
    name = table.text("name")
    if not is_name(name):
        raise table.refuse("name", f"is {name!r}: a name is letters, digits, dots, dashes and underscores, no path")
    return name


def _read_words(table: Table, key: str) -> str:
    words = table.text(key)
    if not words.strip():
        raise table.refuse(key, "is empty")
    return words


def _read_files(table: Table) -> tuple[WeightsFile, ...]:
    files: list[WeightsFile] = []
    for entry in table.tables("files"):
        file = _read_file(entry)
        if file.name in {each.name for each in files}:
            raise entry.refuse("name", f"is {file.name!r}, as of another file")
        files.append(file)
    return tuple(files)


def _read_file(entry: Table) -> WeightsFile:
    name = _read_name(entry)
    if name == MANIFEST or name.endswith(".partial"):
        raise entry.refuse("name", f"is {name!r}, which is kept for facefleet's own")
    url, sha256 = entry.text("url"), entry.text("sha256")
    if url and not _is_web_address(url):
        raise entry.refuse("url", f"is {url!r}; it must begin with https:// or http://, or be empty")
    if not _SHA256.fullmatch(sha256):
        raise entry.refuse("sha256", f"is {sha256!r}, which is not 64 hexadecimal digits in lower case")
    size_bytes = entry.whole("size_bytes", 1, _LARGEST_FILE_BYTES)
    entry.finish()
    return WeightsFile(name=name, url=url, sha256=sha256, size_bytes=size_bytes)


def _is_web_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        host = parts.hostname if parts.port != 0 else None  # `port` raises where it is no number
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(host) and _PLAIN.fullmatch(url) is not None


def _read_embedder(table: Table, files: tuple[WeightsFile, ...]) -> EmbedderSpec:
    graph, names = table.text("graph"), {file.name for file in files}
    if graph not in names or not graph.endswith(_GRAPHS):
        raise table.refuse("graph", f"is {graph!r}, which is none of the files, or neither .xml nor .onnx")
    if graph.endswith(".xml") and (numbers := f"{graph.removesuffix('.xml')}.bin") not in names:
        raise table.refuse("graph", f"is {graph!r}, whose numbers lie in {numbers!r}, which is none of the files")
    spec = EmbedderSpec(
        graph=graph,
        input_size_px=table.whole("input_size_px", *_CROP_SIDES_PX),
        channel_order=table.choice("channel_order", ChannelOrder),
        mean=_read_channels(table, "mean"),
        scale=_read_channels(table, "scale"),
        embedding_dim=table.whole("embedding_dim", 1, _LONGEST_EMBEDDING),
        template=_read_template(table),
        length=_read_length(table) if table.has("length") else SAYS_NOTHING,
        scores=_read_scores(table.table("scores")) if table.has("scores") else None,
    )
    table.finish()
    return spec


def _read_length(table: Table) -> FeatureLength:
    typical, power = table.numbers("length", 2)
    try:
        return FeatureLength(typical=typical, power=power)
    except ValueError as error:
        raise table.refuse("length", f"cannot be: {error}") from error


def _read_scores(table: Table) -> PublishedScores:
    words = table.text("measured_on")
    centre, spread = table.numbers("impostors", 2)
    start, scale, shape = table.numbers("impostor_tail", 3)
    mean, deviation = table.numbers("genuine", 2)
    table.finish()
    try:
        tail = {"tail_start": start, "tail_scale": scale, "tail_shape": shape}
        impostors = ImpostorScores(centre=centre, spread=spread, **tail)
        return PublishedScores(impostors=impostors, genuine_mean=mean, genuine_deviation=deviation, measured_on=words)
    except ValueError as error:
        raise table.refuse("impostors", f"and its neighbours cannot be: {error}") from error


def _read_channels(table: Table, key: str) -> tuple[float, float, float]:
    first, second, third = table.numbers(key, 3)
    if key == "scale" and 0.0 in (first, second, third):
        raise table.refuse(key, "holds a 0, which would make every pixel the same")
    return first, second, third


def _read_template(table: Table) -> tuple[tuple[float, float], ...]:
    points = table.rows("template", _LANDMARKS, 2)
    if not all(0.0 <= each <= 1.0 for point in points for each in point):
        raise table.refuse("template", "holds numbers beyond 0..1; it is in fractions of the crop's side, no pixels")
    return tuple((x, y) for x, y in points)


def _unreadable(file: Path, fact: str) -> WeightsManifestError:
    return WeightsManifestError(
        f"{file} cannot be read ({fact}). These weights are not used. docs/weights.md shows what stands in such a file."
    )
