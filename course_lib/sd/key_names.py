"""Tensor names: maps every published name to the name in this folder's models."""

import re

MODEL_NAMES = ("text_encoder", "unet", "vae")
# The prefixes of the three models' tensors, in single files and in folders.
_PREFIXES = (
    "cond_stage_model.transformer.",
    "model.diffusion_model.",
    "first_stage_model.",
    *(f"{name}." for name in MODEL_NAMES),
)
# Stored with the models, but not part of them: the position ids 0 to 76, CLIP's image encoder and
# projections, and the autoencoder's training loss and averaged weights.
_EXCLUDED = re.compile(
    r"text_encoder\.(embeddings\.position_ids|logit_scale|text_projection\..+"
    r"|visual_projection\..+|vision_model\..+) | vae\.(loss|model_ema)\..+",
    re.VERBOSE,
)


def _unet_block(match: re.Match) -> str:
    """Map ``input_blocks.N.M`` and ``output_blocks.N.M`` to a level and an index in it.

    Each level has three blocks; in the encoder, block 0 is conv_in. The last layer of a level's
    third block changes the resolution.
    """
    direction = "down" if match[1] == "in" else "up"
    level, index = divmod(int(match[2]) - (direction == "down"), 3)
    if match[4]:
        return f"{direction}_blocks.{level}.{direction}samplers.0.conv"
    return f"{direction}_blocks.{level}.{'attentions' if int(match[3]) else 'resnets'}.{index}"


def _vae_block(match: re.Match) -> str:
    """Map ``down.N`` and ``up.N``: in both, the original numbers the levels from the finest."""
    direction = match[1]
    level = int(match[2]) if direction == "down" else 3 - int(match[2])
    inner = f"resnets.{match[3]}" if match[3] else f"{direction}samplers.0"
    return f"{direction}_blocks.{level}.{inner}"


# From published names to ours, applied in this order. "coder" ends only the autoencoder's parts.
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
    """The name in our models, such as ``unet.conv_in.weight``, of a published tensor.

    ``name``: as in a single file; or as in a folder's file, prefixed with the model's name.
    """
    for pattern, replacement in _RENAMINGS:
        name = pattern.sub(replacement, name)
    return name


def name_inside(name: str) -> str | None:
    """:func:`our_name`, or None for a tensor that belongs to none of the three models."""
    if not name.startswith(_PREFIXES):
        return None
    ours = our_name(name)
    return None if _EXCLUDED.fullmatch(ours) else ours
