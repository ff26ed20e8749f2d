"""Layers that the autoencoder and the U-Net share: residual blocks, resampling, self-attention.

Attributes are named as in the published checkpoints, so keys match without conversion.
"""

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F


class ResnetBlock2D(nn.Module):
    """A residual block: two times group normalisation, SiLU and convolution.

    He et al. (2016), arXiv:1512.03385, with the group normalisation of Wu and He (2018),
    arXiv:1803.08494.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        groups: int = 32,
        eps: float = 1e-6,
        time_channels: int | None = None,
    ) -> None:
        """
        Args:
            groups: of the group normalisations; must divide both numbers of channels.
            eps: of the group normalisations.
            time_channels: the length of the time embedding; None for a block without.
        """
        super().__init__()
        self.norm1 = nn.GroupNorm(groups, in_channels, eps)
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, padding=1)
        self.time_emb_proj = nn.Linear(time_channels, out_channels) if time_channels else None
        self.norm2 = nn.GroupNorm(groups, out_channels, eps)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1)
        # A 1x1 convolution matches the channels of the residual connection to the output.
        self.conv_shortcut = (
            nn.Conv2d(in_channels, out_channels, 1) if in_channels != out_channels else None
        )

    def forward(
        self,
        x: Float[Tensor, "batch in_channels height width"],
        time: Float[Tensor, "batch time_channels"] | None = None,
    ) -> Float[Tensor, "batch out_channels height width"]:
        hidden = self.conv1(F.silu(self.norm1(x)))
        if self.time_emb_proj is not None:
            hidden = hidden + self.time_emb_proj(F.silu(time))[:, :, None, None]
        hidden = self.conv2(F.silu(self.norm2(hidden)))
        return hidden + (x if self.conv_shortcut is None else self.conv_shortcut(x))


class Downsample2D(nn.Module):
    """Halve the resolution with a convolution of stride 2."""

    def __init__(self, channels: int, padding: int = 1) -> None:
        """``padding``: of the convolution; 0 zero-pads only the bottom and the right by one."""
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, stride=2, padding=padding)

    def forward(
        self, x: Float[Tensor, "batch channels height width"]
    ) -> Float[Tensor, "batch channels _ _"]:
        return self.conv(x if self.conv.padding[0] else F.pad(x, (0, 1, 0, 1)))


class Upsample2D(nn.Module):
    """Double the resolution with nearest-neighbour interpolation and a convolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(
        self, x: Float[Tensor, "batch channels height width"], size: Sequence[int] | None = None
    ) -> Float[Tensor, "batch channels _ _"]:
        """``size``: height and width of the result; by default twice the input's."""
        size = size or [2 * side for side in x.shape[-2:]]
        return self.conv(F.interpolate(x, size, mode="nearest"))


class ImageAttention(nn.Module):
    """Self-attention with one head between all positions of a feature map, with a residual.

    Vaswani et al. (2017), arXiv:1706.03762, section 3.2.1. The cost grows with the square of the
    number of positions.
    """

    def __init__(self, channels: int, *, groups: int = 32, eps: float = 1e-6) -> None:
        """``groups`` (a divisor of ``channels``) and ``eps``: of the group normalisation."""
        super().__init__()
        self.group_norm = nn.GroupNorm(groups, channels, eps)
        self.to_q = nn.Linear(channels, channels)
        self.to_k = nn.Linear(channels, channels)
        self.to_v = nn.Linear(channels, channels)
        self.to_out = nn.ModuleList([nn.Linear(channels, channels)])

    def forward(
        self, x: Float[Tensor, "batch channels height width"]
    ) -> Float[Tensor, "batch channels height width"]:
        positions = self.group_norm(x).flatten(2).transpose(1, 2)  # batch, height * width, channels
        # Adds an axis for the single head: torch's ONNX exporter only takes queries with four axes.
        q, k, v = (layer(positions)[:, None] for layer in (self.to_q, self.to_k, self.to_v))
        attended = self.to_out[0](F.scaled_dot_product_attention(q, k, v)[:, 0])
        return x + attended.transpose(1, 2).reshape(x.shape)
