"""The optimal linear autoencoder: principal components of 8x8 blocks (Pearson, 1901)."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from course_lib.data import photos

BLOCK = 8  # pixels; with 4 components, the code has the size of the autoencoder's latent


@dataclass(frozen=True)
class BlockPCA:
    """A linear code: each 8x8 block of an image (192 values) becomes a few coefficients."""

    mean: Float[Tensor, " values"]
    components: Float[Tensor, "components values"]
    explained_variance_ratio: Float[Tensor, " components"]

    def encode(
        self, image: Float[Tensor, "3 height width"]
    ) -> Float[Tensor, "components rows columns"]:
        """The coefficients of each block of an image in [0, 1].

        Raises:
            ValueError: if a side is not a multiple of 8.
        """
        height, width = image.shape[-2:]
        if height % BLOCK or width % BLOCK:
            raise ValueError(
                f"An image of {height} x {width} pixels: both must be multiples of {BLOCK}."
            )
        coefficients = self.components @ (_to_columns(image) - self.mean[:, None])
        return coefficients.unflatten(1, (height // BLOCK, width // BLOCK))

    def decode(
        self, latents: Float[Tensor, "components rows columns"]
    ) -> Float[Tensor, "3 height width"]:
        """The image of these coefficients, clamped to [0, 1]."""
        size = [BLOCK * side for side in latents.shape[-2:]]
        values = self.components.T @ latents.flatten(1) + self.mean[:, None]
        return F.fold(values[None], size, BLOCK, stride=BLOCK)[0].clamp(0, 1)

    def truncate(self, components: int) -> "BlockPCA":
        """Keep only the first ``components``: the optimal linear code of that size.

        Raises:
            ValueError: if ``components`` is out of range.
        """
        if not 1 <= components <= len(self.components):
            raise ValueError(f"{components} components: choose 1 to {len(self.components)}.")
        return BlockPCA(
            self.mean, self.components[:components], self.explained_variance_ratio[:components]
        )


def fit(components: int = 4, size: int = 512) -> BlockPCA:
    """Fit a code to all blocks of all training photos at ``size`` x ``size`` pixels.

    The components are the leading eigenvectors of the blocks' covariance. ``size`` is a multiple
    of 8.
    """
    values = torch.cat(
        [_to_columns(photos.photo(name, size)) for name in photos.names("train")], dim=1
    ).double()
    eigenvalues, eigenvectors = torch.linalg.eigh(torch.cov(values))  # in ascending order
    leading = eigenvectors.flip(1).T[:components]
    # The sign is arbitrary: make the entry with the largest magnitude positive.
    largest = leading.gather(1, leading.abs().argmax(1, keepdim=True))
    ratio = eigenvalues.flip(0)[:components] / eigenvalues.sum()
    return BlockPCA(values.mean(1).float(), (leading * largest.sign()).float(), ratio.float())


def _to_columns(image: Float[Tensor, "3 height width"]) -> Float[Tensor, "values blocks"]:
    return F.unfold(image[None], BLOCK, stride=BLOCK)[0]
