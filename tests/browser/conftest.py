"""A JupyterLab server with a two-question lesson, and a Chromium page for it."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from course_grading.assign.source import read_lesson
from playwright.sync_api import Browser, Page, expect

from course_lib.quiz import question_bank
from course_lib.quiz.question import Option, Question
from tests.support.browsers import launch_chromium
from tests.support.live_jupyter import Jupyter, serve
from tests.support.question_kinds import write_lesson

LESSON = "01_test"
QUESTIONS = [
    Question(
        "why-not-fc",
        2,
        "Why are fully connected layers unsuitable for images?",
        [
            Option(
                "They can't use `RGB` colours.", False, "They can: colour is just **more inputs**."
            ),
            Option(
                "They lose spatial structure.",
                True,
                "Nothing tells them which pixels are neighbours.",
            ),
            Option(
                "They need too many weights.",
                True,
                "One for every pair of an input and an output pixel.",
            ),
            Option("They are too cheap.", False, "They are very expensive: count the weights."),
        ],
    ),
    Question(
        "growth",
        1,
        "How do the weights grow with the side of the image?",
        [
            Option("Like side<sup>2</sup> & slowly", False, "That is the number of pixels."),
            Option("Like side to the power 4", True, "Pixels times pixels."),
            Option("Not at all", False, "That holds for a convolution."),
        ],
    ),
]
TIMEOUT = 180_000  # ms; on a very busy machine the first load of JupyterLab takes a minute
# Console errors that Jupyter itself causes: Notebook 7.6 logs the first two on every page.
IGNORED_ERRORS = {
    "Cannot read properties of undefined (reading 'schema')",
    "Command 'filebrowser:open-path' not registered.",
    # JupyterLab logs this if the kernel is shut down before its debugger has replied.
    "Could not restore the debugger state: "
    "Canceled future for debug_request message before replies were done",
    # Seen once, on a busy machine, while a page was closed.
    "Disposed",
}
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="session")
def jupyter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Jupyter]:
    """The server, with the question banks of the lesson above, of the lesson of all question kinds
    and of the course's lessons.
    """
    bank = tmp_path_factory.mktemp("bank")
    for lesson in question_bank.FOLDER.glob("*.json"):
        shutil.copy(lesson, bank)
    (bank / f"{LESSON}.json").write_text(question_bank.pack(LESSON, QUESTIONS), encoding="utf-8")
    kinds = read_lesson(write_lesson(tmp_path_factory.mktemp("kinds")))
    text = question_bank.pack(kinds.name, kinds.questions)
    (bank / f"{kinds.name}.json").write_text(text, encoding="utf-8")
    with serve(tmp_path_factory.mktemp("jupyter"), COURSE_BANK=str(bank)) as jupyter:
        yield jupyter


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """A browser; the tests are skipped if none is installed."""
    with launch_chromium(FLAGS) as browser:
        yield browser


@contextmanager
def open_tab(chromium: Browser, jupyter: Jupyter) -> Iterator[Page]:
    """A page in a new profile. At its end all kernels are shut down, and the test fails if the page
    logged an error.
    """
    context = chromium.new_context(viewport={"width": 1100, "height": 900})
    context.set_default_timeout(TIMEOUT)
    expect.set_options(timeout=TIMEOUT)
    page = context.new_page()
    errors: list[str] = []

    def log_error(message) -> None:
        if message.type == "error":
            errors.append(message.text)

    page.on("console", log_error)
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield page
    context.close()
    jupyter.end_sessions()
    assert set(errors) <= IGNORED_ERRORS


@pytest.fixture
def page(chromium: Browser, jupyter: Jupyter) -> Iterator[Page]:
    with open_tab(chromium, jupyter) as page:
        yield page


@pytest.fixture(scope="module")
def shared_page(chromium: Browser, jupyter: Jupyter) -> Iterator[Page]:
    """One page for all tests of a file, since loading JupyterLab takes longer than the tests.

    Open notebooks in it with :func:`tests.support.notebook_page.open_notebook`.
    """
    with open_tab(chromium, jupyter) as page:
        yield page
