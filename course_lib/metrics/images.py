"""How near a picture came back: two measures of the same two pictures."""

import torch
from jaxtyping import Float
from skimage.metrics import structural_similarity
from torch import Tensor


def psnr(picture: Float[Tensor, "*shape"], original: Float[Tensor, "*shape"]) -> float:
    """Peak signal-to-noise ratio in dB, of pictures in [0, 1]: -10 log10 of the mean squared error.

    Every 10 dB are a tenth of the squared error. It is infinite where the two are equal.
    """
    return float(-10 * torch.log10(torch.mean((picture.double() - original.double()) ** 2)))


def ssim(
    picture: Float[Tensor, "channels height width"],
    original: Float[Tensor, "channels height width"],
) -> float:
    """Structural similarity of pictures in [0, 1], 1 where they are equal: Wang et al. (2004),
    section III.

    Compares means, contrasts and their correlation in a Gaussian window of 1.5 pixels, with the
    paper's constants (https://doi.org/10.1109/TIP.2003.819861); a mean over pixels and channels.
    """
    settings = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    return float(
        structural_similarity(
            picture.numpy(), original.numpy(), channel_axis=0, data_range=1.0, **settings
        )
    )
