"""Level 2, classification and localisation: what is it, and where? One class and one box."""

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F

from course_lib.data.sprites import CLASSES
from course_lib.vision.backbone import PYRAMID_CHANNELS, FeaturePyramid, conv_block
from course_lib.vision.boxes import cell_centres, from_distances, giou


class Localizer(nn.Module):
    """Every cell of a 32 x 32 feature map votes for a class and a box, with a predicted weight.

    The weights are a softmax over all cells, so the output is always *one* class and *one* box: the
    weighted mean of the votes. With two objects in the image, the output mostly fits one of them,
    sometimes neither; level 3 solves this.
    """

    def __init__(self, classes: int = len(CLASSES)) -> None:
        super().__init__()
        self.features = FeaturePyramid(stride=4)
        self.tower = conv_block(PYRAMID_CHANNELS, PYRAMID_CHANNELS)
        self.head = nn.Conv2d(PYRAMID_CHANNELS, classes + 4 + 1, 1)
        self.classes = classes

    def votes(
        self, images: Float[Tensor, "batch 3 height width"]
    ) -> tuple[
        Float[Tensor, "batch rows columns classes"],
        Float[Tensor, "batch rows columns 4"],
        Float[Tensor, "batch rows columns"],
    ]:
        """Each cell's class scores, box in pixels, and weight; an image's weights sum to 1."""
        out = self.head(self.tower(self.features(images))).float()
        scores, distances, weights = out.split([self.classes, 4, 1], dim=1)
        stride = self.features.stride
        rows, columns = out.shape[-2:]
        centres = cell_centres(rows, columns, stride, out.device)
        boxes = from_distances(centres, F.softplus(distances) * stride)
        weights = weights.flatten(1).softmax(1).view_as(weights[:, 0])
        return scores.permute(0, 2, 3, 1), boxes, weights

    def forward(
        self, images: Float[Tensor, "batch 3 height width"]
    ) -> tuple[Float[Tensor, "batch classes"], Float[Tensor, "batch 4"]]:
        scores, boxes, weights = self.votes(images)
        weights = weights[..., None]
        return (scores * weights).sum((1, 2)), (boxes * weights).sum((1, 2))


def loss(
    model: nn.Module,
    images: Float[Tensor, "batch 3 height width"],
    labels: Int64[Tensor, "batch objects"],
    boxes: Float[Tensor, "batch objects 4"],
    instances: Int64[Tensor, "batch height width"],
) -> Float[Tensor, ""]:
    """Cross-entropy of the class, plus GIoU and smooth L1 losses of the box.

    The targets are the class and box of each scene's first object.
    """
    scores, predicted_boxes = model(images)
    target = boxes[:, 0]
    class_loss = F.cross_entropy(scores, labels[:, 0])
    giou_loss = (1 - giou(predicted_boxes, target)).mean()
    distance_loss = F.smooth_l1_loss(predicted_boxes, target)
    return class_loss + 2 * giou_loss + 0.1 * distance_loss


@torch.no_grad()
def predict(
    model: nn.Module, images: Float[Tensor, "batch 3 height width"]
) -> tuple[Float[Tensor, "batch classes"], Float[Tensor, "batch 4"]]:
    """The probability of each class, and the box in pixels."""
    scores, boxes = model(images)
    return scores.softmax(1), boxes
