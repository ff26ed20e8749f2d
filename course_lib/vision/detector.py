"""Level 3, object detection: what is there, and where is each? Any number of classes and boxes.

One stage and no anchors, after FCOS (Tian et al. 2019, arXiv:1904.01355): each cell of a map says
what it sees at its place and how far the sides of that object are. Its score is trained to be the
overlap that its box reaches, after Li et al. (2020), arXiv:2006.04388, so that the best box of an
object has the best score.
"""

import math
from typing import NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.ops import batched_nms

from course_lib.data.sprites import CLASSES
from course_lib.vision.backbone import WIDTH, Pyramid, block
from course_lib.vision.boxes import area, cell_centres, from_distances, giou, iou

REACH = 1.5  # in cells: those this near to an object's middle are asked for it


class Detections(NamedTuple):
    """What was found in one picture, the surest first."""

    labels: Int64[Tensor, " found"]
    scores: Float[Tensor, " found"]
    boxes: Float[Tensor, "found 4"]


class Detector(nn.Module):
    """For each cell of a 32 x 32 map: a score for each class, and four distances to the sides of a
    box.
    """

    def __init__(self, classes: int = len(CLASSES)) -> None:
        super().__init__()
        self.features = Pyramid(stride=4)
        self.tower = nn.Sequential(block(WIDTH, WIDTH), block(WIDTH, WIDTH))
        self.head = nn.Conv2d(WIDTH, classes + 4, 1)
        self.classes = classes
        # nearly all cells see nothing: begin with a score of 2 %
        nn.init.constant_(self.head.bias[:classes], -4.0)

    def forward(
        self, images: Float[Tensor, "batch 3 height width"]
    ) -> tuple[Float[Tensor, "batch classes rows columns"], Float[Tensor, "batch rows columns 4"]]:
        """Scores before the sigmoid, and boxes in pixels."""
        out = self.head(self.tower(self.features(images))).float()
        scores, distances = out.split([self.classes, 4], dim=1)
        stride = self.features.stride
        centres = cell_centres(*out.shape[-2:], stride, out.device)
        return scores, from_distances(centres, F.softplus(distances) * stride)


def assign(
    centres: Float[Tensor, "rows columns 2"],
    labels: Int64[Tensor, "batch objects"],
    boxes: Float[Tensor, "batch objects 4"],
    stride: int,
) -> Int64[Tensor, "batch rows columns"]:
    """Which object each cell is asked for: its number, or -1. Where two are near, the smaller
    one.
    """
    middles = (boxes[..., :2] + boxes[..., 2:]) / 2
    # batch x rows x columns x objects
    away = (centres[None, :, :, None] - middles[:, None, None]).abs().amax(-1)
    near = (away < REACH * stride) & (labels >= 0)[:, None, None]
    size = torch.where(near, area(boxes)[:, None, None], torch.inf)
    return torch.where(near.any(-1), size.argmin(-1), -1)


def loss(
    model: nn.Module,
    images: Float[Tensor, "batch 3 height width"],
    labels: Int64[Tensor, "batch objects"],
    boxes: Float[Tensor, "batch objects 4"],
    instances: Int64[Tensor, "batch height width"],
) -> Float[Tensor, ""]:
    """Quality focal loss on the scores of all cells, and 1 - GIoU on the boxes of those that were
    asked.
    """
    scores, found = model(images)
    # up: a map's last cells may reach beyond the image
    stride = math.ceil(images.shape[-1] / scores.shape[-1])
    centres = cell_centres(*scores.shape[-2:], stride, images.device)
    asked = assign(centres, labels, boxes, stride)
    batch, row, column = (asked >= 0).nonzero(as_tuple=True)
    number = asked[batch, row, column]
    wanted, got = boxes[batch, number], found[batch, row, column]

    target = torch.zeros_like(scores)
    target[batch, labels[batch, number], row, column] = iou(got.detach(), wanted)
    error = (scores.sigmoid() - target).abs()
    quality = (
        error**2 * F.binary_cross_entropy_with_logits(scores, target, reduction="none")
    ).sum()
    return (quality + 2 * (1 - giou(got, wanted)).sum()) / max(len(number), 1)


@torch.no_grad()
def predict(
    model: nn.Module,
    images: Float[Tensor, "batch 3 height width"],
    least_score: float = 0.05,
    overlap: float = 0.6,
    most: int = 100,
) -> list[Detections]:
    """Boxes of each picture: those with a score above ``least_score``.

    Of boxes of one class that overlap by more than ``overlap`` (IoU) only the surest stays, at most
    ``most`` in all.
    """
    scores, boxes = model(images)
    results = []
    for score, box in zip(scores.sigmoid(), boxes, strict=True):
        label, row, column = (score > least_score).nonzero(as_tuple=True)
        sure, box = score[label, row, column], box[row, column]
        keep = batched_nms(box, sure, label, overlap)[:most]
        results.append(Detections(label[keep], sure[keep], box[keep]))
    return results
