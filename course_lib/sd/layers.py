"""What the autoencoder and the denoiser are both built of: residual blocks, and half and double
resolution.

Attributes carry the names of the published checkpoints, so that a key of such a file is a path in
this code.
"""

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F


class ResnetBlock2D(nn.Module):
    """Adds to its input what two convolutions make of it, each after group normalisation and SiLU.

    He et al. (2016), arXiv:1512.03385, with the group normalisation of Wu and He (2018),
    arXiv:1803.08494.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        groups: int = 32,
        eps: float = 1e-6,
        time: int | None = None,
    ) -> None:
        """``groups`` must divide both numbers of channels; ``eps`` is that of the normalisations;
        ``time`` is the length of the vector that says how noisy the input is, None where nothing is
        noisy.
        """
        super().__init__()
        self.norm1 = nn.GroupNorm(groups, inputs, eps)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.time_emb_proj = nn.Linear(time, outputs) if time else None
        self.norm2 = nn.GroupNorm(groups, outputs, eps)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1)
        # To be added, the input must have as many channels as the output.
        self.conv_shortcut = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else None

    def forward(
        self,
        x: Float[Tensor, "batch inputs height width"],
        time: Float[Tensor, "batch time"] | None = None,
    ) -> Float[Tensor, "batch outputs height width"]:
        change = self.conv1(F.silu(self.norm1(x)))
        if self.time_emb_proj is not None:
            change = change + self.time_emb_proj(F.silu(time))[:, :, None, None]
        change = self.conv2(F.silu(self.norm2(change)))
        return change + (x if self.conv_shortcut is None else self.conv_shortcut(x))


class Downsample2D(nn.Module):
    """Half the resolution, by a convolution of stride 2."""

    def __init__(self, channels: int, padding: int = 1) -> None:
        """``padding``: of the convolution; with 0 a row and a column are added below and on the
        right instead.
        """
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, stride=2, padding=padding)

    def forward(
        self, x: Float[Tensor, "batch channels height width"]
    ) -> Float[Tensor, "batch channels _ _"]:
        return self.conv(x if self.conv.padding[0] else F.pad(x, (0, 1, 0, 1)))


class Upsample2D(nn.Module):
    """Twice the resolution: every value is repeated in a square of 2 x 2, then a convolution
    smooths.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(
        self, x: Float[Tensor, "batch channels height width"], size: Sequence[int] | None = None
    ) -> Float[Tensor, "batch channels _ _"]:
        """``size``: of the result, where what was halved was odd and twice the half is one too
        many.
        """
        return self.conv(
            F.interpolate(x, size or [2 * side for side in x.shape[-2:]], mode="nearest")
        )


class ImageAttention(nn.Module):
    """Every position of a feature map looks at every other one: self-attention with a single head.

    Vaswani et al. (2017), arXiv:1706.03762, section 3.2.1. Costs grow with the square of the number
    of positions.
    """

    def __init__(self, channels: int, *, groups: int = 32, eps: float = 1e-6) -> None:
        """``groups`` must divide the number of channels; ``eps`` is that of the normalisation."""
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
        q, k, v = self.to_q(positions), self.to_k(positions), self.to_v(positions)
        looked_up = self.to_out[0](F.scaled_dot_product_attention(q, k, v))
        return x + looked_up.transpose(1, 2).reshape(x.shape)
