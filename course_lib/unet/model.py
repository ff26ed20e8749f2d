"""The U-Net of Ronneberger et al. (2015), arXiv:1505.04597: down, across, and up again.

``UNet.paper()`` is the network of the paper's figure 1. What later ones changed is an option.
"""

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

Normalisation = Literal["none", "batch"]
Upsampling = Literal["transposed", "bilinear"]


class DoubleConvolution(nn.Sequential):
    """Two 3x3 convolutions, each followed by ReLU. Unpadded, each takes one pixel from every
    side.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        padding: bool = True,
        normalisation: Normalisation = "batch",
    ) -> None:
        """``normalisation``: between convolution and ReLU, where the paper has none."""
        layers: list[nn.Module] = []
        for channels in (inputs, outputs):
            if normalisation == "batch":  # which has a bias of its own
                layers += [
                    nn.Conv2d(channels, outputs, 3, padding=int(padding), bias=False),
                    nn.BatchNorm2d(outputs),
                ]
            else:
                layers += [nn.Conv2d(channels, outputs, 3, padding=int(padding))]
            layers += [nn.ReLU(inplace=True)]
        super().__init__(*layers)


class EncoderStep(nn.Module):
    """Two convolutions, whose result is kept for the decoder, then half the resolution by 2x2 max
    pooling.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        padding: bool = True,
        normalisation: Normalisation = "batch",
    ) -> None:
        super().__init__()
        self.convolutions = DoubleConvolution(inputs, outputs, padding, normalisation)
        self.pool = nn.MaxPool2d(2)

    def forward(
        self, x: Float[Tensor, "batch inputs height width"]
    ) -> tuple[Float[Tensor, "batch outputs _ _"], Float[Tensor, "batch outputs _ _"]]:
        """What the decoder gets, and what the next step gets.

        Raises:
            ValueError: if the pooling would lose a row or a column.
        """
        kept = self.convolutions(x)
        height, width = kept.shape[-2:]
        if height % 2 or width % 2:
            raise ValueError(
                f"2x2 max pooling of {height} x {width} values would lose some: choose another size of image, "
                "so that both stay even at every step."
            )
        return kept, self.pool(kept)


class DecoderStep(nn.Module):
    """Twice the resolution and half the features, beside them what the encoder kept, then two
    convolutions.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        padding: bool = True,
        normalisation: Normalisation = "batch",
        upsampling: Upsampling = "transposed",
        skip: bool = True,
    ) -> None:
        """``upsampling``: ``"transposed"`` is a 2x2 transposed convolution of stride 2;
        ``"bilinear"`` interpolates and then convolves 2x2. ``skip``: whether what the encoder kept
        comes along.
        """
        super().__init__()
        self.skip = skip
        self.up: nn.Module
        if upsampling == "transposed":
            self.up = nn.ConvTranspose2d(inputs, outputs, 2, stride=2)
        else:
            grow = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False)
            # as padding="same" would, which warns about even kernels
            pad = nn.ZeroPad2d((0, 1, 0, 1))
            self.up = nn.Sequential(nn.Sequential(grow, pad), nn.Conv2d(inputs, outputs, 2))
        self.convolutions = DoubleConvolution(
            outputs * (2 if skip else 1), outputs, padding, normalisation
        )

    def forward(
        self,
        x: Float[Tensor, "batch inputs height width"],
        kept: Float[Tensor, "batch outputs _ _"],
    ) -> Float[Tensor, "batch outputs _ _"]:
        x = self.up(x)
        if self.skip:
            x = torch.cat([crop(kept, x.shape[-2], x.shape[-1]), x], dim=1)
        return self.convolutions(x)


class UNet(nn.Module):
    """Depth steps down, a bottleneck, as many steps up, and a 1x1 convolution to scores."""

    def __init__(
        self,
        inputs: int = 3,
        outputs: int = 2,
        *,
        width: int = 64,
        depth: int = 4,
        padding: bool = True,
        normalisation: Normalisation = "batch",
        upsampling: Upsampling = "transposed",
        skips: int | None = None,
    ) -> None:
        """
        Args:
            inputs: channels of the images.
            outputs: channels of the result, one for each class, without an activation.
            width: features of the first step; each step down doubles them.
            depth: how many steps there are down, and up.
            padding: keep the size of a picture in every 3x3 convolution. The paper does not.
            normalisation: ``"none"`` as in the paper, or ``"batch"``.
            upsampling: ``"transposed"`` or ``"bilinear"``: see :class:`DecoderStep`.
            skips: how many of the steps have a skip connection, counted from the bottleneck; by
                default all.

        Raises:
            ValueError: if an option is none of these.
        """
        super().__init__()
        skips = depth if skips is None else skips
        if width < 1 or depth < 1 or not 0 <= skips <= depth:
            raise ValueError(f"width {width}, depth {depth}, skips {skips}: width and depth are 1 or more, skips at "
                             "most as many as depth.")  # fmt: skip
        if normalisation not in ("none", "batch") or upsampling not in ("transposed", "bilinear"):
            raise ValueError(f"normalisation is {normalisation!r} and upsampling {upsampling!r}: choose 'none' or "
                             "'batch', and 'transposed' or 'bilinear'.")  # fmt: skip
        self.depth, self.padding = depth, padding
        widths = [width * 2**step for step in range(depth + 1)]
        self.encoder = nn.ModuleList(
            EncoderStep(before, after, padding, normalisation)
            for before, after in zip([inputs, *widths], widths[:-1], strict=False)
        )
        self.bottleneck = DoubleConvolution(widths[-2], widths[-1], padding, normalisation)
        self.decoder = nn.ModuleList(
            DecoderStep(
                widths[step + 1],
                widths[step],
                padding,
                normalisation,
                upsampling,
                skip=step >= depth - skips,
            )
            for step in reversed(range(depth))
        )
        self.output = nn.Conv2d(width, outputs, 1)
        # the order in memory that CPUs and GPUs convolve faster
        self.to(memory_format=torch.channels_last)

    @classmethod
    def paper(cls) -> "UNet":
        """Figure 1 of the paper: 572 x 572 grey pixels become 388 x 388 scores of two classes."""
        return cls(
            1, 2, width=64, depth=4, padding=False, normalisation="none", upsampling="transposed"
        )

    def forward(
        self, x: Float[Tensor, "batch inputs height width"]
    ) -> Float[Tensor, "batch outputs _ _"]:
        """
        Raises:
            ValueError: if the size does not fit: padded, both sides are multiples of 2^depth.
        """
        kept = []
        for step in self.encoder:
            skip, x = step(x)
            kept.append(skip)
        x = self.bottleneck(x)
        for step in self.decoder:
            x = step(x, kept.pop())
        return self.output(x)


def crop(
    kept: Float[Tensor, "batch channels tall wide"], height: int, width: int
) -> Float[Tensor, "batch channels height width"]:
    """The middle of a map: what is left of the encoder's after the border pixels that the decoder
    lost.
    """
    top, left = (kept.shape[-2] - height) // 2, (kept.shape[-1] - width) // 2
    return kept[..., top : top + height, left : left + width]
