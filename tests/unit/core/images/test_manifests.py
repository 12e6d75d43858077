"""CSV and JSONL manifests, and every way to get one wrong."""

import io

import pytest

from core.errors import ManifestError
from core.images.manifests import read_manifest


def read(data: str | bytes, name: str = "/m/photos.csv") -> list[str]:
    raw = data if isinstance(data, bytes) else data.encode()
    return list(read_manifest(io.BytesIO(raw), name, "/m"))


def test_relative_paths_start_from_the_manifest_and_the_rest_stay() -> None:
    rows = "uri\n1.jpg\n../up/2.jpg\n/abs/3.jpg\ns3://b/4.jpg\nzip://5.jpg::/a.zip\n"
    assert read(rows) == ["/m/1.jpg", "/up/2.jpg", "/abs/3.jpg", "s3://b/4.jpg", "zip://5.jpg::/a.zip"]


@pytest.mark.parametrize("column", ["uri", "path", "file", "filename", "File", " URI "])
def test_the_column_may_have_several_names(column: str) -> None:
    assert read(f"person,{column}\nAda,/1.jpg\n") == ["/1.jpg"]


def test_of_several_columns_the_uri_counts() -> None:
    assert read("filename,uri\nx.jpg,/1.jpg\n") == ["/1.jpg"]


def test_spreadsheets_write_marks_semicolons_and_windows_lines() -> None:
    assert read(b"\xef\xbb\xbfuri;person\r\n/1.jpg;Ada\r\n\r\n/2.jpg;Bo\r\n") == ["/1.jpg", "/2.jpg"]
    assert read("person\turi\nAda\t/1.jpg\n") == ["/1.jpg"]


def test_quotes_hold_commas_and_lines() -> None:
    assert read('uri,note\n"/a,b.jpg","two\nlines"\n/c.jpg,x\n') == ["/a,b.jpg", "/c.jpg"]


def test_jsonl_has_the_same_keys() -> None:
    rows = '{"uri": "1.jpg", "person": "Ada"}\n\n{"filename": "/2.jpg"}\n'
    assert read(rows, "/m/photos.jsonl") == ["/m/1.jpg", "/2.jpg"]
    assert read(b"\xef\xbb\xbf" + rows.encode(), "/m/photos.ndjson") == ["/m/1.jpg", "/2.jpg"]


def test_a_missing_column_names_the_file_the_columns_and_the_remedy() -> None:
    with pytest.raises(ManifestError) as caught:
        read("person,picture\nAda,1.jpg\n")
    for words in ("/m/photos.csv", "'person', 'picture'", "`uri`", "Nothing was submitted"):
        assert words in str(caught.value)


@pytest.mark.parametrize("data", [b"", b"\n", b"\xff\xfeu\0r\0i\0", b"\x80\x81"])
def test_a_file_that_is_no_manifest_is_refused(data: bytes) -> None:
    for name in ("/m/a.csv", "/m/a.jsonl"):
        if data.strip() or name.endswith("csv"):
            with pytest.raises(ManifestError, match=name):
                read(data, name)


@pytest.mark.parametrize(
    ("name", "data", "line", "words"),
    [
        ("a.csv", "uri,n\n/1.jpg,1\n,2\n", 3, "names no photo"),
        ("a.csv", "uri,n\n/1.jpg,1\n/a,b.jpg,2\n", 3, "3 fields and the header 2"),
        ("a.csv", 'uri,n\n/1.jpg,1\n"/2.jpg\n', 3, "no CSV"),
        ("a.csv", b"uri\n/1.jpg\n/caf\xe9.jpg\n", 3, "UTF-8"),
        ("a.csv", b"uri\n/1.jpg\n/a\0.jpg\n", 3, "NUL"),
        ("a.csv", "uri\n/1.jpg\n" + "x" * 2_000_000 + "\n", 3, "longer than"),
        ("a.jsonl", '{"uri": "/1.jpg"}\n{"uri": \n', 2, "no JSON"),
        ("a.jsonl", '{"uri": "/1.jpg"}\n["/2.jpg"]\n', 2, "no JSON object"),
        ("a.jsonl", '{"uri": "/1.jpg"}\n{"photo": "/2.jpg"}\n', 2, "its keys are 'photo'"),
        ("a.jsonl", '{"uri": "/1.jpg"}\n{"uri": 7}\n', 2, "names no photo"),
        ("a.jsonl", '{"uri": "/1.jpg"}\n{"uri": "/a\\u0000.jpg"}\n', 2, "NUL"),
        ("a.jsonl", '{"uri": "/1.jpg"}\n' + "[" * 100_000 + "\n", 2, "no JSON"),
    ],
)
def test_a_bad_line_is_named_after_the_good_ones_before_it(name: str, data: str | bytes, line: int, words: str) -> None:
    raw = data if isinstance(data, bytes) else data.encode()
    photos = read_manifest(io.BytesIO(raw), name, "/m")
    assert next(photos) == "/1.jpg"
    with pytest.raises(ManifestError, match=words) as caught:
        list(photos)
    assert f"Line {line} of the manifest {name}" in str(caught.value)
