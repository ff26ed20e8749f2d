"""The parts of lesson 4's autoencoder: PCA as a convolution, sampling, KL, loss, quantisation."""

import math

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from course_lib.compression import codecs


def pca_convolution(
    components: Float[Tensor, "count values"], mean: Float[Tensor, " values"]
) -> tuple[Float[Tensor, "count 3 side side"], Float[Tensor, " count"]]:
    """The weight and the bias of a convolution that computes a linear code of separate blocks.

    Args:
        components: one component per row, with the 3 * side * side values of a block.
        mean: the mean block, which is subtracted first.

    Returns:
        Weight and bias such that ``F.conv2d(image, weight, bias, stride=side)`` computes
        ``components @ (block - mean)``.
    """
    side = round((components.shape[1] / 3) ** 0.5)
    return components.view(-1, 3, side, side), -(components @ mean)


def reparameterise(
    mean: Float[Tensor, "*shape"], logvar: Float[Tensor, "*shape"], noise: Float[Tensor, "*shape"]
) -> Float[Tensor, "*shape"]:
    """A sample of a Gaussian with this mean and log-variance (Kingma and Welling, 2014, 2.4).

    ``noise`` is standard normal.
    """
    return mean + (0.5 * logvar).exp() * noise


def kl_by_sampling(mean: float, std: float, noise: Float[Tensor, " count"]) -> float:
    """The KL divergence of a Gaussian from the standard one, in nats, estimated from samples.

    The mean of ln p1(z) - ln p0(z) over samples z of the first Gaussian.

    Args:
        mean: of the first Gaussian.
        std: of the first Gaussian, above 0.
        noise: standard normal, from which its samples are computed.
    """
    z = mean + std * noise
    of_first = -0.5 * ((z - mean) / std) ** 2 - math.log(std)
    return float((of_first + 0.5 * z**2).mean())


def vae_loss(
    images: Float[Tensor, "*image"],
    decoded: Float[Tensor, "*image"],
    mean: Float[Tensor, "*latent"],
    logvar: Float[Tensor, "*latent"],
    weight: float,
) -> Float[Tensor, ""]:
    """Mean squared error plus ``weight`` times the mean KL divergence from a standard Gaussian.

    Both are means over all values, not sums as in Kingma and Welling (2014), appendix B.
    """
    kl = 0.5 * (mean**2 + logvar.exp() - 1 - logvar)
    return F.mse_loss(decoded, images) + weight * kl.mean()


def quantise_latent(
    latent: Float[Tensor, "channels height width"], bits: int
) -> tuple[Float[Tensor, "channels height width"], Float[Tensor, "channels height width"]]:
    """A latent quantised to integers from 0 to 2^bits - 1, and the dequantised values.

    Raises:
        ValueError: if ``bits`` is not 1 to 8.
    """
    numbers, ranges = codecs.quantise(latent, bits)
    return numbers.float(), codecs.dequantise(numbers, ranges, bits)
