"""Draw the diagram of docs/architecture.md: ``uv run python docs/draw_architecture.py``.

tests/project/test_architecture.py checks that diagram and page show the same functions, and that
the functions exist.
"""

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from course_lib.figures import figure_png
from course_lib.figures.style import INK, MUTED, ORANGE, SKY, course_style

FILE = Path(__file__).parent / "architecture.png"
# title: (function, what it does), in the order in which data passes through
PATHS = {
    "An image: from composed scene to figure": [
        ("course_lib.data.scenes.scene", "compose objects\non a photograph"),
        ("course_lib.vision.predictions.load_models", "load the five\nnetworks"),
        ("course_lib.vision.predictions.predict_all", "predict"),
        ("course_lib.vision.predictions.evaluate", "compare with the\nground truth"),
        ("course_lib.figures.vision.predictions.five_predictions", "draw"),
        ("course_lib.figures.show", "show with alt text\nand caption"),
    ],
    "A prompt: from text to image": [
        ("course_lib.sd.pipeline.StableDiffusion.generate", "loop over the\nsteps"),
        ("course_lib.sd.tokenizer.Tokenizer.encode", "text to tokens"),
        ("course_lib.sd.clip.CLIPTextModel.forward", "tokens to\nembeddings"),
        ("course_lib.sd.unet.UNet2DConditionModel.forward", "predict the noise,\nonce per step"),
        ("course_lib.sd.samplers.DPMSolverPP.step", "remove some noise,\nonce per step"),
        ("course_lib.sd.vae.AutoencoderKL.decode", "latent to image"),
    ],
    "A student's answer: from notebook to gradebook": [
        ("course_grading.collect.submissions.find", "student and lesson\nof each file"),
        ("course_grading.collect.rebuild.rebuild", "answers into a\nclean release"),
        ("course_grading.autograde.grade.grade_submission", "score each\nquestion, exercise"),
        ("course_grading.sandbox.host.Sandbox.run", "run the student's\nfunction"),
        ("course_grading.autograde.compare.output_agrees", "compare with the\nreference"),
        ("course_grading.gradebook.record.record_result", "write nbgrader's\ngradebook"),
    ],
}
WIDTH, HEIGHT, GAP = 1.9, 0.92, 0.26  # inches
LANE = HEIGHT + 0.62
COLOURS = {"course_lib": SKY, "course_grading": ORANGE}


def main() -> None:
    """Write the diagram next to this file."""
    longest = max(map(len, PATHS.values()))
    width, height = longest * (WIDTH + GAP) - GAP + 0.2, len(PATHS) * LANE + 0.3
    with course_style():
        figure = Figure(figsize=(width, height))
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set(xlim=(0, width), ylim=(0, height))
        axes.axis("off")
        for number, (title, path) in enumerate(PATHS.items()):
            top = height - number * LANE - 0.12
            axes.text(0.1, top, title, va="top", fontsize=13, fontweight="bold", color=INK)
            for place, (function, purpose) in enumerate(path):
                left = 0.1 + place * (WIDTH + GAP)
                draw_box(axes, left, top - 0.34 - HEIGHT, function, purpose)
                if place:
                    draw_arrow(axes, left - GAP, top - 0.34 - HEIGHT / 2)
        draw_legend(axes, width)
    FILE.write_bytes(figure_png(figure, dpi=110))


def draw_box(axes: Axes, left: float, bottom: float, function: str, purpose: str) -> None:
    """One function: its purpose, its name, its module."""
    package, *folders, name = function.split(".")
    if folders and folders[-1][0].isupper():
        name = f"{folders.pop()}.{name}"
    colour = COLOURS[package]
    shape = "round,pad=0,rounding_size=0.08"
    axes.add_patch(
        FancyBboxPatch(
            (left, bottom), WIDTH, HEIGHT, shape, facecolor=f"{colour}33", edgecolor=colour
        )
    )
    middle = left + WIDTH / 2
    axes.text(middle, bottom + HEIGHT - 0.24, purpose, ha="center", va="center", fontsize=9.5)
    size = 8 if len(name) <= 26 else 7
    axes.text(
        middle, bottom + 0.3, name, ha="center", va="center", fontsize=size, fontweight="bold"
    )
    module = ".".join(folders)
    axes.text(middle, bottom + 0.12, module, ha="center", va="center", fontsize=8, color=MUTED)


def draw_arrow(axes: Axes, left: float, middle: float) -> None:
    """An arrow to the next function."""
    axes.annotate(
        "",
        (left + GAP, middle),
        (left, middle),
        arrowprops={"arrowstyle": "-|>", "color": INK, "linewidth": 1.4},
    )


def draw_legend(axes: Axes, width: float) -> None:
    """The two packages and their colours."""
    for place, (package, colour) in enumerate(COLOURS.items()):
        left = width - 0.1 - (len(COLOURS) - place) * 1.5
        axes.add_patch(FancyBboxPatch((left, 0.1), 0.2, 0.12, "round,pad=0", color=colour))
        axes.text(left + 0.28, 0.16, package, va="center", fontsize=9, color=INK)


if __name__ == "__main__":
    main()
