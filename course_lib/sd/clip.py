"""The text encoder: 77 ids become 77 vectors, each of which knows what was said before it.

The text half of CLIP, Radford et al. (2021), arXiv:2103.00020, section 2.4. The default
configuration is that of Stable Diffusion 1.x: the text half of CLIP ViT-L/14.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

Vectors = Float[Tensor, "batch length width"]


@dataclass(frozen=True)
class CLIPTextConfig:
    """The sizes of a text encoder, under the names of the published
    ``text_encoder/config.json``.
    """

    vocab_size: int = 49_408
    max_position_embeddings: int = 77
    hidden_size: int = 768
    intermediate_size: int = 3072
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    layer_norm_eps: float = 1e-5


class CLIPAttention(nn.Module):
    """Every token asks itself and those before it, in several heads at once: arXiv:1706.03762,
    section 3.2.3.
    """

    def __init__(self, width: int, heads: int) -> None:
        """``heads`` must divide ``width``."""
        super().__init__()
        self.heads = heads
        self.q_proj, self.k_proj, self.v_proj, self.out_proj = (
            nn.Linear(width, width) for _ in range(4)
        )

    def forward(self, x: Vectors) -> Vectors:
        projected = self.q_proj(x), self.k_proj(x), self.v_proj(x)
        q, k, v = (each.unflatten(-1, (self.heads, -1)).transpose(1, 2) for each in projected)
        found = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.out_proj(found.transpose(1, 2).flatten(2))


class CLIPEncoderLayer(nn.Module):
    """Tokens look back, then think each by itself. Both add to what was there, and see it
    normalised.
    """

    def __init__(self, config: CLIPTextConfig) -> None:
        super().__init__()
        width, wide = config.hidden_size, config.intermediate_size
        self.layer_norm1, self.layer_norm2 = (
            nn.LayerNorm(width, config.layer_norm_eps) for _ in range(2)
        )
        self.self_attn = CLIPAttention(width, config.num_attention_heads)
        self.mlp = nn.ModuleDict({"fc1": nn.Linear(width, wide), "fc2": nn.Linear(wide, width)})

    def forward(self, x: Vectors) -> Vectors:
        x = x + self.self_attn(self.layer_norm1(x))
        wide = self.mlp["fc1"](self.layer_norm2(x))
        # CLIP's quick GELU, an approximation: Hendrycks and Gimpel (2016), arXiv:1606.08415,
        # section 2.
        return x + self.mlp["fc2"](wide * torch.sigmoid(1.702 * wide))


class CLIPTextModel(nn.Module):
    """Stable Diffusion's text encoder."""

    def __init__(self, config: CLIPTextConfig = CLIPTextConfig()) -> None:
        """
        Raises:
            ValueError: if ``num_attention_heads`` does not divide ``hidden_size``.
        """
        super().__init__()
        if config.hidden_size % config.num_attention_heads:
            raise ValueError(
                f"{config.hidden_size} is no multiple of {config.num_attention_heads} heads: change one."
            )
        self.config = config
        tables = {
            "token_embedding": config.vocab_size,
            "position_embedding": config.max_position_embeddings,
        }
        self.embeddings = nn.ModuleDict(
            {name: nn.Embedding(n, config.hidden_size) for name, n in tables.items()}
        )
        for table in (
            self.embeddings.values()
        ):  # as CLIP's training began: beside torch's 1, layers would be unheard
            nn.init.normal_(table.weight, std=0.02)
        layers = nn.ModuleList(CLIPEncoderLayer(config) for _ in range(config.num_hidden_layers))
        self.encoder = nn.ModuleDict({"layers": layers})
        self.final_layer_norm = nn.LayerNorm(config.hidden_size, config.layer_norm_eps)

    def forward(self, ids: Int[Tensor, "batch length"]) -> Vectors:
        """The vectors that the denoiser attends to, one for each of ``Tokenizer.encode``'s ids.

        Raises:
            ValueError: if a text has more than ``max_position_embeddings`` ids.
        """
        if ids.shape[1] > self.config.max_position_embeddings:
            raise ValueError(
                f"Texts of {ids.shape[1]} ids: give {self.config.max_position_embeddings} at most."
            )
        # Which token it is, and where it stands.
        x = (
            self.embeddings["token_embedding"](ids)
            + self.embeddings["position_embedding"].weight[: ids.shape[1]]
        )
        for layer in self.encoder["layers"]:
            x = layer(x)
        return self.final_layer_norm(x)
