"""The best that a linear autoencoder can do: principal components of 8x8 blocks, Pearson (1901)."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from course_lib.data import photos

BLOCK = 8  # pixels; with 4 components as many numbers as the autoencoder's latent has


@dataclass(frozen=True)
class BlockPCA:
    """Every 8x8 block of a picture told by ``components`` numbers, which are linear in its 192
    values.
    """

    mean: Float[Tensor, " values"]
    components: Float[Tensor, "components values"]
    shares: Float[Tensor, " components"]  # of the blocks' variance, each component's

    def encode(
        self, image: Float[Tensor, "3 height width"]
    ) -> Float[Tensor, "components rows columns"]:
        """The numbers of each block of an image in [0, 1].

        Raises:
            ValueError: if a side is no multiple of 8.
        """
        height, width = image.shape[-2:]
        if height % BLOCK or width % BLOCK:
            raise ValueError(
                f"An image of {height} x {width} pixels: both must be multiples of {BLOCK}."
            )
        numbers = self.components @ (_blocks(image) - self.mean[:, None])
        return numbers.unflatten(1, (height // BLOCK, width // BLOCK))

    def decode(
        self, latents: Float[Tensor, "components rows columns"]
    ) -> Float[Tensor, "3 height width"]:
        """The nearest image that these numbers can tell, clamped to [0, 1]."""
        size = [BLOCK * side for side in latents.shape[-2:]]
        values = self.components.T @ latents.flatten(1) + self.mean[:, None]
        return F.fold(values[None], size, BLOCK, stride=BLOCK)[0].clamp(0, 1)

    def first(self, components: int) -> "BlockPCA":
        """The code with fewer numbers: the best of its size, too, since components come in order of
        what they tell.

        Raises:
            ValueError: if there are not so many.
        """
        if not 1 <= components <= len(self.components):
            raise ValueError(f"{components} components: choose 1 to {len(self.components)}.")
        return BlockPCA(self.mean, self.components[:components], self.shares[:components])


def fit(components: int = 4, size: int = 512) -> BlockPCA:
    """Fitted on all blocks of all training photos at ``size`` x ``size`` pixels, a multiple of 8.

    The components are the directions in which the blocks vary most: the first eigenvectors of their
    covariance.
    """
    values = torch.cat(
        [_blocks(photos.photo(name, size)) for name in photos.names("train")], dim=1
    ).double()
    variances, directions = torch.linalg.eigh(torch.cov(values))  # in rising order
    found = directions.flip(1).T[:components]
    largest = found.gather(1, found.abs().argmax(1, keepdim=True))
    shares = variances.flip(0)[:components] / variances.sum()
    return BlockPCA(values.mean(1).float(), (found * largest.sign()).float(), shares.float())


def _blocks(image: Float[Tensor, "3 height width"]) -> Float[Tensor, "values blocks"]:
    return F.unfold(image[None], BLOCK, stride=BLOCK)[0]
