"""Recognises weights other than Stable Diffusion 1.x, and says what to get instead."""

import re
from collections.abc import Callable

from course_lib.sd.contents import Contents
from course_lib.sd.tensor_files import DTYPES, shown

_TITLES = {"text_encoder": "text encoder", "unet": "U-Net", "vae": "autoencoder"}
_COMPLETE = "Give a file with all three models, text encoder, U-Net and autoencoder"
_LORA = re.compile(r"(^|[._])lora([._]|_[AB]\b|$)|\.(hada_w1_a|lokr_w1|lora_[AB])\b")
# Inputs of the U-Net, beyond the 4 channels of a noisy latent.
_MODELS_BY_CHANNELS = {
    5: "depth2img, which also gets a depth map",
    7: "an upscaler, which also gets a low-resolution image",
    8: "InstructPix2Pix, which also gets the latent of an image",
    9: "an inpainting model, which also gets a mask and a masked image",
}
# The width of the U-Net's text embeddings (cross_attention_dim).
_MODELS_BY_FEATURES = {1024: "Stable Diffusion 2.x", 2048: "Stable Diffusion XL"}


def identify(contents: Contents) -> str | None:
    """What the weights are, and what to do: a predicate to put after their path.

    Returns:
        For example ``"is a LoRA: ... Give ..."``; None if they are not recognised.
    """
    for rule in _RULES:
        answer = rule(contents)
        if answer is not None:
            return answer
    return None


def _empty(contents: Contents) -> str | None:
    if contents.names:
        return None
    return f"holds no tensors. {_COMPLETE}."


def _addition(contents: Contents) -> str | None:
    """Files that change or extend a model: LoRA, textual inversion, ControlNet."""
    names = contents.names
    if any(map(_LORA.search, names)):
        kind = "contains a LoRA" if contents.has("unet") else "is a LoRA"
        return (
            f"{kind}: changes to the weights of another model. Give the complete model, without a "
            "LoRA."
        )
    if len(names) <= 4 and any(
        re.match(r"emb_params|string_to_|<.+>|clip_[lg]$", n) for n in names
    ):
        return (
            "is a textual inversion: the embeddings of one word. Give the complete model that it "
            "was made for."
        )
    if contents.any_name("control_model.", "controlnet_") and not contents.has("unet"):
        return (
            "is a ControlNet: it controls another model. Give the complete model; the ControlNet "
            "is loaded by itself, with course_lib.sd.controlnet_files.load."
        )
    return None


def _other_family(contents: Contents) -> str | None:
    """Other versions and architectures."""
    family = None
    features = contents.shape(
        "unet.down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k.weight"
    )[1:]
    if features and features[0] in _MODELS_BY_FEATURES:
        family = _MODELS_BY_FEATURES[features[0]]
    if contents.any_name("conditioner.embedders.") or any(
        "add_embedding" in n or "label_emb" in n for n in contents.inside
    ):
        family = "Stable Diffusion XL"
    elif contents.any_name("cond_stage_model.model."):
        family = "Stable Diffusion 2.x"
    elif any(
        re.search(r"\b(joint_blocks|double_blocks|single_blocks)\.", n) for n in contents.names
    ):
        family = "Stable Diffusion 3, FLUX or another model with a transformer as denoiser"
    if family is None:
        return None
    return f"is {family}, not Stable Diffusion 1.x. Give version 1.4 or 1.5."


def _other_inputs(contents: Contents) -> str | None:
    channels = contents.shape("unet.conv_in.weight")[1:2]
    if channels and channels[0] in _MODELS_BY_CHANNELS:
        return (
            f"is {_MODELS_BY_CHANNELS[channels[0]]}: its U-Net has {channels[0]} input channels, "
            "not 4. Give the text-to-image model."
        )
    return None


def _quantised(contents: Contents) -> str | None:
    types = sorted({file.dtype(name) for file, name in contents.inside.values()} - {*DTYPES})
    if types and any(t.startswith(("F8", "F4", "F6", "I8", "U8", "I4")) for t in types):
        return (
            f"is quantised: tensors are {', '.join(types)}. Give the file with 16 or 32 bits per "
            "weight."
        )
    return None


def _averages_only(contents: Contents) -> str | None:
    if contents.has("unet") or not contents.any_name("model_ema."):
        return None
    return (
        "holds the U-Net only as averaged weights (EMA, model_ema.*), which are for training. Give "
        "a file that also has model.diffusion_model.*, or one whose name has 'emaonly' or 'pruned'."
    )


def _one_model(contents: Contents) -> str | None:
    """Weights of only one or two of the three models, recognised by their names."""
    unprefixed = {
        "vae": contents.any_name(
            "encoder.conv_in", "decoder.conv_in", "encoder.down", "decoder.up"
        ),
        "unet": contents.any_name("input_blocks.", "time_embed", "down_blocks."),
        "text_encoder": contents.any_name("text_model.", "transformer.text_model."),
    }
    present = [model for model in _TITLES if unprefixed[model] or contents.has(model)]
    if not present:
        return None
    missing = [_TITLES[model] for model in _TITLES if model not in present]
    if len(present) == 1:
        return f"is the {_TITLES[present[0]]} alone. {_COMPLETE}."
    if missing:
        return f"has no {missing[0]}: the file was pruned. {_COMPLETE}."
    return None


def _unknown(contents: Contents) -> str | None:
    if contents.inside:
        return None
    examples = ", ".join(shown(name) for name in contents.outside[:3])
    return f"has none of the three models; its tensors are named {examples}. {_COMPLETE}."


_RULES: tuple[Callable[[Contents], str | None], ...] = (
    _empty,
    _other_family,
    _other_inputs,
    _quantised,
    _addition,
    _averages_only,
    _one_model,
    _unknown,
)
