"""Sheets of pictures: each at its place, with its text and boxes, and never larger than was asked."""

from __future__ import annotations

import io
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageFont

from bri_assets.errors import ImageDamaged
from bri_assets.media.images import write_image
from bri_assets.media.pictures import Box, Picture, draw_sheet, spread

RED, GREEN, BLUE, GREY = (200, 30, 30), (30, 180, 30), (30, 30, 200), (128, 128, 128)
ANY = {"tile_px": 80, "sheet_px": 400, "most_bytes": 100_000}


def stored(folder: Path, colour: tuple[int, int, int], size: tuple[int, int] = (640, 360), label: str = "") -> Picture:
    """An image of one colour, stored as frames are."""
    image = np.full((size[1], size[0], 3), colour[::-1], np.uint8)
    return Picture(write_image(image, folder, 0, 90).path, *size, label)


def drawn(pictures: list[Picture], **how: int) -> np.ndarray:
    """The sheet as red, green, blue."""
    return np.asarray(Image.open(io.BytesIO(draw_sheet(pictures, **ANY | how))).convert("RGB")).astype(int)


def like(pixels: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
    """Where the colour is about that one."""
    return (np.abs(pixels - np.array(colour)) < 40).all(axis=-1)


@given(st.integers(0, 5000), st.integers(0, 60))
def test_what_is_chosen_is_spread_evenly_from_the_first_to_the_last(count: int, most: int) -> None:
    chosen = spread(count, most)
    assert len(chosen) == min(count, most)
    assert chosen == sorted(set(chosen))
    if len(chosen) > 1:
        gaps = np.diff(chosen)
        assert (chosen[0], chosen[-1]) == (0, count - 1)
        assert gaps.max() - gaps.min() <= 1


def test_pictures_stand_in_rows_from_left_to_right(tmp_path: Path) -> None:
    sheet = drawn([stored(tmp_path, colour) for colour in (RED, GREEN, BLUE)], sheet_px=180)
    tops = [np.argwhere(like(sheet, colour)).mean(axis=0) for colour in (RED, GREEN, BLUE)]
    assert sheet.shape[1] <= 180
    assert tops[0][0] == pytest.approx(tops[1][0], abs=1)
    assert tops[0][1] + 80 < tops[1][1]
    assert tops[2][1] == pytest.approx(tops[0][1], abs=1)
    assert tops[2][0] > tops[0][0] + 45
    for colour in (RED, GREEN, BLUE):
        assert like(sheet, colour).sum() == pytest.approx(80 * 45, rel=0.06)


@pytest.mark.parametrize(("size", "shown"), [((40, 30), (40, 30)), ((360, 640), (45, 80)), ((1281, 721), (80, 45))])
def test_pictures_keep_their_shape_and_are_not_enlarged(
    tmp_path: Path, size: tuple[int, int], shown: tuple[int, int]
) -> None:
    sheet = like(drawn([stored(tmp_path, RED, size)]), RED)
    assert (sheet.any(axis=0).sum(), sheet.any(axis=1).sum()) == pytest.approx(shown, abs=1)


def test_the_label_stands_below_its_picture(tmp_path: Path) -> None:
    plain = drawn([stored(tmp_path, BLUE)])
    sheet = drawn([stored(tmp_path, BLUE, label="12.0 s")])
    assert sheet.shape == plain.shape
    written = (sheet.min(axis=2) > 150) & (plain.min(axis=2) < 100)
    lines = np.argwhere(written)[:, 0]
    assert len(lines) > 20
    assert lines.min() > np.argwhere(like(sheet, BLUE))[:, 0].max()
    # What stands there is that text: drawn anew, it covers the same places.
    wanted = Image.new("L", (80, 18))
    ImageDraw.Draw(wanted).text((0, 2), "12.0 s", 255, ImageFont.load_default(12))
    top = 4 + 45
    found = sheet[top : top + 18, 4 : 4 + 80].mean(axis=2)
    assert np.corrcoef(found.ravel(), np.asarray(wanted).ravel())[0, 1] > 0.9


def test_a_long_label_ends_with_its_picture(tmp_path: Path) -> None:
    sheet = drawn([stored(tmp_path, BLUE, label="a very long label\nin two lines " * 9), stored(tmp_path, BLUE)])
    assert sheet.shape == drawn([stored(tmp_path, BLUE), stored(tmp_path, BLUE)]).shape
    assert (sheet[-20:, 90:].min(axis=2) < 100).all()


def test_a_box_is_where_it_was_seen_and_has_the_colour_of_its_kind(tmp_path: Path) -> None:
    plain = stored(tmp_path, GREY)
    box, again, other = (Box(160, 160, 320, 340, "", 0), Box(400, 20, 560, 120, "", 0), Box(400, 160, 560, 340, "", 1))
    empty = drawn([plain], tile_px=320)
    colours = []
    for one in (box, again, other):
        sheet = drawn([Picture(plain.path, plain.width, plain.height, "", (one,))], tile_px=320)
        changed = (np.abs(sheet - empty) > 50).any(axis=2)
        rows, columns = np.where(changed)
        # Half the size, and 4 pixels of margin.
        edges = (columns.min(), rows.min(), columns.max(), rows.max())
        assert edges == pytest.approx((4 + one.x1 / 2, 4 + one.y1 / 2, 4 + one.x2 / 2, 4 + one.y2 / 2), abs=3)
        assert changed.sum() < 0.2 * 80 * 90
        colours.append(sheet[changed].mean(axis=0))
    assert np.abs(colours[0] - colours[1]).max() < 30
    assert np.abs(colours[0] - colours[2]).max() > 60


def test_a_class_is_named_on_its_box(tmp_path: Path) -> None:
    plain = stored(tmp_path, GREY)
    named, unnamed = (
        drawn([Picture(plain.path, 640, 360, "", (Box(40, 40, 600, 340, label, 0),))], tile_px=320)
        for label in ("cat 0.93", "")
    )
    differs = np.argwhere((np.abs(named - unnamed) > 60).any(axis=2))
    assert len(differs) > 100
    assert differs[:, 0].max() <= 4 + 20 + 20


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    size=st.tuples(st.integers(1, 2500), st.integers(1, 2500)),
    corners=st.tuples(*[st.floats(-100, 3000)] * 4),
    label=st.text(max_size=30),
    tile_px=st.integers(1, 500),
)
def test_every_size_box_and_text_can_be_drawn(
    tmp_path: Path, size: tuple[int, int], corners: tuple[float, float, float, float], label: str, tile_px: int
) -> None:
    x, y = sorted(corners[:2]), sorted(corners[2:])
    picture = stored(tmp_path, RED, size, label)
    boxed = Picture(picture.path, *size, label, (Box(x[0], y[0], x[1], y[1], label, 3),))
    jpeg = draw_sheet([picture, boxed], tile_px=tile_px, sheet_px=300, most_bytes=50_000)
    assert cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR) is not None


@pytest.mark.parametrize("most_bytes", [4096, 20_000, 60_000])
def test_a_sheet_is_never_larger_than_asked(tmp_path: Path, most_bytes: int) -> None:
    noise = np.random.default_rng(7).integers(0, 256, (360, 640, 3), dtype=np.uint8)
    picture = Picture(write_image(noise, tmp_path, 0, 90).path, 640, 360, "0.0 s")
    jpeg = draw_sheet([picture] * 60, tile_px=160, sheet_px=1000, most_bytes=most_bytes)
    assert len(jpeg) <= most_bytes
    assert Image.open(io.BytesIO(jpeg)).width > 50


def test_a_smaller_sheet_than_any_is_a_mistake_of_the_caller(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="100 bytes"):
        draw_sheet([stored(tmp_path, RED)], **ANY | {"most_bytes": 100})


@pytest.mark.parametrize("content", [b"", b"something else", None])
def test_an_image_that_cannot_be_read_is_named(tmp_path: Path, content: bytes | None) -> None:
    picture = stored(tmp_path, RED)
    if content is None:
        picture.path.unlink()
    else:
        picture.path.write_bytes(content)
    with pytest.raises(ImageDamaged, match=picture.path.name):
        draw_sheet([picture], **ANY)


def test_an_image_of_another_size_is_refused(tmp_path: Path) -> None:
    picture = stored(tmp_path, RED, (640, 360))
    with pytest.raises(ImageDamaged, match="1920x1080 pixels were stored"):
        draw_sheet([Picture(picture.path, 1920, 1080, "")], **ANY)
