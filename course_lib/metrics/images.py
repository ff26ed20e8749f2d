"""The similarity of two images, such as a decoded one and its original."""

import torch
from jaxtyping import Float
from torch import Tensor


def psnr(image: Float[Tensor, "*shape"], original: Float[Tensor, "*shape"]) -> float:
    """Peak signal-to-noise ratio in dB, of images in [0, 1]: -10 log10 of the mean squared error.

    10 dB more mean a tenth of the squared error. Infinite for equal images.
    """
    return float(-10 * torch.log10(torch.mean((image.double() - original.double()) ** 2)))


def ssim(
    image: Float[Tensor, "channels height width"],
    original: Float[Tensor, "channels height width"],
) -> float:
    """Structural similarity of images in [0, 1]; 1 for equal images.

    Wang et al. (2004), section III, https://doi.org/10.1109/TIP.2003.819861.
    Compares means, contrasts and their correlation in a Gaussian window of standard deviation 1.5
    pixels, with the paper's constants; the mean over pixels and channels.
    """
    # Imported lazily: with scipy, the import takes a sixth of the time that generates an image.
    from skimage.metrics import structural_similarity

    return float(
        structural_similarity(
            image.numpy(),
            original.numpy(),
            channel_axis=0,
            data_range=1.0,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
        )
    )
