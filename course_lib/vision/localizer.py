"""Level 2, classification and localization: what is it, and where? One class and one box for the
whole picture.
"""

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F

from course_lib.data.sprites import CLASSES
from course_lib.vision.backbone import WIDTH, Pyramid, block
from course_lib.vision.boxes import cell_centres, from_distances, giou


class Localizer(nn.Module):
    """Every cell of a 32 x 32 map votes for a class and a box, and says how much its vote should
    weigh.

    The weights are a softmax over all cells, so the answer is always *one* class and *one* box: the
    weighted mean of the votes. With two objects there is still one answer: mostly one of the
    objects, sometimes a box that fits neither. That is why level 3 exists.
    """

    def __init__(self, classes: int = len(CLASSES)) -> None:
        super().__init__()
        self.features = Pyramid(stride=4)
        self.tower = block(WIDTH, WIDTH)
        self.head = nn.Conv2d(WIDTH, classes + 4 + 1, 1)
        self.classes = classes

    def votes(
        self, images: Float[Tensor, "batch 3 height width"]
    ) -> tuple[
        Float[Tensor, "batch rows columns classes"],
        Float[Tensor, "batch rows columns 4"],
        Float[Tensor, "batch rows columns"],
    ]:
        """What each cell says: class scores, a box in pixels, and its weight; the weights of a
        picture add up to 1.
        """
        out = self.head(self.tower(self.features(images))).float()
        scores, distances, weights = out.split([self.classes, 4, 1], dim=1)
        stride = self.features.stride
        centres = cell_centres(*out.shape[-2:], stride, out.device)
        boxes = from_distances(centres, F.softplus(distances) * stride)
        return (
            scores.permute(0, 2, 3, 1),
            boxes,
            weights.flatten(1).softmax(1).view_as(weights[:, 0]),
        )

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
    """Cross-entropy of the class, and for the box 1 - GIoU plus its distance in pixels; both of the
    one object.
    """
    scores, found = model(images)
    target = boxes[:, 0]
    off = F.smooth_l1_loss(found, target)
    return F.cross_entropy(scores, labels[:, 0]) + 2 * (1 - giou(found, target)).mean() + 0.1 * off


@torch.no_grad()
def predict(
    model: nn.Module, images: Float[Tensor, "batch 3 height width"]
) -> tuple[Float[Tensor, "batch classes"], Float[Tensor, "batch 4"]]:
    """The probability of each class, and the box in pixels."""
    scores, boxes = model(images)
    return scores.softmax(1), boxes
