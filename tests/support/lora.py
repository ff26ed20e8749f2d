"""Random LoRAs as plain tensors, and models whose weights contain them."""

from collections.abc import Iterable, Mapping
from copy import deepcopy
from typing import NamedTuple

import torch
from torch import Tensor, nn

from course_lib.sd.clip import CLIPTextConfig
from course_lib.sd.lora import adaptable_layers

TEXT = CLIPTextConfig(
    vocab_size=50,
    max_position_embeddings=9,
    hidden_size=24,
    intermediate_size=40,
    num_hidden_layers=2,
    num_attention_heads=4,
)
ATTENTION = (".to_q", ".to_k", ".to_v", ".to_out.0")


class Change(NamedTuple):
    """A and B of one layer, and alpha: the weight changes by ``alpha / rank * B A``."""

    A: Tensor
    B: Tensor
    alpha: float

    def of_weight(self) -> Tensor:
        """The change of the weight, by a convolution if it is one."""
        scale = self.alpha / len(self.A)
        if self.A.ndim == 2:
            return scale * self.B @ self.A
        # Every input channel of A is an image, and B mixes the ranks.
        return scale * nn.functional.conv2d(self.A.transpose(0, 1), self.B).transpose(0, 1)


def random_changes(
    model: nn.Module, names: Iterable[str], rank: int = 3, alpha: float = 2.0
) -> dict[str, Change]:
    """A random change for each of these layers of one of our models."""
    generator = torch.Generator().manual_seed(7)
    layers, changes = adaptable_layers(model), {}
    for name in names:
        weight = layers[name].weight
        outputs, *inputs = weight.shape
        shapes = [rank, *inputs], [outputs, rank, *[1] * (weight.ndim - 2)]
        A, B = (0.3 * torch.randn(shape, generator=generator).to(weight.dtype) for shape in shapes)
        changes[name] = Change(A, B, alpha)
    return changes


def with_changes(model: nn.Module, changes: Mapping[str, Change]) -> nn.Module:
    """A copy of a model, ours or a peer's, whose weights contain the changes."""
    changed = deepcopy(model)
    weights = dict(changed.named_parameters())
    with torch.no_grad():
        for name, change in changes.items():
            # Older versions of transformers put this prefix in front of every name.
            key = next(k for k in (f"{name}.weight", f"text_model.{name}.weight") if k in weights)
            weights[key] += change.of_weight().to(weights[key].dtype)
    return changed


def attention_names(model: nn.Module) -> list[str]:
    return [name for name in adaptable_layers(model) if name.endswith(ATTENTION)]


def text_names(model: nn.Module) -> list[str]:
    """The layers of a text encoder: attention and MLP."""
    return list(adaptable_layers(model))


def kohya_names(model: nn.Module) -> list[str]:
    """The layers of a U-Net that kohya's scripts choose by default: in the transformers."""
    return [name for name in adaptable_layers(model) if ".attentions." in name]
