"""Level 4, semantic segmentation: what is each pixel? One class, or background, for every pixel."""

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F

from course_lib.data.sprites import CLASSES
from course_lib.vision.backbone import PYRAMID_CHANNELS, FeaturePyramid, conv_block


class Segmenter(nn.Module):
    """Logits of the background and each class at half the resolution, upsampled to full size."""

    def __init__(self, classes: int = len(CLASSES)) -> None:
        super().__init__()
        self.features = FeaturePyramid(stride=2)
        self.tower = conv_block(PYRAMID_CHANNELS, PYRAMID_CHANNELS // 2)
        self.head = nn.Conv2d(PYRAMID_CHANNELS // 2, classes + 1, 1)

    def forward(
        self, images: Float[Tensor, "batch 3 height width"]
    ) -> Float[Tensor, "batch channels height width"]:
        logits = self.head(self.tower(self.features(images)))
        return F.interpolate(
            logits.float(), size=images.shape[-2:], mode="bilinear", align_corners=False
        )


def semantic_map(
    labels: Int64[Tensor, "batch objects"], instances: Int64[Tensor, "batch height width"]
) -> Int64[Tensor, "batch height width"]:
    """The semantic map (0 for background, 1 + label for objects) of an instance map."""
    values = F.pad(labels + 1, (1, 0))  # instance 0 is the background
    return values.gather(1, instances.flatten(1)).view_as(instances)


def loss(
    model: nn.Module,
    images: Float[Tensor, "batch 3 height width"],
    labels: Int64[Tensor, "batch objects"],
    boxes: Float[Tensor, "batch objects 4"],
    instances: Int64[Tensor, "batch height width"],
) -> Float[Tensor, ""]:
    """Pixelwise cross-entropy."""
    return F.cross_entropy(model(images), semantic_map(labels, instances))


@torch.no_grad()
def predict(
    model: nn.Module, images: Float[Tensor, "batch 3 height width"]
) -> Float[Tensor, "batch channels height width"]:
    """The probability of the background (channel 0) and of each class, for every pixel."""
    return model(images).softmax(1)
