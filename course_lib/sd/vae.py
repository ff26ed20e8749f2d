"""The autoencoder: an image of 3 x 512 x 512 becomes a latent of 4 x 64 x 64, and an image again.

Rombach et al. (2022), arXiv:2112.10752, section 3.1 and appendix G: f = 8, 4 latent channels, a
slight Kullback-Leibler penalty. The default configuration is that of Stable Diffusion 1.x.
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
    """The sizes of an autoencoder, under the names of the published ``vae/config.json``.

    Each number of ``block_out_channels`` but the last stands for a halving of the resolution.
    """

    in_channels: int = 3
    out_channels: int = 3
    latent_channels: int = 4
    block_out_channels: Sequence[int] = (128, 256, 512, 512)
    layers_per_block: int = 2
    norm_num_groups: int = 32
    # brings Stable Diffusion's latents to a standard deviation of about 1
    scaling_factor: float = 0.18215

    @property
    def factor(self) -> int:
        """How many pixels a side of one value of the latent stands for: 8 for four blocks."""
        return 2 ** (len(self.block_out_channels) - 1)


@dataclass(frozen=True)
class DiagonalGaussian:
    """What the encoder says of a latent: a mean and a variance for every value. Kingma and Welling
    (2014).
    """

    mean: Float[Tensor, "batch latents height width"]
    logvar: Float[Tensor, "batch latents height width"]

    def sample(
        self, generator: torch.Generator | None = None
    ) -> Float[Tensor, "batch latents height width"]:
        """Mean plus standard deviation times noise, so that gradients reach both: arXiv:1312.6114,
        section 2.4.
        """
        # Drawn on the CPU: the same seed gives the same noise on every device.
        noise = torch.randn(self.mean.shape, generator=generator).to(self.mean)
        return self.mean + (0.5 * self.logvar).exp() * noise

    def kl(self) -> Float[Tensor, ""]:
        """The divergence from a standard Gaussian in nats, a mean over all values: arXiv:1312.6114,
        appendix B.
        """
        return 0.5 * (self.mean**2 + self.logvar.exp() - 1 - self.logvar).mean()


class DownBlock(nn.Module):
    """Residual blocks at one resolution, then half of it."""

    def __init__(self, inputs: int, outputs: int, layers: int, groups: int, halve: bool) -> None:
        super().__init__()
        self.resnets = _resnets(inputs, outputs, layers, groups)
        self.downsamplers = nn.ModuleList([Downsample2D(outputs, padding=0)] if halve else [])

    def forward(self, x: Tensor) -> Tensor:
        for module in (*self.resnets, *self.downsamplers):
            x = module(x)
        return x


class UpBlock(nn.Module):
    """Residual blocks at one resolution, then twice of it."""

    def __init__(self, inputs: int, outputs: int, layers: int, groups: int, double: bool) -> None:
        super().__init__()
        self.resnets = _resnets(inputs, outputs, layers, groups)
        self.upsamplers = nn.ModuleList([Upsample2D(outputs)] if double else [])

    def forward(self, x: Tensor) -> Tensor:
        for module in (*self.resnets, *self.upsamplers):
            x = module(x)
        return x


def _resnets(inputs: int, outputs: int, layers: int, groups: int) -> nn.ModuleList:
    """Residual blocks, of which the first changes the number of channels."""
    channels = [inputs] + [outputs] * layers
    pairs = zip(channels, channels[1:], strict=False)
    return nn.ModuleList(ResnetBlock2D(before, after, groups=groups) for before, after in pairs)


class MidBlock(nn.Module):
    """At the coarsest resolution: a residual block, attention between all positions, a residual
    block.
    """

    def __init__(self, channels: int, groups: int) -> None:
        super().__init__()
        self.resnets = nn.ModuleList(
            ResnetBlock2D(channels, channels, groups=groups) for _ in range(2)
        )
        self.attentions = nn.ModuleList([ImageAttention(channels, groups=groups)])

    def forward(self, x: Tensor) -> Tensor:
        return self.resnets[1](self.attentions[0](self.resnets[0](x)))


class Encoder(nn.Module):
    """Image to the means and log-variances of its latent, stacked."""

    def __init__(self, config: AutoencoderConfig) -> None:
        super().__init__()
        widths, layers, groups = (
            list(config.block_out_channels),
            config.layers_per_block,
            config.norm_num_groups,
        )
        self.conv_in = nn.Conv2d(config.in_channels, widths[0], 3, padding=1)
        self.down_blocks = nn.ModuleList(
            DownBlock(inputs, outputs, layers, groups, halve=index < len(widths) - 1)
            for index, (inputs, outputs) in enumerate(
                zip([widths[0], *widths], widths, strict=False)
            )
        )
        self.mid_block = MidBlock(widths[-1], groups)
        self.conv_norm_out = nn.GroupNorm(groups, widths[-1], eps=1e-6)
        self.conv_out = nn.Conv2d(widths[-1], 2 * config.latent_channels, 3, padding=1)

    def forward(
        self, x: Float[Tensor, "batch channels height width"]
    ) -> Float[Tensor, "batch moments _ _"]:
        x = self.conv_in(x)
        for block in self.down_blocks:
            x = block(x)
        return self.conv_out(F.silu(self.conv_norm_out(self.mid_block(x))))


class Decoder(nn.Module):
    """Latent to image: the encoder's mirror, with one residual block more at each resolution."""

    def __init__(self, config: AutoencoderConfig) -> None:
        super().__init__()
        widths, layers, groups = (
            list(config.block_out_channels)[::-1],
            config.layers_per_block,
            config.norm_num_groups,
        )
        self.conv_in = nn.Conv2d(config.latent_channels, widths[0], 3, padding=1)
        self.mid_block = MidBlock(widths[0], groups)
        self.up_blocks = nn.ModuleList(
            UpBlock(inputs, outputs, layers + 1, groups, double=index < len(widths) - 1)
            for index, (inputs, outputs) in enumerate(
                zip([widths[0], *widths], widths, strict=False)
            )
        )
        self.conv_norm_out = nn.GroupNorm(groups, widths[-1], eps=1e-6)
        self.conv_out = nn.Conv2d(widths[-1], config.out_channels, 3, padding=1)

    def forward(
        self, x: Float[Tensor, "batch latents height width"]
    ) -> Float[Tensor, "batch channels _ _"]:
        x = self.mid_block(self.conv_in(x))
        for block in self.up_blocks:
            x = block(x)
        return self.conv_out(F.silu(self.conv_norm_out(x)))


class AutoencoderKL(nn.Module):
    """Stable Diffusion's autoencoder. Images are in [-1, 1]; latents are as the encoder gives them,
    not scaled.
    """

    def __init__(self, config: AutoencoderConfig = AutoencoderConfig()) -> None:
        """
        Raises:
            ValueError: if ``norm_num_groups`` does not divide every one of ``block_out_channels``.
        """
        super().__init__()
        odd = [width for width in config.block_out_channels if width % config.norm_num_groups]
        if odd:
            raise ValueError(
                f"block_out_channels {odd} cannot be split into {config.norm_num_groups} groups: choose multiples, "
                "or another norm_num_groups."
            )
        self.config = config
        self.encoder, self.decoder = Encoder(config), Decoder(config)
        moments = 2 * config.latent_channels
        self.quant_conv = nn.Conv2d(moments, moments, 1)
        self.post_quant_conv = nn.Conv2d(config.latent_channels, config.latent_channels, 1)
        # the order in memory that CPUs and GPUs convolve faster
        self.to(memory_format=torch.channels_last)

    def encode(self, images: Float[Tensor, "batch channels height width"]) -> DiagonalGaussian:
        """What the encoder says of the latents: of an image's height and width an eighth each.

        Raises:
            ValueError: if height or width is no multiple of ``config.factor``.
        """
        factor = self.config.factor
        if images.shape[-2] % factor or images.shape[-1] % factor:
            raise ValueError(
                f"An image of {tuple(images.shape[-2:])} pixels: both must be multiples of {factor}."
            )
        mean, logvar = self.quant_conv(self.encoder(images)).chunk(2, dim=1)
        return DiagonalGaussian(mean, logvar.clamp(-30, 20))

    def decode(
        self, latents: Float[Tensor, "batch latents height width"]
    ) -> Float[Tensor, "batch channels _ _"]:
        """Images, about in [-1, 1]."""
        return self.decoder(self.post_quant_conv(latents))
