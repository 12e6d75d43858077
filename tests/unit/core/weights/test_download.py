"""Downloads, against servers that cut, lie, redirect and are away."""

import re
import socket
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest

from core.errors import WeightsDownloadError, WeightsUnreachableError
from core.weights.download import Download, Patience
from core.weights.spec import WeightsFile
from tests import file_server as web

DATA = bytes(range(256)) * 2000
COMMAND = "facefleet weights pull mine"
QUICK = Patience(pauses_s=(0.0, 0.0, 0.0), timeout_s=10)


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")


@pytest.fixture
def partial(tmp_path: Path) -> Path:
    return tmp_path / "net.onnx.partial"


def download(
    url: str, partial: Path, on_progress: Callable[[int], None] = lambda done: None, patience: Patience = QUICK
) -> None:
    file = WeightsFile(name="net.onnx", url=url, sha256=sha256(DATA).hexdigest(), size_bytes=len(DATA))
    Download(file, partial, command=COMMAND, patience=patience).run(on_progress)


@pytest.mark.parametrize("answer", [web.whole, web.pieces, web.unsized], ids=lambda answer: answer.__name__)
def test_a_file_comes_whole(answer: web.Answer, partial: Path) -> None:
    seen: list[int] = []
    with web.serve(DATA, answer) as server:
        download(server.url, partial, seen.append)

    assert partial.read_bytes() == DATA
    assert seen == sorted(seen)
    assert seen[-1] == len(DATA)


def test_a_cut_connection_is_taken_up_where_it_broke_off(partial: Path) -> None:
    with web.serve(DATA, web.cut_after(100_000), web.cut_after(50_000), web.pieces) as server:
        download(server.url, partial)

    assert partial.read_bytes() == DATA
    assert server.ranges == [None, "bytes=100000-", "bytes=150000-"]


def test_a_server_that_gives_no_pieces_is_asked_for_all_of_it_again(partial: Path) -> None:
    with web.serve(DATA, web.cut_whole_after(100_000), web.whole) as server:
        download(server.url, partial)

    assert partial.read_bytes() == DATA
    assert server.ranges == [None, "bytes=100000-"]


def test_what_an_earlier_download_left_is_not_fetched_again(partial: Path) -> None:
    partial.write_bytes(DATA[:300_000])
    seen: list[int] = []
    with web.serve(DATA, web.pieces) as server:
        download(server.url, partial, seen.append)

    assert partial.read_bytes() == DATA
    assert server.ranges == ["bytes=300000-"]
    assert min(seen) > 300_000


def test_a_left_over_that_is_too_long_is_begun_anew(partial: Path) -> None:
    partial.write_bytes(DATA + b"x")
    with web.serve(DATA, web.pieces) as server:
        download(server.url, partial)

    assert partial.read_bytes() == DATA
    assert server.ranges == [None]


@pytest.mark.parametrize(
    "answer",
    [web.other(b"", 416), web.other(b"x", 206, Content_Range=f"bytes 5-5/{len(DATA)}"), web.other(b"x", 206)],
    ids=["refused", "another piece", "which piece is not said"],
)
def test_a_piece_that_does_not_fit_is_not_put_behind_the_others(answer: web.Answer, partial: Path) -> None:
    partial.write_bytes(DATA[:1000])
    with web.serve(DATA, answer, web.pieces) as server:
        download(server.url, partial)

    assert partial.read_bytes() == DATA
    assert server.ranges == ["bytes=1000-", None]


@pytest.mark.parametrize("code", [429, 500, 503])
def test_a_server_that_has_no_time_is_asked_again(code: int, partial: Path) -> None:
    with web.serve(DATA, web.other(b"later", code), web.other(b"later", code), web.pieces) as server:
        download(server.url, partial)

    assert partial.read_bytes() == DATA
    assert len(server.ranges) == 3


def test_a_redirect_is_followed_with_the_piece_that_is_asked_for(partial: Path) -> None:
    partial.write_bytes(DATA[:1000])
    with web.serve(DATA, web.pieces) as server, web.serve(b"", web.other(b"", 302, Location=server.url)) as first:
        download(first.url, partial)

    assert partial.read_bytes() == DATA
    assert server.ranges == ["bytes=1000-"]


@pytest.mark.parametrize("place", ["file:///etc/hostname", "ftp://127.0.0.1/x", "data:,x"])
def test_a_redirect_leads_to_web_addresses_alone(place: str, partial: Path) -> None:
    with web.serve(b"", web.other(b"", 302, Location=place)) as server:
        refuse(server.url, partial, "did not give the file")
    assert len(server.ranges) == 1


def refuse(url: str, partial: Path, told: str) -> None:
    """A download that is refused for good leaves nothing and says what to type."""
    with pytest.raises(WeightsDownloadError, match=told) as refused:
        download(url, partial)
    assert not partial.exists()
    assert f"`{COMMAND} --from DIR`" in refused.value.message


@pytest.mark.parametrize("code", [401, 403, 404, 410])
def test_a_file_that_is_not_there_is_not_asked_for_again(code: int, partial: Path) -> None:
    with web.serve(DATA, web.other(b"no", code)) as server:
        refuse(server.url, partial, f"the server answered {code}")
    assert len(server.ranges) == 1


def test_a_loop_of_redirects_ends(partial: Path) -> None:
    with web.serve(b"", web.other(b"", 302, Location="/again")) as server:
        refuse(server.url, partial, "infinite loop")


@pytest.mark.parametrize(
    "answer",
    [
        web.other(web.WEB_PAGE, Content_Type="text/html; charset=utf-8"),
        web.other(web.WEB_PAGE, Content_Length=len(DATA)),
        web.other(b"\n<HTML lang=de>" + bytes(100), Content_Length=None),
    ],
    ids=["with its type", "with the right length", "without a length"],
)
def test_a_web_page_is_no_file(answer: web.Answer, partial: Path) -> None:
    with web.serve(DATA, answer) as server:
        refuse(server.url, partial, "gave a web page instead of the file.*log in to the network")


def test_a_file_of_another_size_is_refused_before_it_comes(partial: Path) -> None:
    seen: list[int] = []
    with web.serve(DATA + b"more", web.whole) as server, pytest.raises(WeightsDownloadError) as refused:
        download(server.url, partial, seen.append)

    assert f"it offers {len(DATA) + 4:,} bytes, and the file has {len(DATA):,}" in refused.value.message
    assert seen == []


def test_the_rest_of_another_file_is_refused(partial: Path) -> None:
    partial.write_bytes(DATA[:1000])
    with web.serve(DATA + b"more", web.pieces) as server:
        refuse(server.url, partial, "it offers")


def test_no_more_is_taken_than_the_file_has(partial: Path) -> None:
    seen: list[int] = []
    with web.serve(DATA, web.endless) as server, pytest.raises(WeightsDownloadError, match="it sent more than"):
        download(server.url, partial, seen.append)
    assert max(seen) <= len(DATA)
    assert not partial.exists()


def test_a_server_that_cuts_each_time_is_given_up_and_what_came_is_kept(partial: Path) -> None:
    with web.serve(DATA, web.cut_after(1000)) as server, pytest.raises(WeightsUnreachableError) as given_up:
        download(server.url, partial)

    assert len(server.ranges) == 1 + len(QUICK.pauses_s)
    assert partial.read_bytes() == DATA[:4000]
    assert f"The 4,000 of {len(DATA):,} bytes that came are kept. Repeat `{COMMAND}`" in given_up.value.message


def test_a_server_that_says_nothing_is_given_up(partial: Path) -> None:
    patience = replace(QUICK, pauses_s=(0.0,), timeout_s=0.1)
    with web.serve(DATA, web.silent) as server, pytest.raises(WeightsUnreachableError, match="said nothing"):
        download(server.url, partial, patience=patience)
    assert len(server.ranges) == 2
    assert not partial.exists()


def test_a_machine_without_a_way_out_is_told_at_once(partial: Path) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    with pytest.raises(WeightsUnreachableError, match=r"Connection refused.*HTTPS_PROXY.*--from DIR"):
        download(f"http://127.0.0.1:{port}/x", partial, patience=Patience(pauses_s=(3600.0,)))


def test_a_name_that_nobody_knows_is_told_at_once(partial: Path) -> None:
    with pytest.raises(WeightsUnreachableError, match=re.escape("http://nowhere.invalid/x cannot be fetched")):
        download("http://nowhere.invalid/x", partial, patience=Patience(pauses_s=(3600.0,)))


def test_a_proxy_that_is_set_is_asked(partial: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("no_proxy")
    monkeypatch.delenv("NO_PROXY", raising=False)
    with web.serve(DATA, web.pieces) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        download("http://published.invalid/net.onnx", partial)

    assert partial.read_bytes() == DATA


def test_a_network_that_goes_away_on_the_way_is_tried_again(partial: Path) -> None:
    """Refused after an answer is not the same as refused from the start."""
    with web.serve(DATA, web.cut_after(1000)) as server:

        def close(done: int) -> None:
            server.socket.close()

        with pytest.raises(WeightsUnreachableError, match="The 1,000 of"):
            download(server.url, partial, close)
