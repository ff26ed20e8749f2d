"""Who looked where: attention weights kept from a running model, as maps over the picture and
tables of tokens.
"""

import math
from contextlib import contextmanager
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F

from course_lib.sd.clip import CLIPTextModel
from course_lib.sd.pipeline import StableDiffusion

Picture = Float[Tensor, "3 height width"]
Tables = list[Float[Tensor, "heads length length"]]


class Looked(NamedTuple):
    """A picture, and where its places looked while it was made."""

    image: Picture
    pieces: list[str]  # the text of each token, start and end included
    # the weight of each token at each place of the latent
    maps: Float[Tensor, "steps tokens rows columns"]
    times: list[int]  # of the steps


def look(model: StableDiffusion, prompt: str, **options) -> Looked:
    """Make the picture of a prompt, and keep what its cross-attention weighed.

    Weights are averaged over heads and layers, those of coarse layers enlarged to the size of the
    latent: Tang et al. (2022), arXiv:2210.04885, section 3. At every place and in every step they
    sum to 1 over the tokens. With guidance, they are those of the half that has the prompt.

    Args:
        model: any text-to-image model.
        prompt: one sentence.
        options: those of :meth:`StableDiffusion.generate`, for one picture.

    Raises:
        ValueError: if ``options`` ask for more than one picture.
    """
    if options.get("count", 1) != 1:
        raise ValueError(f"{options['count']} pictures: look at one picture at a time.")
    maps, times = [], []
    with _keeping(model.unet) as layers:

        def keep(number: int, t: int, latents: Tensor) -> None:
            side = latents.shape[-2:]
            maps.append(
                torch.stack([_map(layer.weights[-1], side) for layer in layers]).mean(0).cpu()
            )
            times.append(t)

        (image,) = model.generate(prompt, **options, callback=keep)
    pieces = [
        piece.strip() for piece in model.tokenizer.pieces(model.tokenizer.encode(prompt)[0][0])
    ]
    return Looked(image, pieces, torch.stack(maps), times)


@contextmanager
def _keeping(unet: nn.Module):
    """The cross-attention layers of a denoiser, which keep their weights meanwhile."""
    layers = [module for name, module in unet.named_modules() if name.endswith("attn2")]
    before = [layer.keep_weights for layer in layers]
    try:
        for layer in layers:
            layer.keep_weights = True
        yield layers
    finally:
        for layer, kept in zip(layers, before, strict=True):
            layer.keep_weights, layer.weights = kept, None


def _map(
    weights: Float[Tensor, "heads positions tokens"], side: torch.Size
) -> Float[Tensor, "tokens rows columns"]:
    """The mean over the heads, laid out as a map and enlarged."""
    tokens = weights.float().mean(0).T
    shrunk = math.isqrt(side[0] * side[1] // tokens.shape[1])
    small = tokens.view(len(tokens), math.ceil(side[0] / shrunk), -1)
    return F.interpolate(small[None], side, mode="bilinear", align_corners=False)[0]


def summed(looked: Looked) -> dict[str, Float[Tensor, "rows columns"]]:
    """The maps by the words' names, mean over the steps; all places after the words, the ends, as
    one sum.
    """
    maps, words = looked.maps.mean(0), _words(looked)
    named = {"start": maps[0]}
    for place in range(1, words + 1):
        word = looked.pieces[place]
        while word in named:  # a word that is there twice
            word += " "
        named[word] = maps[place]
    return named | {"ends": maps[words + 1 :].sum(0)}


def _words(looked: Looked) -> int:
    """How many tokens stand between start and end."""
    return looked.pieces.index(looked.pieces[-1]) - 1


def on_object(looked: Looked) -> list[float]:
    """How many times as strong each token's map is on the object as on the ground; not a number
    without both.
    """
    mask = F.adaptive_avg_pool2d(object_mask(looked.image).float()[None], looked.maps.shape[-2:])[0]
    inside, outside = (mask > 0.5), (mask == 0)
    if not inside.any() or not outside.any():
        return [math.nan] * len(looked.pieces)
    maps = looked.maps.mean(0)
    return [float(one[inside].mean() / one[outside].mean()) for one in maps]


def object_mask(image: Picture, least: float = 0.25) -> Bool[Tensor, "height width"]:
    """Where a picture is not of its ground's colour, which is the median of its border.

    Args:
        image: in [0, 1], something on a ground of one colour.
        least: how far from that colour, root of the summed squares over red, green and blue.
    """
    border = torch.cat([image[:, :4].flatten(1), image[:, -4:].flatten(1), image[..., :4].flatten(1),
                        image[..., -4:].flatten(1)], dim=1)  # fmt: skip
    ground = border.median(1).values[:, None, None]
    return (image - ground).square().sum(0).sqrt() > least


@torch.no_grad()
def among_tokens(encoder: CLIPTextModel, ids: Int64[Tensor, "texts length"]) -> Tables:
    """What a text encoder's tokens took of each other, a table for each head of each layer; rows
    sum to 1.

    Raises:
        ValueError: if there is more than one text.
    """
    if len(ids) != 1:
        raise ValueError(f"{len(ids)} texts: give the ids of one.")
    tables: list[Tensor] = []

    def keep(layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        q, k = (
            each(inputs[0]).unflatten(-1, (layer.heads, -1)).transpose(1, 2)
            for each in (layer.q_proj, layer.k_proj)
        )
        scores = q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])
        later = torch.ones_like(scores, dtype=torch.bool).triu(1)
        tables.append(scores.masked_fill(later, -math.inf).softmax(-1)[0].cpu())

    hooks = [layer.self_attn.register_forward_pre_hook(keep) for layer in encoder.encoder["layers"]]
    try:
        encoder(ids.to(next(encoder.parameters()).device))
    finally:
        for hook in hooks:
            hook.remove()
    return tables
