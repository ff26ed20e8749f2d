"""What a trained U-Net does when its skip connections are changed at inference, for lesson 5."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from course_lib.unet.model import UNet

Maps = Float[Tensor, "batch _ _ _"]


def encode(model: UNet, images: Maps) -> tuple[list[Maps], Maps]:
    """The maps of the skip connections, from the finest, and the bottleneck's input."""
    skips, x = [], images
    for step in model.encoder:
        skip, x = step(x)
        skips.append(skip)
    return skips, x


@torch.no_grad()
def run_with_edited_skips(
    model: UNet, images: Maps, edit: Callable[[int, Maps], Maps]
) -> Float[Tensor, "batch out _ _"]:
    """The scores of a model whose skip connections carry something else.

    Args:
        model: in eval mode.
        images: as the model takes them.
        edit: gets the level (0 is the finest) and the map of a skip connection, and returns what
            is copied to the decoder in its place.
    """
    skips, x = encode(model, images)
    x = model.bottleneck(x)
    for index, step in enumerate(model.decoder):
        level = model.depth - 1 - index
        x = step(x, edit(level, skips[level]))
    return model.output(x)
