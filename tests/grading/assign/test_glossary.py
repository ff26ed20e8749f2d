"""The glossary: its entries, the links to it, and the lesson in which each term first occurs."""

import re

import pytest
from course_grading.assign import glossary
from course_grading.errors import BuildError

from tests.support.checkout import LESSONS, ROOT

PATH = ROOT / glossary.PATH
TERMS = glossary.read(PATH)
SOURCES = glossary.read_sources(ROOT / "solutions")
ENTRY = "## {name}\n\n{text}\n\nFirst in [lesson 1](../notebooks/01_a.ipynb).\n"
LESSON = """# Lesson 1

Text with `a kernel` in code, and $kernel$ in a formula.

```{code-cell} python
kernel = 3  # a kernel
```

```{question} which
:points: 1
:params: side = draw(1, 2)
What is a stride?
- [x] A kernel's step | why
- [ ] {{padding}} | why
```

## Two

The **Feature maps** follow.

## Sources

- A book about the receptive field
"""


def write_glossary(tmp_path, *entries: str):
    path = tmp_path / "glossary.md"
    path.write_text("# Glossary\n\n" + "\n".join(entries))
    return path


def test_glossary_has_90_terms_in_alphabetical_order():
    assert len(TERMS) >= 90
    names = [term.name.casefold() for term in TERMS.values()]
    assert names == sorted(names)
    text = PATH.read_text(encoding="utf-8")
    assert re.findall(r"^## (.+)$", text, re.M) == [term.name for term in TERMS.values()]


@pytest.mark.parametrize("term", TERMS.values(), ids=lambda term: term.slug)
def test_definition_is_one_to_three_plain_sentences(term):
    assert term.text[0].isupper() and term.text.endswith(".")
    assert 20 <= len(term.text) <= 260
    assert not re.search(r"[`$\[\]<>_\"]", term.definition)
    assert len(re.findall(r"[.?!](?: |$)", term.text)) <= 3
    assert term.lesson in LESSONS


def test_no_word_form_belongs_to_two_terms():
    forms = [form for term in TERMS.values() for form in (term.name, *term.forms)]
    assert sorted(forms) == sorted(set(forms))


@pytest.mark.parametrize("term", TERMS.values(), ids=lambda term: term.slug)
def test_term_first_occurs_in_its_lesson(term):
    """The lesson in each entry is correct; if not, run docs/update_glossary.py."""
    place = glossary.first_place(term, SOURCES)
    assert place is not None, "no lesson uses it"
    assert place.lesson == term.lesson, f"{place.words!r}, line {place.line} of {place.lesson}"


@pytest.mark.parametrize("lesson", LESSONS)
def test_glossary_links_of_a_lesson_resolve(lesson):
    source = SOURCES[lesson]
    found = dict(glossary.links(source))
    assert set(found.values()) <= set(TERMS)
    assert len(re.findall(r"glossary\.md", source)) == len([*glossary.links(source)]), (
        "a link to the glossary is written [word](../docs/glossary.md#term)"
    )
    for block in re.findall(r"^```\{question\}.*?^```$", source, re.M | re.DOTALL):
        assert "glossary.md" not in block, "links belong in prose, not in questions"


@pytest.mark.parametrize("lesson", LESSONS)
def test_lesson_links_every_term_that_first_occurs_in_it(lesson):
    """A lesson with any glossary link links every term that first occurs in it; the message lists
    the missing ones.
    """
    if not [*glossary.links(SOURCES[lesson])]:
        pytest.skip("this lesson has no links to the glossary yet: see docs/update_glossary.py")
    missing = [term.name for term in glossary.unlinked(lesson, SOURCES[lesson], TERMS)]
    assert not missing, f"not linked: {', '.join(missing)}"


def test_prose_excludes_code_formulas_sources_and_settings():
    text = glossary.prose(LESSON)
    assert text.count("\n") == LESSON.count("\n")
    for word in ("code", "draw", "padding", "receptive"):
        assert f"{word} =" not in text and f"{{{word}}}" not in text
    assert "receptive field" not in text and "kernel = 3" not in text
    kernel = glossary.Term("kernel", "", "")
    assert glossary.first_place(kernel, {"01_a": LESSON}) is None  # only in code and a question
    place = glossary.first_place(
        glossary.Term("feature map", "", "", ("feature maps",)), {"01_a": LESSON}
    )
    assert place == glossary.Place("01_a", "Two", 19, "Feature maps")
    assert glossary.first_place(glossary.Term("receptive field", "", ""), {"01_a": LESSON}) is None


@pytest.mark.parametrize(
    "name, text, found",
    [
        ("stride", "Strides differ.", None),
        ("stride", "A stride-2 layer", None),
        ("stride", "the stride, then", "stride"),
        ("IoU", "the iou", None),
        ("U-Net", "a U-Net's", "U-Net"),
        ("feature map", "a feature\nmap", "feature\nmap"),
        ("DPM-Solver++", "DPM-Solver++ is", "DPM-Solver++"),
    ],
)
def test_only_whole_words_match(name, text, found):
    match = glossary.Term(name, "", "").search(text)
    assert (match[0] if match else None) == found


@pytest.mark.parametrize(
    "name, slug",
    [("feature map", "feature-map"), ("IoU", "iou"), ("DPM-Solver++", "dpm-solver")],
)
def test_anchors_equal_githubs(name, slug):
    assert glossary.Term(name, "", "").slug == slug


def test_links_get_the_definition_as_their_title(tmp_path):
    entry = ENTRY.format(name="feature map", text='The "output" of a *layer*.')
    terms = glossary.read(write_glossary(tmp_path, entry))
    once = glossary.add_definitions("A [map](../docs/glossary.md#feature-map)!", terms)
    assert once == "A [map](../docs/glossary.md#feature-map \"The 'output' of a layer.\")!"
    assert glossary.add_definitions(once, terms) == once
    with pytest.raises(BuildError, match="no term #other"):
        glossary.add_definitions("[x](../docs/glossary.md#other)", terms)


def test_malformed_entry_is_reported(tmp_path):
    good = ENTRY.format(name="a", text="Text.")
    for bad in ("## b\n\nText.\n", "## b\n\nFirst in [lesson 1](../notebooks/01_a.ipynb).\n"):
        with pytest.raises(BuildError, match="entry 'b' needs"):
            glossary.read(write_glossary(tmp_path, good, bad))
    with pytest.raises(BuildError, match="two terms with the anchor #a"):
        glossary.read(write_glossary(tmp_path, good, good))


def test_first_lessons_are_updated(tmp_path):
    entry = ENTRY.format(name="stride", text="Text.").replace("First", "Also: step. First")
    text = write_glossary(tmp_path, entry).read_text()
    sources = {"01_a": "# A\n\nno\n", "02_b": "# B\n\nThe step.\n"}
    updated = glossary.with_first_lessons(text, sources)
    assert "Also: step. First in [lesson 2](../notebooks/02_b.ipynb)." in updated
    assert glossary.with_first_lessons(updated, {"01_a": "none"}) == updated
