"""Lesson 7's figures show the numbers of the models they are drawn from; its twenty lines give the
same picture.
"""

import pytest
import torch
from course_grading.assign.source import read
from matplotlib import pyplot as plt

from course_lib.diffusion import text_to_image
from course_lib.diffusion.attention_maps import among_tokens, look, summed
from course_lib.diffusion.guidance import Measured
from course_lib.figures.stable_diffusion import attention as attention
from course_lib.figures.stable_diffusion import pipeline as figures
from course_lib.sd.tokenizer import Tokenizer
from course_lib.sd.unet import timestep_embedding
from tests.support.checkout import ROOT
from tests.support.small_sd import DENOISER, OPTIONS, TEXT, small

PROMPT = "a fox on a red"


@pytest.fixture(scope="module")
def model():
    return small()


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


def words(figure) -> list[str]:
    texts = [text.get_text() for axes in figure.axes for text in axes.texts]
    return texts + [
        axes.get_title(loc=place) for axes in figure.axes for place in ("left", "center")
    ]


def test_the_parts_carry_the_models_shapes_and_counts(model):
    said = " ".join(words(figures.parts(model, PROMPT)))
    side = DENOISER.sample_size
    for part in (
        f"{TEXT.vocab_size:,} pieces",
        f"16 × {TEXT.hidden_size}",
        f"4 × {side} × {side}",
        "3 × 32 × 32",
    ):
        assert part in said
    for part in (model.text_encoder, model.unet):
        assert f"{sum(weights.numel() for weights in part.parameters()) / 1e6:.1f} million" in said


def test_tokens_are_the_tokenizers():
    tokenizer = Tokenizer()
    said = words(figures.tokens(tokenizer, ["a foxx", "🦊"]))
    ids = tokenizer.tokenize("a foxx")
    assert all(str(number) in said for number in ids)
    assert "“U+1F98A”" in said and any(word.startswith("byte") for word in said)


def test_the_diagonal_of_the_likeness_is_left_out():
    vectors = torch.nn.functional.normalize(torch.randn(5, 8), dim=1)
    (image,) = figures.likeness(list("abcde"), vectors @ vectors.T, last=2).axes[0].images
    shown = torch.from_numpy(image.get_array().filled(float("nan")))
    assert shown.diagonal().isnan().all() and (shown.nan_to_num(0).abs() < 1).all()


def test_clocks_are_compared_with_chosen_times():
    figure = figures.clock_faces(timestep_embedding(torch.arange(50), 16), marked=(10, 40))
    for line, time in zip(
        [one for one in figure.axes[1].lines if len(one.get_xdata()) > 1], (10, 40), strict=True
    ):
        values = line.get_ydata()
        assert values.argmax() == time and values[time] == pytest.approx(1)


def test_told_and_true_times_meet_at_the_marks():
    figure = figures.told_and_true([100, 200], {100: [0.1, 0.5], 200: [0.4, 0.2]})
    marks = [
        line.get_xydata()[0].tolist() for line in figure.axes[0].lines if len(line.get_xdata()) == 1
    ]
    assert marks == [[100, 0.1], [200, 0.2]]


def test_prices_are_drawn_relative_to_guidance_one():
    measured = [
        Measured(g, 0.1 * g, 0.2 * g, 0.1 * g, 0.4 / (1 + g), 1 + g, 0.1) for g in (0, 1, 3)
    ]
    left, right = figures.prices(measured).axes
    assert left.lines[0].get_ydata().tolist() == pytest.approx([0, 0.1, 0.3])
    assert right.lines[0].get_ydata()[1] == 1 and right.lines[
        1
    ].get_ydata().tolist() == pytest.approx([0.5, 1, 2])


def test_sizes_tell_both_counts():
    said = words(figures.sizes({"unet": (5_500_000, 859_500_000), "vae": (2_700_000, 83_600_000)}))
    assert {"5.5 million", "859.5 million", "2.7 million", "83.6 million"} <= set(said)


def test_attention_by_hand_is_attention():
    q, k, v = torch.randn(2, 4), torch.randn(3, 4), torch.randn(3, 2)
    figure = attention.by_hand(q, k, v)
    found = torch.nn.functional.scaled_dot_product_attention(q[None], k[None], v[None])[0]
    drawn = [float(text.get_text().replace("−", "-")) for text in figure.axes[-1].texts]
    torch.testing.assert_close(torch.tensor(drawn).view(2, 2), found, atol=0.006, rtol=0)
    with pytest.raises(ValueError, match="as many channels"):
        attention.by_hand(q, torch.randn(3, 5), v)


def test_places_are_read_off_the_modules(model):
    said = words(attention.places(model.unet))
    assert [word for word in said if word.startswith(("down", "middle", "up"))] == [
        *("down 0: 8 × 8", "down 1: 4 × 4", "middle: 4 × 4", "up 0: 4 × 4", "up 1: 8 × 8")
    ]
    assert sum("16 places, 2 heads" in word for word in said) == 3
    assert said.count("no attention") == 2


def test_heads_are_named_by_their_tokens(model):
    ids, _ = model.tokenizer.encode(PROMPT)
    table = among_tokens(model.text_encoder, ids)[0][:, :3, :3]
    figure = attention.heads(table, ["<|startoftext|>", "a", "fox"])
    assert [label.get_text() for label in figure.axes[0].get_xticklabels()] == ["start", "a", "fox"]
    with pytest.raises(ValueError, match="one for each token"):
        attention.heads(table, ["a"])


def test_each_word_has_a_map_with_its_share(model):
    looked = look(model, PROMPT, **OPTIONS, guidance=2.0)
    said = words(attention.over_picture(looked))
    shares = {name: float(one.mean()) for name, one in summed(looked).items()}
    assert sum(shares.values()) == pytest.approx(1, abs=1e-4)
    for name, share in shares.items():
        assert name.strip() in said and f"{share:.1%} of all weight" in said


@torch.no_grad()
def test_the_lessons_twenty_lines_give_the_librarys_picture_to_the_bit():
    torch.manual_seed(0)
    made = text_to_image.model()
    torch.nn.init.normal_(made.unet.conv_out.weight, std=0.05)
    sd = text_to_image.whole(made)
    lesson = read(ROOT / "solutions" / "07_stable_diffusion.md")
    (exercise,) = [one for one in lesson.exercises if one.name == "text-to-image"]
    names = {"sd": sd, "torch": torch}
    exec(exercise.solution, names)
    for guidance, seed in ((3.0, 0), (7.5, 4)):
        mine = names["text_to_image"](
            "an owl on a red background", guidance=guidance, steps=3, seed=seed
        )
        options = {"sampler": "dpm++", "guidance": guidance, "steps": 3, "seed": seed}
        assert torch.equal(mine, sd.generate("an owl on a red background", **options)[0])
