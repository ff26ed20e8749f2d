"""The denoiser: a U-Net that predicts the noise in a latent of 4 x 64 x 64, given time and text.

Rombach et al. (2022), arXiv:2112.10752, section 3.3: self-attention within its feature maps, and
cross-attention to the text. The defaults are those of Stable Diffusion 1.x.
"""

import math
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Real
from torch import Tensor, nn
from torch.nn import functional as F

from course_lib.sd.layers import Downsample2D, ResnetBlock2D, Upsample2D

FeatureMap = Float[Tensor, "batch channels height width"]
Positions = Float[Tensor, "batch positions channels"]
Context = Float[Tensor, "batch tokens features"]


@dataclass(frozen=True)
class UNetConfig:
    """The sizes of a denoiser; fields are named as in ``unet/config.json``.

    The resolution halves after every entry of ``block_out_channels`` but the last. The decoder
    mirrors the encoder.
    """

    sample_size: int = 64  # side of the training latents
    in_channels: int = 4
    out_channels: int = 4
    # One per level: with attention, or without.
    down_block_types: Sequence[str] = (*["CrossAttnDownBlock2D"] * 3, "DownBlock2D")
    block_out_channels: Sequence[int] = (320, 640, 1280, 1280)
    layers_per_block: int = 2
    cross_attention_dim: int = 768  # the width of the text embeddings
    attention_head_dim: int = 8  # the number of heads, despite its published name
    norm_num_groups: int = 32
    norm_eps: float = 1e-5


def timestep_embedding(
    timesteps: Real[Tensor, " batch"], channels: int
) -> Float[Tensor, "batch channels"]:
    """Sinusoidal embedding, cosines then sines, in float32: arXiv:1706.03762, section 3.5."""
    half = channels // 2
    positions = torch.arange(half, device=timesteps.device).float()
    frequencies = torch.exp(-math.log(10_000) * positions / half)
    angles = timesteps.float()[:, None] * frequencies
    return torch.cat([angles.cos(), angles.sin()], dim=1)


class Attention(nn.Module):
    """Multi-head attention from positions to the tokens of a context.

    Vaswani et al. (2017), arXiv:1706.03762, section 3.2.2. With ``keep_weights`` set, ``weights``
    holds the attention weights of the last call (batch, heads, positions, tokens), which sum to 1
    over the tokens.
    """

    def __init__(self, channels: int, features: int, heads: int) -> None:
        """``features``: the length of a token's vector; ``heads`` must divide ``channels``."""
        super().__init__()
        self.heads = heads
        self.keep_weights = False
        self.weights: Tensor | None = None
        self.to_q = nn.Linear(channels, channels, bias=False)
        self.to_k = nn.Linear(features, channels, bias=False)
        self.to_v = nn.Linear(features, channels, bias=False)
        self.to_out = nn.ModuleList([nn.Linear(channels, channels)])

    def forward(self, x: Positions, context: Context) -> Positions:
        projected = self.to_q(x), self.to_k(context), self.to_v(context)
        q, k, v = (p.unflatten(-1, (self.heads, -1)).transpose(1, 2) for p in projected)
        if self.keep_weights:
            weights = (q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])).softmax(dim=-1)
            self.weights = weights.detach()
            attended = weights @ v
        else:  # the same result, without the full weight matrix in memory
            attended = F.scaled_dot_product_attention(q, k, v)
        return self.to_out[0](attended.transpose(1, 2).flatten(2))


class FeedForward(nn.Module):
    """A two-layer perceptron with GEGLU and a hidden width of 4 x channels: Shazeer (2020),
    arXiv:2002.05202.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        gated = nn.ModuleDict({"proj": nn.Linear(channels, 8 * channels)})
        # nn.Identity replaces the published model's dropout of 0, so that the keys match.
        self.net = nn.ModuleList([gated, nn.Identity(), nn.Linear(4 * channels, channels)])

    def forward(self, x: Positions) -> Positions:
        values, gates = self.net[0]["proj"](x).chunk(2, dim=-1)
        return self.net[2](values * F.gelu(gates))


class BasicTransformerBlock(nn.Module):
    """Self-attention, cross-attention, feed-forward: each residual and pre-normalised."""

    def __init__(self, channels: int, features: int, heads: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(channels)
        self.attn1 = Attention(channels, channels, heads)
        self.norm2 = nn.LayerNorm(channels)
        self.attn2 = Attention(channels, features, heads)
        self.norm3 = nn.LayerNorm(channels)
        self.ff = FeedForward(channels)

    def forward(self, x: Positions, context: Context) -> Positions:
        normalised = self.norm1(x)
        x = x + self.attn1(normalised, normalised)
        x = x + self.attn2(self.norm2(x), context)
        return x + self.ff(self.norm3(x))


class Transformer2DModel(nn.Module):
    """A transformer block on the positions of a feature map, with a residual connection."""

    def __init__(self, channels: int, config: UNetConfig) -> None:
        super().__init__()
        # eps is 1e-6 here in the published model, not norm_eps.
        self.norm = nn.GroupNorm(config.norm_num_groups, channels, eps=1e-6)
        self.proj_in = nn.Conv2d(channels, channels, 1)
        self.proj_out = nn.Conv2d(channels, channels, 1)
        block = BasicTransformerBlock(
            channels, config.cross_attention_dim, config.attention_head_dim
        )
        self.transformer_blocks = nn.ModuleList([block])

    def forward(self, x: FeatureMap, context: Context) -> FeatureMap:
        # (batch, height * width, channels)
        positions = self.proj_in(self.norm(x)).flatten(2).transpose(1, 2)
        positions = self.transformer_blocks[0](positions, context)
        return x + self.proj_out(positions.transpose(1, 2).reshape(x.shape))


class UNetBlock(nn.Module):
    """The layers at one resolution: residual blocks conditioned on the time, then transformers."""

    def __init__(
        self, in_channels: Sequence[int], out_channels: int, attentions: int, config: UNetConfig
    ) -> None:
        """
        Args:
            in_channels: one number per residual block.
            out_channels: the same for all residual blocks.
            attentions: a transformer follows each of the first ``attentions`` residual blocks.
        """
        super().__init__()
        options: dict[str, Any] = {
            "groups": config.norm_num_groups,
            "eps": config.norm_eps,
            "time_channels": 4 * config.block_out_channels[0],
        }
        self.resnets = nn.ModuleList(
            ResnetBlock2D(channels, out_channels, **options) for channels in in_channels
        )
        self.attentions = nn.ModuleList(
            Transformer2DModel(out_channels, config) for _ in range(attentions)
        )
        # At most one of each.
        self.downsamplers = nn.ModuleList()
        self.upsamplers = nn.ModuleList()

    def forward(
        self, layer: int, x: FeatureMap, time: Float[Tensor, "batch time"], context: Context
    ) -> Tensor:
        """Residual block number ``layer``, followed by its transformer if there is one."""
        x = self.resnets[layer](x, time)
        return self.attentions[layer](x, context) if layer < len(self.attentions) else x


def check_inputs(
    latents: Tensor, timesteps: Tensor, context: Tensor, channels: int, features: int
) -> None:
    """Check the inputs of a denoiser.

    Raises:
        ValueError: if the shapes do not match each other, or these numbers of channels of the
            latents and of features of a text vector.
    """
    batch = len(latents)
    if (
        latents.shape[1] != channels
        or len(timesteps) not in (1, batch)
        or len(context) != batch
        or context.shape[-1] != features
    ):
        shapes = [tuple(tensor.shape) for tensor in (latents, timesteps, context)]
        raise ValueError(
            f"latents, timesteps and context of {shapes}: give {channels} channels, a time for "
            f"each latent or one for all, and a text for each, in vectors of {features}."
        )


def encode(
    model: nn.Module,
    latents: FeatureMap,
    timesteps: Real[Tensor, "..."] | int | float,
    context: Context,
    hint: Float[Tensor, "batch hint_channels height width"] | None = None,
) -> tuple[Tensor, list[Tensor], Tensor]:
    """The first half of a U-Net: its encoder and its middle block.

    Args:
        model: a U-Net, or a ControlNet, which is a copy of this half.
        latents, timesteps, context: as in :meth:`UNet2DConditionModel.forward`.
        hint: added to the first convolution's output; only a ControlNet has one.

    Returns:
        The middle block's output, the skip connections in the order of the encoder, and the time
        embedding.

    Raises:
        ValueError: if the shapes do not match the configuration or each other.
    """
    timesteps = torch.as_tensor(timesteps, device=latents.device).flatten()
    config = model.config
    check_inputs(latents, timesteps, context, config.in_channels, config.cross_attention_dim)
    embedding = timestep_embedding(
        timesteps.expand(len(latents)), model.config.block_out_channels[0]
    )
    time = model.time_embedding(embedding.to(latents.dtype))
    x = model.conv_in(latents)
    if hint is not None:
        x = x + hint
    skips = [x]
    for block in model.down_blocks:
        for layer in range(len(block.resnets)):
            x = block(layer, x, time, context)
            skips.append(x)
        for downsample in block.downsamplers:
            x = downsample(x)
            skips.append(x)
    for layer in range(len(model.mid_block.resnets)):
        x = model.mid_block(layer, x, time, context)
    return x, skips, time


class UNet2DConditionModel(nn.Module):
    """Stable Diffusion's denoiser, for latents of any size."""

    def __init__(self, config: UNetConfig = UNetConfig()) -> None:
        """
        Raises:
            ValueError: if ``down_block_types`` and ``block_out_channels`` differ in length, or
                the channels cannot be split into ``norm_num_groups`` groups and
                ``attention_head_dim`` heads.
        """
        super().__init__()
        _check_config(config)
        self.config = config
        widths, layers = list(config.block_out_channels), config.layers_per_block
        attends = [kind == "CrossAttnDownBlock2D" for kind in config.down_block_types]
        last = len(widths) - 1
        channels, time_channels = widths[0], 4 * widths[0]

        self.conv_in = nn.Conv2d(config.in_channels, channels, 3, padding=1)
        self.time_embedding = nn.Sequential(
            OrderedDict(
                linear_1=nn.Linear(channels, time_channels),
                silu=nn.SiLU(),
                linear_2=nn.Linear(time_channels, time_channels),
            )
        )
        self.down_blocks, self.up_blocks = nn.ModuleList(), nn.ModuleList()
        skips = [channels]  # the channels of every skip connection, in the order of the encoder
        for level, width in enumerate(widths):
            in_channels = [channels] + [width] * (layers - 1)
            block = UNetBlock(in_channels, width, layers * attends[level], config)
            skips += [width] * layers
            if level < last:
                block.downsamplers.append(Downsample2D(width))
                skips.append(width)
            self.down_blocks.append(block)
            channels = width
        self.mid_block = UNetBlock([channels] * 2, channels, 1, config)
        for level, width in reversed(list(enumerate(widths))):
            inputs = [channels] + [width] * layers
            in_channels = [input_width + skips.pop() for input_width in inputs]
            block = UNetBlock(in_channels, width, (layers + 1) * attends[level], config)
            if level > 0:
                block.upsamplers.append(Upsample2D(width))
            self.up_blocks.append(block)
            channels = width
        self.conv_norm_out = nn.GroupNorm(config.norm_num_groups, channels, config.norm_eps)
        self.conv_out = nn.Conv2d(channels, config.out_channels, 3, padding=1)
        # Convolutions are faster in this memory format.
        self.to(memory_format=torch.channels_last)

    def forward(
        self,
        latents: FeatureMap,
        timesteps: Real[Tensor, "..."] | int | float,
        context: Context,
        residuals: Sequence[Tensor] | None = None,
    ) -> Float[Tensor, "batch predicted height width"]:
        """The noise in noisy latents, or v for a model that was trained to predict v.

        Args:
            latents: noisy, scaled by the autoencoder's ``scaling_factor``.
            timesteps: in [0, 1000), one per latent or one for all.
            context: the text encoder's output, one text per latent.
            residuals: a ControlNet's output, added to the skip connections and, the last one, to
                the middle block's output.

        Raises:
            ValueError: if the shapes do not match the configuration or each other.
        """
        x, skips, time = encode(self, latents, timesteps, context)
        if residuals is not None:
            features = [*skips, x]
            given, expected = ([tuple(y.shape) for y in each] for each in (residuals, features))
            if given != expected:
                raise ValueError(
                    f"residuals of {given}: give one for each skip connection and one for the "
                    f"middle block, {expected}, as a ControlNet of the same sizes does."
                )
            *skips, x = (y + residual for y, residual in zip(features, residuals, strict=True))
        for block in self.up_blocks:
            for layer in range(len(block.resnets)):
                x = block(layer, torch.cat([x, skips.pop()], dim=1), time, context)
            for upsample in block.upsamplers:
                x = upsample(x, skips[-1].shape[-2:])  # downsampling rounds odd sides up
        return self.conv_out(F.silu(self.conv_norm_out(x)))


def _check_config(config: UNetConfig) -> None:
    widths, types = list(config.block_out_channels), list(config.down_block_types)
    if len(types) != len(widths) or not set(types) <= {"CrossAttnDownBlock2D", "DownBlock2D"}:
        raise ValueError(
            f"down_block_types {types}: give CrossAttnDownBlock2D or DownBlock2D for each of "
            f"block_out_channels {widths}."
        )
    groups, heads = config.norm_num_groups, config.attention_head_dim
    unit = math.lcm(groups, heads, 2)
    if any(width % unit for width in widths):
        raise ValueError(
            f"block_out_channels {widths} cannot be split into {groups} groups and {heads} heads: "
            f"choose multiples of {unit}."
        )
