"""What the five models of lesson 3 share: a small residual network, and a path back up to fine
resolution.

The models differ in their heads and in what they are asked for, not in this.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

WIDTH = 48  # channels of the features that a head works on


def block(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    """A 3x3 convolution, batch normalisation, ReLU; stride 2 halves the resolution."""
    return nn.Sequential(
        nn.Conv2d(
            inputs, outputs, 3, stride, padding=1, bias=False
        ),  # the normalisation has its own bias
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
    )


class Residual(nn.Module):
    """Adds to its input what two blocks make of it: He et al. (2016), arXiv:1512.03385."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.change = nn.Sequential(block(channels, channels), block(channels, channels))

    def forward(
        self, features: Float[Tensor, "batch channels height width"]
    ) -> Float[Tensor, "batch channels height width"]:
        return features + self.change(features)


class Backbone(nn.Module):
    """An image becomes four maps, each half as fine as the one before and with more channels.

    For 3 x 128 x 128: 24 x 64 x 64, 48 x 32 x 32, 96 x 16 x 16 and 128 x 8 x 8. About 0.67 million
    parameters.
    """

    channels = (24, 48, 96, 128)

    def __init__(self) -> None:
        super().__init__()
        c1, c2, c3, c4 = self.channels
        self.stages = nn.ModuleList(
            [
                block(3, c1, stride=2),  # fine and wide maps are dear: one convolution only
                nn.Sequential(block(c1, c2, stride=2), Residual(c2)),
                nn.Sequential(block(c2, c3, stride=2), Residual(c3)),
                nn.Sequential(block(c3, c4, stride=2), Residual(c4)),
            ]
        )
        # the order in memory that a CPU convolves 1.5 times faster
        self.to(memory_format=torch.channels_last)

    def forward(
        self, images: Float[Tensor, "batch 3 height width"]
    ) -> list[Float[Tensor, "batch _ _ _"]]:
        maps, features = [], (images - 0.5) * 4  # about mean 0 and variance 1
        for stage in self.stages:
            features = stage(features)
            maps.append(features)
        return maps


class Pyramid(nn.Module):
    """The backbone, and a way back up: what was understood at coarse resolution is laid over finer
    maps.

    A feature pyramid, Lin et al. (2017), arXiv:1612.03144, that returns its finest map only.
    """

    def __init__(self, stride: int = 4) -> None:
        """``stride``: how many pixels of the image a pixel of the returned map stands for: 2, 4, 8
        or 16.

        Raises:
            ValueError: if it is another number.
        """
        super().__init__()
        if stride not in (2, 4, 8, 16):
            raise ValueError(f"stride is {stride}: the backbone's maps have 2, 4, 8 and 16.")
        self.stride = stride
        self.backbone = Backbone()
        self.finest = (2, 4, 8, 16).index(stride)
        self.lateral = nn.ModuleList(
            nn.Conv2d(channels, WIDTH, 1) for channels in Backbone.channels[self.finest :]
        )
        self.smooth = block(WIDTH, WIDTH)

    def forward(
        self, images: Float[Tensor, "batch 3 height width"]
    ) -> Float[Tensor, "batch channels _ _"]:
        maps = self.backbone(images)[self.finest :]
        features = self.lateral[-1](maps[-1])
        for convolution, finer in zip(
            reversed(self.lateral[:-1]), reversed(maps[:-1]), strict=True
        ):
            coarse = F.interpolate(
                features, size=finer.shape[-2:], mode="bilinear", align_corners=False
            )
            features = convolution(finer) + coarse
        return self.smooth(features)
