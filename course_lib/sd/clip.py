"""The text encoder: 77 token ids become 77 vectors, each depending on its token and those before.

The text half of CLIP, Radford et al. (2021), arXiv:2103.00020, section 2.4. The defaults are
those of Stable Diffusion 1.x: the text half of CLIP ViT-L/14.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

Vectors = Float[Tensor, "batch length width"]


@dataclass(frozen=True)
class CLIPTextConfig:
    """The sizes of a text encoder; fields are named as in ``text_encoder/config.json``."""

    vocab_size: int = 49_408
    max_position_embeddings: int = 77
    hidden_size: int = 768
    intermediate_size: int = 3072
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    layer_norm_eps: float = 1e-5


class CLIPAttention(nn.Module):
    """Causal multi-head self-attention: arXiv:1706.03762, section 3.2.3."""

    def __init__(self, width: int, heads: int) -> None:
        """``heads`` must divide ``width``."""
        super().__init__()
        self.heads = heads
        self.q_proj = nn.Linear(width, width)
        self.k_proj = nn.Linear(width, width)
        self.v_proj = nn.Linear(width, width)
        self.out_proj = nn.Linear(width, width)

    def forward(self, x: Vectors) -> Vectors:
        projected = self.q_proj(x), self.k_proj(x), self.v_proj(x)
        q, k, v = (p.unflatten(-1, (self.heads, -1)).transpose(1, 2) for p in projected)
        attended = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.out_proj(attended.transpose(1, 2).flatten(2))


class CLIPEncoderLayer(nn.Module):
    """Causal self-attention, then an MLP; both residual and pre-normalised."""

    def __init__(self, config: CLIPTextConfig) -> None:
        super().__init__()
        width, mlp_width = config.hidden_size, config.intermediate_size
        self.layer_norm1 = nn.LayerNorm(width, config.layer_norm_eps)
        self.layer_norm2 = nn.LayerNorm(width, config.layer_norm_eps)
        self.self_attn = CLIPAttention(width, config.num_attention_heads)
        self.mlp = nn.ModuleDict(
            {"fc1": nn.Linear(width, mlp_width), "fc2": nn.Linear(mlp_width, width)}
        )

    def forward(self, x: Vectors) -> Vectors:
        x = x + self.self_attn(self.layer_norm1(x))
        hidden = self.mlp["fc1"](self.layer_norm2(x))
        # QuickGELU, an approximation of GELU: Hendrycks and Gimpel (2016), arXiv:1606.08415,
        # section 2.
        return x + self.mlp["fc2"](hidden * torch.sigmoid(1.702 * hidden))


class CLIPTextModel(nn.Module):
    """Stable Diffusion's text encoder."""

    def __init__(self, config: CLIPTextConfig = CLIPTextConfig()) -> None:
        """
        Raises:
            ValueError: if ``num_attention_heads`` does not divide ``hidden_size``.
        """
        super().__init__()
        width, heads = config.hidden_size, config.num_attention_heads
        if width % heads:
            raise ValueError(
                f"hidden_size {width} is not a multiple of num_attention_heads {heads}: change one."
            )
        self.config = config
        self.embeddings = nn.ModuleDict(
            {
                "token_embedding": nn.Embedding(config.vocab_size, width),
                "position_embedding": nn.Embedding(config.max_position_embeddings, width),
            }
        )
        # As in CLIP: torch's default standard deviation of 1 would dominate the residual branches.
        for table in self.embeddings.values():
            nn.init.normal_(table.weight, std=0.02)
        layers = nn.ModuleList(CLIPEncoderLayer(config) for _ in range(config.num_hidden_layers))
        self.encoder = nn.ModuleDict({"layers": layers})
        self.final_layer_norm = nn.LayerNorm(width, config.layer_norm_eps)

    def forward(self, ids: Int[Tensor, "batch length"]) -> Vectors:
        """The context for the U-Net: one vector per id of ``Tokenizer.encode``.

        Raises:
            ValueError: if a text has more than ``max_position_embeddings`` ids.
        """
        length, max_length = ids.shape[1], self.config.max_position_embeddings
        if length > max_length:
            raise ValueError(f"Texts of {length} ids: give at most {max_length}.")
        positions = self.embeddings["position_embedding"].weight[:length]
        x = self.embeddings["token_embedding"](ids) + positions
        for layer in self.encoder["layers"]:
            x = layer(x)
        return self.final_layer_norm(x)
