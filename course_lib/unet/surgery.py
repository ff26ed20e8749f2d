"""Interventions on the skip connections of a trained U-Net at inference, for lesson 5."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from course_lib.unet.model import UNet

Maps = Float[Tensor, "batch _ _ _"]


def encode(model: UNet, images: Maps) -> tuple[list[Maps], Maps]:
    """The feature maps of the skip connections, finest first, and the bottleneck's input."""
    skips, x = [], images
    for step in model.encoder:
        skip, x = step(x)
        skips.append(skip)
    return skips, x


@torch.no_grad()
def run_with_edited_skips(
    model: UNet, images: Maps, edit: Callable[[int, Maps], Maps]
) -> Float[Tensor, "batch out _ _"]:
    """The output of a model with modified skip connections.

    Args:
        model: in eval mode.
        images: the model's input.
        edit: gets the level (0 is the finest) and the feature map of a skip connection, and returns
            its replacement.
    """
    skips, x = encode(model, images)
    x = model.bottleneck(x)
    for index, step in enumerate(model.decoder):
        level = model.depth - 1 - index
        x = step(x, edit(level, skips[level]))
    return model.output(x)
