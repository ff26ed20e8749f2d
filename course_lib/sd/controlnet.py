"""ControlNet: a control image, such as an edge map, controls what the denoiser generates.

Zhang, Rao and Agrawala (2023), arXiv:2302.05543, section 3: a trained copy of the U-Net's encoder
and middle block reads the control image and adds its results to the features of the U-Net, which
stays unchanged. The connections are convolutions that start at zero, so that training starts from
the plain U-Net. Attributes are named as in the published checkpoints.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise

import torch
from jaxtyping import Float, Real
from torch import Tensor, nn
from torch.nn import functional as F

from course_lib.sd.unet import Context, FeatureMap, UNet2DConditionModel, UNetConfig, encode


@dataclass(frozen=True)
class ControlNetConfig(UNetConfig):
    """The sizes of a ControlNet: its U-Net's, and those for the control image.

    Fields are named as in a published ControlNet's ``config.json``.
    """

    conditioning_channels: int = 3  # of the control image
    # The widths of the hint encoder; the resolution halves after every entry but the last.
    conditioning_embedding_out_channels: Sequence[int] = (16, 32, 96, 256)

    @property
    def factor(self) -> int:
        """The pixels of the control image per latent position along a side: 8 with four widths."""
        return 2 ** (len(self.conditioning_embedding_out_channels) - 1)


def zero_convolution(in_channels: int, out_channels: int, kernel_size: int = 1) -> nn.Conv2d:
    """A convolution whose weights and biases start at zero: arXiv:2302.05543, section 3.1.

    Its output is 0 at first. Its weights get a gradient all the same, since its input is not 0.
    """
    layer = nn.Conv2d(in_channels, out_channels, kernel_size, padding=kernel_size // 2)
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


class HintEncoder(nn.Module):
    """Convolutions from the control image to a feature map with the latent's height and width.

    arXiv:2302.05543, section 3.2; the published models have more layers than its text says.
    """

    def __init__(self, config: ControlNetConfig) -> None:
        super().__init__()
        widths = list(config.conditioning_embedding_out_channels)
        self.conv_in = nn.Conv2d(config.conditioning_channels, widths[0], 3, padding=1)
        self.blocks = nn.ModuleList()
        for width, next_width in pairwise(widths):
            self.blocks.append(nn.Conv2d(width, width, 3, padding=1))
            self.blocks.append(nn.Conv2d(width, next_width, 3, stride=2, padding=1))
        # SiLU halves small values. With torch's default, every layer makes features smaller, and
        # after seven hardly anything of the image is left. This standard deviation keeps their
        # size, by the reasoning of He et al. (2015), arXiv:1502.01852, section 2.2.
        for layer in (self.conv_in, *self.blocks):
            nn.init.normal_(layer.weight, std=2 / layer.weight[0].numel() ** 0.5)
            nn.init.zeros_(layer.bias)
        self.conv_out = zero_convolution(widths[-1], config.block_out_channels[0], 3)

    def forward(
        self, image: Float[Tensor, "batch image_channels high wide"]
    ) -> Float[Tensor, "batch channels height width"]:
        x = self.conv_in(image)
        for layer in (*self.blocks, self.conv_out):
            x = layer(F.silu(x))
        return x


class ControlNetModel(nn.Module):
    """A copy of a U-Net's encoder and middle block that reads a control image too."""

    def __init__(self, config: ControlNetConfig = ControlNetConfig()) -> None:
        """With random weights; :meth:`from_unet` copies those of a U-Net.

        Raises:
            ValueError: as :class:`UNet2DConditionModel`.
        """
        super().__init__()
        self.config = config
        unet = UNet2DConditionModel(config)  # the decoder is not used
        self.conv_in, self.time_embedding = unet.conv_in, unet.time_embedding
        self.down_blocks, self.mid_block = unet.down_blocks, unet.mid_block
        self.controlnet_cond_embedding = HintEncoder(config)
        widths = list(config.block_out_channels)
        # The channels of the skip connections. Every level ends with a downsampler but the last.
        skips = [width for width in widths for _ in range(config.layers_per_block + 1)][:-1]
        self.controlnet_down_blocks = nn.ModuleList(
            zero_convolution(width, width) for width in (widths[0], *skips)
        )
        self.controlnet_mid_block = zero_convolution(widths[-1], widths[-1])
        # As the U-Net: convolutions are faster in this memory format.
        self.to(memory_format=torch.channels_last)

    @classmethod
    def from_unet(
        cls,
        unet: UNet2DConditionModel,
        conditioning_channels: int = 3,
        conditioning_embedding_out_channels: Sequence[int] = (16, 32, 96, 256),
    ) -> "ControlNetModel":
        """A ControlNet to train: a copy of the U-Net's weights, and zero convolutions.

        The U-Net, of which nothing is shared, is not trained further: arXiv:2302.05543, section
        3.1. The other arguments are those of :class:`ControlNetConfig`.
        """
        config = ControlNetConfig(
            **asdict(unet.config),
            conditioning_channels=conditioning_channels,
            conditioning_embedding_out_channels=conditioning_embedding_out_channels,
        )
        controlnet = cls(config).to(unet.conv_in.weight)
        for name in ("conv_in", "time_embedding", "down_blocks", "mid_block"):
            getattr(controlnet, name).load_state_dict(getattr(unet, name).state_dict())
        return controlnet

    def forward(
        self,
        latents: FeatureMap,
        timesteps: Real[Tensor, "..."] | int | float,
        context: Context,
        image: Float[Tensor, "batch image_channels high wide"],
        scale: float = 1.0,
    ) -> list[Tensor]:
        """The residuals for the U-Net: one per skip connection, then that of the middle block.

        Args:
            latents, timesteps, context: as the U-Net gets them.
            image: control images in [0, 1], ``config.factor`` times as high and wide as latents.
            scale: the conditioning scale, by which the residuals are multiplied; 0 is no control.

        Raises:
            ValueError: if the shapes do not match the configuration or each other.
        """
        sides = [self.config.factor * side for side in latents.shape[-2:]]
        expected = (len(latents), self.config.conditioning_channels, *sides)
        if tuple(image.shape) != expected:
            raise ValueError(f"control images of {tuple(image.shape)}: give {expected}.")
        hint = self.controlnet_cond_embedding(image)
        x, skips, _ = encode(self, latents, timesteps, context, hint)
        layers = (*self.controlnet_down_blocks, self.controlnet_mid_block)
        return [scale * layer(y) for layer, y in zip(layers, [*skips, x], strict=True)]


class ControlledUNet(nn.Module):
    """A U-Net with a ControlNet and its control images, to use in place of the U-Net.

    For example ``replace(pipeline, unet=ControlledUNet(pipeline.unet, controlnet, edges))``.
    """

    def __init__(
        self,
        unet: UNet2DConditionModel,
        controlnet: ControlNetModel,
        image: Float[Tensor, "image_channels high wide"] | Float[Tensor, "images _ _ _"],
        scale: float = 1.0,
    ) -> None:
        """
        Args:
            image: one for all latents, or a batch with one per latent, as in
                :meth:`ControlNetModel.forward`. With guidance, which doubles the latents, the batch
                is repeated.
            scale: the conditioning scale.
        """
        super().__init__()
        self.unet, self.controlnet, self.scale = unet, controlnet, scale
        self.config = unet.config
        self.register_buffer("image", image.to(unet.conv_in.weight), persistent=False)

    def forward(
        self, latents: FeatureMap, timesteps: Real[Tensor, "..."] | int | float, context: Context
    ) -> Float[Tensor, "batch predicted height width"]:
        """The controlled prediction; arguments and errors of both models.

        Raises:
            ValueError: if the latents are not as many as the control images, or a multiple.
        """
        images = self.image if self.image.ndim == 4 else self.image[None]
        if len(latents) % len(images):
            raise ValueError(
                f"{len(latents)} latents and {len(images)} control images: give one image, or as "
                "many as latents."
            )
        images = images.repeat(len(latents) // len(images), 1, 1, 1)
        # Both models may have different floating-point dtypes.
        dtype = self.controlnet.conv_in.weight.dtype
        residuals = self.controlnet(
            latents.to(dtype), timesteps, context.to(dtype), images.to(dtype), self.scale
        )
        residuals = [residual.to(latents) for residual in residuals]
        return self.unet(latents, timesteps, context, residuals)
