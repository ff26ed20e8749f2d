"""The U-Net of Ronneberger et al. (2015), arXiv:1505.04597.

``UNet.paper()`` is the network of the paper's figure 1; later changes to it are options.
"""

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

Normalisation = Literal["none", "batch"]
Upsampling = Literal["transposed", "bilinear"]


class DoubleConvolution(nn.Sequential):
    """Two 3x3 convolutions, each followed by ReLU.

    Without padding, each convolution removes one pixel from every side.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        padding: bool = True,
        normalisation: Normalisation = "batch",
    ) -> None:
        """``normalisation``: between convolution and ReLU; ``"none"`` in the paper."""
        layers: list[nn.Module] = []
        for channels in (in_channels, out_channels):
            has_bias = normalisation == "none"  # BatchNorm has its own bias
            layers.append(nn.Conv2d(channels, out_channels, 3, padding=int(padding), bias=has_bias))
            if normalisation == "batch":
                layers.append(nn.BatchNorm2d(out_channels))
            layers.append(nn.ReLU(inplace=True))
        super().__init__(*layers)


class EncoderStep(nn.Module):
    """A double convolution, then 2x2 max pooling, which halves the resolution."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        padding: bool = True,
        normalisation: Normalisation = "batch",
    ) -> None:
        super().__init__()
        self.convolutions = DoubleConvolution(in_channels, out_channels, padding, normalisation)
        self.pool = nn.MaxPool2d(2)

    def forward(
        self, x: Float[Tensor, "batch in_channels height width"]
    ) -> tuple[Float[Tensor, "batch out_channels _ _"], Float[Tensor, "batch out_channels _ _"]]:
        """The feature map for the skip connection, and the pooled feature map for the next step.

        Raises:
            ValueError: if the height or width before pooling is odd.
        """
        skip = self.convolutions(x)
        height, width = skip.shape[-2:]
        if height % 2 or width % 2:
            raise ValueError(
                f"2x2 max pooling of {height} x {width} values would lose a row or a column: "
                "choose another image size, so that both are even at every step."
            )
        return skip, self.pool(skip)


class DecoderStep(nn.Module):
    """Upsampling to twice the resolution and half the channels, concatenation with the encoder's
    feature map, and a double convolution.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        padding: bool = True,
        normalisation: Normalisation = "batch",
        upsampling: Upsampling = "transposed",
        has_skip: bool = True,
    ) -> None:
        """
        Args:
            in_channels: of the feature map from the previous step.
            out_channels: of the result.
            padding: as in :class:`UNet`.
            normalisation: as in :class:`UNet`.
            upsampling: ``"transposed"`` is a 2x2 transposed convolution with stride 2;
                ``"bilinear"`` interpolates, then convolves with a 2x2 kernel.
            has_skip: whether to concatenate the encoder's feature map.
        """
        super().__init__()
        self.has_skip = has_skip
        self.up: nn.Module
        if upsampling == "transposed":
            self.up = nn.ConvTranspose2d(in_channels, out_channels, 2, stride=2)
        else:
            upsample = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False)
            # Equivalent to padding="same", which warns about even kernels.
            pad = nn.ZeroPad2d((0, 1, 0, 1))
            convolution = nn.Conv2d(in_channels, out_channels, 2)
            self.up = nn.Sequential(nn.Sequential(upsample, pad), convolution)
        self.convolutions = DoubleConvolution(
            out_channels * (2 if has_skip else 1), out_channels, padding, normalisation
        )

    def forward(
        self,
        x: Float[Tensor, "batch in_channels height width"],
        skip: Float[Tensor, "batch out_channels _ _"],
    ) -> Float[Tensor, "batch out_channels _ _"]:
        """``x``: from the previous step; ``skip``: the encoder's feature map, which is cropped."""
        x = self.up(x)
        if self.has_skip:
            x = torch.cat([centre_crop(skip, x.shape[-2], x.shape[-1]), x], dim=1)
        return self.convolutions(x)


class UNet(nn.Module):
    """Encoder, bottleneck, decoder with skip connections, and a 1x1 convolution to the scores."""

    def __init__(
        self,
        in_channels: int = 3,
        out_channels: int = 2,
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
            in_channels: of the images.
            out_channels: of the result: one per class, without an activation.
            width: channels of the first encoder step; every further step doubles them.
            depth: number of encoder steps, and of decoder steps.
            padding: zero-pad every 3x3 convolution, so that it keeps the size; False in the paper.
            normalisation: ``"none"`` as in the paper, or ``"batch"``.
            upsampling: ``"transposed"`` or ``"bilinear"``: see :class:`DecoderStep`.
            skips: number of skip connections, counted from the bottleneck; by default ``depth``.

        Raises:
            ValueError: if an option is out of range or unknown.
        """
        super().__init__()
        skips = depth if skips is None else skips
        if width < 1 or depth < 1 or not 0 <= skips <= depth:
            raise ValueError(
                f"width {width}, depth {depth}, skips {skips}: width and depth must be 1 or more, "
                "and skips 0 to depth."
            )
        if normalisation not in ("none", "batch") or upsampling not in ("transposed", "bilinear"):
            raise ValueError(
                f"normalisation is {normalisation!r} and upsampling {upsampling!r}: choose 'none' "
                "or 'batch', and 'transposed' or 'bilinear'."
            )
        self.depth = depth
        self.padding = padding
        widths = [width * 2**step for step in range(depth + 1)]
        self.encoder = nn.ModuleList(
            EncoderStep(inputs, outputs, padding, normalisation)
            for inputs, outputs in zip([in_channels, *widths], widths[:-1], strict=False)
        )
        self.bottleneck = DoubleConvolution(widths[-2], widths[-1], padding, normalisation)
        self.decoder = nn.ModuleList(
            DecoderStep(
                widths[step + 1],
                widths[step],
                padding,
                normalisation,
                upsampling,
                has_skip=step >= depth - skips,
            )
            for step in reversed(range(depth))
        )
        self.output = nn.Conv2d(width, out_channels, 1)
        # Convolutions are faster in this memory format.
        self.to(memory_format=torch.channels_last)

    @classmethod
    def paper(cls) -> "UNet":
        """Figure 1 of the paper: 572 x 572 grey pixels become 388 x 388 scores of two classes."""
        return cls(
            1, 2, width=64, depth=4, padding=False, normalisation="none", upsampling="transposed"
        )

    def forward(
        self, x: Float[Tensor, "batch in_channels height width"]
    ) -> Float[Tensor, "batch out_channels _ _"]:
        """
        Raises:
            ValueError: if the size is invalid: with padding, both sides must be multiples of
                2^depth.
        """
        skips = []
        for step in self.encoder:
            skip, x = step(x)
            skips.append(skip)
        x = self.bottleneck(x)
        for step in self.decoder:
            x = step(x, skips.pop())
        return self.output(x)


def centre_crop(
    features: Float[Tensor, "batch channels _ _"], height: int, width: int
) -> Float[Tensor, "batch channels height width"]:
    """The central ``height`` x ``width`` values of a feature map.

    Without padding, the encoder's feature maps are larger than the decoder's.
    """
    top = (features.shape[-2] - height) // 2
    left = (features.shape[-1] - width) // 2
    return features[..., top : top + height, left : left + width]
