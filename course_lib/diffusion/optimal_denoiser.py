"""The optimal denoiser for a known, finite set of images: a reference for trained denoisers.

If the images are equally likely and no others exist, Bayes' rule gives each image's probability,
given its noisy version. The best prediction in squared error is the posterior mean: Karras et al.
(2022), arXiv:2206.00364, appendix B.3.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from course_lib.sd.samplers import NoiseSchedule

Noisy = Float[Tensor, "batch *shape"]


class OptimalDenoiser:
    """Has the interface of a trained denoiser: noisy images and a time to the noise."""

    def __init__(self, clean: Float[Tensor, "images *shape"], schedule: NoiseSchedule) -> None:
        """``clean``: all images (or latents) that exist."""
        self.clean = clean
        self.alphas_cumprod = schedule.alphas_cumprod

    def posterior(self, x: Noisy, t: int) -> Float[Tensor, "batch images"]:
        """The probability that ``x`` is a noisy version of each image; rows sum to 1."""
        alpha_bar = float(self.alphas_cumprod[t])
        means = alpha_bar**0.5 * self.clean.flatten(1).double()
        distances = torch.cdist(x.flatten(1).double(), means)
        return (-(distances**2) / (2 * (1 - alpha_bar))).softmax(1).to(x)

    def predict_x0(self, x: Noisy, t: int) -> Noisy:
        """The clean image: the posterior mean."""
        return (self.posterior(x, t) @ self.clean.flatten(1).to(x)).view(x.shape)

    def __call__(self, x: Noisy, t: int) -> Noisy:
        """The noise in ``x``, given the predicted clean image."""
        alpha_bar = float(self.alphas_cumprod[t])
        return (x - alpha_bar**0.5 * self.predict_x0(x, t)) / (1 - alpha_bar) ** 0.5


class GaussianDenoiser:
    """The optimal denoiser for images whose values are independent and Gaussian.

    Its prediction has a closed form, smooth in the image and in the time, for tests of samplers and
    losses without a network. The posterior mean is the precision-weighted mean of the prior mean
    and of the noisy image divided by alpha.
    """

    def __init__(self, mean: float, std: float, schedule: NoiseSchedule) -> None:
        """``mean`` and ``std`` (above 0): of every value of a clean image."""
        self.mean = mean
        self.std = std
        self.alphas_cumprod = schedule.alphas_cumprod

    def __call__(self, x: Noisy, t: Int[Tensor, " batch"] | int) -> Noisy:
        """The noise in ``x``; ``t``: one time per image, or one for all."""
        alpha_bar = self.alphas_cumprod[torch.as_tensor(t)].to(x)
        alpha_bar = alpha_bar.view(-1, *[1] * (x.ndim - 1))
        signal = alpha_bar * self.std**2
        gain = signal / (signal + 1 - alpha_bar)
        alpha, sigma = alpha_bar.sqrt(), (1 - alpha_bar).sqrt()
        return (1 - gain) * (x - alpha * self.mean) / sigma
