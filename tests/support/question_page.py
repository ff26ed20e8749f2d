"""A small static site of questions with the theme's CSS, built without Sphinx."""

import shutil
from pathlib import Path

import pytest
from course_site import bundle

from course_lib.quiz.question import Option, Question

LESSON = "01_why_not_fully_connected"
MULTIPLE_ANSWERS = Question(
    "why-not-fc",
    2,
    "Why are fully connected layers unsuitable for images?",
    [
        Option("They can't use `RGB` colours.", False, "Colour is just **more inputs**."),
        Option("They lose the order of pixels.", True, "Nothing tells them the neighbours."),
        Option("They need too many weights.", True, "One for every pair of pixels."),
        Option("They are too cheap.", False, "They are very expensive: é <b>&</b>."),
    ],
)
SINGLE_ANSWER = Question(
    "growth",
    1,
    "How do the weights grow with the side?",
    [
        Option("Like side squared", False, "That is the number of pixels."),
        Option("Like side to the power 4", True, "Pixels times pixels."),
        Option("Not at all", False, "That holds for a convolution."),
    ],
)
TEXTS = {
    MULTIPLE_ANSWERS.name: "<p>Why are fully connected layers unsuitable for images?</p>",
    SINGLE_ANSWER.name: "<p>How do the weights grow with the side?</p><pre>in = 3\n\nout = 4</pre>",
}
_SHELL = """<!DOCTYPE html>
<html lang="en" data-theme="light" data-mode="light">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{title}</title><link rel="icon" href="data:,">
<link rel="stylesheet" href="_static/pydata-sphinx-theme.css">
<link rel="stylesheet" href="_static/sphinx-book-theme.css">
<link rel="stylesheet" href="_static/quiz.css">
<script defer src="_static/quiz.js"></script></head>
<body><main style="max-width: 50rem; margin: auto; padding: 1rem"><h1>{title}</h1>{body}</main>
</body></html>
"""


def skip_without_packages() -> None:
    """Install npm's packages if they are missing; skip the test if that fails."""
    try:
        bundle.install_packages()
    except bundle.BundleError as error:
        pytest.skip(f"npm's packages are not installed: {str(error).splitlines()[0]}")


def build_site(folder: Path) -> Path:
    """Write ``lesson.html`` with two questions and ``index.html`` with the progress on them."""
    import pydata_sphinx_theme
    import sphinx_book_theme
    from course_site.pages import questions

    static = folder / "_static"
    static.mkdir(parents=True)
    for package, name in ((pydata_sphinx_theme, "pydata"), (sphinx_book_theme, "book")):
        for path in Path(package.__file__).parent.rglob("static/styles/*-theme.css"):
            shutil.copy(path, static)
        assert list(static.glob(f"*{name}*.css")), name
    shutil.copy(bundle.WEB / "quiz.css", static)
    bundle.bundle("main.js", static / "quiz.js")
    forms = "".join(
        questions.render(LESSON, question.name, question, TEXTS[question.name])
        for question in (MULTIPLE_ANSWERS, SINGLE_ANSWER)
    )
    place = questions.render_progress(LESSON, {MULTIPLE_ANSWERS.name: 2, SINGLE_ANSWER.name: 1})
    pages = {
        "index": f"<p>Lesson 1: {place}</p>{questions.render_progress_panel()}",
        "lesson": f"<h2>Two questions</h2>{forms}",
    }
    for name, body in pages.items():
        html = _SHELL.format(title=name.capitalize(), body=body)
        (folder / f"{name}.html").write_text(html, encoding="utf-8")
    return folder
