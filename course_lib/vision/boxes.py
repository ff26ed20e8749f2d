"""Box geometry from scratch: areas, IoU, generalised IoU, and decoding of box predictions.

A box is x0, y0, x1, y1 in pixels, with x to the right and y down; x1 and y1 are exclusive.
"""

import torch
from jaxtyping import Float
from torch import Tensor


def area(boxes: Float[Tensor, "*any 4"]) -> Float[Tensor, "*any"]:
    """Width times height in square pixels; 0 for inverted boxes (x1 < x0 or y1 < y0)."""
    width = (boxes[..., 2] - boxes[..., 0]).clamp(min=0)
    height = (boxes[..., 3] - boxes[..., 1]).clamp(min=0)
    return width * height


def iou(first: Float[Tensor, "*any 4"], second: Float[Tensor, "*any 4"]) -> Float[Tensor, "*any"]:
    """Elementwise intersection over union, in [0, 1]."""
    return _iou_and_union(first, second)[0]


def giou(first: Float[Tensor, "*any 4"], second: Float[Tensor, "*any 4"]) -> Float[Tensor, "*any"]:
    """Elementwise generalised IoU, in (-1, 1]; unlike IoU it has a gradient for disjoint boxes.

    Rezatofighi et al. (2019), arXiv:1902.09630, algorithm 1.
    """
    overlap, union = _iou_and_union(first, second)
    top_left = torch.minimum(first[..., :2], second[..., :2])
    bottom_right = torch.maximum(first[..., 2:], second[..., 2:])
    enclosing_area = area(torch.cat([top_left, bottom_right], dim=-1))
    return overlap - (enclosing_area - union) / enclosing_area.clamp(min=1e-6)


def _iou_and_union(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    top_left = torch.maximum(first[..., :2], second[..., :2])
    bottom_right = torch.minimum(first[..., 2:], second[..., 2:])
    intersection = area(torch.cat([top_left, bottom_right], dim=-1))
    union = area(first) + area(second) - intersection
    return intersection / union.clamp(min=1e-6), union


def cell_centres(
    height: int, width: int, stride: int, device: torch.device
) -> Float[Tensor, "height width 2"]:
    """The centre (x, y) of each cell of a feature map, in image pixels."""
    y, x = torch.meshgrid(
        torch.arange(height, device=device), torch.arange(width, device=device), indexing="ij"
    )
    return (torch.stack([x, y], dim=-1) + 0.5) * stride


def from_distances(
    centres: Float[Tensor, "height width 2"], distances: Float[Tensor, "batch 4 height width"]
) -> Float[Tensor, "batch height width 4"]:
    """Boxes from each cell's predicted distances to the left, top, right and bottom side (pixels).

    Tian et al. (2019), FCOS, arXiv:1904.01355, section 3.1.
    """
    left_top, right_bottom = distances.permute(0, 2, 3, 1).split(2, dim=-1)
    return torch.cat([centres - left_top, centres + right_bottom], dim=-1)
