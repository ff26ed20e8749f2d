"""Small grey images with labels: scanned digits (offline) and Fashion-MNIST (online), with one
face.

Also the two changes that lesson 1 makes to them: moving every image by some pixels, and shuffling
the pixels of every image in the same way.

Sources: Alpaydin and Kaynak (1998), "Optical Recognition of Handwritten Digits", UCI Machine
Learning Repository, https://doi.org/10.24432/C50P49, whose test part scikit-learn carries; Xiao,
Rasul and Vollgraf (2017), "Fashion-MNIST", https://arxiv.org/abs/1708.07747.
"""

from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn import functional as F

CANVAS = 28  # pixels on a side, for both data sets, so that one network fits both
SEED_OF_THE_SPLIT = 0


@dataclass(frozen=True)
class LabelledImages:
    """Grey images in [0, 1] with their labels, split once into a part to train on and a part to
    test on.
    """

    train_images: Float[Tensor, "train 1 height width"]
    train_labels: Int64[Tensor, " train"]
    test_images: Float[Tensor, "test 1 height width"]
    test_labels: Int64[Tensor, " test"]
    classes: tuple[str, ...]

    def __str__(self) -> str:
        height, width = self.train_images.shape[-2:]
        train, test = len(self.train_images), len(self.test_images)
        return f"{train} images to train on and {test} to test on, {height}x{width}, {len(self.classes)} classes"


def scanned_digits(size: int = 20, canvas: int = CANVAS, test: int = 500) -> LabelledImages:
    """scikit-learn's 1,797 scanned 8x8 digits, enlarged and placed in the middle of a larger black
    canvas.

    The split is stratified (each digit keeps its share in both parts) and always the same.

    Args:
        size: side in pixels to which a digit is enlarged, bilinearly.
        canvas: side in pixels of the image around it; the border is ``(canvas - size) / 2`` wide.
        test: number of images kept for testing, between 10 and 1,787.

    Raises:
        ValueError: if the digit does not fit on the canvas, or not exactly in its middle.
    """
    border = (canvas - size) // 2
    if size < 1 or border < 0 or size + 2 * border != canvas:
        raise ValueError(
            f"A digit of {size} pixels can't stand in the middle of {canvas}: choose a smaller size, both odd or even."
        )
    # Imported here because scikit-learn takes a second to load.
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    images, labels = load_digits(return_X_y=True)
    train_part, test_part = train_test_split(
        range(len(labels)), test_size=test, random_state=SEED_OF_THE_SPLIT, stratify=labels
    )
    # 16 is white in the scans
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
        train: take only the first so many training images (the file is in random order); None for
            all.
        test: the same for the test images.
        download: whether to fetch what is missing.

    Raises:
        RuntimeError: if the files are neither in ``root`` nor can be downloaded, or torchvision
            does not work.
    """
    try:  # imported here because only this data set needs torchvision
        from torchvision.datasets import FashionMNIST
    except (ImportError, RuntimeError) as problem:  # RuntimeError: it was built for another torch
        raise RuntimeError(
            f"torchvision does not work with this torch ({problem}). Install the two together, from one source, "
            "or choose the digits, which need no torchvision: DATA = 'digits'."
        ) from problem
    try:
        parts = [
            FashionMNIST(str(root), train=is_train, download=download) for is_train in (True, False)
        ]
    except (OSError, RuntimeError) as problem:
        raise RuntimeError(
            f"Fashion-MNIST is not in {str(root)!r} and could not be downloaded ({problem}). "
            "Connect to the internet and run this again, or choose the digits, which need no download: DATA = 'digits'."
        ) from problem
    images = [
        part.data[:count, None].float() / 255
        for part, count in zip(parts, (train, test), strict=True)
    ]
    labels = [part.targets[:count].long() for part, count in zip(parts, (train, test), strict=True)]
    return LabelledImages(images[0], labels[0], images[1], labels[1], tuple(parts[0].classes))


def load(name: str, root: str | Path = "downloads", train: int | None = None) -> LabelledImages:
    """The data set of that name: ``"digits"`` (offline) or ``"fashion"`` (downloads 30 MB, once).

    Args:
        name: which one.
        root: where a download goes.
        train: take only the first so many training images; None for all.

    Raises:
        ValueError: for any other name.
        RuntimeError: if Fashion-MNIST is asked for and can't be had.
    """
    if name == "fashion":
        return fashion_mnist(root, train)
    if name != "digits":
        raise ValueError(f"There is no data set {name!r} here: write 'digits' or 'fashion'.")
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
    """The images moved by whole pixels: what leaves the picture is lost, what comes in is black
    (0).

    Args:
        images: any number of images, height and width last.
        right: pixels to the right; negative moves left.
        down: pixels down; negative moves up.
    """
    height, width = images.shape[-2:]
    moved = torch.zeros_like(images)
    to_y, from_y = _overlap(height, down)
    to_x, from_x = _overlap(width, right)
    moved[..., to_y, to_x] = images[..., from_y, from_x]
    return moved


def _overlap(size: int, by: int) -> tuple[slice, slice]:
    """Where the part that stays in the picture lands, and where it comes from, along one axis."""
    kept = max(size - abs(by), 0)
    far = slice(size - kept, size)
    near = slice(0, kept)
    return (far, near) if by >= 0 else (near, far)


def shuffle_pixels(
    images: Float[Tensor, "*batch height width"], seed: int = 0
) -> Float[Tensor, "*batch height width"]:
    """The pixels of every image in one new order, the same for all images of that size and seed.

    Args:
        images: any number of images, height and width last.
        seed: which order.
    """
    pixels = images.flatten(-2)
    order = torch.randperm(pixels.shape[-1], generator=torch.Generator().manual_seed(seed))
    return pixels[..., order.to(images.device)].view(images.shape)
