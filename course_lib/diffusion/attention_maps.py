"""Attention weights recorded from a running model: cross-attention maps, text self-attention."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F

from course_lib.sd.clip import CLIPTextModel
from course_lib.sd.pipeline import StableDiffusion

Image = Float[Tensor, "3 height width"]


class AttentionRecord(NamedTuple):
    """A generated image and its cross-attention maps."""

    image: Image
    tokens: list[str]  # the text of each token, including start and end tokens
    # the weight of each token at each position of the latent
    maps: Float[Tensor, "steps tokens rows columns"]
    timesteps: list[int]


def record_attention(model: StableDiffusion, prompt: str, **options) -> AttentionRecord:
    """Generate an image and record its cross-attention maps.

    The weights are averaged over heads and layers; maps of coarser layers are upsampled to the size
    of the latent: Tang et al. (2022), arXiv:2210.04885, section 3. At every position and step they
    sum to 1 over the tokens. With guidance, only the conditional half of the batch counts.

    Args:
        model: any text-to-image model.
        prompt: one prompt.
        options: of :meth:`StableDiffusion.generate`; ``count`` must be 1.

    Raises:
        ValueError: if ``count`` is not 1.
    """
    if options.get("count", 1) != 1:
        raise ValueError(
            f"count is {options['count']}: give 1: attention is recorded for one image."
        )
    maps, timesteps = [], []
    with _keep_attention_weights(model.unet) as layers:

        def record(step: int, t: int, latents: Tensor) -> None:
            size = latents.shape[-2:]
            layer_maps = [_to_maps(layer.weights[-1], size) for layer in layers]
            maps.append(torch.stack(layer_maps).mean(0).cpu())
            timesteps.append(t)

        (image,) = model.generate(prompt, **options, callback=record)
    ids, _ = model.tokenizer.encode(prompt)
    tokens = [piece.strip() for piece in model.tokenizer.pieces(ids[0])]
    return AttentionRecord(image, tokens, torch.stack(maps), timesteps)


@contextmanager
def _keep_attention_weights(unet: nn.Module) -> Iterator[list[nn.Module]]:
    """Make a denoiser's cross-attention layers keep their weights; yields these layers."""
    layers = [module for name, module in unet.named_modules() if name.endswith("attn2")]
    previous = [layer.keep_weights for layer in layers]
    try:
        for layer in layers:
            layer.keep_weights = True
        yield layers
    finally:
        for layer, keep_weights in zip(layers, previous, strict=True):
            layer.keep_weights = keep_weights
            layer.weights = None


def _to_maps(
    weights: Float[Tensor, "heads positions tokens"], size: torch.Size
) -> Float[Tensor, "tokens rows columns"]:
    """The mean over the heads, as maps, upsampled to ``size``."""
    means = weights.float().mean(0).T
    downsampling = math.isqrt(size[0] * size[1] // means.shape[1])
    maps = means.view(len(means), math.ceil(size[0] / downsampling), -1)
    return F.interpolate(maps[None], size, mode="bilinear", align_corners=False)[0]


def maps_by_word(record: AttentionRecord) -> dict[str, Float[Tensor, "rows columns"]]:
    """The maps by word, averaged over the steps.

    ``"end tokens"`` is the sum of the maps of all end tokens. A repeated word gets trailing
    spaces, so that keys are unique.
    """
    maps = record.maps.mean(0)
    first_end = record.tokens.index(record.tokens[-1])
    by_word = {"start token": maps[0]}
    for index in range(1, first_end):
        word = record.tokens[index]
        while word in by_word:
            word += " "
        by_word[word] = maps[index]
    return by_word | {"end tokens": maps[first_end:].sum(0)}


def object_to_background_ratios(record: AttentionRecord) -> list[float]:
    """For each token, the ratio of its mean weights on the object and on the background.

    NaN if the image has no object or no background.
    """
    mask = object_mask(record.image).float()
    mask = F.adaptive_avg_pool2d(mask[None], record.maps.shape[-2:])[0]
    on_object, on_background = (mask > 0.5), (mask == 0)
    if not on_object.any() or not on_background.any():
        return [math.nan] * len(record.tokens)
    maps = record.maps.mean(0)
    return [float(token[on_object].mean() / token[on_background].mean()) for token in maps]


def object_mask(image: Image, threshold: float = 0.25) -> Bool[Tensor, "height width"]:
    """The pixels whose colour differs from the background.

    Args:
        image: in [0, 1], an object on a plain background, whose colour is the border's median.
        threshold: the minimum Euclidean distance from that colour in RGB.
    """
    sides = [image[:, :4], image[:, -4:], image[..., :4], image[..., -4:]]
    border = torch.cat([side.flatten(1) for side in sides], dim=1)
    background = border.median(1).values[:, None, None]
    return (image - background).square().sum(0).sqrt() > threshold


@torch.no_grad()
def text_self_attention(
    encoder: CLIPTextModel, ids: Int64[Tensor, "texts length"]
) -> list[Float[Tensor, "heads length length"]]:
    """The self-attention weights of a text encoder, one tensor per layer; rows sum to 1.

    Raises:
        ValueError: if there is not exactly one text.
    """
    if len(ids) != 1:
        raise ValueError(f"{len(ids)} texts: give the ids of one text.")
    weights: list[Tensor] = []

    def record(layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        q, k = (
            projection(inputs[0]).unflatten(-1, (layer.heads, -1)).transpose(1, 2)
            for projection in (layer.q_proj, layer.k_proj)
        )
        scores = q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])
        causal_mask = torch.ones_like(scores, dtype=torch.bool).triu(1)
        weights.append(scores.masked_fill(causal_mask, -math.inf).softmax(-1)[0].cpu())

    layers = encoder.encoder["layers"]
    hooks = [layer.self_attn.register_forward_pre_hook(record) for layer in layers]
    try:
        encoder(ids.to(next(encoder.parameters()).device))
    finally:
        for hook in hooks:
            hook.remove()
    return weights
