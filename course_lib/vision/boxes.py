"""Boxes by hand: how far two overlap, and a loss that pulls one onto the other.

A box is x0, y0, x1, y1 in pixels, x to the right and y down; x1 and y1 lie just beyond its last
pixel.
"""

import torch
from jaxtyping import Float
from torch import Tensor


def area(boxes: Float[Tensor, "*any 4"]) -> Float[Tensor, "*any"]:
    """Width times height, in square pixels; 0 for a box turned inside out."""
    return (boxes[..., 2] - boxes[..., 0]).clamp(min=0) * (boxes[..., 3] - boxes[..., 1]).clamp(
        min=0
    )


def iou(first: Float[Tensor, "*any 4"], second: Float[Tensor, "*any 4"]) -> Float[Tensor, "*any"]:
    """Intersection over union, box by box: 1 for the same box, 0 for two that do not touch."""
    return _overlap(first, second)[0]


def giou(first: Float[Tensor, "*any 4"], second: Float[Tensor, "*any 4"]) -> Float[Tensor, "*any"]:
    """Generalised IoU in (-1, 1]: below 0 the further, the further apart two boxes are, so that it
    has a slope there.

    Rezatofighi et al. (2019), arXiv:1902.09630, algorithm 1.
    """
    overlap, union = _overlap(first, second)
    hull = torch.cat(
        [
            torch.minimum(first[..., :2], second[..., :2]),
            torch.maximum(first[..., 2:], second[..., 2:]),
        ],
        dim=-1,
    )
    return overlap - (area(hull) - union) / area(hull).clamp(min=1e-6)


def _overlap(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """IoU and the area of the union."""
    shared = torch.cat(
        [
            torch.maximum(first[..., :2], second[..., :2]),
            torch.minimum(first[..., 2:], second[..., 2:]),
        ],
        dim=-1,
    )
    union = area(first) + area(second) - area(shared)
    return area(shared) / union.clamp(min=1e-6), union


def cell_centres(
    height: int, width: int, stride: int, device: torch.device
) -> Float[Tensor, "height width 2"]:
    """Where in the image, in pixels (x, y), the middle of each cell of a map lies."""
    y, x = torch.meshgrid(
        torch.arange(height, device=device), torch.arange(width, device=device), indexing="ij"
    )
    return (torch.stack([x, y], dim=-1) + 0.5) * stride


def from_distances(
    centres: Float[Tensor, "height width 2"], distances: Float[Tensor, "batch 4 height width"]
) -> Float[Tensor, "batch height width 4"]:
    """The box that each cell means by its distances, in pixels, to the left, top, right and bottom
    side.

    Tian et al. (2019), FCOS, arXiv:1904.01355, section 3.1.
    """
    left_top, right_bottom = distances.permute(0, 2, 3, 1).split(2, dim=-1)
    return torch.cat([centres - left_top, centres + right_bottom], dim=-1)
