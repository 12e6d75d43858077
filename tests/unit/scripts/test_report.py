import dataclasses
import io
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from PIL import Image

from core.images.decode import DecodeLimits
from core.records import Skipped
from scripts.demo_score import ProbeOutcome, ScoredPhoto
from scripts.report import ReportData, percent, render_report, write_report
from scripts.report_pictures import Thumbnails
from tests.unit.scripts.report_data import make_data, photo

NASTY = "<script>alert('x')</script>"


def picture(_: str) -> bytes:
    buffer = io.BytesIO()
    Image.effect_noise((160, 160), 90).convert("RGB").save(buffer, "JPEG")
    return buffer.getvalue()


def render(data: ReportData) -> str:
    return render_report(data, Thumbnails(picture, DecodeLimits()))


class _Page(HTMLParser):
    """Collects what a browser would see."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", "".join(self.words))


def test_the_first_line_says_how_it_went() -> None:
    assert "1 of 3 new photos named right; 1 of 1 strangers left nameless." in _Page(render(make_data())).text


def test_a_name_cannot_add_markup() -> None:
    photos = (photo(NASTY, ProbeOutcome.NAMED_RIGHT, NASTY), photo("Ada", ProbeOutcome.NAMED_WRONG, NASTY))
    page = _Page(render(make_data(photos, ("Ada", NASTY))))
    assert "script" not in {tag for tag, _ in page.tags}
    assert NASTY in page.text


def test_the_page_needs_nothing_from_elsewhere() -> None:
    page = _Page(render(make_data()))
    for tag, attributes in page.tags:
        assert tag not in {"script", "link", "iframe", "object", "embed"}
        for name in ("src", "href", "srcset", "data", "poster"):
            assert (attributes.get(name) or "data:").startswith(("data:", "#"))
    assert "url(" not in render(make_data())


def test_every_picture_says_in_words_what_it_is() -> None:
    page = _Page(render(make_data()))
    assert all("alt" in attributes for tag, attributes in page.tags if tag == "img")
    assert all(
        attributes.get("aria-label") or attributes.get("aria-hidden") for tag, attributes in page.tags if tag == "svg"
    )


def test_every_heading_of_a_table_says_what_it_heads() -> None:
    assert all(
        attributes.get("scope") in {"col", "row"} for tag, attributes in _Page(render(make_data())).tags if tag == "th"
    )


def test_a_mistake_is_shown_beside_the_person_it_was_taken_for() -> None:
    alternatives = [attributes["alt"] for tag, attributes in _Page(render(make_data())).tags if tag == "img"]
    assert alternatives[:2] == ["Photo of Grace", "Photo that Ada was learned from"]


def test_without_mistakes_the_page_says_so() -> None:
    data = make_data((photo("Ada", ProbeOutcome.NAMED_RIGHT, "Ada"), photo(None, ProbeOutcome.REFUSED, None)))
    assert "nobody got a name that is not theirs" in _Page(render(data)).text


def test_without_strangers_there_is_no_word_of_how_they_did() -> None:
    text = _Page(render(make_data((photo("Ada", ProbeOutcome.NAMED_RIGHT, "Ada"),)))).text
    assert "left nameless" not in text
    assert "no photo of a stranger was given" in text


def test_a_page_can_be_made_when_no_photo_could_be_read() -> None:
    unreadable = ScoredPhoto(uri="/photos/1.jpg", truth="Ada", outcome=ProbeOutcome.UNREADABLE, error="It is cut off.")
    failed = [Skipped(name="/photos/1.jpg", reason="It is cut off.")]
    text = _Page(render(dataclasses.replace(make_data((unreadable,)), failed=failed))).text
    assert "0 of 1 new photos named right" in text
    assert "It is cut off." in text


def test_real_people_come_with_a_word_of_care() -> None:
    assert (
        "Keep and share it as you would the photos" in _Page(render(dataclasses.replace(make_data(), drawn=False))).text
    )


def test_the_page_stays_small_however_many_photos_there_are() -> None:
    names = tuple(f"Person {number}" for number in range(400))
    outcomes = [ProbeOutcome.NAMED_RIGHT, ProbeOutcome.NAMED_WRONG, ProbeOutcome.REFUSED]
    photos = tuple(photo(name, outcome, names[0]) for name in names for outcome in outcomes)
    strangers = tuple(photo(None, outcome, names[0]) for outcome in outcomes[1:] for _ in range(500))
    page = render(make_data(photos + strangers, names))
    assert len(page) < 5_000_000
    assert "of 400 are shown" in _Page(page).text


def test_every_mistake_is_shown_while_there_is_room() -> None:
    photos = tuple(photo("Grace", ProbeOutcome.NAMED_WRONG, "Ada", number) for number in range(60))
    page = _Page(render(make_data(photos)))
    assert sum(attributes.get("alt") == "Photo of Grace" for _, attributes in page.tags) == 60


def test_a_file_that_was_there_is_replaced_and_nothing_else_is_left(tmp_path: Path) -> None:
    report = tmp_path / "report.html"
    report.write_text("old")
    write_report(make_data(), Thumbnails(picture, DecodeLimits()), report)
    assert report.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert list(tmp_path.iterdir()) == [report]


def test_a_report_that_cannot_be_written_leaves_the_old_one(tmp_path: Path) -> None:
    report = tmp_path / "report.html"
    report.mkdir()
    with pytest.raises(OSError, match=r"report\.html"):
        write_report(make_data(), Thumbnails(picture, DecodeLimits()), report)
    assert list(tmp_path.iterdir()) == [report]


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "–"),
        (1.0, "100 %"),
        (0.0, "0 %"),
        (0.975, "97.5 %"),
        (0.99999, "> 99.9 %"),
        (0.00001, "< 0.1 %"),
    ],
)
def test_a_share_is_never_rounded_to_all_or_nothing(value: float | None, shown: str) -> None:
    assert percent(value) == shown
