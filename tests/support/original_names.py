"""The state-dict keys of single-file checkpoints of the original Stable Diffusion code."""

PREFIXES = {
    "text_encoder": "cond_stage_model.transformer.",
    "unet": "model.diffusion_model.",
    "vae": "first_stage_model.",
}


def original_names(name, config):
    """The original code's state-dict keys, in the order of their creation."""
    names = {"text_encoder": _clip_names, "unet": _unet_names, "vae": _vae_names}[name]
    return names(config)


def _weight_and_bias(*layers):
    return [f"{layer}.{tensor}" for layer in layers for tensor in ("weight", "bias")]


def _prefixed(prefix, names):
    return [f"{prefix}.{name}" for name in names]


def _residual_block(in_channels, out_channels, layers, shortcut):
    return _weight_and_bias(*layers, *([shortcut] if in_channels != out_channels else []))


def _clip_names(config):
    layers = [f"self_attn.{part}_proj" for part in ("k", "v", "q", "out")]
    layers += ["layer_norm1", "mlp.fc1", "mlp.fc2", "layer_norm2"]
    keys = [f"embeddings.{kind}_embedding.weight" for kind in ("token", "position")]
    for number in range(config.num_hidden_layers):
        keys += _prefixed(f"encoder.layers.{number}", _weight_and_bias(*layers))
    return _prefixed("text_model", keys + _weight_and_bias("final_layer_norm"))


def _unet_names(config):
    widths = list(config.block_out_channels)
    residual = ["in_layers.0", "in_layers.2", "emb_layers.1", "out_layers.0", "out_layers.3"]
    block = [f"attn{n}.to_{part}.weight" for n in (1, 2) for part in "qkv"]
    block += _weight_and_bias(
        "attn1.to_out.0",
        "attn2.to_out.0",
        "ff.net.0.proj",
        "ff.net.2",
        "norm1",
        "norm2",
        "norm3",
    )
    attention = _weight_and_bias("norm", "proj_in", "proj_out")
    attention += _prefixed("transformer_blocks.0", block)

    def layer(prefix, in_channels, out_channels, level):
        names = _residual_block(in_channels, out_channels, residual, "skip_connection")
        return _prefixed(f"{prefix}.0", names) + (
            _prefixed(f"{prefix}.1", attention) if level < 3 else []
        )

    keys = _weight_and_bias("time_embed.0", "time_embed.2", "input_blocks.0.0")
    number, channels, skips = 1, widths[0], [widths[0]]
    for level, width in enumerate(widths):
        for _ in range(config.layers_per_block):
            keys += layer(f"input_blocks.{number}", channels, width, level)
            number, channels = number + 1, width
            skips.append(channels)
        if level < 3:
            keys += _weight_and_bias(f"input_blocks.{number}.0.op")
            number += 1
            skips.append(channels)
    keys += _prefixed("middle_block.0", _weight_and_bias(*residual))
    keys += _prefixed("middle_block.1", attention)
    keys += _prefixed("middle_block.2", _weight_and_bias(*residual))
    number = 0
    for level, width in reversed(list(enumerate(widths))):
        for place in range(config.layers_per_block + 1):
            keys += layer(f"output_blocks.{number}", channels + skips.pop(), width, level)
            if level and place == config.layers_per_block:
                keys += _weight_and_bias(f"output_blocks.{number}.{2 if level < 3 else 1}.conv")
            number, channels = number + 1, width
    return keys + _weight_and_bias("out.0", "out.2")


def _vae_names(config):
    widths = list(config.block_out_channels)
    residual = ["norm1", "conv1", "norm2", "conv2"]
    middle = _prefixed("mid.block_1", _weight_and_bias(*residual))
    middle += _prefixed("mid.block_2", _weight_and_bias(*residual))
    middle += _prefixed("mid.attn_1", _weight_and_bias("norm", "q", "k", "v", "proj_out"))
    keys = _weight_and_bias("quant_conv", "post_quant_conv")
    for side, direction, levels in (
        ("encoder", "down", range(4)),
        ("decoder", "up", range(3, -1, -1)),
    ):
        channels = widths[levels[0]]
        keys += _prefixed(side, _weight_and_bias("conv_in", "norm_out", "conv_out") + middle)
        for level in levels:
            prefix = f"{side}.{direction}.{level}"
            for place in range(config.layers_per_block + (direction == "up")):
                names = _residual_block(channels, widths[level], residual, "nin_shortcut")
                keys += _prefixed(f"{prefix}.block.{place}", names)
                channels = widths[level]
            if level != levels[-1]:
                keys += _weight_and_bias(f"{prefix}.{direction}sample.conv")
    return keys
