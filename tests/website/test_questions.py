"""Question forms are valid HTML, work by keyboard and without a script, and store progress."""

import itertools
import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest
from course_site.pages import questions
from playwright.sync_api import Page, expect

from course_lib.quiz import question_bank, scoring
from tests.support.checkout import LESSONS
from tests.support.question_page import LESSON, MULTIPLE_ANSWERS, SINGLE_ANSWER
from tests.website import axe

STORED = "JSON.parse(localStorage.getItem('pixels-to-diffusion-progress'))"
BLOCK_STORAGE = """Object.defineProperty(window, "localStorage", {
  get() { throw new DOMException("blocked", "SecurityError"); },
});"""
FULL_STORAGE = """Storage.prototype.setItem = () => {
  throw new DOMException("full", "QuotaExceededError");
};"""


@pytest.fixture(scope="module")
def site(question_site: Path) -> Path:
    return question_site


@pytest.fixture
def page(new_page: Callable[..., Page], site: Path) -> Page:
    page = new_page()
    page.goto(f"{site.as_uri()}/lesson.html")
    return page


def form(page: Page, name: str):
    return page.locator(f"#question-{name}")


def choose(page: Page, name: str, letters: str) -> str:
    """Answer a question with the mouse; returns the status."""
    question = form(page, name)
    for letter in question.locator("input").all():
        wanted = letter.get_attribute("value") in letters
        if wanted != letter.is_checked():
            letter.click()
    question.get_by_role("button", name="Check").click()
    return question.get_by_role("status").inner_text()


def choose_by_keyboard(page: Page, name: str, letters: str) -> str:
    """Answer a question by keyboard, which is faster; returns the status."""
    question = form(page, name)
    for letter in question.locator("input").all():
        wanted = letter.get_attribute("value") in letters
        if wanted != letter.is_checked():
            letter.press("Space")
    question.get_by_role("button", name="Check").press("Enter")
    return question.get_by_role("status").inner_text()


# The HTML of the form


class _UnclosedTags(HTMLParser):
    """Collects the tags that are not closed."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list) -> None:
        if tag not in ("input", "br", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.mark.parametrize("lesson", LESSONS)
def test_every_question_of_the_course_becomes_one_block_of_html(lesson):
    for name, question in questions.public_bank(lesson).items():
        text = questions.render(lesson, name, question, "<p>a</p>\n\n<pre>b\n\n\nc</pre>")
        assert not re.search(r"\n[ \t]*\n", text)
        assert all(option in text for option in question.options)
        parser = _UnclosedTags()
        parser.feed(text)
        assert parser.open == []


def test_source_and_packed_question_give_the_same_form():
    packed = json.loads(question_bank.pack(LESSON, [MULTIPLE_ANSWERS]))[MULTIPLE_ANSWERS.name]
    question = question_bank.PackedQuestion(**packed)
    written = questions.render(LESSON, MULTIPLE_ANSWERS.name, MULTIPLE_ANSWERS, "text")
    assert written == questions.render(LESSON, MULTIPLE_ANSWERS.name, question, "text")


def test_key_and_explanations_are_readable_only_in_noscript():
    text = questions.render(LESSON, MULTIPLE_ANSWERS.name, MULTIPLE_ANSWERS, "text")
    visible = re.sub("<noscript>.*?</noscript>", "", text, flags=re.DOTALL)
    assert "right" not in visible and "more inputs" not in visible


def test_private_bank_is_never_used(monkeypatch, tmp_path):
    (tmp_path / f"{LESSON}.json").write_text("{}")
    monkeypatch.setenv("COURSE_BANK", str(tmp_path))
    assert questions.public_bank(LESSON)
    assert "&quot;why-not-fc&quot;: 1" in questions.render_progress(LESSON)


# Answering


def test_question_is_answered_by_keyboard(page):
    page.keyboard.press("Tab")
    for key in ("Space", "Tab", "Space", "Tab", "Tab", "Tab"):
        page.keyboard.press(key)
    button = form(page, MULTIPLE_ANSWERS.name).get_by_role("button", name="Check")
    expect(button).to_be_focused()
    page.keyboard.press("Enter")
    status = form(page, MULTIPLE_ANSWERS.name).get_by_role("status")
    expect(status).to_contain_text("Wrong: 0 of 2 points.")
    expect(button).to_be_focused()
    page.keyboard.press("Tab")  # the radio buttons
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(form(page, SINGLE_ANSWER.name).get_by_role("status")).to_have_text(
        "Right: 1 of 1 point."
    )


def test_focus_is_visible(page):
    for _ in range(6):
        page.keyboard.press("Tab")
        width = page.evaluate(
            """() => {
              const shown = document.activeElement.closest("li") ?? document.activeElement;
              return parseFloat(getComputedStyle(shown).outlineWidth);
            }"""
        )
        assert width >= 2


def test_points_agree_with_the_python_scoring(page):
    for letters in itertools.chain.from_iterable(
        itertools.combinations(MULTIPLE_ANSWERS.letters, size) for size in range(1, 5)
    ):
        earned = scoring.score("".join(letters), MULTIPLE_ANSWERS.right, MULTIPLE_ANSWERS.wrong, 2)
        word = "Right" if earned == 2 else "Partly right" if earned else "Wrong"
        status = choose_by_keyboard(page, MULTIPLE_ANSWERS.name, "".join(letters))
        assert f"{word}: {earned:g} of 2 points." in status
        entry = page.evaluate(STORED)["lessons"][LESSON][MULTIPLE_ANSWERS.name]
        assert (entry["answer"], entry["points"], entry["of"]) == ("".join(letters), earned, 2)


def test_no_answer_earns_no_feedback(page):
    assert "Choose an answer first" in choose(page, MULTIPLE_ANSWERS.name, "")
    assert page.evaluate("localStorage.length") == 0


def test_feedback_explains_every_option_and_hides_when_the_answer_changes(page):
    choose(page, MULTIPLE_ANSWERS.name, "AB")
    question = form(page, MULTIPLE_ANSWERS.name)
    texts = question.locator(".course-question-feedback").all_inner_texts()
    assert [" ".join(text.split()) for text in texts] == [
        "✗ Wrong: you chose it. Colour is just more inputs.",
        "✓ Right: you chose it. Nothing tells them the neighbours.",
        "! Right: you missed it. One for every pair of pixels.",
        "– Wrong: you left it out. They are very expensive: é <b>&</b>.",
    ]
    question.locator("input").nth(0).click()
    assert not any(
        feedback.is_visible() for feedback in question.locator(".course-question-feedback").all()
    )
    expect(question.get_by_role("status")).to_be_empty()


def test_wrong_single_answer_has_no_tick(page):
    """With one right option and another one chosen, no option has a tick."""
    choose(page, SINGLE_ANSWER.name, "A")
    signs = form(page, SINGLE_ANSWER.name).locator(".course-question-sign").all_inner_texts()
    assert signs == ["✗", "!", "–"]


def test_answer_is_restored_after_reloading(page):
    choose(page, MULTIPLE_ANSWERS.name, "BC")
    page.reload()
    question = form(page, MULTIPLE_ANSWERS.name)
    checked = question.locator("input:checked").evaluate_all("all => all.map(one => one.value)")
    assert checked == ["B", "C"]
    expect(question.get_by_role("status")).to_contain_text("Right: 2 of 2 points.")
    assert not question.locator(".course-question-feedback").first.is_visible()


@pytest.mark.extended
def test_points_are_recomputed_from_the_key(page):
    choose(page, MULTIPLE_ANSWERS.name, "BC")
    page.evaluate(
        """() => {
          const key = "pixels-to-diffusion-progress";
          const text = localStorage.getItem(key).replace('"points":2', '"points":0.5');
          localStorage.setItem(key, text);
        }"""
    )
    page.reload()
    assert page.evaluate(STORED)["lessons"][LESSON][MULTIPLE_ANSWERS.name]["points"] == 2


def test_axe_finds_nothing(page):
    axe.assert_accessible(page)
    choose(page, MULTIPLE_ANSWERS.name, "AB")
    choose(page, SINGLE_ANSWER.name, "B")
    axe.assert_accessible(page)


@pytest.mark.extended
def test_forms_fit_a_phone(new_page, site):
    page = new_page(viewport={"width": 320, "height": 640})
    for name in ("lesson", "index"):
        page.goto(f"{site.as_uri()}/{name}.html")
        if name == "lesson":
            choose(page, MULTIPLE_ANSWERS.name, "AB")
        for width in (320, 360):
            page.set_viewport_size({"width": width, "height": 640})
            assert axe.find_overflow(page) == []
            heights = page.locator("label, button").evaluate_all(
                """all => all.filter((one) => one.checkVisibility({ visibilityProperty: true }))
                  .map((one) => one.getBoundingClientRect().height)"""
            )
            assert heights and min(heights) >= 44


@pytest.mark.extended
def test_print_hides_feedback_and_selection(page):
    choose(page, MULTIPLE_ANSWERS.name, "AB")
    page.emulate_media(media="print")
    assert not page.locator(".course-question-feedback").first.is_visible()
    assert not page.get_by_role("status").first.is_visible()
    chosen, left = (
        page.locator("input").nth(number).evaluate("one => getComputedStyle(one).cssText")
        for number in (0, 2)
    )
    assert chosen == left


def test_forms_are_readable_without_javascript(new_page, site):
    page = new_page(java_script_enabled=False)
    page.goto(f"{site.as_uri()}/lesson.html")
    assert page.get_by_text("They need too many weights.").is_visible()
    assert page.get_by_role("button").count() == 0
    explanation = page.locator("details li", has_text="One for every pair of pixels.")
    assert not explanation.is_visible()
    page.locator("summary").first.click()
    assert explanation.is_visible()


# Progress


@pytest.mark.extended
def test_front_page_counts_questions_and_points(page, site):
    choose(page, MULTIPLE_ANSWERS.name, "B")
    page.goto(f"{site.as_uri()}/index.html")
    expect(page.locator(f"[data-progress='{LESSON}']")).to_have_text(
        "1 of 2 questions, 1 of 3 points"
    )
    expect(page.locator(".course-progress-total")).to_contain_text(
        "Your progress: 1 of 2 questions, 1 of 3 points."
    )
    axe.assert_accessible(page)


@pytest.mark.extended
def test_progress_of_another_tab_appears(page, site):
    other = page.context.new_page()
    other.goto(f"{site.as_uri()}/index.html")
    choose(page, SINGLE_ANSWER.name, "B")
    expect(other.locator("[data-progress]")).to_have_text("1 of 2 questions, 1 of 3 points")


@pytest.mark.extended
def test_exported_progress_is_imported_elsewhere(page, site, new_page, tmp_path):
    choose(page, MULTIPLE_ANSWERS.name, "BC")
    choose(page, SINGLE_ANSWER.name, "A")
    page.goto(f"{site.as_uri()}/index.html")
    with page.expect_download() as download:
        page.get_by_role("button", name="Export").click()
    assert re.fullmatch(
        r"pixels-to-diffusion-progress-\d{4}-\d\d-\d\d\.json", download.value.suggested_filename
    )
    path = tmp_path / "progress.json"
    download.value.save_as(path)
    entries = json.loads(path.read_text(encoding="utf-8"))["lessons"][LESSON]
    for question in (MULTIPLE_ANSWERS, SINGLE_ANSWER):
        entry = entries[question.name]
        assert entry["points"] == scoring.score(
            entry["answer"], question.right, question.wrong, entry["of"]
        )
    elsewhere = new_page()
    elsewhere.goto(f"{site.as_uri()}/index.html")
    elsewhere.locator("input[type=file]").set_input_files(path)
    expect(elsewhere.get_by_role("status")).to_have_text(
        "Read 2 answers; 2 of them new or newer than here."
    )
    expect(elsewhere.locator("[data-progress]")).to_have_text("2 of 2 questions, 2 of 3 points")
    elsewhere.locator("input[type=file]").set_input_files(path)
    expect(elsewhere.get_by_role("status")).to_contain_text("0 of them")


INVALID_FILES = [  # (content, part of the message)
    ("", "is not JSON"),
    ("{", "is not JSON"),
    ("[1]", "holds no progress"),
    ('{"cells": []}', "holds no progress"),
    ('{"format": "pixels-to-diffusion-progress", "version": 2}', "version 2"),
    (
        '{"format": "pixels-to-diffusion-progress", "version": 1, "lessons":'
        ' {"01_a": {"<img src=x onerror=alert(1)>": {}}}}',
        '"<img src=x onerror=alert(1)>" in lesson 01_a cannot be read',
    ),
    ("x" * (2**20 + 1), "too large"),
]


@pytest.mark.extended
def test_invalid_file_changes_nothing(page, site):
    choose(page, SINGLE_ANSWER.name, "B")
    before = page.evaluate(STORED)
    for content, message in INVALID_FILES:
        page.goto(f"{site.as_uri()}/index.html")
        page.locator("input[type=file]").set_input_files(
            {"name": "a.json", "mimeType": "application/json", "buffer": content.encode()}
        )
        expect(page.get_by_role("status")).to_contain_text(message)
        expect(page.get_by_role("status")).to_contain_text("Nothing was changed.")
        assert page.evaluate(STORED) == before


@pytest.mark.extended
def test_reset_asks_for_confirmation_and_works_by_keyboard(page, site):
    choose(page, SINGLE_ANSWER.name, "B")
    page.goto(f"{site.as_uri()}/index.html")
    reset = page.get_by_role("button", name="Reset")
    reset.press("Enter")
    expect(page.get_by_role("button", name="Keep them")).to_be_focused()
    axe.assert_accessible(page)
    page.keyboard.press("Escape")
    expect(reset).to_be_focused()
    assert page.evaluate(STORED)
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_have_text("All answers are deleted.")
    expect(reset).to_be_focused()
    assert page.evaluate("localStorage.length") == 0
    expect(page.locator("[data-progress]")).to_have_text("2 questions, 3 points")


@pytest.mark.parametrize(
    ("script", "reason"), [(BLOCK_STORAGE, "does not let"), (FULL_STORAGE, "no room left")]
)
@pytest.mark.extended
def test_missing_storage_is_reported_once(new_page, site, script, reason):
    page = new_page()
    page.add_init_script(script)
    page.goto(f"{site.as_uri()}/lesson.html")
    status = choose(page, SINGLE_ANSWER.name, "B")
    assert "Right: 1 of 1 point." in status and reason in status
    assert reason not in choose(page, MULTIPLE_ANSWERS.name, "BC")
    page.goto(f"{site.as_uri()}/index.html")
    expect(page.locator("[data-progress]")).to_have_text("2 questions, 3 points")


@pytest.mark.extended
def test_unreadable_progress_is_not_overwritten(page, site):
    page.evaluate("localStorage.setItem('pixels-to-diffusion-progress', '{\"version\": 9}')")
    page.reload()
    assert "cannot be read" in choose(page, SINGLE_ANSWER.name, "B")
    assert page.evaluate(STORED) == {"version": 9}
    page.goto(f"{site.as_uri()}/index.html")
    expect(page.locator(".course-progress-total")).to_contain_text("cannot be read")
    page.get_by_role("button", name="Reset").click()
    page.get_by_role("button", name="Delete them").click()
    expect(page.locator(".course-progress-total")).to_contain_text("kept in this browser only")


@pytest.mark.extended
def test_link_to_a_question_scrolls_to_it(new_page, site, serve):
    page = new_page(viewport={"width": 1000, "height": 300})
    page.goto(f"{serve(site)}/lesson.html#question-{SINGLE_ANSWER.name}")
    expect(form(page, SINGLE_ANSWER.name)).to_be_in_viewport()
