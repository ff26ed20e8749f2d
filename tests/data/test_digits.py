"""Labelled image data sets, shifts, and Fashion-MNIST read from IDX files."""

import gzip
import struct

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from course_lib.data.digits import fashion_mnist, load, scanned_digits, shift
from course_lib.vision.digits import ConvolutionalClassifier, FullyConnectedClassifier


@pytest.fixture(scope="module")
def digits():
    return scanned_digits()


def test_digits_are_centred_on_the_canvas(digits):
    images = torch.cat([digits.train_images, digits.test_images])
    assert images.shape == (1797, 1, 28, 28) and images.dtype == torch.float32
    assert images.min() == 0 and 0.9 < images.max() <= 1
    inside = torch.zeros(28, 28, dtype=torch.bool)
    inside[4:24, 4:24] = True
    assert (images[..., ~inside] == 0).all()
    assert str(digits).startswith("1297 training and 500 test images, 28x28")


def test_split_is_stratified_disjoint_and_deterministic(digits):
    fractions = torch.bincount(digits.test_labels) / torch.bincount(
        torch.cat([digits.train_labels, digits.test_labels])
    )
    assert ((fractions - 500 / 1797).abs() < 0.01).all()
    train_images = {image.numpy().tobytes() for image in digits.train_images}
    assert not any(image.numpy().tobytes() in train_images for image in digits.test_images)
    assert torch.equal(scanned_digits().test_images, digits.test_images)


def test_digit_larger_than_the_canvas_raises():
    for size in (30, 21, 0):
        with pytest.raises(ValueError, match="smaller size"):
            scanned_digits(size=size)


def test_load_by_name_and_number_of_images(digits):
    assert len(load("digits", train=100).train_images) == 100
    with pytest.raises(ValueError, match="'digits' or 'fashion'"):
        load("cats")


@given(right=st.integers(-9, 9), down=st.integers(-9, 9))
def test_shift_fills_with_zero(right, down):
    image = torch.rand(6, 7) + 0.1
    shifted = shift(image, right, down)
    for y in range(6):
        for x in range(7):
            inside = 0 <= y - down < 6 and 0 <= x - right < 7
            assert shifted[y, x] == (image[y - down, x - right] if inside else 0)


def test_classifiers_have_ten_outputs_and_the_documented_sizes(digits):
    models = FullyConnectedClassifier(), ConvolutionalClassifier()
    assert all(model(digits.test_images[:3]).shape == (3, 10) for model in models)
    sizes = [sum(weight.numel() for weight in model.parameters()) for model in models]
    assert sizes == [101_770, 10_114]


def _write_idx(path, array):
    """Write MNIST's IDX format (magic number, big-endian sizes, bytes), gzipped and plain."""
    header = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
    path.write_bytes(gzip.compress(header + array.tobytes()))
    path.with_suffix("").write_bytes(header + array.tobytes())


@pytest.fixture
def fashion_root(tmp_path):
    rng = np.random.default_rng(0)
    folder = tmp_path / "FashionMNIST" / "raw"
    folder.mkdir(parents=True)
    for name, count in (("train", 12), ("t10k", 5)):
        _write_idx(
            folder / f"{name}-images-idx3-ubyte.gz",
            rng.integers(0, 256, (count, 28, 28), dtype=np.uint8),
        )
        _write_idx(
            folder / f"{name}-labels-idx1-ubyte.gz", rng.integers(0, 10, count, dtype=np.uint8)
        )
    return tmp_path


def test_fashion_mnist_has_the_same_interface(fashion_root):
    clothes = fashion_mnist(fashion_root, train=8, download=False)
    assert clothes.train_images.shape == (8, 1, 28, 28)
    assert clothes.test_images.shape == (5, 1, 28, 28)
    assert clothes.train_images.dtype == torch.float32 and clothes.train_images.max() <= 1
    assert clothes.test_labels.dtype == torch.int64 and len(clothes.classes) == 10
    first = np.random.default_rng(0).integers(0, 256, (12, 28, 28), dtype=np.uint8)[0]
    assert np.allclose(clothes.train_images[0, 0].numpy() * 255, first)


def test_missing_download_error_names_the_alternative(tmp_path):
    with pytest.raises(RuntimeError, match="DATA = 'digits'"):
        fashion_mnist(tmp_path, download=False)
