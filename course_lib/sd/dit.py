"""The diffusion transformer: predicts from a noisy latent what the U-Net predicts, without a U-Net.

Peebles and Xie (2023), arXiv:2212.09748: the latent is cut into patches, and each patch is a token
of a transformer; the time scales, shifts and gates every block (adaLN-Zero). Esser et al. (2024),
arXiv:2403.03206, section 4: MM-DiT, the denoiser of Stable Diffusion 3, where image and text are
the tokens of one joint attention. The defaults are those of Stable Diffusion 3 medium, and
attributes are named as in its published weights.
"""

from collections import OrderedDict
from dataclasses import dataclass

import torch
from jaxtyping import Float, Real
from torch import Tensor, nn
from torch.nn import functional as F

from course_lib.sd.unet import check_inputs, timestep_embedding

Latents = Float[Tensor, "batch channels height width"]
Tokens = Float[Tensor, "batch tokens embedding"]
ImageTokens = Float[Tensor, "batch patches embedding"]
Conditioning = Float[Tensor, "batch embedding"]

_TIME_CHANNELS = 256  # the length of the sinusoidal embedding of the time


@dataclass(frozen=True)
class MMDiTConfig:
    """The sizes of an MM-DiT; fields are named as in ``transformer/config.json``.

    For a model of one size, ``pos_embed_max_size`` is ``sample_size // patch_size``.
    """

    sample_size: int = 128  # side of the training latents
    patch_size: int = 2
    in_channels: int = 16
    out_channels: int = 16
    num_layers: int = 24
    attention_head_dim: int = 64  # channels per head
    num_attention_heads: int = 24
    joint_attention_dim: int = 4096  # the width of the text embeddings
    pooled_projection_dim: int | None = 2048  # the length of the text's single vector, if any
    pos_embed_max_size: int = 192  # the side of the largest latent, in patches

    @property
    def width(self) -> int:
        """The length of a token's vector inside the transformer."""
        return self.num_attention_heads * self.attention_head_dim


def patchify(latents: Latents, size: int) -> Float[Tensor, "batch patches values"]:
    """Cut latents into patches of ``size`` x ``size``, row by row; both sides are multiples of it.

    A patch's values are in the order row, column, channel. arXiv:2212.09748, section 3.2.
    """
    # batch, channels, rows of patches, rows in a patch, columns of patches, columns in a patch
    x = latents.unflatten(2, (-1, size)).unflatten(4, (-1, size))
    return x.permute(0, 2, 4, 3, 5, 1).flatten(3).flatten(1, 2)


def unpatchify(
    patches: Float[Tensor, "batch patches values"], size: int, rows: int
) -> Float[Tensor, "batch channels height width"]:
    """The inverse of :func:`patchify`; ``rows``: of patches."""
    x = patches.unflatten(1, (rows, -1)).unflatten(3, (size, size, -1))
    return x.permute(0, 5, 1, 3, 2, 4).flatten(4).flatten(2, 3)


def position_embedding(
    side: int, channels: int, spacing: float = 1.0
) -> Float[Tensor, "positions channels"]:
    """Sinusoidal embedding of the positions of a square grid, row by row, in float32.

    The first half of the channels encodes the column, the second half the row, each as sines, then
    cosines: arXiv:1706.03762, section 3.5, in two dimensions.

    Args:
        side: positions per row and per column.
        channels: a multiple of 4.
        spacing: the distance of neighbouring positions.
    """
    frequencies = 10_000.0 ** -torch.linspace(0, 1, channels // 4 + 1, dtype=torch.float64)[:-1]
    angles = spacing * torch.arange(side)[:, None] * frequencies
    waves = torch.cat([angles.sin(), angles.cos()], dim=1)
    columns, rows = waves.repeat(side, 1), waves.repeat_interleave(side, dim=0)
    return torch.cat([columns, rows], dim=1).float()


class PatchEmbed(nn.Module):
    """A token for every patch: its values, projected, plus the embedding of its position."""

    def __init__(self, config: MMDiTConfig) -> None:
        super().__init__()
        size, self.side = config.patch_size, config.pos_embed_max_size
        # With a stride of its own size, a convolution is patchify and a linear layer.
        self.proj = nn.Conv2d(config.in_channels, config.width, size, stride=size)
        spacing = config.sample_size // size / self.side
        positions = position_embedding(self.side, config.width, spacing)
        self.register_buffer("pos_embed", positions[None])

    def forward(self, latents: Latents) -> ImageTokens:
        tokens = self.proj(latents)
        rows, columns = tokens.shape[-2:]
        # Smaller latents get the middle of the grid: arXiv:2403.03206, section 5.3.2.
        top, left = (self.side - rows) // 2, (self.side - columns) // 2
        grid = self.pos_embed.unflatten(1, (self.side, self.side))
        positions = grid[:, top : top + rows, left : left + columns]
        return tokens.flatten(2).transpose(1, 2) + positions.flatten(1, 2)


class Modulation(nn.Module):
    """Vectors computed from the conditioning, such as the scale and the shift of a normalisation.

    They start at zero (adaLN-Zero). With gates of zero, a block at first returns its input:
    arXiv:2212.09748, section 3.2.
    """

    def __init__(self, width: int, vectors: int) -> None:
        super().__init__()
        self.vectors = vectors
        self.linear = nn.Linear(width, vectors * width)
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def forward(self, conditioning: Conditioning) -> tuple[Float[Tensor, "batch 1 embedding"], ...]:
        return self.linear(F.silu(conditioning))[:, None].chunk(self.vectors, dim=-1)


def modulate(x: Tokens, shift: Tensor, scale: Tensor) -> Tokens:
    """Layer normalisation whose scale and shift depend on the conditioning (adaLN)."""
    return F.layer_norm(x, x.shape[-1:], eps=1e-6) * (1 + scale) + shift


def attend(q: Tokens, k: Tokens, v: Tokens, heads: int) -> Tokens:
    """Multi-head attention: arXiv:1706.03762, section 3.2.2."""
    q, k, v = (x.unflatten(-1, (heads, -1)).transpose(1, 2) for x in (q, k, v))
    return F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)


class SelfAttention(nn.Module):
    """Attention among the tokens of an image."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.to_q, self.to_k, self.to_v = (nn.Linear(width, width) for _ in range(3))
        self.to_out = nn.ModuleList([nn.Linear(width, width)])

    def forward(self, x: Tokens) -> Tokens:
        return self.to_out[0](attend(self.to_q(x), self.to_k(x), self.to_v(x), self.heads))


class JointAttention(nn.Module):
    """Attention among all tokens of an image and a text.

    Every token attends to both, but each of the two has its own weights: arXiv:2403.03206,
    section 4.
    """

    def __init__(self, width: int, heads: int, last: bool) -> None:
        """``last``: whether the text's result is not used any more."""
        super().__init__()
        self.heads = heads
        self.to_q, self.to_k, self.to_v = (nn.Linear(width, width) for _ in range(3))
        self.add_q_proj, self.add_k_proj, self.add_v_proj = (
            nn.Linear(width, width) for _ in range(3)
        )
        self.to_out = nn.ModuleList([nn.Linear(width, width)])
        self.to_add_out = None if last else nn.Linear(width, width)

    def forward(self, image: ImageTokens, text: Tokens) -> tuple[ImageTokens, Tokens | None]:
        layers = (
            (self.to_q, self.add_q_proj),
            (self.to_k, self.add_k_proj),
            (self.to_v, self.add_v_proj),
        )
        q, k, v = (
            torch.cat([of_image(image), of_text(text)], dim=1) for of_image, of_text in layers
        )
        attended = attend(q, k, v, self.heads)
        image, text = attended.split([image.shape[1], text.shape[1]], dim=1)
        return self.to_out[0](image), self.to_add_out(text) if self.to_add_out else None


class FeedForward(nn.Module):
    """A two-layer perceptron with GELU (its tanh approximation) and a hidden width of 4 x width."""

    def __init__(self, width: int) -> None:
        super().__init__()
        hidden = nn.ModuleDict({"proj": nn.Linear(width, 4 * width)})
        # nn.Identity replaces the published model's dropout of 0, so that the keys match.
        self.net = nn.ModuleList([hidden, nn.Identity(), nn.Linear(4 * width, width)])

    def forward(self, x: Tokens) -> Tokens:
        return self.net[2](F.gelu(self.net[0]["proj"](x), approximate="tanh"))


class DiTBlock(nn.Module):
    """A block of the first diffusion transformer: self-attention and feed-forward, both modulated.

    arXiv:2212.09748, figure 3. The text, or a class, is only part of the conditioning.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm1 = Modulation(width, 6)
        self.attn1 = SelfAttention(width, heads)
        self.ff = FeedForward(width)

    def forward(self, x: Tokens, conditioning: Conditioning) -> Tokens:
        shift, scale, gate, ff_shift, ff_scale, ff_gate = self.norm1(conditioning)
        x = x + gate * self.attn1(modulate(x, shift, scale))
        return x + ff_gate * self.ff(modulate(x, ff_shift, ff_scale))


class JointTransformerBlock(nn.Module):
    """A block of an MM-DiT: a DiT block for the image and one for the text, with joint attention.

    arXiv:2403.03206, figure 2b. After the last block only the image is used, so that the text only
    provides keys and values there.
    """

    def __init__(self, width: int, heads: int, last: bool = False) -> None:
        super().__init__()
        self.norm1 = Modulation(width, 6)
        self.norm1_context = Modulation(width, 2 if last else 6)
        self.attn = JointAttention(width, heads, last)
        self.ff = FeedForward(width)
        self.ff_context = None if last else FeedForward(width)

    def forward(
        self, image: ImageTokens, text: Tokens, conditioning: Conditioning
    ) -> tuple[ImageTokens, Tokens | None]:
        """Both updated; None for the text after the last block."""
        shift, scale, gate, ff_shift, ff_scale, ff_gate = self.norm1(conditioning)
        if self.ff_context is None:  # the last block, whose two vectors have another order
            text_scale, text_shift = self.norm1_context(conditioning)
        else:
            text_shift, text_scale, text_gate, *text_ff = self.norm1_context(conditioning)
        attended, text_attended = self.attn(
            modulate(image, shift, scale), modulate(text, text_shift, text_scale)
        )
        image = image + gate * attended
        image = image + ff_gate * self.ff(modulate(image, ff_shift, ff_scale))
        if self.ff_context is None:
            return image, None
        ff_shift, ff_scale, ff_gate = text_ff
        text = text + text_gate * text_attended
        return image, text + ff_gate * self.ff_context(modulate(text, ff_shift, ff_scale))


def _perceptron(inputs: int, width: int) -> nn.Sequential:
    layers = OrderedDict(
        linear_1=nn.Linear(inputs, width), silu=nn.SiLU(), linear_2=nn.Linear(width, width)
    )
    return nn.Sequential(layers)


class MMDiT(nn.Module):
    """The denoiser of Stable Diffusion 3; diffusers calls it ``SD3Transformer2DModel``.

    It can replace a U-Net: same arguments, same result. Its first prediction, untrained, is 0.
    """

    def __init__(self, config: MMDiTConfig = MMDiTConfig()) -> None:
        """
        Raises:
            ValueError: if the width is no multiple of 4, or the training latents can't be cut into
                patches, or have more than ``pos_embed_max_size`` of them along a side.
        """
        super().__init__()
        _check_config(config)
        self.config = config
        width, heads, last = config.width, config.num_attention_heads, config.num_layers - 1
        self.pos_embed = PatchEmbed(config)
        self.time_text_embed = nn.ModuleDict(
            {"timestep_embedder": _perceptron(_TIME_CHANNELS, width)}
        )
        if config.pooled_projection_dim is not None:
            self.time_text_embed["text_embedder"] = _perceptron(config.pooled_projection_dim, width)
        self.context_embedder = nn.Linear(config.joint_attention_dim, width)
        self.transformer_blocks = nn.ModuleList(
            JointTransformerBlock(width, heads, last=layer == last)
            for layer in range(config.num_layers)
        )
        self.norm_out = Modulation(width, 2)
        self.proj_out = nn.Linear(width, config.patch_size**2 * config.out_channels)
        nn.init.zeros_(self.proj_out.weight)
        nn.init.zeros_(self.proj_out.bias)

    def forward(
        self,
        latents: Latents,
        timesteps: Real[Tensor, "..."] | int | float,
        context: Float[Tensor, "batch tokens features"],
        pooled: Float[Tensor, "batch pooled"] | None = None,
    ) -> Float[Tensor, "batch predicted height width"]:
        """The noise, v or velocity in noisy latents: whatever the model was trained to predict.

        Args:
            latents: noisy, scaled by the autoencoder's ``scaling_factor``.
            timesteps: in [0, 1000], one per latent or one for all.
            context: the text encoders' output, one text per latent.
            pooled: one vector per text, if the configuration has ``pooled_projection_dim``.

        Raises:
            ValueError: if the shapes do not match the configuration or each other.
        """
        timesteps = torch.as_tensor(timesteps, device=latents.device).flatten()
        _check_inputs(self.config, latents, timesteps, context, pooled)
        embedding = timestep_embedding(timesteps.expand(len(latents)), _TIME_CHANNELS)
        conditioning = self.time_text_embed["timestep_embedder"](embedding.to(latents.dtype))
        if pooled is not None:
            conditioning = conditioning + self.time_text_embed["text_embedder"](pooled)
        image, text = self.pos_embed(latents), self.context_embedder(context)
        for block in self.transformer_blocks:
            image, text = block(image, text, conditioning)
        scale, shift = self.norm_out(conditioning)
        patches = self.proj_out(modulate(image, shift, scale))
        size = self.config.patch_size
        return unpatchify(patches, size, rows=latents.shape[2] // size)


def _check_config(config: MMDiTConfig) -> None:
    if config.width % 4:
        raise ValueError(
            f"num_attention_heads {config.num_attention_heads} times attention_head_dim "
            f"{config.attention_head_dim}: the product must be a multiple of 4."
        )
    side, rest = divmod(config.sample_size, config.patch_size)
    if rest or side > config.pos_embed_max_size:
        raise ValueError(
            f"sample_size {config.sample_size}: give a multiple of patch_size {config.patch_size}, "
            f"and at most {config.pos_embed_max_size} patches (pos_embed_max_size) along a side."
        )


def _check_inputs(
    config: MMDiTConfig, latents: Tensor, timesteps: Tensor, context: Tensor, pooled: Tensor | None
) -> None:
    check_inputs(latents, timesteps, context, config.in_channels, config.joint_attention_dim)
    batch, _, *sides = latents.shape
    size = config.patch_size
    largest = size * config.pos_embed_max_size
    if any(side % size or not 0 < side <= largest for side in sides):
        raise ValueError(
            f"latents of {sides[0]} x {sides[1]}: both sides must be multiples of {size}, up to "
            f"{largest}."
        )
    given = None if pooled is None else tuple(pooled.shape)
    length = config.pooled_projection_dim
    expected = None if length is None else (batch, length)
    if given != expected:
        raise ValueError(f"pooled of {given}: give {expected}, as pooled_projection_dim says.")
