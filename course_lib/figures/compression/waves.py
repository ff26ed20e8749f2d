"""The 64 waves of the DCT, its basis functions, as a figure for a question, without text."""

import math

from PIL import Image

TILE, _GAP, _SCALE = 34, 2, 4  # pixels: wave and gap, gap, side of a value


def wave_grid() -> Image.Image:
    """The 64 waves in 8 rows and 8 columns, 272 x 272 pixels.

    Horizontal frequency grows to the right, vertical frequency downwards. The wave of row ``r`` and
    column ``c`` begins at pixel (34 c + 1, 34 r + 1) and has 32 x 32 pixels.
    """
    canvas = Image.new("L", (8 * TILE, 8 * TILE), 255)
    for row in range(8):
        for column in range(8):
            wave = Image.new("L", (8, 8))
            wave.putdata(_values(row, column))
            side = 8 * _SCALE
            corner = (TILE * column + _GAP // 2, TILE * row + _GAP // 2)
            canvas.paste(wave.resize((side, side), Image.Resampling.NEAREST), corner)
    return canvas


def _values(row: int, column: int) -> list[int]:
    """The 64 values of a wave in 15 grey levels, row by row."""
    cosines = [[math.cos((2 * x + 1) * k * math.pi / 16) for x in range(8)] for k in (row, column)]
    return [120 + 15 * round(7 * down * across) for down in cosines[0] for across in cosines[1]]
