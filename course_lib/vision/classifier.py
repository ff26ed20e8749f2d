"""Level 1, classification: what is in the image? One class for the whole image."""

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F

from course_lib.data.sprites import CLASSES
from course_lib.vision.backbone import Backbone


class Classifier(nn.Module):
    """The backbone's last feature map, global average pooling, and a linear layer."""

    def __init__(self, classes: int = len(CLASSES)) -> None:
        super().__init__()
        self.backbone = Backbone()
        self.head = nn.Linear(Backbone.channels[-1], classes)

    def forward(
        self, images: Float[Tensor, "batch 3 height width"]
    ) -> Float[Tensor, "batch classes"]:
        features = self.backbone(images)[-1]  # batch x 128 x 8 x 8
        return self.head(features.mean((2, 3)))  # pooling discards the position


def loss(
    model: nn.Module,
    images: Float[Tensor, "batch 3 height width"],
    labels: Int64[Tensor, "batch objects"],
    boxes: Float[Tensor, "batch objects 4"],
    instances: Int64[Tensor, "batch height width"],
) -> Float[Tensor, ""]:
    """Cross-entropy; the target is the class of each scene's first object.

    ``boxes`` and ``instances`` are unused: all five losses have the same signature.
    """
    return F.cross_entropy(model(images), labels[:, 0])


@torch.no_grad()
def predict(
    model: nn.Module, images: Float[Tensor, "batch 3 height width"]
) -> Float[Tensor, "batch classes"]:
    """The probability of each class."""
    return model(images).float().softmax(1)
