"""Small labelled greyscale images: scanned digits (bundled) and Fashion-MNIST (downloaded).

Both are :class:`LabelledImages`. :func:`shift`, which moves every image by some pixels, belongs to
lesson 1.

Sources: Alpaydin and Kaynak (1998), "Optical Recognition of Handwritten Digits", UCI Machine
Learning Repository, https://doi.org/10.24432/C50P49 (scikit-learn bundles its test part); Xiao,
Rasul and Vollgraf (2017), "Fashion-MNIST", https://arxiv.org/abs/1708.07747.
"""

from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn import functional as F

CANVAS = 28  # pixels per side, for both data sets, so that one network fits both
SPLIT_SEED = 0


@dataclass(frozen=True)
class LabelledImages:
    """Greyscale images in [0, 1] with labels, split into training and test images."""

    train_images: Float[Tensor, "train 1 height width"]
    train_labels: Int64[Tensor, " train"]
    test_images: Float[Tensor, "test 1 height width"]
    test_labels: Int64[Tensor, " test"]
    classes: tuple[str, ...]

    def __str__(self) -> str:
        height, width = self.train_images.shape[-2:]
        train, test = len(self.train_images), len(self.test_images)
        return (
            f"{train} training and {test} test images, {height}x{width}, "
            f"{len(self.classes)} classes"
        )


def scanned_digits(size: int = 20, canvas: int = CANVAS, test: int = 500) -> LabelledImages:
    """scikit-learn's 1,797 scanned 8x8 digits, enlarged and centred on a black canvas.

    The split is stratified (each digit has the same share in both parts) and deterministic.

    Args:
        size: side in pixels to which a digit is enlarged, bilinearly.
        canvas: side in pixels of the image; the border is ``(canvas - size) / 2`` wide.
        test: number of test images, between 10 and 1,787.

    Raises:
        ValueError: if the digit does not fit on the canvas, or cannot be centred exactly.
    """
    border = (canvas - size) // 2
    if size < 1 or border < 0 or size + 2 * border != canvas:
        raise ValueError(
            f"A digit of {size} pixels can't be centred on a canvas of {canvas}: "
            "choose a smaller size, with both even or both odd."
        )
    # Imported here because scikit-learn takes a second to load.
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    images, labels = load_digits(return_X_y=True)
    train_part, test_part = train_test_split(
        range(len(labels)), test_size=test, random_state=SPLIT_SEED, stratify=labels
    )
    # the scans have values from 0 to 16 (white)
    pixels = torch.tensor(images / 16, dtype=torch.float32).view(-1, 1, 8, 8)
    pixels = F.interpolate(pixels, size=(size, size), mode="bilinear", align_corners=False)
    pixels, digits = F.pad(pixels, [border] * 4), torch.tensor(labels, dtype=torch.int64)
    return LabelledImages(
        pixels[train_part],
        digits[train_part],
        pixels[test_part],
        digits[test_part],
        tuple("0123456789"),
    )


def fashion_mnist(
    root: str | Path = "downloads",
    train: int | None = None,
    test: int | None = None,
    download: bool = True,
) -> LabelledImages:
    """Fashion-MNIST through torchvision: 60,000 + 10,000 photographs of clothes, 28x28.

    Args:
        root: folder for the 30 MB download; a second call reads it from there.
        train: use only the first ``train`` training images (the file is shuffled); None for all.
        test: the same for the test images.
        download: whether to download missing files.

    Raises:
        RuntimeError: if the files are not in ``root`` and cannot be downloaded, or torchvision does
            not work.
    """
    try:  # imported here, so that the digits need no torchvision
        from torchvision.datasets import FashionMNIST
    except (ImportError, RuntimeError) as problem:  # RuntimeError: built for another torch version
        raise RuntimeError(
            f"torchvision does not work with the installed torch ({problem}). Install matching "
            "versions of both, or use the digits, which need no torchvision: DATA = 'digits'."
        ) from problem
    try:
        parts = [
            FashionMNIST(str(root), train=is_train, download=download) for is_train in (True, False)
        ]
    except (OSError, RuntimeError) as problem:
        raise RuntimeError(
            f"Fashion-MNIST is not in {str(root)!r} and could not be downloaded ({problem}). "
            "Connect to the internet and run this again, or use the digits, which need no "
            "download: DATA = 'digits'."
        ) from problem
    images = [
        part.data[:count, None].float() / 255
        for part, count in zip(parts, (train, test), strict=True)
    ]
    labels = [part.targets[:count].long() for part, count in zip(parts, (train, test), strict=True)]
    return LabelledImages(images[0], labels[0], images[1], labels[1], tuple(parts[0].classes))


def load(name: str, root: str | Path = "downloads", train: int | None = None) -> LabelledImages:
    """A data set by name: ``"digits"`` (bundled) or ``"fashion"`` (downloads 30 MB, once).

    Args:
        name: the name of the data set.
        root: folder for downloads.
        train: use only the first ``train`` training images; None for all.

    Raises:
        ValueError: for an unknown name.
        RuntimeError: if Fashion-MNIST is requested and not available.
    """
    if name == "fashion":
        return fashion_mnist(root, train)
    if name != "digits":
        raise ValueError(f"There is no data set {name!r}: choose 'digits' or 'fashion'.")
    digits = scanned_digits()
    return LabelledImages(
        digits.train_images[:train],
        digits.train_labels[:train],
        digits.test_images,
        digits.test_labels,
        digits.classes,
    )


def shift(
    images: Float[Tensor, "*batch height width"], right: int = 0, down: int = 0
) -> Float[Tensor, "*batch height width"]:
    """The images shifted by whole pixels; uncovered pixels are black (0).

    Args:
        images: any number of images, height and width last.
        right: pixels to the right; negative moves left.
        down: pixels down; negative moves up.
    """
    height, width = images.shape[-2:]
    shifted = torch.zeros_like(images)
    to_y, from_y = _overlap(height, down)
    to_x, from_x = _overlap(width, right)
    shifted[..., to_y, to_x] = images[..., from_y, from_x]
    return shifted


def _overlap(size: int, offset: int) -> tuple[slice, slice]:
    """Target and source of the part that stays inside the image, along one axis."""
    length = max(size - abs(offset), 0)
    end = slice(size - length, size)
    start = slice(0, length)
    return (end, start) if offset >= 0 else (start, end)


def shuffle_pixels(
    images: Float[Tensor, "*batch height width"], seed: int = 0
) -> Float[Tensor, "*batch height width"]:
    """The images with permuted pixels; the permutation depends on the image size and the seed only.

    Kept for notebooks of earlier releases, which import it.

    Args:
        images: any number of images, height and width last.
        seed: the seed of the permutation.
    """
    pixels = images.flatten(-2)
    order = torch.randperm(pixels.shape[-1], generator=torch.Generator().manual_seed(seed))
    return pixels[..., order.to(images.device)].view(images.shape)
