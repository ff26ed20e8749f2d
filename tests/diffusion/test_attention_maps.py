"""Attention maps are the weights of the running model, and reading them changes nothing."""

import math

import pytest
import torch
from torch.nn import functional as F

from course_lib.diffusion.attention_maps import (
    Looked,
    among_tokens,
    look,
    object_mask,
    on_object,
    summed,
)
from tests.support.small_sd import OPTIONS, small

PROMPT = "a fox on a red"


@pytest.fixture(scope="module")
def model():
    return small()


@pytest.fixture(scope="module")
def looked(model):
    return look(model, PROMPT, **OPTIONS, guidance=4.0)


def test_looking_changes_no_picture_and_leaves_nothing_behind(model, looked):
    (plain,) = model.generate(PROMPT, **OPTIONS, guidance=4.0)
    torch.testing.assert_close(looked.image, plain, atol=1e-4, rtol=0)
    layers = [module for name, module in model.unet.named_modules() if name.endswith("attn2")]
    assert layers and not any(layer.keep_weights or layer.weights is not None for layer in layers)


def test_the_weights_of_a_place_sum_to_one_in_every_step(model, looked):
    assert looked.maps.shape == (OPTIONS["steps"], 16, 8, 8)
    torch.testing.assert_close(looked.maps.sum(1), torch.ones(3, 8, 8), atol=1e-5, rtol=0)
    assert (
        looked.times == sorted(looked.times, reverse=True) and len(looked.times) == OPTIONS["steps"]
    )
    assert looked.pieces[1:6] == PROMPT.split() and looked.pieces[6] == looked.pieces[-1]


def test_the_maps_are_those_of_the_prompt_and_not_of_the_empty_one(model):
    one = look(model, PROMPT, **OPTIONS, guidance=1.0)  # the prompt alone
    # both, and the prompt counts as before
    other = look(model, PROMPT, **OPTIONS, guidance=1.0 + 1e-6)
    torch.testing.assert_close(one.maps, other.maps, atol=1e-4, rtol=0)


def test_the_layers_weights_are_laid_out_row_by_row(model):
    kept = []
    layer = next(module for name, module in model.unet.named_modules() if name.endswith("attn2"))
    hook = layer.register_forward_hook(lambda module, inputs, output: kept.append(module.weights))
    try:
        maps = look(model, PROMPT, **OPTIONS, guidance=1.0).maps
    finally:
        hook.remove()
    assert kept[0].shape == (1, 2, 16, 16)  # one text, two heads, 4 x 4 places, 16 tokens
    assert maps.std() > 0


def test_nothing_is_kept_after_an_error(model):
    with pytest.raises(ValueError, match="no sampler"):
        look(model, PROMPT, sampler="none")
    assert not any(getattr(module, "keep_weights", False) for module in model.unet.modules())
    with pytest.raises(ValueError, match="one picture"):
        look(model, PROMPT, count=2)


def test_words_are_named_and_the_ends_summed(looked):
    named = summed(looked)
    assert list(named) == ["start", "a", "fox", "on", "a ", "red", "ends"]
    torch.testing.assert_close(sum(named.values()), torch.ones(8, 8), atol=1e-5, rtol=0)
    torch.testing.assert_close(named["fox"], looked.maps[:, 2].mean(0))


def square(side=32):
    """A red picture with a blue square in its middle."""
    image = torch.zeros(3, side, side)
    image[0] = 0.8
    image[:, side // 4 : 3 * side // 4, side // 4 : 3 * side // 4] = torch.tensor([0.1, 0.2, 0.9])[
        :, None, None
    ]
    return image


def test_the_object_is_what_is_not_of_the_borders_colour():
    mask = object_mask(square())
    assert mask[8:24, 8:24].all() and mask.sum() == 16 * 16


def test_a_map_is_compared_on_and_off_the_object():
    inside = F.adaptive_avg_pool2d(object_mask(square()).float()[None], 8)[0]
    maps = torch.stack([torch.ones(8, 8), 1 + 2 * inside, 2 - inside])[None]
    looked = Looked(square(), ["start", "word", "end"], maps, [1])
    assert on_object(looked) == pytest.approx([1, 3, 0.5])
    empty = looked._replace(image=torch.full((3, 32, 32), 0.5))
    assert all(math.isnan(one) for one in on_object(empty))


def test_tables_of_tokens_are_what_the_text_encoder_computes(model):
    ids, _ = model.tokenizer.encode(PROMPT)
    heard = []
    hooks = [
        layer.self_attn.register_forward_hook(
            lambda module, inputs, output: heard.append((module, inputs[0], output))
        )
        for layer in model.text_encoder.encoder["layers"]
    ]
    tables = among_tokens(model.text_encoder, ids)
    for hook in hooks:
        hook.remove()
    assert len(tables) == 2
    for table, (layer, x, output) in zip(tables, heard, strict=True):
        assert table.shape == (2, 16, 16) and (table.triu(1) == 0).all()
        torch.testing.assert_close(table.sum(-1), torch.ones(2, 16))
        values = layer.v_proj(x).unflatten(-1, (2, -1)).transpose(1, 2)
        torch.testing.assert_close(
            layer.out_proj((table @ values).transpose(1, 2).flatten(2)), output
        )
    with pytest.raises(ValueError, match="ids of one"):
        among_tokens(model.text_encoder, ids.repeat(2, 1))
