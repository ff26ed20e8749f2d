"""The evaluation of the text-to-image model by kinds of sentences."""

import pytest

from course_lib.data.descriptions import parse
from course_lib.diffusion import judge as judging
from course_lib.diffusion import sentence_evaluation as evaluation
from course_lib.diffusion import text_to_image
from tests.support import small_sd


def test_prompts_ask_for_what_the_split_is_about():
    for split in text_to_image.TEST_SPLITS:
        pictures = evaluation.real_pictures(split, 6)
        asked, prompts = evaluation.prompts_for(split, pictures)
        assert [parse(prompt) for prompt in prompts] == asked
        metrics = set(judging.description_accuracy(asked, asked))
        missing = set(text_to_image.THRESHOLDS[split]) - metrics
        assert missing <= {"frechet_quotient"}
    with pytest.raises(ValueError, match="no split 'x'"):
        evaluation.real_pictures("x", 1)


def test_metrics_of_real_pictures_are_perfect(monkeypatch):
    """With real pictures in place of generated ones, and a judge that knows the prompts."""
    count = 8
    for split in ("mixed", "one", "new-two"):
        real = evaluation.real_pictures(split, count)
        asked, _ = evaluation.prompts_for(split, real)
        images = evaluation._stack(real)
        monkeypatch.setattr(evaluation, "generate_prompts", lambda *a, images=images, **o: images)
        monkeypatch.setattr(judging, "load", lambda: judging.Judge().eval())
        monkeypatch.setattr(judging.Judge, "describe", lambda self, images, asked=asked: asked)
        metrics = evaluation.generation_metrics(small_sd.small_pipeline(), split, count)
        for metric in {"object", "colour", "both"} & set(metrics):
            assert metrics[metric] == 1
        assert ("both" in metrics) == (split != "one")
        if split == "mixed":
            assert metrics["frechet"] < 0.1 * metrics["frechet_real"]
        assert ("nearest" in metrics) == (split == "one")
        if split == "one":
            assert metrics["nearest"] == metrics["nearest_real"] < 0.2


def test_guidance_sweep_and_preview(monkeypatch):
    monkeypatch.setattr(judging, "load", lambda: judging.Judge().eval())
    model = text_to_image.make_model()
    results = evaluation.sweep_guidance(
        text_to_image.to_pipeline(model), [1.0, 3.0], split="place", count=2
    )
    assert list(results) == [1.0, 3.0] and set(results[1.0]) >= {"object", "place", "colour", "all"}
    sheet = evaluation.preview_image(model, count=3, columns=3)
    assert sheet.width == 3 * 128 and sheet.height >= 128 + 2 * 14  # the prompts need several lines
