"""Level 3, object detection: which objects are there, and where? A class and a box for each.

One-stage and anchor-free, after FCOS (Tian et al. 2019, arXiv:1904.01355): each cell of a feature
map predicts class scores and the distances to the four sides of its object. The score is trained to
equal the IoU of the predicted box (quality focal loss, Li et al. 2020, arXiv:2006.04388), so that
the best box of an object gets the highest score.
"""

import math
from typing import NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.ops import batched_nms

from course_lib.data.sprites import CLASSES
from course_lib.vision.backbone import PYRAMID_CHANNELS, FeaturePyramid, conv_block
from course_lib.vision.boxes import area, cell_centres, from_distances, giou, iou

IOU_THRESHOLD = 0.6  # of non-maximum suppression
CENTRE_RADIUS = 1.5  # in cells: cells this close to an object's centre are assigned to it


class Detections(NamedTuple):
    """The detections in one image, by descending score."""

    labels: Int64[Tensor, " predicted"]
    scores: Float[Tensor, " predicted"]
    boxes: Float[Tensor, "predicted 4"]


class Detector(nn.Module):
    """Class scores and four box distances for each cell of a 32 x 32 map."""

    def __init__(self, classes: int = len(CLASSES)) -> None:
        super().__init__()
        self.features = FeaturePyramid(stride=4)
        self.tower = nn.Sequential(
            conv_block(PYRAMID_CHANNELS, PYRAMID_CHANNELS),
            conv_block(PYRAMID_CHANNELS, PYRAMID_CHANNELS),
        )
        self.head = nn.Conv2d(PYRAMID_CHANNELS, classes + 4, 1)
        self.classes = classes
        # nearly all cells are background: initial scores of 2 %
        nn.init.constant_(self.head.bias[:classes], -4.0)

    def forward(
        self, images: Float[Tensor, "batch 3 height width"]
    ) -> tuple[Float[Tensor, "batch classes rows columns"], Float[Tensor, "batch rows columns 4"]]:
        """Class logits, and boxes in pixels."""
        out = self.head(self.tower(self.features(images))).float()
        logits, distances = out.split([self.classes, 4], dim=1)
        stride = self.features.stride
        rows, columns = out.shape[-2:]
        centres = cell_centres(rows, columns, stride, out.device)
        return logits, from_distances(centres, F.softplus(distances) * stride)


def assign(
    cells: Float[Tensor, "rows columns 2"],
    labels: Int64[Tensor, "batch objects"],
    boxes: Float[Tensor, "batch objects 4"],
    stride: int,
) -> Int64[Tensor, "batch rows columns"]:
    """The index of the object assigned to each cell (given by its centre), or -1 for none.

    If several objects are close enough to a cell, the smallest one is assigned.
    """
    object_centres = (boxes[..., :2] + boxes[..., 2:]) / 2
    # batch x rows x columns x objects
    distance = (cells[None, :, :, None] - object_centres[:, None, None]).abs().amax(-1)
    near = (distance < CENTRE_RADIUS * stride) & (labels >= 0)[:, None, None]
    size = torch.where(near, area(boxes)[:, None, None], torch.inf)
    return torch.where(near.any(-1), size.argmin(-1), -1)


def loss(
    model: nn.Module,
    images: Float[Tensor, "batch 3 height width"],
    labels: Int64[Tensor, "batch objects"],
    boxes: Float[Tensor, "batch objects 4"],
    instances: Int64[Tensor, "batch height width"],
) -> Float[Tensor, ""]:
    """Quality focal loss of all cells' scores, plus GIoU loss of the assigned cells' boxes."""
    logits, predicted_boxes = model(images)
    # rounded up: the last cells may extend beyond the image
    stride = math.ceil(images.shape[-1] / logits.shape[-1])
    rows, columns = logits.shape[-2:]
    cells = cell_centres(rows, columns, stride, images.device)
    assigned = assign(cells, labels, boxes, stride)
    batch, row, column = (assigned >= 0).nonzero(as_tuple=True)
    index = assigned[batch, row, column]
    true_box, predicted_box = boxes[batch, index], predicted_boxes[batch, row, column]

    target = torch.zeros_like(logits)
    target[batch, labels[batch, index], row, column] = iou(predicted_box.detach(), true_box)
    error = (logits.sigmoid() - target).abs()
    cross_entropy = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    score_loss = (error**2 * cross_entropy).sum()
    box_loss = (1 - giou(predicted_box, true_box)).sum()
    return (score_loss + 2 * box_loss) / max(len(index), 1)


@torch.no_grad()
def predict(
    model: nn.Module,
    images: Float[Tensor, "batch 3 height width"],
    score_threshold: float = 0.05,
    iou_threshold: float = IOU_THRESHOLD,
    max_detections: int = 100,
) -> list[Detections]:
    """The detections in each image, after non-maximum suppression per class.

    Args:
        model: a :class:`Detector`.
        images: in [0, 1].
        score_threshold: only boxes with a higher score are kept.
        iou_threshold: a box is suppressed if its IoU with a higher-scoring box of its class exceeds
            this.
        max_detections: per image.
    """
    logits, boxes = model(images)
    results = []
    for image_scores, image_boxes in zip(logits.sigmoid(), boxes, strict=True):
        label, row, column = (image_scores > score_threshold).nonzero(as_tuple=True)
        score, box = image_scores[label, row, column], image_boxes[row, column]
        keep = batched_nms(box, score, label, iou_threshold)[:max_detections]
        results.append(Detections(label[keep], score[keep], box[keep]))
    return results
