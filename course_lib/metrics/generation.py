"""How close the distribution of generated images is to that of real ones."""

import torch
from jaxtyping import Float
from torch import Tensor


def frechet_distance(
    features: Float[Tensor, "n features"], reference: Float[Tensor, "m features"]
) -> float:
    """The Frechet distance between Gaussians fitted to two sets of features.

    Heusel et al. (2017), arXiv:1706.08500, equation 6.
    """
    features, reference = features.double(), reference.double()
    covariance, reference_covariance = features.T.cov(), reference.T.cov()
    eigenvalues = torch.linalg.eigvals(covariance @ reference_covariance)
    # They are real and non-negative, up to rounding.
    trace_of_root = eigenvalues.real.clamp(min=0).sqrt().sum()
    return float(
        (features.mean(0) - reference.mean(0)).square().sum()
        + covariance.trace()
        + reference_covariance.trace()
        - 2 * trace_of_root
    )
