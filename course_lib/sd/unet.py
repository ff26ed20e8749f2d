"""The denoiser: what noise is in a latent of 4 x 64 x 64, given the time and a text.

Rombach et al. (2022), arXiv:2112.10752, section 3.3: a U-Net whose feature maps look at themselves
and at the text by attention. The default configuration is that of Stable Diffusion 1.x.
"""

import math
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Real
from torch import Tensor, nn
from torch.nn import functional as F

from course_lib.sd.layers import Downsample2D, ResnetBlock2D, Upsample2D

Map = Float[Tensor, "batch channels height width"]
Positions = Float[Tensor, "batch positions channels"]
Context = Float[Tensor, "batch tokens features"]


@dataclass(frozen=True)
class UNetConfig:
    """The sizes of a denoiser, under the names of the published ``unet/config.json``; the way up
    mirrors that down.

    Each number of ``block_out_channels`` but the last stands for a halving of the resolution.
    """

    sample_size: int = 64  # the side of the latents that it is trained on
    in_channels: int = 4
    out_channels: int = 4
    # with attention, or without
    down_block_types: Sequence[str] = (
        *["CrossAttnDownBlock2D"] * 3,
        "DownBlock2D",
    )
    block_out_channels: Sequence[int] = (320, 640, 1280, 1280)
    layers_per_block: int = 2
    cross_attention_dim: int = 768  # the length of the text encoder's vectors
    attention_head_dim: int = 8  # the number of heads, whatever its published name says
    norm_num_groups: int = 32
    norm_eps: float = 1e-5


def timestep_embedding(
    timesteps: Real[Tensor, " batch"], channels: int
) -> Float[Tensor, "batch channels"]:
    """A time as hands of clocks from fast to slow, cosines then sines, in float32:
    arXiv:1706.03762, section 3.5.
    """
    half = channels // 2
    frequencies = torch.exp(
        -math.log(10_000) * torch.arange(half, device=timesteps.device).float() / half
    )
    angles = timesteps.float()[:, None] * frequencies
    return torch.cat([angles.cos(), angles.sin()], dim=1)


class Attention(nn.Module):
    """Every position asks all tokens of a context, in several heads at once: arXiv:1706.03762,
    section 3.2.2.

    With ``keep_weights`` set, ``weights`` tells afterwards how much each position took of each
    token: batch, heads, positions, tokens; the sum over the tokens is 1.
    """

    def __init__(self, channels: int, features: int, heads: int) -> None:
        """``features``: how long the tokens are; ``heads`` must divide ``channels``."""
        super().__init__()
        self.heads, self.keep_weights, self.weights = heads, False, None
        self.to_q = nn.Linear(channels, channels, bias=False)
        self.to_k, self.to_v = (nn.Linear(features, channels, bias=False) for _ in range(2))
        self.to_out = nn.ModuleList([nn.Linear(channels, channels)])

    def forward(self, x: Positions, context: Context) -> Positions:
        projected = self.to_q(x), self.to_k(context), self.to_v(context)
        q, k, v = (each.unflatten(-1, (self.heads, -1)).transpose(1, 2) for each in projected)
        if self.keep_weights:
            weights = (q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])).softmax(dim=-1)
            found, self.weights = weights @ v, weights.detach()
        else:  # the same, but all weights are never in memory at once
            found = F.scaled_dot_product_attention(q, k, v)
        return self.to_out[0](found.transpose(1, 2).flatten(2))


class FeedForward(nn.Module):
    """Every position by itself, through a layer four times as wide with gates: Shazeer (2020),
    arXiv:2002.05202.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        wide = nn.ModuleDict({"proj": nn.Linear(channels, 8 * channels)})
        # The published one has a dropout of 0 in the middle, which counts in the keys.
        self.net = nn.ModuleList([wide, nn.Identity(), nn.Linear(4 * channels, channels)])

    def forward(self, x: Positions) -> Positions:
        values, gates = self.net[0]["proj"](x).chunk(2, dim=-1)
        return self.net[2](values * F.gelu(gates))


class BasicTransformerBlock(nn.Module):
    """Positions look at each other, then at the text, then think; each adds to what was there."""

    def __init__(self, channels: int, features: int, heads: int) -> None:
        super().__init__()
        self.norm1, self.attn1 = nn.LayerNorm(channels), Attention(channels, channels, heads)
        self.norm2, self.attn2 = nn.LayerNorm(channels), Attention(channels, features, heads)
        self.norm3, self.ff = nn.LayerNorm(channels), FeedForward(channels)

    def forward(self, x: Positions, context: Context) -> Positions:
        normed = self.norm1(x)
        x = x + self.attn1(normed, normed)
        x = x + self.attn2(self.norm2(x), context)
        return x + self.ff(self.norm3(x))


class Transformer2DModel(nn.Module):
    """A transformer block on a feature map, whose places become positions and then places again."""

    def __init__(self, channels: int, config: UNetConfig) -> None:
        super().__init__()
        # as published, and not norm_eps
        self.norm = nn.GroupNorm(config.norm_num_groups, channels, eps=1e-6)
        self.proj_in, self.proj_out = (nn.Conv2d(channels, channels, 1) for _ in range(2))
        block = BasicTransformerBlock(
            channels, config.cross_attention_dim, config.attention_head_dim
        )
        self.transformer_blocks = nn.ModuleList([block])

    def forward(self, x: Map, context: Context) -> Map:
        # batch, height * width, channels
        positions = self.proj_in(self.norm(x)).flatten(2).transpose(1, 2)
        positions = self.transformer_blocks[0](positions, context)
        return x + self.proj_out(positions.transpose(1, 2).reshape(x.shape))


class Block(nn.Module):
    """Layers at one resolution: residual blocks that are told the time, the first ones followed by
    a transformer.
    """

    def __init__(
        self, inputs: Sequence[int], outputs: int, attentions: int, config: UNetConfig
    ) -> None:
        """``inputs``: the channels that each residual block gets; ``attentions``: how many have a
        transformer.
        """
        super().__init__()
        options = {
            "groups": config.norm_num_groups,
            "eps": config.norm_eps,
            "time": 4 * config.block_out_channels[0],
        }
        self.resnets = nn.ModuleList(
            ResnetBlock2D(channels, outputs, **options) for channels in inputs
        )
        self.attentions = nn.ModuleList(
            Transformer2DModel(outputs, config) for _ in range(attentions)
        )
        self.downsamplers, self.upsamplers = nn.ModuleList(), nn.ModuleList()  # at most one in both

    def forward(
        self, layer: int, x: Map, time: Float[Tensor, "batch time"], context: Context
    ) -> Tensor:
        x = self.resnets[layer](x, time)
        return self.attentions[layer](x, context) if layer < len(self.attentions) else x


class UNet2DConditionModel(nn.Module):
    """Stable Diffusion's denoiser, for latents of any size."""

    def __init__(self, config: UNetConfig = UNetConfig()) -> None:
        """
        Raises:
            ValueError: if there is not one type for each of ``block_out_channels``, or those cannot
                be split into ``norm_num_groups`` groups and ``attention_head_dim`` heads.
        """
        super().__init__()
        widths, types, layers = (
            list(config.block_out_channels),
            list(config.down_block_types),
            config.layers_per_block,
        )
        if len(types) != len(widths) or not set(types) <= {"CrossAttnDownBlock2D", "DownBlock2D"}:
            raise ValueError(
                f"down_block_types {types}: for each of {widths} CrossAttnDownBlock2D or DownBlock2D."
            )
        unit = math.lcm(config.norm_num_groups, config.attention_head_dim, 2)
        if any(width % unit for width in widths):
            raise ValueError(
                f"block_out_channels {widths} cannot be split into {config.norm_num_groups} groups and "
                # fmt: skip
                f"{config.attention_head_dim} heads: choose multiples of {unit}."
            )
        self.config = config
        channels, wide, skips = widths[0], 4 * widths[0], [widths[0]]
        self.conv_in = nn.Conv2d(config.in_channels, channels, 3, padding=1)
        linear_1, linear_2 = nn.Linear(channels, wide), nn.Linear(wide, wide)
        self.time_embedding = nn.Sequential(
            OrderedDict(linear_1=linear_1, silu=nn.SiLU(), linear_2=linear_2)
        )
        self.down_blocks, self.up_blocks = nn.ModuleList(), nn.ModuleList()
        levels = [
            (width, kind == "CrossAttnDownBlock2D")
            for width, kind in zip(widths, types, strict=True)
        ]
        for width, attends in levels:
            block = Block([channels] + [width] * (layers - 1), width, layers * attends, config)
            self.down_blocks.append(block)
            skips += [width] * layers
            if len(self.down_blocks) < len(levels):
                block.downsamplers.append(Downsample2D(width))
                skips.append(width)
            channels = width
        self.mid_block = Block([channels] * 2, channels, 1, config)
        for width, attends in reversed(levels):
            inputs = [before + skips.pop() for before in [channels] + [width] * layers]
            block = Block(inputs, width, (layers + 1) * attends, config)
            self.up_blocks.append(block)
            if len(self.up_blocks) < len(levels):
                block.upsamplers.append(Upsample2D(width))
            channels = width
        self.conv_norm_out = nn.GroupNorm(config.norm_num_groups, channels, config.norm_eps)
        self.conv_out = nn.Conv2d(channels, config.out_channels, 3, padding=1)
        # the order in memory that CPUs and GPUs convolve faster
        self.to(memory_format=torch.channels_last)

    def forward(
        self, latents: Map, timesteps: Real[Tensor, "..."] | int | float, context: Context
    ) -> Float[Tensor, "batch predicted height width"]:
        """The noise in noisy latents, or what else the denoiser was trained to predict.

        Args:
            latents: of the autoencoder, times its ``scaling_factor``.
            timesteps: in [0, 1000), one for each latent or one for all.
            context: the text encoder's vectors, a text for each latent.

        Raises:
            ValueError: if channels, the length of the vectors, or the numbers of latents, times and
                texts do not fit.
        """
        timesteps = torch.as_tensor(timesteps, device=latents.device).flatten()
        count, channels, features = (
            len(latents),
            self.config.in_channels,
            self.config.cross_attention_dim,
        )
        sizes = latents.shape[1], len(timesteps), len(context), context.shape[-1]
        if sizes not in ((channels, 1, count, features), (channels, count, count, features)):
            given = [tuple(each.shape) for each in (latents, timesteps, context)]
            raise ValueError(
                f"latents, timesteps and context of {given}: give {channels} channels, a time for each "
                # fmt: skip
                f"latent or one for all, and a text for each, in vectors of {features}."
            )
        clocks = timestep_embedding(timesteps.expand(count), self.config.block_out_channels[0])
        time = self.time_embedding(clocks.to(latents.dtype))
        x = self.conv_in(latents)
        skips = [x]
        for block in self.down_blocks:
            for layer in range(len(block.resnets)):
                x = block(layer, x, time, context)
                skips.append(x)
            for halve in block.downsamplers:
                x = halve(x)
                skips.append(x)
        for layer in range(2):
            x = self.mid_block(layer, x, time, context)
        for block in self.up_blocks:
            for layer in range(len(block.resnets)):
                x = block(layer, torch.cat([x, skips.pop()], dim=1), time, context)
            for double in block.upsamplers:
                x = double(x, skips[-1].shape[-2:])  # half of an odd side was rounded up
        return self.conv_out(F.silu(self.conv_norm_out(x)))
