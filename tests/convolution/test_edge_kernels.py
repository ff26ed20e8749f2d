"""Edge kernels: lookup by name, and rotated Sobel kernels."""

import pytest
import torch

from course_lib.convolution import edge_kernels


def test_unknown_kernel_raises():
    with pytest.raises(ValueError, match="choose one of identity"):
        edge_kernels.kernel("diagonal")


def test_rotated_sobel_includes_both_standard_kernels():
    vertical = edge_kernels.kernel("vertical edges (Sobel)")
    horizontal = edge_kernels.kernel("horizontal edges (Sobel)")
    torch.testing.assert_close(edge_kernels.rotated_sobel(0), vertical)
    torch.testing.assert_close(edge_kernels.rotated_sobel(90), horizontal, atol=1e-6, rtol=0)
