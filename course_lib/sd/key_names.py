"""Names of tensors: from every published name to the one in this folder's models."""

import re

MODEL_NAMES = ("text_encoder", "unet", "vae")
# What a tensor of the three models begins with in a single file.
_INSIDE = (
    "cond_stage_model.transformer.",
    "model.diffusion_model.",
    "first_stage_model.",
    *(f"{name}." for name in MODEL_NAMES),
)
# What is stored with the models and is no part of them: the positions 0 to 76, the parts of CLIP
# that compare texts with images, and what the autoencoder's training used.
_OUTSIDE = re.compile(
    r"text_encoder\.(embeddings\.position_ids|logit_scale|text_projection\..+"
    r"|visual_projection\..+|vision_model\..+) | vae\.(loss|model_ema)\..+",
    re.VERBOSE,
)


def _unet_block(match: re.Match) -> str:
    """``input_blocks.N.M`` and ``output_blocks.N.M`` as a level and a place in it.

    The blocks are numbered in threes, in the encoder after conv_in. The last part of a third block
    changes the resolution.
    """
    direction = "down" if match[1] == "in" else "up"
    level, place = divmod(int(match[2]) - (direction == "down"), 3)
    if match[4]:
        return f"{direction}_blocks.{level}.{direction}samplers.0.conv"
    return f"{direction}_blocks.{level}.{'attentions' if int(match[3]) else 'resnets'}.{place}"


def _vae_block(match: re.Match) -> str:
    """``down.N`` and ``up.N``: the original numbers levels from the finest, in the decoder too."""
    direction = match[1]
    level = int(match[2]) if direction == "down" else 3 - int(match[2])
    inner = f"resnets.{match[3]}" if match[3] else f"{direction}samplers.0"
    return f"{direction}_blocks.{level}.{inner}"


# From every published name to ours; applied in this order. Only the autoencoder has a "coder".
_PUBLISHED_AND_OURS = (
    # The text encoder.
    (r"^cond_stage_model\.transformer\.", "text_encoder."),
    (r"^text_encoder\.text_model\.", "text_encoder."),
    # The U-Net.
    (r"^model\.diffusion_model\.", "unet."),
    (r"^unet\.time_embed\.0", "unet.time_embedding.linear_1"),
    (r"^unet\.time_embed\.2", "unet.time_embedding.linear_2"),
    (r"^unet\.input_blocks\.0\.0", "unet.conv_in"),
    (r"^unet\.out\.0", "unet.conv_norm_out"),
    (r"^unet\.out\.2", "unet.conv_out"),
    (r"^unet\.middle_block\.1", "unet.mid_block.attentions.0"),
    (r"^unet\.middle_block\.0", "unet.mid_block.resnets.0"),
    (r"^unet\.middle_block\.2", "unet.mid_block.resnets.1"),
    (r"(?<=^unet\.)(in|out)put_blocks\.(\d{1,3})\.(\d)(\.op|\.conv)?", _unet_block),
    (r"in_layers\.0", "norm1"),
    (r"in_layers\.2", "conv1"),
    (r"emb_layers\.1", "time_emb_proj"),
    (r"out_layers\.0", "norm2"),
    (r"out_layers\.3", "conv2"),
    (r"skip_connection", "conv_shortcut"),
    # The autoencoder.
    (r"^first_stage_model\.", "vae."),
    (r"(?<=coder\.)(down|up)\.(\d)\.(?:block\.(\d)|(?:down|up)sample)", _vae_block),
    (r"(?<=coder\.)mid\.block_1", "mid_block.resnets.0"),
    (r"(?<=coder\.)mid\.block_2", "mid_block.resnets.1"),
    (r"(?<=coder\.)mid\.attn_1", "mid_block.attentions.0"),
    (r"nin_shortcut", "conv_shortcut"),
    (r"(?<=coder\.)norm_out", "conv_norm_out"),
    (r"(?<=coder\.mid_block\.attentions\.0\.)norm", "group_norm"),
    (r"(?<=coder\.mid_block\.attentions\.0\.)(q|k|v)(uery|ey|alue)?\.", r"to_\1."),
    (r"(?<=coder\.mid_block\.attentions\.0\.)proj_(attn|out)", "to_out.0"),
)
_RENAMINGS = [(re.compile(pattern), ours) for pattern, ours in _PUBLISHED_AND_OURS]


def our_name(name: str) -> str:
    """Model and path, such as ``unet.conv_in.weight``, for a published key name.

    ``name``: as in a single file, or as in a folder's file with the model's name in front.
    """
    for pattern, replacement in _RENAMINGS:
        name = pattern.sub(replacement, name)
    return name


def name_inside(name: str) -> str | None:
    """:func:`our_name`, or None for a tensor that belongs to none of the three models."""
    if not name.startswith(_INSIDE):
        return None
    ours = our_name(name)
    return None if _OUTSIDE.fullmatch(ours) else ours
