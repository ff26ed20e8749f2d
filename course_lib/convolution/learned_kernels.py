"""Kernels that a network finds by itself when it must describe photographs with few numbers.

One convolutional layer looks at small patches of photographs, and the same kernels paint the
patches back. The loss asks that the patch comes back and that few kernels answer at a time. Nobody
mentions edges.

Sources: Olshausen and Field, "Emergence of simple-cell receptive field properties by learning a
sparse code for natural images" (1996), https://doi.org/10.1038/381607a0; the loss is that of Le,
Karpenko, Ngiam and Ng, "ICA with Reconstruction Cost for Efficient Overcomplete Feature Learning"
(2011), equation 3,
https://proceedings.neurips.cc/paper_files/paper/2011/hash/233509073ed3432027d48b1a83f5fbd2-Abstract.html. Fitting Gabor functions to kernels follows Jones and Palmer (1987),
https://doi.org/10.1152/jn.1987.58.6.1233.

``python -m course_lib.convolution.learned_kernels`` trains it and writes
data/checkpoints/kernels.safetensors.
"""

import argparse
import functools
import itertools
import math
import os
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from course_lib.assets import checkpoints, checksums
from course_lib.data.photos import names, photo
from course_lib.profiling.timing import one_thread
from course_lib.training.loop import History, batches, fit

SIDE = 9  # pixels
Patches = Float[Tensor, "patches channels=3 height=9 width=9"]
Kernels = Float[Tensor, "kernels channels=3 height=9 width=9"]


def patches(count: int, seed: int = 0) -> Float[Tensor, "patches 3 9 9"]:
    """Random 9x9 patches, equally many from each embedded photo, each minus its own mean."""
    generator = torch.Generator().manual_seed(seed)
    found = []
    for name in names():
        picture = photo(name)
        each = -(-count // len(names()))
        top = torch.randint(picture.shape[1] - SIDE + 1, (each,), generator=generator)
        left = torch.randint(picture.shape[2] - SIDE + 1, (each,), generator=generator)
        windows = picture.unfold(1, SIDE, 1).unfold(2, SIDE, 1)
        found.append(windows[:, top, left].transpose(0, 1))
    mixed = torch.cat(found)[torch.randperm(each * len(found), generator=generator)[:count]]
    return mixed - mixed.mean((1, 2, 3), keepdim=True)


class SparseAutoencoder(nn.Module):
    """One layer of kernels that describes a patch, and the same kernels that paint it back.

    Args:
        whitening: (243, 243), makes all contrasts of a patch equally strong; see :func:`whitening`.
        count: how many kernels.
    """

    def __init__(self, whitening: Float[Tensor, "inputs inputs"], count: int = 64) -> None:
        super().__init__()
        self.register_buffer("whitening", whitening)
        self.weight = nn.Parameter(torch.randn(count, len(whitening)) / math.sqrt(len(whitening)))

    def kernels(self) -> Float[Tensor, "kernels 3 9 9"]:
        """Whitening and weights in one: the kernels of the convolution from pixels to codes."""
        return (self.weight @ self.whitening).unflatten(1, (3, SIDE, SIDE))

    def forward(
        self, patches: Patches
    ) -> tuple[Float[Tensor, "patches inputs"], Float[Tensor, "patches kernels"]]:
        """The whitened patches and their codes, which are the answers of the kernels."""
        white = patches.flatten(1) @ self.whitening.T
        return white, white @ self.weight.T


def whitening(patches: Patches, noise: float = 0.1) -> Float[Tensor, "inputs inputs"]:
    """The matrix after which no two pixels of a patch tell the same:
    ``(covariance + noise^2)^(-1/2)``.

    Neighbouring pixels are nearly equal: without it the loss would see little but slow changes of
    brightness.

    Args:
        patches: each with a mean of 0.
        noise: a contrast with a standard deviation far below this (in brightness, 0 to 1) counts as
            noise.
    """
    x = patches.flatten(1)
    values, vectors = torch.linalg.eigh(x.T @ x / len(x))
    return vectors @ torch.diag((values.clamp(min=0) + noise**2).rsqrt()) @ vectors.T


def reconstruction_and_sparsity(
    model: SparseAutoencoder, patches: Patches, weight: float = 0.5
) -> Float[Tensor, ""]:
    """Squared error of what the kernels paint back, plus ``weight`` times how much they answer
    (smooth L1).
    """
    white, codes = model(patches)
    error = (codes @ model.weight - white).pow(2).sum(1)
    return (0.5 * error + weight * (codes.pow(2) + 1e-2).sqrt().sum(1)).mean()


@dataclass(frozen=True)
class Fit:
    """How well a Gabor function, a wave under a bell, in one colour describes each kernel.

    ``explained`` is the share of a kernel's energy that the best one explains; ``grey`` the share
    of grey in its colour, 0 to 1; ``angle`` the direction in degrees, 0 to 180, across which it
    varies (0: across
    vertical edges, 90: across horizontal ones).
    """

    explained: Float[Tensor, " kernels"]
    grey: Float[Tensor, " kernels"]
    angle: Float[Tensor, " kernels"]

    def edges(self) -> Bool[Tensor, " kernels"]:
        """True for each kernel of which a mostly grey Gabor function explains at least half."""
        return (self.explained >= 0.5) & (self.grey >= 0.5)

    def colours(self) -> Bool[Tensor, " kernels"]:
        """True for each kernel of which a Gabor function in another colour explains at least
        half.
        """
        return (self.explained >= 0.5) & (self.grey < 0.5)


def fit_gabor(kernels: Kernels) -> Fit:
    """The best Gabor function for each kernel, from a grid of 12 directions, 5 wavelengths, 25
    centres and 12 bells.
    """
    # The one colour that holds most of a kernel, and the kernel seen in it.
    colour, strength, pattern = torch.linalg.svd(kernels.flatten(2), full_matrices=False)
    pattern = pattern[:, 0] * strength[:, :1]
    pairs, angles = _gabors()
    # Each pair is a plane (sine and cosine, so that any phase is in it): what it explains is the
    # projection onto it.
    explained = (pattern @ pairs).unflatten(1, (-1, 2)).pow(2).sum(2) / kernels.pow(2).sum(
        (1, 2, 3)
    )[:, None]
    best = explained.max(1)
    return Fit(best.values, colour[:, :, 0].sum(1).pow(2) / 3, angles[best.indices])


@functools.cache
def _gabors() -> tuple[Float[Tensor, "pixels columns"], Float[Tensor, " planes"]]:
    """Orthonormal sine and cosine of every Gabor function on the grid, as pairs of columns, with
    their angles.
    """
    steps = torch.arange(SIDE) - SIDE // 2
    y, x = torch.meshgrid(steps.float(), steps.float(), indexing="ij")
    planes, angles = [], []
    grid = itertools.product(
        range(0, 180, 15), (2.5, 4, 6, 10, 20), (-3, -1.5, 0, 1.5, 3), (-3, -1.5, 0, 1.5, 3)
    )
    for angle, wavelength, down, right in grid:
        cosine, sine = math.cos(math.radians(angle)), math.sin(math.radians(angle))
        across = (x - right) * cosine + (y - down) * sine
        along = (y - down) * cosine - (x - right) * sine
        for width, length in itertools.product((1, 1.5, 2.5, 6), (1.5, 3, 6)):
            bell = torch.exp(-(across**2) / (2 * width**2) - along**2 / (2 * length**2))
            phase = 2 * math.pi / wavelength * across
            planes.append(torch.stack([bell * phase.cos(), bell * phase.sin()], -1).flatten(0, 1))
            angles.append(angle)
    # Grey kernels answer 0 to an even area and kernels of a colour need not: so each with its mean,
    # and without.
    stack = torch.stack(planes)
    stack = torch.cat([stack, stack - stack.mean(1, keepdim=True)])
    return torch.linalg.qr(stack).Q.permute(1, 0, 2).flatten(1), torch.tensor(
        angles * 2, dtype=torch.float32
    )


def load() -> Kernels:
    """The 64 kernels that were trained and shipped, each scaled to length 1."""
    return _unit(checkpoints.load("kernels")["kernels"])


def untrained(seed: int = 0) -> Kernels:
    """64 kernels as they are before training: random numbers through the same whitening, each
    scaled to length 1.
    """
    return _unit(_start(seed)[0].kernels().detach())


def train(seed: int = 0, epochs: int = 8) -> tuple[SparseAutoencoder, History]:
    """Train the network on 40,000 patches of the embedded photos."""
    model, seen = _start(seed)
    with one_thread():
        return model, fit(
            model, reconstruction_and_sparsity, batches(seen, size=256), epochs, seed=seed
        )


def _start(seed: int) -> tuple[SparseAutoencoder, Patches]:
    seen, matrix = _prepared(seed)
    torch.manual_seed(seed)
    return SparseAutoencoder(matrix.clone()), seen


@functools.cache
def _prepared(seed: int) -> tuple[Patches, Float[Tensor, "inputs inputs"]]:
    with one_thread():
        seen = patches(40_000, seed)
        return seen, whitening(seen)


def _unit(kernels: Kernels) -> Kernels:
    return kernels / kernels.flatten(1).norm(dim=1)[:, None, None, None]


def main() -> None:
    parser = argparse.ArgumentParser(
        description="Train the kernels of lesson 2 and write their checkpoint and card."
    )
    parser.add_argument("--seed", type=int, default=0)
    seed = parser.parse_args().seed
    model, history = train(seed)
    with torch.no_grad():
        white, codes = model(patches(10_000, seed + 1))
        lost = (codes @ model.weight - white).pow(2).sum() / white.pow(2).sum()
        kernels = model.kernels()
    found, before = fit_gabor(kernels), fit_gabor(untrained(seed))
    card = {
        "command": f"python -m course_lib.convolution.learned_kernels --seed {seed}",
        "seed": seed,
        "data": f"40,000 random 9x9 patches of the embedded photos {', '.join(names())}",
        "metrics": {
            "kernels": len(kernels),
            "edges": int(found.edges().sum()),
            "edges before training": int(before.edges().sum()),
            "colours": int(found.colours().sum()),
            "share of the contrast lost, new patches": round(lost.item(), 3),
        },
        "hardware": f"one of {os.cpu_count()} CPU cores",
        "minutes": round(history.seconds / 60, 2),
    }
    checkpoints.save("kernels", {"kernels": kernels}, card)
    checksums.write()
    print(card)


if __name__ == "__main__":
    main()
