"""Pictures for people: stored frames on one sheet, each with a line of text below it and boxes drawn where asked.

Belongs here: drawing. Does not belong here: which frames and boxes are worth a look, and where a sheet is shown
(``assets.previews``). Images are read from disk at a fraction of their size: a JPEG is decoded so at a fraction of the
cost.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from bri_assets.errors import ImageDamaged

__all__ = ["Box", "Picture", "draw_sheet", "spread"]

_BACKGROUND = (24, 26, 32)
_TEXT = (235, 235, 235)
#: Colours of boxes, told apart by people who see red and green alike too (Okabe and Ito's).
_COLOURS = ((230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66), (213, 94, 0), (204, 121, 167), (0, 114, 178))
#: Text in pixels, and the strip that it stands in.
_TEXT_PX, _STRIP_PX = 12, 18
_GAP_PX = 4
#: Tried in this order until a sheet is small enough; then it is made smaller.
_QUALITIES = (75, 60, 45, 35)
_SMALLER = 0.7

_Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


@dataclass(frozen=True)
class Box:
    """A rectangle in a picture, with what is in it.

    Attributes:
        x1: left edge, in pixels of the stored picture.
        y1: upper edge.
        x2: right edge, > left.
        y2: lower edge, > upper.
        label: written at its upper edge.
        kind: any number >= 0; boxes of the same kind have the same colour.
    """

    x1: float
    y1: float
    x2: float
    y2: float
    label: str
    kind: int


@dataclass(frozen=True)
class Picture:
    """A stored image as it goes onto a sheet.

    Attributes:
        path: of the JPEG.
        width: its pixels, > 0.
        height: its pixels, > 0.
        label: written below it.
        boxes: drawn onto it, in this order.
    """

    path: Path
    width: int
    height: int
    label: str
    boxes: tuple[Box, ...] = ()


def spread(count: int, most: int) -> list[int]:
    """At most ``most`` of the numbers from 0 to ``count`` - 1, evenly: the first, the last and what lies between."""
    if count <= most:
        return list(range(count))
    if most <= 1:
        return [0] * most
    return [round(step * (count - 1) / (most - 1)) for step in range(most)]


def draw_sheet(pictures: Sequence[Picture], *, tile_px: int, sheet_px: int, most_bytes: int) -> bytes:
    """Draw pictures in rows, from left to right.

    Args:
        pictures: at least one.
        tile_px: longer side of a picture on the sheet, in pixels, > 0; smaller ones are not enlarged.
        sheet_px: widest that the sheet may be, in pixels; there is always one column.
        most_bytes: largest that the sheet may be, at least 4096: what is larger loses quality, and then size.

    Returns:
        A JPEG.

    Raises:
        ImageDamaged: an image is missing, cannot be read or decoded, or has another size than was said.
    """
    tiles = [_tile(picture, tile_px) for picture in pictures]
    width, height = max(tile.width for tile in tiles), max(tile.height for tile in tiles)
    columns = max(1, min(len(tiles), (sheet_px - _GAP_PX) // (width + _GAP_PX)))
    rows = -(-len(tiles) // columns)
    step_x, step_y = width + _GAP_PX, height + _STRIP_PX + _GAP_PX
    sheet = Image.new("RGB", (_GAP_PX + columns * step_x, _GAP_PX + rows * step_y), _BACKGROUND)
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(_TEXT_PX)
    for number, (picture, tile) in enumerate(zip(pictures, tiles, strict=True)):
        left, top = _GAP_PX + number % columns * step_x, _GAP_PX + number // columns * step_y
        sheet.paste(tile, (left + (width - tile.width) // 2, top + (height - tile.height) // 2))
        draw.text((left, top + height + 2), _fitting(picture.label, font, width), _TEXT, font)
    return _encoded(sheet, most_bytes)


def _tile(picture: Picture, side_px: int) -> Image.Image:
    tile = _reduced(picture, side_px)
    tile.thumbnail((side_px, side_px))
    if picture.boxes:
        scale = tile.width / picture.width, tile.height / picture.height
        draw, font = ImageDraw.Draw(tile), ImageFont.load_default(_TEXT_PX)
        for box in picture.boxes:
            _draw_box(draw, font, tile.size, box, scale)
    return tile


def _reduced(picture: Picture, side_px: int) -> Image.Image:
    """The image, decoded at the smallest fraction of its size that has enough pixels."""
    import cv2

    longer = max(picture.width, picture.height)
    flags = {8: cv2.IMREAD_REDUCED_COLOR_8, 4: cv2.IMREAD_REDUCED_COLOR_4, 2: cv2.IMREAD_REDUCED_COLOR_2}
    part = next((part for part in flags if longer // part >= side_px), 1)
    remedy = "Materialize 'frames' of this video again."
    try:
        content = np.frombuffer(picture.path.read_bytes(), np.uint8)
    except OSError as error:
        raise ImageDamaged(picture.path, f"the image cannot be read: {error.strerror}.", remedy) from error
    decoded = cv2.imdecode(content, flags.get(part, cv2.IMREAD_COLOR)) if content.size else None
    expected = -(-picture.width // part), -(-picture.height // part)
    found = None if decoded is None else (decoded.shape[1], decoded.shape[0])
    if decoded is None or found != expected:
        what = f"{picture.width}x{picture.height} pixels were stored, but at 1/{part} {found or 'nothing'} was decoded."
        raise ImageDamaged(picture.path, what, remedy)
    return Image.fromarray(cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB))


def _draw_box(
    draw: ImageDraw.ImageDraw, font: _Font, size: tuple[int, int], box: Box, scale: tuple[float, float]
) -> None:
    colour = _COLOURS[box.kind % len(_COLOURS)]
    right_most, lowest = size[0] - 1, size[1] - 1
    x1, x2 = (min(max(round(x * scale[0]), 0), right_most) for x in (box.x1, box.x2))
    y1, y2 = (min(max(round(y * scale[1]), 0), lowest) for y in (box.y1, box.y2))
    draw.rectangle((x1, y1, x2, y2), outline=colour, width=2)
    text = _fitting(box.label, font, size[0])
    left, _top, right, bottom = font.getbbox(text)
    # Inside the picture, though the box may touch its edges.
    x, y = max(0.0, min(x1, right_most - (right - left))), max(0.0, min(y1, lowest - bottom))
    draw.rectangle((x, y, x + right - left + 3, y + bottom + 1), fill=colour)
    dark = colour[0] * 0.3 + colour[1] * 0.59 + colour[2] * 0.11 < 100
    draw.text((x + 2, y), text, _TEXT if dark else _BACKGROUND, font)


def _fitting(text: str, font: _Font, width_px: int) -> str:
    """The text, or as much of it as is not wider; on one line."""
    text = " ".join(text.split())
    if font.getlength(text) <= width_px:
        return text
    while text and font.getlength(text + "…") > width_px:
        text = text[:-1]
    return text + "…" if text else ""


def _encoded(sheet: Image.Image, most_bytes: int) -> bytes:
    if most_bytes < 4096:
        raise ValueError(f"no sheet is as small as {most_bytes} bytes")
    while True:
        for quality in _QUALITIES:
            held = io.BytesIO()
            sheet.save(held, "JPEG", quality=quality, optimize=True, progressive=True)
            if held.tell() <= most_bytes:
                return held.getvalue()
        sheet = sheet.resize((max(1, int(sheet.width * _SMALLER)), max(1, int(sheet.height * _SMALLER))))
