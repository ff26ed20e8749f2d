"""Figures draw typed text literally, without an exception or a warning."""

import warnings

import pytest
from matplotlib import pyplot as plt

from course_lib.diffusion.attention_maps import record_attention, text_self_attention
from course_lib.figures import figure_png
from course_lib.figures.images import titled_images
from course_lib.figures.stable_diffusion import attention, pipeline
from course_lib.figures.text import drawable
from course_lib.widgets.stable_diffusion import TokenizerDemo
from tests.support.small_sd import OPTIONS, small_pipeline

PROMPTS = [
    "a $5 bill and a $10 bill",
    "a $$ sign",
    "cost in $, or in \\$",
    "$\\frac{1$",
    "a_b ^ c % # \\alpha",
    "你好 a fox",
    "a fox 🦊",
    "नमस्ते",
    "<b>fox</b> & more",
    "a\nfox",
    "\x00fox",
    "",
    "a" * 400,
    "“fox” \u202efox ﷺ",
]


@pytest.fixture(scope="module")
def model():
    return small_pipeline()


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


@pytest.mark.parametrize(
    "text, expected",
    [
        ("a $5 bill, naïve", "a $5 bill, naïve"),
        ("a fox 🦊", "a fox U+1F98A"),
        ("你好a", "U+4F60 U+597D a"),
        ("a\nb", "a U+A b"),
        ("\ud83e", "U+D83E"),
        ("", ""),
    ],
)
def test_glyphs_missing_from_the_font_become_code_points(text, expected):
    assert drawable(text) == expected


def test_long_text_is_truncated():
    assert drawable("a" * 9, max_length=5) == "aaaa…" and drawable("aaaaa", max_length=5) == "aaaaa"


def texts_of(figure) -> list[str]:
    """The figure's texts; checks that drawing the figure raises no warning."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert figure_png(figure, dpi=20)
    assert [str(warning.message) for warning in caught] == []
    return [text.get_text() for axes in figure.axes for text in axes.texts]


@pytest.mark.extended
def test_tokens_are_drawn_as_typed(model):
    labels = texts_of(pipeline.token_boxes(model.tokenizer, PROMPTS))
    for prompt in PROMPTS:
        assert any(text.startswith(f"“{drawable(prompt)[:30]}") for text in labels), prompt


# The pipeline diagram uses the same drawing code as the token boxes: the other prompts are slow.
QUICK = {"$\\frac{1$", "a fox 🦊", "\x00fox", "", "a" * 400}


@pytest.mark.parametrize(
    "prompt",
    [pytest.param(prompt, marks=() if prompt in QUICK else pytest.mark.slow) for prompt in PROMPTS],
)
def test_prompts_are_drawn_as_typed(model, prompt):
    labels = texts_of(pipeline.pipeline_diagram(model, prompt))
    assert any(text.startswith(f"“{drawable(prompt)[:30]}") for text in labels)


@pytest.mark.parametrize("prompt", ["a $5 and a $6", "狐🦊 $$ $\\frac{1$"])
@pytest.mark.extended
def test_words_in_attention_maps_are_drawn_as_typed(model, prompt):
    record = record_attention(model, prompt, **OPTIONS)
    assert figure_png(attention.word_attention_maps(record), dpi=20)
    ids, _ = model.tokenizer.encode(prompt)
    names = [piece.strip() for piece in model.tokenizer.pieces(ids[0])]
    weights = text_self_attention(model.text_encoder, ids)[-1]
    assert figure_png(attention.attention_heads(weights, names), dpi=20)
    assert titled_images({prompt: record.image}).size[0] == 256


def test_lone_surrogate_breaks_no_widget(model):
    widget = TokenizerDemo({"ours": model.tokenizer}, "a fox")
    widget.text.value = "a fox \ud83e"
    assert "tokens of at most" in widget.boxes.value
