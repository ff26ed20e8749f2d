"""The autoencoder: an image of 3 x 512 x 512 to a latent of 4 x 64 x 64, and back.

Rombach et al. (2022), arXiv:2112.10752, section 3.1 and appendix G: f = 8, 4 latent channels, a
small Kullback-Leibler penalty. The defaults are those of Stable Diffusion 1.x.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from course_lib.sd.layers import Downsample2D, ImageAttention, ResnetBlock2D, Upsample2D


@dataclass(frozen=True)
class AutoencoderConfig:
    """The sizes of an autoencoder; fields are named as in ``vae/config.json``.

    The resolution halves after every entry of ``block_out_channels`` but the last.
    """

    in_channels: int = 3
    out_channels: int = 3
    latent_channels: int = 4
    block_out_channels: Sequence[int] = (128, 256, 512, 512)
    layers_per_block: int = 2
    norm_num_groups: int = 32
    # Scales Stable Diffusion's latents to a standard deviation of about 1.
    scaling_factor: float = 0.18215

    @property
    def factor(self) -> int:
        """The downsampling factor, pixels per latent position along a side: 8 with four blocks."""
        return 2 ** (len(self.block_out_channels) - 1)


@dataclass(frozen=True)
class DiagonalGaussian:
    """The encoder's distribution of a latent: mean and log-variance of every value."""

    mean: Float[Tensor, "batch latents height width"]
    logvar: Float[Tensor, "batch latents height width"]

    def sample(
        self, generator: torch.Generator | None = None
    ) -> Float[Tensor, "batch latents height width"]:
        """A sample by the reparameterisation trick: arXiv:1312.6114, section 2.4."""
        # Drawn on the CPU so that every device gets the same values.
        noise = torch.randn(self.mean.shape, generator=generator).to(self.mean)
        return self.mean + (0.5 * self.logvar).exp() * noise

    def kl(self) -> Float[Tensor, ""]:
        """The Kullback-Leibler divergence from a standard Gaussian, in nats per value.

        Kingma and Welling (2014), arXiv:1312.6114, appendix B.
        """
        return 0.5 * (self.mean**2 + self.logvar.exp() - 1 - self.logvar).mean()


class DownBlock(nn.Module):
    """Residual blocks at one resolution, then a downsampler."""

    def __init__(
        self, in_channels: int, out_channels: int, layers: int, groups: int, downsample: bool
    ) -> None:
        super().__init__()
        self.resnets = _resnets(in_channels, out_channels, layers, groups)
        self.downsamplers = nn.ModuleList(
            [Downsample2D(out_channels, padding=0)] if downsample else []
        )

    def forward(self, x: Tensor) -> Tensor:
        for module in (*self.resnets, *self.downsamplers):
            x = module(x)
        return x


class UpBlock(nn.Module):
    """Residual blocks at one resolution, then an upsampler."""

    def __init__(
        self, in_channels: int, out_channels: int, layers: int, groups: int, upsample: bool
    ) -> None:
        super().__init__()
        self.resnets = _resnets(in_channels, out_channels, layers, groups)
        self.upsamplers = nn.ModuleList([Upsample2D(out_channels)] if upsample else [])

    def forward(self, x: Tensor) -> Tensor:
        for module in (*self.resnets, *self.upsamplers):
            x = module(x)
        return x


def _resnets(in_channels: int, out_channels: int, layers: int, groups: int) -> nn.ModuleList:
    """Residual blocks; the first changes the number of channels."""
    inputs = [in_channels] + [out_channels] * (layers - 1)
    return nn.ModuleList(
        ResnetBlock2D(channels, out_channels, groups=groups) for channels in inputs
    )


class MidBlock(nn.Module):
    """At the coarsest resolution: residual block, self-attention, residual block."""

    def __init__(self, channels: int, groups: int) -> None:
        super().__init__()
        self.resnets = _resnets(channels, channels, 2, groups)
        self.attentions = nn.ModuleList([ImageAttention(channels, groups=groups)])

    def forward(self, x: Tensor) -> Tensor:
        return self.resnets[1](self.attentions[0](self.resnets[0](x)))


class Encoder(nn.Module):
    """From an image to the mean and log-variance of its latent, concatenated along the channels."""

    def __init__(self, config: AutoencoderConfig) -> None:
        super().__init__()
        widths, groups = list(config.block_out_channels), config.norm_num_groups
        channels, last = widths[0], len(widths) - 1
        self.conv_in = nn.Conv2d(config.in_channels, channels, 3, padding=1)
        self.down_blocks = nn.ModuleList()
        for level, width in enumerate(widths):
            block = DownBlock(
                channels, width, config.layers_per_block, groups, downsample=level < last
            )
            self.down_blocks.append(block)
            channels = width
        self.mid_block = MidBlock(channels, groups)
        self.conv_norm_out = nn.GroupNorm(groups, channels, eps=1e-6)
        self.conv_out = nn.Conv2d(channels, 2 * config.latent_channels, 3, padding=1)

    def forward(
        self, x: Float[Tensor, "batch channels height width"]
    ) -> Float[Tensor, "batch moments _ _"]:
        x = self.conv_in(x)
        for block in self.down_blocks:
            x = block(x)
        return self.conv_out(F.silu(self.conv_norm_out(self.mid_block(x))))


class Decoder(nn.Module):
    """From a latent to an image: mirrors the encoder, with one more residual block per level."""

    def __init__(self, config: AutoencoderConfig) -> None:
        super().__init__()
        widths, groups = list(config.block_out_channels), config.norm_num_groups
        channels = widths[-1]
        self.conv_in = nn.Conv2d(config.latent_channels, channels, 3, padding=1)
        self.mid_block = MidBlock(channels, groups)
        self.up_blocks = nn.ModuleList()
        for level, width in reversed(list(enumerate(widths))):
            block = UpBlock(
                channels, width, config.layers_per_block + 1, groups, upsample=level > 0
            )
            self.up_blocks.append(block)
            channels = width
        self.conv_norm_out = nn.GroupNorm(groups, channels, eps=1e-6)
        self.conv_out = nn.Conv2d(channels, config.out_channels, 3, padding=1)

    def forward(
        self, x: Float[Tensor, "batch latents height width"]
    ) -> Float[Tensor, "batch channels _ _"]:
        x = self.mid_block(self.conv_in(x))
        for block in self.up_blocks:
            x = block(x)
        return self.conv_out(F.silu(self.conv_norm_out(x)))


def check_sides(images: Tensor, factor: int) -> None:
    """
    Raises:
        ValueError: if height or width, the last two axes, is not a multiple of ``factor``.
    """
    if images.shape[-2] % factor or images.shape[-1] % factor:
        raise ValueError(
            f"Images of {tuple(images.shape[-2:])} pixels: both sides must be multiples of "
            f"{factor}. Crop or resize them."
        )


class AutoencoderKL(nn.Module):
    """Stable Diffusion's autoencoder: images in [-1, 1], latents not yet scaled."""

    def __init__(self, config: AutoencoderConfig = AutoencoderConfig()) -> None:
        """
        Raises:
            ValueError: if ``norm_num_groups`` does not divide all ``block_out_channels``.
        """
        super().__init__()
        groups = config.norm_num_groups
        indivisible = [width for width in config.block_out_channels if width % groups]
        if indivisible:
            raise ValueError(
                f"block_out_channels {indivisible} cannot be split into {groups} groups: choose "
                f"multiples of {groups}, or another norm_num_groups."
            )
        self.config = config
        self.encoder = Encoder(config)
        self.decoder = Decoder(config)
        moments = 2 * config.latent_channels
        self.quant_conv = nn.Conv2d(moments, moments, 1)
        self.post_quant_conv = nn.Conv2d(config.latent_channels, config.latent_channels, 1)
        # Convolutions are faster in this memory format.
        self.to(memory_format=torch.channels_last)

    def encode(self, images: Float[Tensor, "batch channels height width"]) -> DiagonalGaussian:
        """The distribution of the latents; each side is divided by ``config.factor``.

        Raises:
            ValueError: if height or width is not a multiple of ``config.factor``.
        """
        check_sides(images, self.config.factor)
        mean, logvar = self.quant_conv(self.encoder(images)).chunk(2, dim=1)
        return DiagonalGaussian(mean, logvar.clamp(-30, 20))

    def decode(
        self, latents: Float[Tensor, "batch latents height width"]
    ) -> Float[Tensor, "batch channels _ _"]:
        """Images, approximately in [-1, 1]."""
        return self.decoder(self.post_quant_conv(latents))
