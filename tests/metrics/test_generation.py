"""The Fréchet distance equals its formula evaluated with scipy; Wilson intervals."""

import numpy as np
import pytest
import scipy.linalg
import torch

from course_lib.metrics.generation import frechet_distance, wilson_interval


def test_frechet_distance_matches_its_formula():
    rng = np.random.default_rng(0)
    features = rng.normal(size=(400, 6)) @ rng.normal(size=(6, 6))
    reference = rng.normal(1, 2, size=(300, 6))
    covariances = np.cov(features.T), np.cov(reference.T)
    root = scipy.linalg.sqrtm(covariances[0] @ covariances[1]).real
    expected = ((features.mean(0) - reference.mean(0)) ** 2).sum()
    expected += np.trace(covariances[0] + covariances[1] - 2 * root)
    features, reference = torch.from_numpy(features).float(), torch.from_numpy(reference).float()
    assert frechet_distance(features, reference) == pytest.approx(expected)
    assert frechet_distance(features, features) == pytest.approx(0, abs=1e-6)


def test_frechet_distance_of_fewer_examples_than_features():
    """Singular covariances: the trace of the root is the nuclear norm of the centred products."""
    generator = torch.Generator().manual_seed(0)
    features, reference = (
        torch.randn(count, 64, dtype=torch.float64, generator=generator) for count in (9, 12)
    )
    centred, centred_reference = (x - x.mean(0) for x in (features, reference))
    root = torch.linalg.svdvals(centred @ centred_reference.T).sum() / (8 * 11) ** 0.5
    expected = (features.mean(0) - reference.mean(0)).square().sum()
    expected += features.T.cov().trace() + reference.T.cov().trace() - 2 * root
    assert frechet_distance(features, reference) == pytest.approx(float(expected))


@pytest.mark.parametrize(
    "features, message",
    [
        (torch.zeros(1, 3), "at least 2 examples, not 1"),
        (torch.zeros(0, 3), "at least 2 examples, not 0"),
        (torch.tensor([[0.0, float("nan")], [1.0, 2.0]]), "NaN"),
        (torch.tensor([[0.0, float("inf")], [1.0, 2.0]]), "NaN or infinite"),
    ],
)
def test_frechet_distance_of_invalid_features_is_refused(features, message):
    """A general eigenvalue solver would crash the kernel instead."""
    valid = torch.eye(features.shape[1])
    for arguments in ((features, valid), (valid, features)):
        with pytest.raises(ValueError, match=message):
            frechet_distance(*arguments)


def test_wilson_interval_has_a_width_at_0_and_1_and_contains_the_proportion():
    low, high = wilson_interval(20, 20)
    assert high == pytest.approx(1) and low == pytest.approx(20 / (20 + 1.96**2))
    assert wilson_interval(0, 20) == pytest.approx((0, 1 - low))
    low, high = wilson_interval(5, 10)
    assert low + high == pytest.approx(1) and low < 0.5 < high
    for wrong in ((1, 0), (3, 2), (-1, 2)):
        with pytest.raises(ValueError, match="give a count"):
            wilson_interval(*wrong)
