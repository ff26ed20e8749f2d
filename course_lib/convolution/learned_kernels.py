"""Kernels learned without labels, by sparse coding of photographs.

A single layer encodes small patches of photographs, and the same kernels reconstruct them. The loss
combines the reconstruction error with a sparsity penalty; it does not mention edges.

Sources: Olshausen and Field, "Emergence of simple-cell receptive field properties by learning a
sparse code for natural images" (1996), https://doi.org/10.1038/381607a0; the loss is from Le,
Karpenko, Ngiam and Ng, "ICA with Reconstruction Cost for Efficient Overcomplete Feature Learning"
(2011), equation 3,
https://proceedings.neurips.cc/paper_files/paper/2011/hash/233509073ed3432027d48b1a83f5fbd2-Abstract.html.
Fitting Gabor functions to kernels follows Jones and Palmer (1987),
https://doi.org/10.1152/jn.1987.58.6.1233.

``python -m course_lib.convolution.learned_kernels`` trains the kernels and writes
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


def sample_patches(count: int, seed: int = 0) -> Float[Tensor, "patches 3 9 9"]:
    """Random 9x9 patches, equally many from each embedded photo, each with its mean subtracted."""
    generator = torch.Generator().manual_seed(seed)
    per_photo = math.ceil(count / len(names()))
    patches = []
    for name in names():
        image = photo(name)
        top = torch.randint(image.shape[1] - SIDE + 1, (per_photo,), generator=generator)
        left = torch.randint(image.shape[2] - SIDE + 1, (per_photo,), generator=generator)
        windows = image.unfold(1, SIDE, 1).unfold(2, SIDE, 1)
        patches.append(windows[:, top, left].transpose(0, 1))
    order = torch.randperm(per_photo * len(patches), generator=generator)[:count]
    shuffled = torch.cat(patches)[order]
    return shuffled - shuffled.mean((1, 2, 3), keepdim=True)


class SparseAutoencoder(nn.Module):
    """A linear autoencoder with tied weights on whitened patches.

    Args:
        whitening: (243, 243), see :func:`whitening_matrix`.
        num_kernels: the number of kernels.
    """

    def __init__(self, whitening: Float[Tensor, "inputs inputs"], num_kernels: int = 64) -> None:
        super().__init__()
        self.register_buffer("whitening", whitening)
        inputs = len(whitening)
        self.weight = nn.Parameter(torch.randn(num_kernels, inputs) / math.sqrt(inputs))

    def kernels(self) -> Float[Tensor, "kernels 3 9 9"]:
        """The product of weights and whitening: the convolution kernels from pixels to codes."""
        return (self.weight @ self.whitening).unflatten(1, (3, SIDE, SIDE))

    def forward(
        self, patches: Patches
    ) -> tuple[Float[Tensor, "patches inputs"], Float[Tensor, "patches kernels"]]:
        """The whitened patches and their codes (the kernels' responses)."""
        white = patches.flatten(1) @ self.whitening.T
        return white, white @ self.weight.T


def whitening_matrix(patches: Patches, noise: float = 0.1) -> Float[Tensor, "inputs inputs"]:
    """The matrix that decorrelates the pixels of a patch: ``(covariance + noise^2)^(-1/2)``.

    Neighbouring pixels are strongly correlated: without whitening, low spatial frequencies would
    dominate the loss.

    Args:
        patches: each with mean 0.
        noise: standard deviation (for pixels in [0, 1]) below which variation counts as noise.
    """
    x = patches.flatten(1)
    values, vectors = torch.linalg.eigh(x.T @ x / len(x))
    return vectors @ torch.diag((values.clamp(min=0) + noise**2).rsqrt()) @ vectors.T


def reconstruction_and_sparsity(model: SparseAutoencoder, patches: Patches) -> Float[Tensor, ""]:
    """The :func:`sparse_loss` of a model's kernels on its whitened patches."""
    return sparse_loss(model.weight, model(patches)[0])


def sparse_loss(weight: Tensor, white: Tensor, sparsity: float = 0.5) -> Float[Tensor, ""]:
    """Half the squared reconstruction error plus ``sparsity`` times the codes' smooth L1 norm.

    Args:
        weight: (kernels, inputs), one kernel in each row.
        white: (patches, inputs), the whitened patches.
        sparsity: the weight of the codes' norm, at least 0.

    Returns:
        The mean over the patches.
    """
    codes = white @ weight.T
    error = (codes @ weight - white).pow(2).sum(1)
    return (0.5 * error + sparsity * (codes.pow(2) + 1e-2).sqrt().sum(1)).mean()


@dataclass(frozen=True)
class GaborFit:
    """How well a single-colour Gabor function (a sinusoid in a Gaussian window) fits each kernel.

    ``explained`` is the fraction of a kernel's energy (its sum of squares) that the best function
    explains; ``grey`` the fraction of grey in its colour, 0 to 1; ``angle`` the direction of the
    sinusoid in degrees, 0 to 180 (0: vertical edges, 90: horizontal edges); ``functions`` the best
    functions themselves, as kernels.
    """

    explained: Float[Tensor, " kernels"]
    grey: Float[Tensor, " kernels"]
    angle: Float[Tensor, " kernels"]
    functions: Kernels

    def is_oriented(self, share: float = 0.5) -> Bool[Tensor, " kernels"]:
        """Which kernels are explained to at least ``share`` by a mostly grey Gabor function.

        They detect edges, lines or stripes; :func:`answers_with_one_sign` finds the edge detectors.
        """
        return (self.explained >= share) & (self.grey >= 0.5)

    def is_colour(self, share: float = 0.5) -> Bool[Tensor, " kernels"]:
        """Which kernels are explained to at least ``share`` by a coloured Gabor function."""
        return (self.explained >= share) & (self.grey < 0.5)

    is_edge = is_oriented  # former name, in notebooks handed out earlier


def fit_gabor(kernels: Kernels) -> GaborFit:
    """The best Gabor function per kernel, by grid search.

    The grid has 12 directions, 5 wavelengths, 25 centres and 12 window shapes; each function
    is tried with and without its mean.
    """
    # The dominant colour of each kernel, and the kernel projected onto it.
    colour, strength, pattern = torch.linalg.svd(kernels.flatten(2), full_matrices=False)
    pattern = pattern[:, 0] * strength[:, :1]
    basis, angles = _gabor_basis()
    # Sine and cosine span a plane with every phase: project onto each plane.
    projected_energy = (pattern @ basis).unflatten(1, (-1, 2)).pow(2).sum(2)
    explained = projected_energy / kernels.pow(2).sum((1, 2, 3))[:, None]
    best = explained.max(1)
    planes = basis.view(len(basis), -1, 2)[:, best.indices]  # pixels x kernels x 2
    projected = torch.einsum("kp,pkc,qkc->kq", pattern, planes, planes)
    functions = colour[:, :, 0, None] * projected[:, None]
    grey = colour[:, :, 0].sum(1).pow(2) / 3
    return GaborFit(best.values, grey, angles[best.indices], functions.view_as(kernels))


@functools.cache
def _gabor_basis() -> tuple[Float[Tensor, "pixels columns"], Float[Tensor, " planes"]]:
    """Orthonormal sine and cosine pairs of all Gabor functions of the grid, and their angles."""
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
            window = torch.exp(-(across**2) / (2 * width**2) - along**2 / (2 * length**2))
            phase = 2 * math.pi / wavelength * across
            pair = torch.stack([window * phase.cos(), window * phase.sin()], -1)
            planes.append(pair.flatten(0, 1))
            angles.append(angle)
    # Grey kernels have mean 0, as patches do; coloured kernels need not: include each function with
    # and without its mean.
    stack = torch.stack(planes)
    stack = torch.cat([stack, stack - stack.mean(1, keepdim=True)])
    basis = torch.linalg.qr(stack).Q.permute(1, 0, 2).flatten(1)
    return basis, torch.tensor(angles * 2, dtype=torch.float32)


def answers_with_one_sign(
    kernels: Kernels, angles: Float[Tensor, " kernels"]
) -> Bool[Tensor, " kernels"]:
    """Which kernels respond to a sharp grey edge in their direction with only one sign.

    The edge, dark on one side and bright on the other, moves across the kernel in steps of half a
    pixel. The peak response of the weaker sign must be below a tenth of the stronger sign's.

    Args:
        kernels: each with a sum of about 0.
        angles: the direction across the edge in degrees, as in :class:`GaborFit`.
    """
    responses = _edge_responses(kernels, angles)
    highest, lowest = responses.amax(1), -responses.amin(1)
    return torch.minimum(highest, lowest) < 0.1 * torch.maximum(highest, lowest)


def direction_tuning(
    kernels: Kernels, angles: Float[Tensor, " kernels"], turns: Float[Tensor, " turns"]
) -> Float[Tensor, "kernels turns"]:
    """The strongest response to a sharp edge that is turned away from a kernel's own direction.

    The edge is as in :func:`answers_with_one_sign`. A turn to the left and one to the right are
    averaged. The responses are relative to the one without a turn.

    Args:
        kernels: each with a sum of about 0.
        angles: each kernel's own direction in degrees, as in :class:`GaborFit`.
        turns: in degrees, 0 to 90.
    """

    def strength(turn: float) -> Float[Tensor, " kernels"]:
        return _edge_responses(kernels, angles + turn).abs().amax(1)

    strengths = [(strength(turn) + strength(-turn)) / 2 for turn in turns.tolist()]
    return torch.stack(strengths, 1) / strength(0)[:, None]


def _edge_responses(
    kernels: Kernels, angles: Float[Tensor, " kernels"]
) -> Float[Tensor, "kernels offsets"]:
    """The responses of each kernel to a sharp grey edge that moves across it, half a pixel a step.

    ``angles`` are the directions across the edge in degrees.
    """
    steps = torch.arange(SIDE) - SIDE // 2
    y, x = torch.meshgrid(steps.float(), steps.float(), indexing="ij")
    radians = angles.deg2rad()[:, None, None]
    across = x * radians.cos() + y * radians.sin()
    offsets = torch.arange(-SIDE, SIDE + 0.5, 0.5)
    # A pixel that the edge crosses is as bright as the part of it on the bright side.
    edges = (across[:, None] - offsets[:, None, None] + 0.5).clamp(
        0, 1
    )  # kernels x offsets x 9 x 9
    return (edges * kernels.sum(1, keepdim=True)).sum((2, 3))


def load() -> Kernels:
    """The 64 shipped kernels, each scaled to norm 1."""
    return _normalise(checkpoints.load("kernels")["kernels"])


def untrained_kernels(seed: int = 0) -> Kernels:
    """64 kernels before training (random weights, the same whitening), each scaled to norm 1."""
    model, _ = _initialise(seed)
    return _normalise(model.kernels().detach())


def train(seed: int = 0, epochs: int = 8) -> tuple[SparseAutoencoder, History]:
    """Train the autoencoder on 40,000 patches of the embedded photos."""
    model, patches = _initialise(seed)
    data = batches(patches, size=256)
    with one_thread():
        return model, fit(model, reconstruction_and_sparsity, data, epochs, seed=seed)


def _initialise(seed: int) -> tuple[SparseAutoencoder, Patches]:
    patches, whitening = _training_data(seed)
    torch.manual_seed(seed)
    return SparseAutoencoder(whitening.clone()), patches


@functools.cache
def _training_data(seed: int) -> tuple[Patches, Float[Tensor, "inputs inputs"]]:
    with one_thread():
        patches = sample_patches(40_000, seed)
        return patches, whitening_matrix(patches)


def _normalise(kernels: Kernels) -> Kernels:
    return kernels / kernels.flatten(1).norm(dim=1)[:, None, None, None]


def main() -> None:
    parser = argparse.ArgumentParser(
        description="Train the kernels of lesson 2 and write their checkpoint and card."
    )
    parser.add_argument("--seed", type=int, default=0)
    seed = parser.parse_args().seed
    model, history = train(seed)
    with torch.no_grad():
        white, codes = model(sample_patches(10_000, seed + 1))
        error = (codes @ model.weight - white).pow(2).sum() / white.pow(2).sum()
        kernels = model.kernels()
    gabor_fit = fit_gabor(kernels)
    gabor_fit_before = fit_gabor(untrained_kernels(seed))
    card = {
        "command": f"python -m course_lib.convolution.learned_kernels --seed {seed}",
        "seed": seed,
        "data": f"40,000 random 9x9 patches of the embedded photos {', '.join(names())}",
        "metrics": {
            "kernels": len(kernels),
            "edges": int(gabor_fit.is_oriented().sum()),
            "edges before training": int(gabor_fit_before.is_oriented().sum()),
            "colours": int(gabor_fit.is_colour().sum()),
            "share of the contrast lost, new patches": round(error.item(), 3),
        },
        "hardware": f"one of {os.cpu_count()} CPU cores",
        "minutes": round(history.seconds / 60, 2),
    }
    checkpoints.save("kernels", {"kernels": kernels}, card)
    checksums.write()
    print(card)


if __name__ == "__main__":
    main()
