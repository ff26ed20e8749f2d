"""Lesson 7's figures show the values of the models that they are drawn from."""

import pytest
import torch
from course_grading.assign.source import read_lesson
from matplotlib import pyplot as plt

from course_lib.diffusion import text_to_image
from course_lib.diffusion.attention_maps import maps_by_word, record_attention, text_self_attention
from course_lib.diffusion.guidance import GuidanceResult
from course_lib.figures import figure_png
from course_lib.figures.stable_diffusion import attention
from course_lib.figures.stable_diffusion import pipeline as figures
from course_lib.metrics.generation import wilson_interval
from course_lib.sd.tokenizer import Tokenizer
from course_lib.sd.unet import timestep_embedding
from tests.support.checkout import ROOT
from tests.support.small_sd import DENOISER, OPTIONS, TEXT, small_pipeline

PROMPT = "a fox on a red"


@pytest.fixture(scope="module")
def model():
    return small_pipeline()


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


def texts(figure) -> list[str]:
    labels = [text.get_text() for axes in figure.axes for text in axes.texts]
    return labels + [axes.get_title(loc=loc) for axes in figure.axes for loc in ("left", "center")]


def test_pipeline_diagram_shows_shapes_and_parameter_counts(model):
    text = " ".join(texts(figures.pipeline_diagram(model, PROMPT)))
    side = DENOISER.sample_size
    for label in (
        f"{TEXT.vocab_size:,} tokens",
        f"16 × {TEXT.hidden_size}",
        f"4 × {side} × {side}",
        "3 × 32 × 32",
    ):
        assert label in text
    for component in (model.text_encoder, model.unet):
        count = sum(weights.numel() for weights in component.parameters())
        assert f"{count / 1e6:.1f} million" in text


def test_token_boxes_show_the_ids_of_the_tokenizer():
    tokenizer = Tokenizer()
    labels = texts(figures.token_boxes(tokenizer, ["a foxx", "🦊"]))
    assert all(str(token_id) in labels for token_id in tokenizer.tokenize("a foxx"))
    assert "“U+1F98A”" in labels and any(label.startswith("byte") for label in labels)


def test_similarity_matrix_masks_the_diagonal():
    vectors = torch.nn.functional.normalize(torch.randn(5, 8), dim=1)
    (image,) = figures.similarity_matrix(list("abcde"), vectors @ vectors.T, last=2).axes[0].images
    values = torch.from_numpy(image.get_array().filled(float("nan")))
    assert values.diagonal().isnan().all() and (values.nan_to_num(0).abs() < 1).all()


def test_timestep_embeddings_are_most_similar_to_themselves():
    figure = figures.timestep_embeddings(timestep_embedding(torch.arange(50), 16), marked=(10, 40))
    curves = [line for line in figure.axes[1].lines if len(line.get_xdata()) > 1]
    for line, time in zip(curves, (10, 40), strict=True):
        values = line.get_ydata()
        assert values.argmax() == time and values[time] == pytest.approx(1)


def test_timestep_mismatch_marks_the_true_timesteps():
    figure = figures.timestep_mismatch([100, 200], {100: [0.1, 0.5], 200: [0.4, 0.2]})
    marks = [
        line.get_xydata()[0].tolist() for line in figure.axes[0].lines if len(line.get_xdata()) == 1
    ]
    assert marks == [[100, 0.1], [200, 0.2]]


def test_guidance_costs_are_relative_to_scale_1():
    results = [
        GuidanceResult(g, 0.1 * g, 0.2 * g, 0.1 * g, 0.4 / (1 + g), 1 + g, 0.1) for g in (0, 1, 3)
    ]
    left, right = figures.guidance_tradeoff(results).axes
    diversity, latent_std = (line.get_ydata() for line in right.lines[:2])  # diversity / std
    assert left.lines[0].get_ydata().tolist() == pytest.approx([0, 0.1, 0.3])
    assert diversity.tolist() == pytest.approx([4, 1, 0.25])
    assert latent_std.tolist() == pytest.approx([0.5, 1, 2])


def test_std_of_real_images_is_a_line_relative_to_scale_1():
    results = [GuidanceResult(g, 1, 1, 1.0, 0.2, 1.0 + g, 0.1) for g in (0, 1, 3)]
    right = figures.guidance_tradeoff(results, real_std=2.1).axes[1]
    (line,) = [line for line in right.lines if line.get_label() == "std of real images"]
    assert list(line.get_ydata()) == pytest.approx([1.05, 1.05])


def test_guidance_accuracy_has_a_confidence_band():
    results = [GuidanceResult(scale, 1, 1, 1.0, 0.2, 1.0, 1.0) for scale in (0, 1)]
    left, _ = figures.guidance_tradeoff(results, count=24).axes
    (band,) = left.collections
    lowest = band.get_paths()[0].vertices[:, 1].min()
    assert lowest == pytest.approx(wilson_interval(24, 24)[0], abs=1e-4)


def test_guided_points_are_marked_by_the_nearest_class():
    places = {"fox": torch.tensor([[-1.0, 0.0]]), "cat": torch.tensor([[1.0, 0.0]])}
    samples = {3.0: torch.tensor([[-0.9, 0.0], [-1.2, 0.1], [-0.8, 0.0], [0.7, 0.0]])}
    (axes,) = figures.guided_points(samples, places).axes
    data, foxes, cats = axes.collections
    assert [len(dots.get_offsets()) for dots in (data, foxes, cats)] == [2, 3, 1]
    assert axes.get_title(loc="left") == "guidance 3: fox 75%"


def test_object_colour_table_is_sorted_and_frames_the_best():
    similarity = torch.tensor([[0.1, 0.9], [0.8, 0.2], [0.7, 0.1]])
    axes = figures.object_colour_table(["fox", "car", "apple"], ["red", "orange"], similarity).axes[
        0
    ]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["car", "apple", "fox"]
    assert [patch.get_x() for patch in axes.patches] == [-0.5, -0.5, 0.5]


def test_object_colour_table_marks_the_true_colours():
    similarity = torch.tensor([[0.1, 0.9], [0.8, 0.2], [0.7, 0.1]])
    figure = figures.object_colour_table(
        ["fox", "car", "apple"], ["red", "orange"], similarity, torch.tensor([1, 0, 1])
    )
    dots = [line.get_xydata()[0].tolist() for line in figure.axes[0].lines]
    assert dots == [[0, 0], [1, 1], [1, 2]]


def test_object_colour_table_of_many_objects_is_in_two_halves():
    names = [f"object {n}" for n in range(30)]
    similarity = torch.eye(10).repeat(3, 1)
    left, right, _ = figures.object_colour_table(names, list("abcdefghij"), similarity).axes
    rows = [[label.get_text() for label in axes.get_yticklabels()] for axes in (left, right)]
    assert len(rows[0]) == len(rows[1]) == 15 and sorted(rows[0] + rows[1]) == sorted(names)
    assert rows[0][:3] == ["object 0", "object 10", "object 20"]
    assert [patch.get_y() for patch in right.patches] == [row - 0.5 for row in range(15)]


def test_pipeline_diagram_counts_the_decoder_of_the_courses_autoencoder():
    model = text_to_image.to_pipeline(text_to_image.make_model())
    parts = (model.vae.decoder, model.vae.linear_decoder)
    count = sum(weights.numel() for part in parts for weights in part.parameters())
    assert f"{count / 1e6:.1f} million" in texts(figures.pipeline_diagram(model, PROMPT))


def test_embedding_similarity_starts_at_1():
    figure = figures.embedding_similarity(timestep_embedding(torch.arange(50), 16), farthest=20)
    values = figure.axes[1].lines[0].get_ydata()
    assert len(values) == 21 and values[0] == pytest.approx(1) and max(values) == values[0]


def test_parameter_counts_are_written_next_to_the_dots():
    counts = {"unet": (5_500_000, 859_500_000), "vae": (2_700_000, 83_600_000)}
    labels = texts(figures.parameter_counts(counts))
    assert {"5.5 million", "859.5 million", "2.7 million", "83.6 million"} <= set(labels)


def test_attention_figure_agrees_with_torch():
    q, k, v = torch.randn(2, 4), torch.randn(3, 4), torch.randn(3, 2)
    figure = attention.attention_by_hand(q, k, v)
    expected = torch.nn.functional.scaled_dot_product_attention(q[None], k[None], v[None])[0]
    numbers = [float(text.get_text().replace("−", "-")) for text in figure.axes[-1].texts]
    torch.testing.assert_close(torch.tensor(numbers).view(2, 2), expected, atol=0.006, rtol=0)
    weights = torch.tensor([float(text.get_text()) for text in figure.axes[3].texts]).view(2, 3)
    torch.testing.assert_close(weights.sum(1), torch.ones(2), atol=0.0016, rtol=0)
    with pytest.raises(ValueError, match="same number of channels"):
        attention.attention_by_hand(q, torch.randn(3, 5), v)


def test_attention_blocks_show_the_models_modules(model):
    figure = attention.attention_blocks(model.unet)
    labels = texts(figure)
    skips = [line.get_xdata() for line in figure.axes[0].lines]
    assert [(round(x[0]), round(x[-1])) for x in skips] == [(0, 4), (1, 3)]
    blocks = [label for label in labels if label.startswith(("down", "middle", "up"))]
    assert blocks == [
        "down 0: 8 × 8",
        "down 1: 4 × 4",
        "middle: 4 × 4",
        "up 0: 4 × 4",
        "up 1: 8 × 8",
    ]
    assert sum("16 positions\n2 heads" in label for label in labels) == 3
    assert labels.count("no attention") == 2


def test_attention_heads_are_labelled_with_tokens(model):
    ids, _ = model.tokenizer.encode(PROMPT)
    table = text_self_attention(model.text_encoder, ids)[0][:, :3, :3]
    figure = attention.attention_heads(table, ["<|startoftext|>", "a", "fox"])
    assert [label.get_text() for label in figure.axes[0].get_xticklabels()] == ["start", "a", "fox"]
    with pytest.raises(ValueError, match="one name for each token"):
        attention.attention_heads(table, ["a"])


def test_word_attention_maps_show_each_words_share(model):
    record = record_attention(model, PROMPT, **OPTIONS, guidance=2.0)
    labels = texts(attention.word_attention_maps(record))
    shares = {word: float(weights.mean()) for word, weights in maps_by_word(record).items()}
    assert sum(shares.values()) == pytest.approx(1, abs=1e-4)
    for word, share in shares.items():
        assert word.strip() in labels and f"{share:.1%} of the weight" in labels
    assert sum(label.startswith("from ") for label in labels) == len(shares)


@torch.no_grad()
def test_lessons_pipeline_generates_the_librarys_image_bit_for_bit():
    torch.manual_seed(0)
    model = text_to_image.make_model()
    torch.nn.init.normal_(model.unet.conv_out.weight, std=0.05)
    sd = text_to_image.to_pipeline(model)
    lesson = read_lesson(ROOT / "solutions" / "07_stable_diffusion.md")
    (exercise,) = [item for item in lesson.exercises if item.name == "text-to-image"]
    namespace = {"sd": sd, "torch": torch}
    exec(exercise.solution, namespace)
    prompt = "an owl on a red background"
    for guidance, seed in ((3.0, 0), (7.5, 4)):
        options = {"guidance": guidance, "steps": 3, "seed": seed}
        image = namespace["text_to_image"](prompt, **options)
        assert torch.equal(image, sd.generate(prompt, sampler="dpm++", **options)[0])


def test_a_row_and_a_column_of_the_attention_weights_are_drawn():
    weights = torch.rand(16, 3).softmax(1)
    figure = attention.attention_row_and_column(
        weights, ["<|startoftext|>", "a", "fox"], {"middle": 10, "corner": 0}, token=2
    )
    table, bars, square = figure.axes
    assert [label.get_text() for label in table.get_xticklabels()] == ["start", "a", "fox"]
    heights = torch.tensor([float(patch.get_height()) for patch in bars.patches]).view(2, 3)
    torch.testing.assert_close(heights.float(), 100 * weights[[10, 0]])
    drawn = torch.from_numpy(square.images[0].get_array().data)
    torch.testing.assert_close(drawn, weights[:, 2].view(4, 4))
    places = [line.get_xydata()[0].tolist() for line in square.lines]
    assert places == [[2, 2], [0, 0]]
    with pytest.raises(ValueError, match="one name for each token"):
        attention.attention_row_and_column(weights, ["a"], {"middle": 10, "corner": 0}, token=0)


def test_tokens_of_the_attention_weights_are_drawn_as_typed():
    weights, rows = torch.rand(16, 3).softmax(1), {"middle": 10, "corner": 0}
    figure = attention.attention_row_and_column(weights, ["a", "$$", "b"], rows, token=1)
    assert figure_png(figure, dpi=20)
    assert figure.axes[2].get_title("left") == "a column: the map of “$$”"


def test_contrastive_tables_outline_the_true_pairs():
    table = torch.eye(2) - 0.2
    figure = figures.contrastive_tables({"before": 0 * table, "after": table}, ["fox", "owl"])
    after = figure.axes[1]
    assert [text.get_text() for text in after.texts] == ["0.8", "−0.2", "−0.2", "0.8"]
    assert [patch.get_xy() for patch in after.patches] == [(-0.46, -0.46), (0.54, 0.54)]
