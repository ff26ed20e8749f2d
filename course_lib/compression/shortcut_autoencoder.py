"""The autoencoder of lesson 4: a linear code, and a network that learns what it leaves out.

The linear code is a convolution of separate 8x8 blocks and its transpose. It is a shortcut around
the network, as in deep-compression autoencoders (Chen et al., 2025, arXiv:2410.10733, section 3.2):
the network only adds a correction to it, on both sides. Set to the principal components, the
untrained autoencoder is PCA.

The network does no convolution at full resolution. Pixels are first rearranged into channels (Shi
et al., 2016, arXiv:1609.05158): a convolution with as many channels costs a sixteenth at a quarter
of the resolution.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from course_lib.compression.pca import BlockPCA
from course_lib.sd.vae import AutoencoderKL, DiagonalGaussian, check_sides

_PIXELS = 4  # the side of the squares of pixels that become channels


@dataclass(frozen=True)
class ShortcutAutoencoderConfig:
    """The sizes of a :class:`ShortcutAutoencoder`."""

    in_channels: int = 3
    latent_channels: int = 4
    block_out_channels: tuple[int, int] = (64, 128)  # at 1/4 and at 1/8 of the resolution
    encoder_blocks: tuple[int, int] = (0, 3)  # residual blocks at 1/4 and at 1/8
    decoder_blocks: tuple[int, int] = (1, 4)
    latent_std: float = 0.03  # of the noise on the latents while training
    scaling_factor: float = 1.0  # scales the latents to a standard deviation of about 1

    @property
    def factor(self) -> int:
        """The downsampling factor, pixels per latent position along a side."""
        return 2 * _PIXELS


class ResidualBlock(nn.Module):
    """Two convolutions whose result is added to their input; untrained, it is the identity.

    Goyal et al. (2017), arXiv:1706.02677, section 5.1. Without normalisation: a mean over the
    image would depend on the image's size, and brightness would be lost.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = start_at_zero(nn.Conv2d(channels, channels, 3, padding=1))

    def forward(
        self, x: Float[Tensor, "batch channels height width"]
    ) -> Float[Tensor, "batch channels height width"]:
        """Input and output have the same shape."""
        return x + self.conv2(F.silu(self.conv1(F.silu(x))))


class ShortcutAutoencoder(nn.Module):
    """Images in [-1, 1] to latents at 1/8 of the resolution, and back."""

    def __init__(self, config: ShortcutAutoencoderConfig = ShortcutAutoencoderConfig()) -> None:
        super().__init__()
        self.config = config
        latents, factor, pixels = config.latent_channels, config.factor, config.in_channels
        wide, deep = config.block_out_channels
        self.linear_encoder = nn.Conv2d(pixels, latents, factor, stride=factor)
        # a transposed convolution of 8x8 blocks, but with a bias for every pixel of the block
        block = pixels * factor**2
        self.linear_decoder = nn.Sequential(nn.Conv2d(latents, block, 1), nn.PixelShuffle(factor))
        self.linear_encoder.requires_grad_(False)
        self.linear_decoder.requires_grad_(False)
        self.encoder = nn.Sequential(
            nn.PixelUnshuffle(_PIXELS),
            nn.Conv2d(pixels * _PIXELS**2, wide, 3, padding=1),
            *(ResidualBlock(wide) for _ in range(config.encoder_blocks[0])),
            nn.SiLU(),
            nn.Conv2d(wide, deep, 4, stride=2, padding=1),
            *(ResidualBlock(deep) for _ in range(config.encoder_blocks[1])),
            nn.SiLU(),
            start_at_zero(nn.Conv2d(deep, latents, 3, padding=1)),
        )
        self.decoder = nn.Sequential(
            nn.Conv2d(latents, deep, 3, padding=1),
            *(ResidualBlock(deep) for _ in range(config.decoder_blocks[1])),
            nn.SiLU(),
            nn.Conv2d(deep, 4 * wide, 3, padding=1),
            nn.PixelShuffle(2),
            *(ResidualBlock(wide) for _ in range(config.decoder_blocks[0])),
            nn.SiLU(),
            start_at_zero(nn.Conv2d(wide, pixels * _PIXELS**2, 3, padding=1)),
            nn.PixelShuffle(_PIXELS),
        )
        # Convolutions are faster in this memory format.
        self.to(memory_format=torch.channels_last)

    @torch.no_grad()
    def set_linear_code(self, code: BlockPCA, scales: Float[Tensor, " latents"]) -> None:
        """Set the linear encoder and decoder to the principal components of blocks in [0, 1].

        Each coefficient is divided by one of ``scales``.
        """
        encoder, decoder = self.linear_encoder, self.linear_decoder[0]
        scaled = code.components / scales[:, None]
        encoder.weight.copy_((scaled / 2).view_as(encoder.weight))  # (x + 1) / 2 is in [0, 1]
        encoder.bias.copy_(scaled @ (0.5 - code.mean))
        decoder.weight.copy_((2 * scales * code.components.T).view_as(decoder.weight))
        decoder.bias.copy_(2 * code.mean - 1)

    def encode(self, images: Float[Tensor, "batch channels height width"]) -> DiagonalGaussian:
        """The latents' distribution: their standard deviation is always ``config.latent_std``.

        Raises:
            ValueError: if height or width is not a multiple of ``config.factor``.
        """
        check_sides(images, self.config.factor)
        mean = self.linear_encoder(images) + self.encoder(images)
        return DiagonalGaussian(mean, torch.full_like(mean, 2 * math.log(self.config.latent_std)))

    def decode(
        self, latents: Float[Tensor, "batch latents height width"]
    ) -> Float[Tensor, "batch channels _ _"]:
        """Images, approximately in [-1, 1]."""
        return self.linear_decoder(latents) + self.decoder(latents)


def start_at_zero(layer: nn.Conv2d) -> nn.Conv2d:
    """Set the layer's weight and bias to 0, and return it: it begins without any effect."""
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


# Any autoencoder whose latents codecs.py can encode and decode.
Autoencoder = AutoencoderKL | ShortcutAutoencoder
