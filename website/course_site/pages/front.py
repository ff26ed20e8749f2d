"""The front page: the live demo, the strip of one image per lesson, and ways to start."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import jinja2
from course_grading.assign.lesson import Lesson

from course_site import theme
from course_site.errors import MissingFileError
from course_site.pages import demos, questions
from course_site.pages.lesson import minutes
from course_site.pages.outputs import Figures

_SENTENCE = "a fox on a purple background"  # docs/draw_road.py generates its poster image
_HERO = demos.Demo(
    "text-to-image", "Make a picture from a sentence, in this page", {"sentence": _SENTENCE}
)
_ROW = re.compile(
    r'^\| <img src="(?P<picture>[^"]+)"[^>]*alt="(?P<alt>[^"]+)"> '
    r"\| \d+ · \[[^\]]+\]\(notebooks/(?P<name>\w+)\.ipynb\) \| \d+ \| (?P<ability>.+) \|$",
    re.MULTILINE,
)


@dataclass(frozen=True)
class _Card:
    """A lesson on the front page; ``picture``, ``tile`` and ``progress`` are HTML."""

    number: str
    title: str
    address: str
    minutes: int | None
    ability: str
    picture: str
    tile: str
    word: str
    progress: str


# What happens to the image in each lesson, for the strip; docs/draw_road.py draws the tiles.
_ROAD = {
    "01_why_not_fully_connected": ("pixels", "A rocket on purple in 16 by 16 coarse pixels."),
    "02_convolution_by_hand": ("edges", "The rocket's outline: a convolution found its edges."),
    "03_five_levels": ("objects", "The rocket in a box with its class and a probability."),
    "04_reducing_data": ("a latent", "Four small grey maps: the latent of the rocket."),
    "05_unet": ("a mask", "The rocket cut out by a mask, on white."),
    "06_latent_diffusion": ("noise", "The rocket, half drowned in coloured noise."),
    "07_stable_diffusion": ("a new picture", "Another rocket on purple, made from a sentence."),
    "08_after_stable_diffusion": ("four steps", "A rocket on purple, made in four straight steps."),
}


def make_page(root: Path, lessons: Sequence[Lesson], figures: Figures, repository: str) -> str:
    """The front page in MyST Markdown.

    Args:
        root: the checkout; README.md and docs/ have words and pictures of the lessons.
        lessons: in order; those without a number are checks of what the lessons taught.
        figures: writes this page's images.
        repository: the course's public address; empty if it has none yet.

    Raises:
        MissingFileError: if an image file is missing.
    """
    still = figures.figure(
        _read(root / "docs" / "road" / "hero.png"),
        "A fox with an orange face on a purple background, as the course's model generates it.",
        f"“{_SENTENCE}”",
        352,
    )
    readme = (root / "README.md").read_text(encoding="utf-8")
    rows = {row["name"]: row for row in _ROW.finditer(readme)}
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(theme.FOLDER / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    cards = [
        _card(root, lesson, rows.get(lesson.name), figures)
        for lesson in lessons
        if lesson.title.startswith("Lesson ")
    ]
    checks = [lesson for lesson in lessons if not lesson.title.startswith("Lesson ")]
    known = [card.minutes for card in cards if card.minutes]
    return environment.get_template("front.md.jinja").render(
        title=theme.TITLE,
        demo=demos.render(_HERO, still),
        cards=cards,
        checks=[
            {
                "title": check.title,
                "address": f"lessons/{check.name}.html",
                "minutes": minutes(check),
                "questions": len(check.questions),
                "progress": questions.render_progress(check.name),
            }
            for check in checks
        ],
        hours=round(sum(known) / 60),
        panel=questions.render_progress_panel(),
        repository=repository.rstrip("/"),
        github=re.sub(r"\.git$", "", repository.rstrip("/")).removeprefix("https://github.com/")
        if repository.startswith("https://github.com/")
        else "",
    )


def _card(root: Path, lesson: Lesson, row: re.Match | None, figures: Figures) -> _Card:
    """The card of a lesson; without a picture if README.md does not list the lesson."""
    number, _, title = lesson.title.removeprefix("Lesson ").partition(" · ")
    word, alt = _ROAD.get(lesson.name, ("", ""))
    tile = root / "docs" / "road" / f"{lesson.name[:2]}.png"
    return _Card(
        number=number,
        title=title,
        address=f"lessons/{lesson.name}.html",
        minutes=minutes(lesson),
        ability=row["ability"] if row else "",
        picture=figures.image(_read(root / row["picture"]), row["alt"], 480) if row else "",
        tile=figures.image(_read(tile), alt, 160) if word else "",
        word=word,
        progress=questions.render_progress(lesson.name),
    )


def _read(path: Path) -> bytes:
    if not path.is_file():
        raise MissingFileError(f"{path} is missing: uv run python docs/draw_road.py draws it")
    return path.read_bytes()
