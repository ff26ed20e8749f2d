"""The evaluation of generated images."""

from course_lib.diffusion import evaluation, text_to_image
from course_lib.diffusion import judge as judging


def test_metrics_of_real_images(monkeypatch):
    """The metrics are correct for real images in place of generated ones, with a judge that always
    returns the same verdict.
    """
    pairs = text_to_image.prompt_pairs("seen", 24)
    real = evaluation.real_images("seen", 24, 500)
    monkeypatch.setattr(evaluation, "generate", lambda model, pairs: real)
    monkeypatch.setattr(evaluation, "_training_images", lambda objects: real[:12].flatten(1))
    monkeypatch.setattr(judging, "load", lambda: judging.Judge().eval())
    verdict = judging.Verdict("fox", "red")
    monkeypatch.setattr(judging.Judge, "classify", lambda self, images: [verdict] * len(images))
    model = text_to_image.to_pipeline(text_to_image.make_model())
    metrics = evaluation.generation_metrics(model, pairs, "seen")
    assert metrics["object"] == sum(name == "fox" for name, _ in pairs) / 24
    assert metrics["colour"] == sum(colour == "red" for _, colour in pairs) / 24
    assert metrics["both"] <= min(metrics["object"], metrics["colour"])
    assert metrics["frechet"] > 0 and metrics["frechet_real"] > 0
    assert metrics["nearest"] < metrics["nearest_real"]
