"""LoRA: training a small change of a model's weights instead of the weights.

Hu et al. (2021), arXiv:2106.09685, section 4.1: a layer with the frozen weight W gets two small
matrices, A (rank x inputs) and B (outputs x rank). It computes ``W x + scale * B A x``, with
``scale = strength * alpha / rank``. B starts at 0, so that a new LoRA changes nothing.

    lora.inject(unet, rank=4)
    optimizer = torch.optim.AdamW(lora.parameters(unet), lr=1e-3)

A layer with a LoRA keeps its place and its name in the model; A and B are named as in published
files, such as ``mid_block.attentions.0.transformer_blocks.0.attn1.to_q.lora_A.weight``. For these
files see ``lora_files.py``.
"""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

# The attention layers of the U-Net and of the text encoder: queries, keys, values and outputs.
ATTENTION = ("to_q", "to_k", "to_v", "to_out.0", "q_proj", "k_proj", "v_proj", "out_proj")


class LoRALayer(nn.Module):
    """What linear layers and convolutions with a LoRA have in common.

    Attributes:
        weight, bias: those of the original layer, the same tensors.
        lora_A, lora_B: the layers of A and B.
        rank: the number of channels between A and B.
        alpha: the scale of the change, before it is divided by the rank; equal to the rank, it
            makes no difference.
        strength: a factor of the change, for the user: 0 is the original layer.
    """

    weight: nn.Parameter
    bias: nn.Parameter | None

    def _add(self, layer: nn.Module, A: nn.Module, B: nn.Module, alpha: float | None) -> None:
        """Take over the original layer's tensors, and add A and B."""
        self.rank = len(A.weight)
        self.alpha = float(self.rank if alpha is None else alpha)
        self.strength = 1.0
        self.weight, self.bias = layer.weight, layer.bias
        nn.init.zeros_(B.weight)
        format_of_weight = {"device": layer.weight.device, "dtype": layer.weight.dtype}
        self.lora_A, self.lora_B = A.to(**format_of_weight), B.to(**format_of_weight)
        self.train(layer.training)
        self._original = (layer,)  # in a tuple, it is not a part of the model
        self._saved_weight: Tensor | None = None

    @property
    def scale(self) -> float:
        """The factor of B A."""
        return self.strength * self.alpha / self.rank

    @property
    def merged(self) -> bool:
        """Whether ``weight`` contains the change."""
        return self._saved_weight is not None

    def change(self) -> Tensor:
        """``scale * B A``, in the shape of ``weight``."""
        product = self.lora_B.weight.flatten(1) @ self.lora_A.weight.flatten(1)
        return self.scale * product.reshape(self.weight.shape)

    @torch.no_grad()
    def merge(self) -> None:
        """Add the change to ``weight``: the layer is then as fast as the original one."""
        if self.merged:
            raise ValueError("The LoRA is merged already: call unmerge first.")
        # Subtracting the change again would leave rounding errors.
        self._saved_weight = self.weight.detach().clone()
        self.weight.add_(self.change())

    @torch.no_grad()
    def unmerge(self) -> None:
        """Restore the weight from before :meth:`merge`, to the bit."""
        if self._saved_weight is None:
            raise ValueError("The LoRA is not merged: call merge first.")
        self.weight.copy_(self._saved_weight)
        self._saved_weight = None

    def original(self) -> nn.Module:
        """The layer without LoRA; with the change if that is merged."""
        (layer,) = self._original
        layer.weight, layer.bias = self.weight, self.bias
        return layer.train(self.training)


class LoRALinear(LoRALayer, nn.Linear):
    """A linear layer with a LoRA."""

    def __init__(self, layer: nn.Linear, rank: int, alpha: float | None = None) -> None:
        """``alpha``: by default the rank."""
        inputs, outputs = layer.in_features, layer.out_features
        super().__init__(inputs, outputs, layer.bias is not None, device="meta")
        A = nn.Linear(inputs, rank, bias=False)
        B = nn.Linear(rank, outputs, bias=False)
        self._add(layer, A, B, alpha)

    def forward(self, x: Float[Tensor, "*batch inputs"]) -> Float[Tensor, "*batch outputs"]:
        y = nn.Linear.forward(self, x)
        return y if self.merged else y + self.scale * self.lora_B(self.lora_A(x))


class LoRAConv2d(LoRALayer, nn.Conv2d):
    """A convolution with a LoRA: A has its kernel size, B is a 1x1 convolution."""

    def __init__(self, layer: nn.Conv2d, rank: int, alpha: float | None = None) -> None:
        """
        Args:
            alpha: by default the rank.

        Raises:
            ValueError: if the convolution has groups.
        """
        if layer.groups != 1:
            raise ValueError(f"{layer} has {layer.groups} groups: a LoRA needs a single one.")
        channels, outputs = layer.in_channels, layer.out_channels
        options = {"stride": layer.stride, "padding": layer.padding, "dilation": layer.dilation}
        super().__init__(
            channels,
            outputs,
            layer.kernel_size,
            **options,
            bias=layer.bias is not None,
            padding_mode=layer.padding_mode,
            device="meta",
        )
        options["padding_mode"] = layer.padding_mode
        A = nn.Conv2d(channels, rank, layer.kernel_size, **options, bias=False)
        B = nn.Conv2d(rank, outputs, 1, bias=False)
        self._add(layer, A, B, alpha)

    def forward(
        self, x: Float[Tensor, "batch channels height width"]
    ) -> Float[Tensor, "batch outputs _ _"]:
        y = nn.Conv2d.forward(self, x)
        return y if self.merged else y + self.scale * self.lora_B(self.lora_A(x))


def inject(
    model: nn.Module,
    rank: int,
    alpha: float | None = None,
    layers: Sequence[str] = ATTENTION,
) -> dict[str, LoRALayer]:
    """Add a LoRA to layers of a model, and freeze all its other parameters.

    Args:
        model: a U-Net or a text encoder.
        rank: of every change; at least 1.
        alpha: by default the rank, so that the scale is 1.
        layers: names of linear layers and convolutions, or the last parts of their names: ``to_q``
            is every layer for queries, ``attn2.to_q`` only those of cross-attention.

    Returns:
        The layers with a LoRA by name.

    Raises:
        ValueError: if no layer has such a name, a layer has a LoRA already, or a number is out of
            range.
    """
    check_rank_alpha(rank, alpha)
    endings = tuple(f".{name}" for name in layers)
    all_layers = adaptable_layers(model)
    chosen = {name: part for name, part in all_layers.items() if f".{name}".endswith(endings)}
    if not chosen:
        examples = sorted({name.rpartition(".")[2] for name in all_layers})[:8]
        raise ValueError(
            f"No linear layer or convolution is named {', '.join(layers)}: choose among "
            f"{', '.join(examples)}."
        )
    taken = [name for name, layer in chosen.items() if isinstance(layer, LoRALayer)]
    if taken:
        raise ValueError(f"{taken[0]} has a LoRA already: call remove first.")
    for name in chosen:
        add_to(model, name, rank, alpha)
    freeze_others(model)
    return {name: layer for name, layer in find_layers(model).items() if name in chosen}


def adaptable_layers(model: nn.Module) -> dict[str, nn.Module]:
    """The layers that can have a LoRA, or have one: linear layers and convolutions, by name."""
    return {
        name: layer
        for name, layer in model.named_modules()
        if isinstance(layer, nn.Linear | nn.Conv2d) and not name.endswith((".lora_A", ".lora_B"))
    }


def add_to(model: nn.Module, name: str, rank: int, alpha: float | None = None) -> LoRALayer:
    """Add a LoRA to one layer; other parameters are not frozen.

    Raises:
        ValueError: if the layer has a LoRA already, or a number is out of range.
    """
    check_rank_alpha(rank, alpha)
    layer = model.get_submodule(name)
    if isinstance(layer, LoRALayer):
        raise ValueError(f"{name} has a LoRA already: call remove first.")
    kind = LoRAConv2d if isinstance(layer, nn.Conv2d) else LoRALinear
    added = kind(layer, rank, alpha)
    _replace(model, name, added)
    return added


def freeze_others(model: nn.Module) -> None:
    """Leave only the parameters of LoRAs trainable."""
    model.requires_grad_(False)
    for parameter in parameters(model):
        parameter.requires_grad_(True)


def find_layers(model: nn.Module) -> dict[str, LoRALayer]:
    """The layers with a LoRA by name."""
    return {name: part for name, part in model.named_modules() if isinstance(part, LoRALayer)}


def parameters(model: nn.Module) -> list[nn.Parameter]:
    """The trainable parameters: A and B of every layer."""
    return [
        part.weight
        for layer in find_layers(model).values()
        for part in (layer.lora_A, layer.lora_B)
    ]


def set_strength(model: nn.Module, strength: float) -> None:
    """Set the factor of the change in every layer: 0 is the original model, 1 the trained change.

    Raises:
        ValueError: if the change is merged.
    """
    for layer in find_layers(model).values():
        if layer.merged:
            raise ValueError("The LoRA is merged with its strength: call unmerge first.")
        layer.strength = strength


def merge(model: nn.Module) -> None:
    """Add every change to its weight; the memory for the original weights is kept."""
    for layer in find_layers(model).values():
        layer.merge()


def unmerge(model: nn.Module) -> None:
    """Restore the original weights, to the bit."""
    for layer in find_layers(model).values():
        layer.unmerge()


def remove(model: nn.Module) -> None:
    """Put the original layers back; a merged change remains in their weights.

    Parameters stay frozen: call ``model.requires_grad_(True)`` to train them.
    """
    for name, layer in find_layers(model).items():
        _replace(model, name, layer.original())


def factorise(change: Float[Tensor, "outputs *inputs"], rank: int) -> tuple[Tensor, Tensor]:
    """A and B of the product of this rank that is nearest to a change of a weight.

    The truncated singular value decomposition: Eckart and Young (1936),
    https://doi.org/10.1007/BF02288367.

    Args:
        change: of a linear layer or a convolution.
        rank: at least 1; limited to the smaller side of the matrix, whose product is exact.

    Returns:
        A and B in the shapes of ``lora_A.weight`` and ``lora_B.weight``, each with the square roots
        of the singular values.

    Raises:
        ValueError: if the rank is below 1.
    """
    check_rank_alpha(rank, None)
    outputs, *inputs = change.shape
    U, S, V = torch.linalg.svd(change.flatten(1), full_matrices=False)
    roots = S[:rank].sqrt()
    A, B = roots[:, None] * V[:rank], U[:, :rank] * roots
    return A.reshape(-1, *inputs), B.reshape(outputs, -1, *[1] * (change.ndim - 2))


def check_rank_alpha(rank: int, alpha: float | None) -> None:
    """
    Raises:
        ValueError: if a number is out of range.
    """
    if rank < 1:
        raise ValueError(f"rank is {rank}: give at least 1.")
    if alpha is not None and not (math.isfinite(alpha) and alpha > 0):
        raise ValueError(f"alpha is {alpha}: give a number above 0; the rank is usual.")


def _replace(model: nn.Module, name: str, layer: nn.Module) -> None:
    parent, _, last = name.rpartition(".")
    setattr(model.get_submodule(parent), last, layer)
