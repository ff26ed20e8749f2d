"""Metrics of generated images: the distance of two distributions, and a confidence interval."""

from math import sqrt

import torch
from jaxtyping import Float
from torch import Tensor


def frechet_distance(
    features: Float[Tensor, "n features"], reference: Float[Tensor, "m features"]
) -> float:
    """The Frechet distance between Gaussians fitted to two sets of features.

    Heusel et al. (2017), arXiv:1706.08500, equation 6.

    Raises:
        ValueError: if a set has fewer than 2 examples, which have no covariance, or a value that is
            not finite.
    """
    for name, values in (("features", features), ("reference", reference)):
        if len(values) < 2:
            raise ValueError(f"{name}: give at least 2 examples, not {len(values)}.")
        if not values.isfinite().all():
            raise ValueError(f"{name} contains NaN or infinite values.")
    features, reference = features.double(), reference.double()
    covariance, reference_covariance = features.T.cov(), reference.T.cov()
    # root @ reference @ root is symmetric, unlike the product of the covariances, and has the same
    # eigenvalues.
    values, vectors = torch.linalg.eigh(covariance)
    root = (vectors * values.clamp(min=0).sqrt()) @ vectors.T
    eigenvalues = torch.linalg.eigvalsh(root @ reference_covariance @ root)
    trace_of_root = eigenvalues.clamp(min=0).sqrt().sum()  # rounding can make them negative
    return float(
        (features.mean(0) - reference.mean(0)).square().sum()
        + covariance.trace()
        + reference_covariance.trace()
        - 2 * trace_of_root
    )


def wilson_interval(right: int, count: int, z: float = 1.96) -> tuple[float, float]:
    """Wilson's confidence interval of a proportion, after ``right`` of ``count`` trials.

    Unlike the proportion plus or minus ``z`` standard errors, it has a width at 0 % and 100 %, and
    stays within 0 and 1. Wilson (1927), "Probable inference, the law of succession, and statistical
    inference", Journal of the American Statistical Association 22.

    Args:
        right: the number of successes, from 0 to ``count``.
        count: the number of trials, 1 or more.
        z: the quantile of the normal distribution; 1.96 for a confidence level of 95 %.

    Raises:
        ValueError: if the numbers are out of range.
    """
    if count < 1 or not 0 <= right <= count:
        raise ValueError(f"{right} of {count}: give a count from 1, and right from 0 to count.")
    proportion, weight = right / count, z**2 / count
    middle = proportion + weight / 2
    half_width = z * sqrt(proportion * (1 - proportion) / count + weight / count / 4)
    low, high = ((middle + sign * half_width) / (1 + weight) for sign in (-1, 1))
    return max(low, 0.0), min(high, 1.0)
