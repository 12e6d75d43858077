"""Result rows as JSON, JSONL, CSV and Parquet: the same rows and values in each, written as they come.

CSV and Parquet have the columns of COLUMNS: `box` is flattened to box_x1, box_y1, box_x2, box_y2 (pixels), `quality` to
quality_score and quality_reasons (joined by `;`), `label` to label_verdict, label_author and label_at, `error` to
error_code and error_message; every other name is a key of a JSONL row. A missing value is an empty cell in CSV and null
in Parquet, where times are UTC timestamps. CSV is RFC 4180 with a header; a text that a spreadsheet would run (one that
starts with = + - @, tab or return) gets a leading `'`.
"""

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from itertools import islice
from typing import IO, Any

Row = dict[str, Any]

COLUMNS = {
    "job": "string",
    "item": "int64",
    "uri": "string",
    "outcome": "string",
    "face": "string",
    "box_x1": "double",
    "box_y1": "double",
    "box_x2": "double",
    "box_y2": "double",
    "person": "string",
    "candidate": "string",
    "confidence": "double",
    "similarity": "double",
    "quality_score": "double",
    "quality_reasons": "string",
    "label_verdict": "string",
    "label_author": "string",
    "label_at": "timestamp",
    "model": "string",
    "decided_at": "timestamp",
    "error_code": "string",
    "error_message": "string",
}
"""Name and type of the flat columns, in order."""

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_ROW_GROUP = 20_000


def flatten(row: Row) -> Row:
    """Return a result row as flat columns; see the module's docstring."""
    box, quality, label, error = row["box"] or (None,) * 4, row["quality"], row["label"], row["error"]
    flat = {
        **row,
        **dict(zip(("box_x1", "box_y1", "box_x2", "box_y2"), box, strict=True)),
        "quality_score": quality["score"] if quality else None,
        "quality_reasons": ";".join(quality["reasons"]) if quality else None,
        "label_verdict": label["verdict"] if label else None,
        "label_author": label["author"] if label else None,
        "label_at": label["at"] if label else None,
        "error_code": error["code"] if error else None,
        "error_message": error["message"] if error else None,
    }
    return {name: flat[name] for name in COLUMNS}


def write_json_array(key: str, rows: Iterable[Row], stream: IO[bytes]) -> None:
    """Write one JSON document `{key: [row, ...]}`, a row a line."""
    stream.write(f'{{"{key}": ['.encode())
    separator = b"\n"
    for row in rows:
        stream.write(separator + _json_of(row))
        separator = b",\n"
    stream.write(b"\n]}\n")
    stream.flush()


def write_jsonl(rows: Iterable[Row], stream: IO[bytes]) -> int:
    """Write a JSON object a line; return how many."""
    count = 0
    for row in rows:
        stream.write(_json_of(row) + b"\n")
        count += 1
    stream.flush()
    return count


def write_csv(rows: Iterable[Row], stream: IO[bytes]) -> int:
    """Write RFC 4180 CSV with a header; return the number of rows."""
    text = io.TextIOWrapper(stream, encoding="utf-8", newline="", write_through=False)
    try:
        writer = csv.DictWriter(text, COLUMNS)
        writer.writeheader()
        count = 0
        for row in rows:
            writer.writerow({name: _defused(value) for name, value in flatten(row).items()})
            count += 1
        text.flush()
    finally:
        text.detach()
    return count


def write_parquet(rows: Iterable[Row], stream: IO[bytes]) -> int:
    """Write Parquet, a row group in memory at a time; return the number of rows."""
    import pyarrow as pa
    from pyarrow import parquet

    types = {
        "timestamp": pa.timestamp("us", tz="UTC"),
        "string": pa.string(),
        "int64": pa.int64(),
        "double": pa.float64(),
    }
    schema = pa.schema([(name, types[kind]) for name, kind in COLUMNS.items()])
    times = [name for name, kind in COLUMNS.items() if kind == "timestamp"]
    count = 0
    with parquet.ParquetWriter(_Sink(stream), schema) as writer:
        for page in _pages(map(flatten, rows), _ROW_GROUP):
            for row in page:
                for name in times:
                    row[name] = datetime.fromisoformat(row[name]) if row[name] else None
            writer.write_table(pa.Table.from_pylist(page, schema=schema))
            count += len(page)
    stream.flush()
    return count


WRITERS: dict[str, Callable[[Iterable[Row], IO[bytes]], int]] = {
    "jsonl": write_jsonl,
    "csv": write_csv,
    "parquet": write_parquet,
}
"""The formats for programs, by name."""


def _json_of(row: Row) -> bytes:
    return json.dumps(row, ensure_ascii=False, allow_nan=False).encode("utf-8", "backslashreplace")


def _defused(value: Any) -> Any:
    """Return a CSV cell that no spreadsheet takes for a formula."""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def _pages(rows: Iterable[Row], size: int) -> Iterator[list[Row]]:
    upcoming = iter(rows)
    while page := list(islice(upcoming, size)):
        yield page


class _Sink(io.RawIOBase):
    """A stream that knows how much went into it: Parquet needs positions, and a pipe has none."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._written = 0

    def writable(self) -> bool:
        """It can."""
        return True

    def write(self, data: Any, /) -> int:
        """Pass bytes on."""
        self._stream.write(data)
        self._written += len(data)
        return len(data)

    def tell(self) -> int:
        """Return how many bytes were passed on."""
        return self._written
