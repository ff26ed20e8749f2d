"""Level 4, semantic segmentation: what does each pixel belong to? One class, or the background, for
every pixel.
"""

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F

from course_lib.data.sprites import CLASSES
from course_lib.vision.backbone import WIDTH, Pyramid, block


class Segmenter(nn.Module):
    """A score for each class and the background, on a map half as fine as the image, drawn up to
    its size.
    """

    def __init__(self, classes: int = len(CLASSES)) -> None:
        super().__init__()
        self.features = Pyramid(stride=2)
        self.tower = block(WIDTH, WIDTH // 2)
        self.head = nn.Conv2d(WIDTH // 2, classes + 1, 1)

    def forward(
        self, images: Float[Tensor, "batch 3 height width"]
    ) -> Float[Tensor, "batch kinds height width"]:
        scores = self.head(self.tower(self.features(images)))
        return F.interpolate(
            scores.float(), size=images.shape[-2:], mode="bilinear", align_corners=False
        )


def semantic(
    labels: Int64[Tensor, "batch objects"], instances: Int64[Tensor, "batch height width"]
) -> Int64[Tensor, "batch height width"]:
    """0 on the background and 1 + label on an object, from the number of the object in each
    pixel.
    """
    kinds = F.pad(labels + 1, (1, 0))  # number 0 is the background
    return kinds.gather(1, instances.flatten(1)).view_as(instances)


def loss(
    model: nn.Module,
    images: Float[Tensor, "batch 3 height width"],
    labels: Int64[Tensor, "batch objects"],
    boxes: Float[Tensor, "batch objects 4"],
    instances: Int64[Tensor, "batch height width"],
) -> Float[Tensor, ""]:
    """Cross-entropy of every pixel."""
    return F.cross_entropy(model(images), semantic(labels, instances))


@torch.no_grad()
def predict(
    model: nn.Module, images: Float[Tensor, "batch 3 height width"]
) -> Float[Tensor, "batch kinds height width"]:
    """The probability of the background (kind 0) and of each class in every pixel."""
    return model(images).softmax(1)
