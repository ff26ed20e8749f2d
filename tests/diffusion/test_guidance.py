"""``measure_guidance``: its metrics equal those computed from the generated images."""

import pytest
import torch

from course_lib.data.captioned import make_caption
from course_lib.diffusion.guidance import measure_guidance
from course_lib.diffusion.judge import Judge, accuracy
from tests.support.small_sd import OPTIONS, small_pipeline

PAIRS = [("fox", "purple"), ("car", "white")]


@pytest.fixture(scope="module")
def model():
    return small_pipeline()


@pytest.fixture(scope="module")
def judge():
    torch.manual_seed(0)
    return Judge().eval()


def test_metrics_equal_those_of_the_generated_images(model, judge):
    result = measure_guidance(model, judge, PAIRS, 3.0, images_per_pair=2, steps=3, seed=5)
    first, second = (
        model.generate(make_caption(*pair), **OPTIONS, guidance=3.0, seed=seed, count=2)
        for pair, seed in zip(PAIRS, (5, 7), strict=True)
    )
    expected = [pair for pair in PAIRS for _ in range(2)]
    accuracies = accuracy(judge.classify(torch.cat([first, second])), expected)
    assert {name: getattr(result, name) for name in accuracies} == accuracies
    distances = [(images[0] - images[1]).square().mean().sqrt() for images in (first, second)]
    assert result.diversity == pytest.approx(float(sum(distances) / 2), rel=1e-3)
    assert result.guidance == 3.0 and result.latent_std > 0 and result.seconds > 0


def test_guidance_scale_changes_the_latents(model, judge):
    weak, strong = (
        measure_guidance(model, judge, PAIRS, scale, images_per_pair=2, steps=3)
        for scale in (0.0, 12.0)
    )
    assert weak.latent_std != strong.latent_std


def test_too_few_images_are_rejected(model, judge):
    with pytest.raises(ValueError, match="at least 2"):
        measure_guidance(model, judge, PAIRS, 1.0, images_per_pair=1)
    with pytest.raises(ValueError, match="at least one object"):
        measure_guidance(model, judge, [], 1.0)
