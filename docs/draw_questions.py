"""Draw the figures of point questions: ``python docs/draw_questions.py``.

They are committed and not drawn by the build, since text is rendered differently on each machine.
"""

from pathlib import Path

from PIL import Image, ImageDraw

from course_lib.diffusion.reference import zero_terminal_snr
from course_lib.diffusion.small_denoiser import SCHEDULE
from course_lib.figures.style import BLUE, FAINT, INK, ORANGE, PAPER, font

FOLDER = Path(__file__).parent / "pictures"


def schedule_ends() -> Image.Image:
    """Two signal rates over the timesteps: 480 x 300 pixels.

    The axes go from (60, 20) to (460, 250); the ends of the curves lie at x = 460.
    """
    image = Image.new("RGB", (480, 300), PAPER)
    draw = ImageDraw.Draw(image)
    draw.line([(60, 20), (60, 250), (460, 250)], fill=INK, width=2)
    for share in (0.5, 1.0):
        height = 250 - 230 * share
        draw.line([(61, height), (460, height)], fill=FAINT)
        draw.text((52, height), f"{share:g}", fill=INK, font=font(14), anchor="rm")
    draw.text((52, 250), "0", fill=INK, font=font(14), anchor="rm")
    for t in (0, 500, 999):
        draw.text((60 + 400 * t / 999, 258), f"{t}", fill=INK, font=font(14), anchor="ma")
    draw.text((260, 278), "timestep", fill=INK, font=font(15), anchor="ma")
    draw.text((70, 4), "signal rate", fill=INK, font=font(15))
    bars = SCHEDULE.alphas_cumprod
    for values, colour, name, place in (
        (bars, BLUE, "A", (300, 120)),
        (zero_terminal_snr(bars), ORANGE, "B", (200, 160)),
    ):
        rates = values.sqrt().tolist()
        points = [(60 + 400 * t / 999, 250 - 230 * rate) for t, rate in enumerate(rates)]
        draw.line(points, fill=colour, width=3)
        draw.text(place, name, fill=colour, font=font(22, bold=True), anchor="mm")
    return image


def causal_table() -> Image.Image:
    """An empty table of attention weights for four tokens: 360 x 300 pixels.

    Cell (row, column) has its upper left corner at (100 + 60 column, 50 + 60 row).
    """
    image = Image.new("RGB", (360, 300), PAPER)
    draw = ImageDraw.Draw(image)
    words = ("start", "a", "red", "fox")
    for index, word in enumerate(words):
        draw.text((130 + 60 * index, 40), word, fill=INK, font=font(16), anchor="ms")
        draw.text((92, 80 + 60 * index), word, fill=INK, font=font(16), anchor="rm")
        for row in range(len(words)):
            corner = (100 + 60 * index, 50 + 60 * row)
            draw.rectangle([corner, (corner[0] + 60, corner[1] + 60)], outline=INK, width=1)
    draw.text((220, 18), "attended to", fill=INK, font=font(14), anchor="ms")
    draw.text((92, 40), "attends", fill=INK, font=font(14), anchor="rs")
    return image


def crossing_lines() -> Image.Image:
    """Two training lines of a flow that cross at (210, 150): 420 x 300 pixels."""
    image = Image.new("RGB", (420, 300), PAPER)
    draw = ImageDraw.Draw(image)
    draw.line([(40, 40), (380, 260)], fill=BLUE, width=4)
    for part in range(0, 20, 2):
        ends = [(40 + 17 * n, 260 - 11 * n) for n in (part, part + 1)]
        draw.line(ends, fill=ORANGE, width=4)
    for (x, y), name, colour in (
        ((40, 40), "A", BLUE),
        ((380, 260), "a", BLUE),
        ((40, 260), "B", ORANGE),
        ((380, 40), "b", ORANGE),
    ):
        draw.ellipse((x - 15, y - 15, x + 15, y + 15), fill=PAPER, outline=colour, width=3)
        draw.text((x, y), name, fill=INK, font=font(17, bold=True), anchor="mm")
    draw.text((40, 296), "noise", fill=INK, font=font(14), anchor="ms")
    draw.text((380, 296), "image", fill=INK, font=font(14), anchor="ms")
    return image


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name, image in {
        "schedule-ends": schedule_ends(),
        "causal-table": causal_table(),
        "crossing-lines": crossing_lines(),
    }.items():
        image.quantize(64).save(FOLDER / f"question-{name}.png", optimize=True)
