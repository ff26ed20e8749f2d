"""Attention maps: the model's attention weights, recorded without changing its output."""

import math

import pytest
import torch
from torch.nn import functional as F

from course_lib.diffusion.attention_maps import (
    AttentionRecord,
    maps_by_word,
    object_mask,
    object_to_background_ratios,
    record_attention,
    text_self_attention,
)
from tests.support.small_sd import OPTIONS, small_pipeline

PROMPT = "a fox on a red"


@pytest.fixture(scope="module")
def model():
    return small_pipeline()


@pytest.fixture(scope="module")
def record(model):
    return record_attention(model, PROMPT, **OPTIONS, guidance=4.0)


def cross_attention_layers(model):
    return [module for name, module in model.unet.named_modules() if name.endswith("attn2")]


def test_recording_changes_neither_image_nor_model(model, record):
    (image,) = model.generate(PROMPT, **OPTIONS, guidance=4.0)
    torch.testing.assert_close(record.image, image, atol=1e-4, rtol=0)
    layers = cross_attention_layers(model)
    assert layers and not any(layer.keep_weights or layer.weights is not None for layer in layers)


def test_weights_sum_to_1_over_the_tokens(record):
    assert record.maps.shape == (OPTIONS["steps"], 16, 8, 8)
    torch.testing.assert_close(record.maps.sum(1), torch.ones(3, 8, 8), atol=1e-5, rtol=0)


def test_timesteps_and_tokens_are_recorded(record):
    assert record.timesteps == sorted(record.timesteps, reverse=True)
    assert len(record.timesteps) == OPTIONS["steps"]
    assert record.tokens[1:6] == PROMPT.split() and record.tokens[6] == record.tokens[-1]


def test_maps_belong_to_the_conditional_half_of_the_batch(model):
    # At guidance scale 1 the batch has only the conditional half; just above 1 it has both halves.
    conditional = record_attention(model, PROMPT, **OPTIONS, guidance=1.0)
    guided = record_attention(model, PROMPT, **OPTIONS, guidance=1.0 + 1e-6)
    torch.testing.assert_close(conditional.maps, guided.maps, atol=1e-4, rtol=0)


def test_layers_keep_the_weights_of_all_heads(model):
    weights = []
    hook = cross_attention_layers(model)[0].register_forward_hook(
        lambda module, inputs, output: weights.append(module.weights)
    )
    try:
        maps = record_attention(model, PROMPT, **OPTIONS, guidance=1.0).maps
    finally:
        hook.remove()
    assert weights[0].shape == (1, 2, 16, 16)  # one text, two heads, 4 x 4 positions, 16 tokens
    assert maps.std() > 0


def test_model_is_restored_after_an_error(model):
    with pytest.raises(ValueError, match="no sampler"):
        record_attention(model, PROMPT, sampler="none")
    assert not any(getattr(module, "keep_weights", False) for module in model.unet.modules())
    with pytest.raises(ValueError, match="one image"):
        record_attention(model, PROMPT, count=2)


def test_maps_by_word(record):
    by_word = maps_by_word(record)
    assert list(by_word) == ["start token", "a", "fox", "on", "a ", "red", "end tokens"]
    torch.testing.assert_close(sum(by_word.values()), torch.ones(8, 8), atol=1e-5, rtol=0)
    torch.testing.assert_close(by_word["fox"], record.maps[:, 2].mean(0))


def blue_square_on_red(side=32):
    image = torch.zeros(3, side, side)
    image[0] = 0.8
    centre = slice(side // 4, 3 * side // 4)
    image[:, centre, centre] = torch.tensor([0.1, 0.2, 0.9])[:, None, None]
    return image


def test_object_mask():
    mask = object_mask(blue_square_on_red())
    assert mask[8:24, 8:24].all() and mask.sum() == 16 * 16


def test_object_to_background_ratios():
    mask = F.adaptive_avg_pool2d(object_mask(blue_square_on_red()).float()[None], 8)[0]
    maps = torch.stack([torch.ones(8, 8), 1 + 2 * mask, 2 - mask])[None]
    record = AttentionRecord(blue_square_on_red(), ["start", "word", "end"], maps, [1])
    assert object_to_background_ratios(record) == pytest.approx([1, 3, 0.5])
    plain = record._replace(image=torch.full((3, 32, 32), 0.5))
    assert all(math.isnan(ratio) for ratio in object_to_background_ratios(plain))


def test_text_self_attention_reproduces_the_encoder(model):
    ids, _ = model.tokenizer.encode(PROMPT)
    calls = []
    hooks = [
        layer.self_attn.register_forward_hook(
            lambda module, inputs, output: calls.append((module, inputs[0], output))
        )
        for layer in model.text_encoder.encoder["layers"]
    ]
    tables = text_self_attention(model.text_encoder, ids)
    for hook in hooks:
        hook.remove()
    assert len(tables) == 2
    for table, (layer, x, output) in zip(tables, calls, strict=True):
        assert table.shape == (2, 16, 16) and (table.triu(1) == 0).all()
        torch.testing.assert_close(table.sum(-1), torch.ones(2, 16))
        values = layer.v_proj(x).unflatten(-1, (2, -1)).transpose(1, 2)
        attended = (table @ values).transpose(1, 2).flatten(2)
        torch.testing.assert_close(layer.out_proj(attended), output)
    with pytest.raises(ValueError, match="ids of one"):
        text_self_attention(model.text_encoder, ids.repeat(2, 1))
