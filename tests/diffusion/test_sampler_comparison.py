"""The comparison of samplers: accuracy, nearest distance and discretisation error."""

import pytest
import torch

from course_lib.diffusion.evaluation import judge_features
from course_lib.diffusion.judge import Judge
from course_lib.diffusion.optimal_denoiser import OptimalDenoiser
from course_lib.diffusion.sampler_comparison import (
    discretisation_error,
    mean_nearest_distance,
    measure_sampler,
)
from course_lib.diffusion.small_denoiser import SCHEDULE
from tests.support.small_sd import small_pipeline


def test_measure_sampler():
    judge, pairs = Judge().eval(), [("owl", "red"), ("fox", "blue")]
    real_features = judge_features(judge, torch.rand(3, 3, 128, 128))
    result = measure_sampler(
        small_pipeline(), pairs, "ddim", 2, judge=judge, real_features=real_features
    )
    assert (result.sampler, result.steps, len(result.images)) == ("ddim", 2, 2)
    assert result.seconds > 0 and 0 <= result.accuracy <= 1 and result.frechet > 0


def test_mean_nearest_distance():
    reference = torch.tensor([[0.0, 0.0], [3.0, 4.0]])
    assert mean_nearest_distance(reference, reference) == 0
    features = torch.tensor([[0.0, 1.0], [3.0, 1.0]])
    assert mean_nearest_distance(features, reference) == pytest.approx((1 + 3) / 2)


def test_discretisation_error_falls_with_more_steps():
    generator = torch.Generator().manual_seed(0)
    clean, noise = torch.randn(2, 5, 4, 2, 2, generator=generator)
    denoiser = OptimalDenoiser(clean, SCHEDULE)
    errors = discretisation_error(denoiser, noise, (4, 16), ("ddim", "dpm++"), reference_steps=200)
    assert all(by_steps[16] < by_steps[4] for by_steps in errors.values())
    with pytest.raises(ValueError, match="heun"):
        discretisation_error(denoiser, noise, (4,), ("heun",))
    with pytest.raises(ValueError, match="reference_steps above 4"):
        discretisation_error(denoiser, noise, (4,), ("ddim",), reference_steps=4)
