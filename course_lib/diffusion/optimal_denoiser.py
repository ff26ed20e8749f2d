"""The best prediction that is possible where all pictures are known: a yardstick for denoisers, and
a lesson on them.

If only these pictures exist, all equally likely, then Bayes' rule says for a noisy one how likely
each of them is the one below the noise. The best guess, in squared error, is their mean with these
weights: Karras et al. (2022), arXiv:2206.00364, appendix B.3.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from course_lib.sd.samplers import NoiseSchedule

Noisy = Float[Tensor, "batch *shape"]


class Ideal:
    """The ideal denoiser of a set of pictures. It is asked as a trained one is: with a noisy
    picture and a time.
    """

    def __init__(self, clean: Float[Tensor, "pictures *shape"], schedule: NoiseSchedule) -> None:
        """``clean``: every picture (or latent) that there is; ``schedule``: says how much noise
        there is at a time.
        """
        self.clean, self.squares = clean, schedule.alphas_cumprod

    def weights(self, x: Noisy, t: int) -> Float[Tensor, "batch pictures"]:
        """How likely each of the pictures is the one below the noise; the sum over them is 1."""
        square = float(self.squares[t])
        distances = torch.cdist(x.flatten(1).double(), square**0.5 * self.clean.flatten(1).double())
        return (-(distances**2) / (2 * (1 - square))).softmax(1).to(x)

    def guess(self, x: Noisy, t: int) -> Noisy:
        """The clean picture: the mean of all with their weights."""
        return (self.weights(x, t) @ self.clean.flatten(1).to(x)).view(x.shape)

    def __call__(self, x: Noisy, t: int) -> Noisy:
        """The noise: what is left of ``x`` without the guess."""
        square = float(self.squares[t])
        return (x - square**0.5 * self.guess(x, t)) / (1 - square) ** 0.5
