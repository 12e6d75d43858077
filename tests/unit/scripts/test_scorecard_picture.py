"""The picture is one file that shows what there are figures for."""

import io
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from core.training.scorecard import ScoredPhotos
from core.training.scoring import make_scorecard
from scripts.canvas import PixelCanvas, SvgCanvas
from scripts.plot import Axis, Frame, Plot, log_axis, upper_axis
from scripts.scorecard_picture import write_picture

_SVG = "{http://www.w3.org/2000/svg}"


def photos(count: int, middle: float, *, known: bool, seed: int = 0) -> ScoredPhotos:
    """Photos of as many people, in three groups."""
    similarity = np.random.default_rng(seed).normal(middle, 0.1, count)
    return ScoredPhotos(
        person=np.arange(count),
        found=np.ones(count, bool),
        similarity=similarity,
        right=np.full(count, known),
        named=similarity > 0.5,
        confidence=np.clip(similarity, 0.0, 1.0),
        group=np.arange(count) % 3,
    )


def figures(known: int, strangers: int, groups: tuple[str, ...] = ()) -> dict[str, Any]:
    sides = photos(known, 0.7, known=True), photos(strangers, 0.3, known=False, seed=1)
    return make_scorecard(*sides, fpir_target=0.01, groups=groups).to_json()


def svg_texts(file: Path) -> list[str]:
    return [str(each.text) for each in ET.fromstring(file.read_text(encoding="utf-8")).iter(f"{_SVG}text")]


@pytest.mark.parametrize(
    ("known", "strangers", "groups", "panels"),
    [
        (200, 400, ("a", "b", "c"), ["Known people named right", "Names that are wrong", "Right as often", "Groups"]),
        (200, 400, (), ["Known people named right", "Names that are wrong", "Right as often"]),
        (200, 0, (), ["Names that are wrong", "Right as often"]),
        (200, 3, (), ["Names that are wrong", "Right as often"]),
        (0, 0, (), []),
    ],
)
def test_a_panel_is_drawn_for_what_there_is(
    tmp_path: Path, known: int, strangers: int, groups: tuple[str, ...], panels: list[str]
) -> None:
    titles = ["Known people named right", "Names that are wrong", "Right as often", "Groups"]

    write_picture(tmp_path / "card.svg", figures(known, strangers, groups), title="Model v1", group_by=None)

    texts = svg_texts(tmp_path / "card.svg")
    assert [title for title in titles if any(text.startswith(title) for text in texts)] == panels


def test_key_figures_stand_with_their_intervals(tmp_path: Path) -> None:
    card = figures(200, 50)

    write_picture(tmp_path / "card.svg", card, title="Model v1", group_by=None)

    texts = svg_texts(tmp_path / "card.svg")
    rate = card["tpir"]
    assert f"{100 * rate['rate']:.1f} %" in texts
    assert f"({100 * rate['low']:.1f} to {100 * rate['high']:.1f} %)" in texts
    assert "(needs 100 strangers)" in texts


def test_both_kinds_have_the_same_shape(tmp_path: Path) -> None:
    card = figures(200, 400, ("a", "b", "c"))
    for kind in ("png", "svg"):
        write_picture(tmp_path / f"card.{kind}", card, title="Model v1", group_by="age")

    pixels = Image.open(io.BytesIO((tmp_path / "card.png").read_bytes()))
    root = ET.fromstring((tmp_path / "card.svg").read_text(encoding="utf-8"))
    assert pixels.size == (2400, 2 * int(root.attrib["height"]))
    assert root.attrib["width"] == "1200"
    assert len(pixels.convert("RGB").getcolors(100_000) or []) > 20, "something is drawn"


def test_an_svg_names_nothing_outside_itself_and_takes_any_name(tmp_path: Path) -> None:
    card = figures(30, 30, ("<script>", "&", 'a"b'))

    write_picture(tmp_path / "card.svg", card, title="Model v1 <&>", group_by="x & y")

    text = (tmp_path / "card.svg").read_text(encoding="utf-8")
    assert "<script" not in text
    assert text.count("http") == 1, "the name of the format"
    assert "Scorecard: Model v1 <&>" in svg_texts(tmp_path / "card.svg")


def test_everything_lies_within_the_picture(tmp_path: Path) -> None:
    write_picture(tmp_path / "card.svg", figures(200, 400, ("a", "b", "c")), title="Model v1", group_by="age")

    root = ET.fromstring((tmp_path / "card.svg").read_text(encoding="utf-8"))
    width, height = int(root.attrib["width"]), int(root.attrib["height"])
    for shape in [*root.iter(f"{_SVG}polyline"), *root.iter(f"{_SVG}polygon")]:
        places = [tuple(map(float, place.split(","))) for place in shape.attrib["points"].split()]
        assert all(0 <= x <= width and 0 <= y <= height for x, y in places)


def test_places_of_figures_are_where_the_axes_say() -> None:
    halves = Axis(low=0.0, high=1.0, ticks=(0.0, 0.5, 1.0))
    plot = Plot(frame=Frame(left=0, top=0, width=400, height=400), x=log_axis(0.01), y=halves)

    left, bottom = plot.at(0.01, 0.0)
    right, top = plot.at(1.0, 1.0)

    assert plot.at(0.1, 0.5) == pytest.approx(((left + right) / 2, (top + bottom) / 2))
    assert log_axis(0.01).ticks == pytest.approx((0.01, 0.03, 0.1, 0.3, 1.0))


@pytest.mark.parametrize("lowest", [0.0, 0.42, 0.981, 0.9999, 1.0])
def test_an_axis_up_to_all_begins_at_or_below_the_lowest_figure(lowest: float) -> None:
    axis = upper_axis(lowest)

    assert 0.0 <= axis.low <= lowest
    assert axis.low < axis.high == axis.ticks[-1] == 1.0


def test_a_line_and_a_dot_reach_the_pixels() -> None:
    canvas = PixelCanvas(20, 20, "#ffffff")
    canvas.area([(0, 0), (5, 0), (5, 5), (0, 5)], "#ff0000")
    canvas.line([(0, 10), (20, 10)], "#00ff00", 2)
    canvas.dot((15, 15), 3, "#0000ff")

    pixels = Image.open(io.BytesIO(canvas.to_bytes()))

    assert [pixels.getpixel(place) for place in ((4, 4), (20, 20), (30, 30), (38, 2))] == [
        (255, 0, 0),
        (0, 255, 0),
        (0, 0, 255),
        (255, 255, 255),
    ]


def test_a_dashed_line_has_gaps() -> None:
    canvas = PixelCanvas(40, 4, "#ffffff")
    canvas.line([(0, 2), (40, 2)], "#000000", dashed=True)

    row = [Image.open(io.BytesIO(canvas.to_bytes())).getpixel((x, 4)) for x in range(80)]

    assert {(0, 0, 0), (255, 255, 255)} <= set(row)


def test_text_is_anchored_where_it_is_said() -> None:
    canvas = SvgCanvas(10, 10, "#ffffff", "x")
    canvas.text((5, 6), "a < b", 12, "#000000", "end")

    assert '<text x="5.0" y="6.0" font-size="12" fill="#000000" text-anchor="end">a &lt; b</text>' in (
        canvas.to_bytes().decode()
    )


def test_a_curve_of_wrong_names_that_begins_above_its_panel_is_drawn_from_where_it_comes_in(tmp_path: Path) -> None:
    """The surest name of all is wrong: a share of 100 %, which falls as more are named."""
    document = figures(200, 400)
    rates = [(0.001, 1.0), (0.1, 0.02), (0.5, 0.01), (0.6, 0.5)]
    document["coverage"] = [{"confidence": 1.0 - x, "coverage": x, "error": y} for x, y in rates]

    write_picture(tmp_path / "card.svg", document, title="Model v1", group_by=None)

    lines = ET.fromstring((tmp_path / "card.svg").read_text(encoding="utf-8")).iter(f"{_SVG}polyline")
    assert 4 in {len(str(each.get("points")).split()) for each in lines}  # in, two points, out
