"""A whole photo is one face, however it was decoded."""

import io

from PIL import Image

from core.finding import SourceOnDemand, WholePhotos
from core.images.decode import DecodeLimits
from tests.factories import make_photo


def test_each_whole_photo_is_one_crop_in_the_order_of_the_photos() -> None:
    source = WholePhotos(limits=DecodeLimits(), size_px=16)
    buffer = io.BytesIO()
    Image.new("RGB", (800, 640), (200, 10, 10)).save(buffer, "JPEG")
    small, large = source.prepare(make_photo(0, width_px=60, height_px=40)), source.prepare(buffer.getvalue())
    assert (large.width_px, large.height_px) == (800, 640)
    ((first,), (second,)) = source.find([small, large])
    assert first.box_xyxy_px == (0.0, 0.0, 60.0, 40.0)
    assert second.box_xyxy_px == (0.0, 0.0, 800.0, 640.0)  # decoded at a fraction of its size
    assert second.pixels.shape == (16, 16, 3) and (second.pixels[8, 8] > (190, 0, 0)).all()
    assert (first.landmarks_px, first.quality, first.quality_reasons) == ((), None, ())


def test_a_source_on_demand_is_made_once_and_only_for_a_photo() -> None:
    made = []

    def make() -> WholePhotos:
        made.append(WholePhotos(limits=DecodeLimits(), size_px=16))
        return made[-1]

    source = SourceOnDemand(make)
    assert not made
    photos = [source.prepare(make_photo(0, width_px=60, height_px=40)) for _ in range(2)]
    assert len(source.find(photos)) == 2
    assert len(made) == 1
