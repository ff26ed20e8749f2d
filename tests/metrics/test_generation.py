"""The Frechet distance against scipy."""

import numpy as np
import pytest
import scipy.linalg
import torch

from course_lib.metrics.generation import frechet_distance


def test_frechet_distance_matches_its_equation():
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
