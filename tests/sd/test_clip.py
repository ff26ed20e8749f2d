"""The text encoder equals transformers' for the same weights, and has the published key names."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from course_lib.sd.clip import CLIPTextConfig, CLIPTextModel
from tests.support.mutations import replace, wrap
from tests.support.parity import (
    FLOAT32_TOLERANCE,
    FLOAT64_TOLERANCE,
    PRECISIONS,
    clip_pair,
    relative_error,
    transformers_clip,
)

TINY = CLIPTextConfig(
    vocab_size=100,
    max_position_embeddings=11,
    hidden_size=24,
    intermediate_size=56,
    num_hidden_layers=3,
    num_attention_heads=4,
)
WIDE = CLIPTextConfig(
    vocab_size=50,
    max_position_embeddings=77,
    hidden_size=40,
    intermediate_size=64,
    num_hidden_layers=2,
    num_attention_heads=5,
    layer_norm_eps=1e-3,
)


def random_ids(config, length=None):
    generator = torch.Generator().manual_seed(1)
    shape = (3, length or config.max_position_embeddings)
    return torch.randint(config.vocab_size, shape, generator=generator)


def pair(config, dtype=torch.float64):
    torch.manual_seed(0)
    return clip_pair(config, dtype)


def their_names(parameters):
    """transformers' parameters under our names: older versions have a prefix."""
    return {name.removeprefix("text_model."): parameter for name, parameter in parameters}


@pytest.mark.parametrize("config", [TINY, WIDE], ids=["tiny", "wide"])
@pytest.mark.parametrize("length", [1, 5, None], ids=["one", "five", "all"])
@pytest.mark.parametrize(
    ("dtype", "limit"),
    PRECISIONS,
    ids=["fp64", "fp32"],
)
def test_vectors_match_transformers(config, length, dtype, limit):
    ours, theirs = pair(config, dtype)
    ids = random_ids(config, length)
    with torch.no_grad():
        assert relative_error(ours(ids), theirs(ids).last_hidden_state) <= limit


def test_gradients_match_transformers():
    ours, theirs = pair(TINY)
    ids = random_ids(TINY)
    for vectors in (ours(ids), theirs(ids).last_hidden_state):
        torch.manual_seed(2)
        (vectors * torch.randn_like(vectors)).sum().backward()
    their_grads = {
        name: parameter.grad for name, parameter in their_names(theirs.named_parameters()).items()
    }
    largest = max(grad.abs().max() for grad in their_grads.values())
    for name, parameter in ours.named_parameters():
        assert (parameter.grad - their_grads[name]).abs().max() <= FLOAT64_TOLERANCE * largest, name


def wrong_final_eps(model):
    model.final_layer_norm.eps = 1e-6


def wrong_first_eps(model):
    for layer in model.encoder["layers"]:
        layer.layer_norm1.eps = 1e-6


def wrong_heads(model):
    for layer in model.encoder["layers"]:
        layer.self_attn.heads = 2


def second_norm_twice(model):
    for layer in model.encoder["layers"]:
        layer.layer_norm1 = layer.layer_norm2


def queries_as_keys(model):
    for layer in model.encoder["layers"]:
        layer.self_attn.k_proj = layer.self_attn.q_proj


def no_final_norm(model):
    model.final_layer_norm = nn.Identity()


def shifted_positions(model):
    positions = model.embeddings["position_embedding"].weight
    with torch.no_grad():
        positions.copy_(positions.roll(1, 0))


@pytest.mark.parametrize(
    "make_mistake",
    [
        wrong_final_eps,
        wrong_first_eps,
        wrong_heads,
        second_norm_twice,
        queries_as_keys,
        no_final_norm,
        shifted_positions,
    ],
)
def test_mistake_in_the_model_is_detected(make_mistake):
    ours, theirs = pair(TINY)
    make_mistake(ours)
    with torch.no_grad():
        error = relative_error(ours(random_ids(TINY)), theirs(random_ids(TINY)).last_hidden_state)
    assert error > 1e-8


def attend_without_mask(attend, q, k, v, is_causal):
    return attend(q, k, v)


@pytest.mark.parametrize(
    "make_mistake",
    [
        # the exact GELU instead of its sigmoid approximation
        replace(torch, "sigmoid", lambda x: torch.special.ndtr(x / 1.702)),
        wrap(F, "scaled_dot_product_attention", attend_without_mask),
    ],
    ids=["exact GELU", "no causal mask"],
)
def test_wrong_function_is_detected(make_mistake, monkeypatch):
    ours, theirs = pair(TINY)
    ids = random_ids(TINY)
    with torch.no_grad():
        expected = theirs(ids).last_hidden_state
        make_mistake(monkeypatch)
        assert relative_error(ours(ids), expected) > 1e-8


def test_default_is_the_published_architecture():
    """The default has 123,060,480 parameters in 196 tensors, as in the official checkpoint."""
    with torch.device("meta"):
        model = CLIPTextModel()
        vectors = model(torch.empty(2, 77, dtype=torch.int64))
        theirs = transformers_clip(CLIPTextConfig())
    assert vectors.shape == (2, 77, 768)
    assert sum(parameter.numel() for parameter in model.parameters()) == 123_060_480
    shapes = {name: parameter.shape for name, parameter in model.named_parameters()}
    assert len(shapes) == len(model.state_dict()) == 196
    their_parameters = their_names(theirs.named_parameters())
    assert shapes == {name: parameter.shape for name, parameter in their_parameters.items()}


@pytest.mark.slow
def test_vectors_match_transformers_at_full_size():
    ours, theirs = pair(CLIPTextConfig(), torch.float32)
    ids = random_ids(CLIPTextConfig())
    with torch.no_grad():
        assert relative_error(ours(ids), theirs(ids).last_hidden_state) <= FLOAT32_TOLERANCE


def test_token_changes_only_its_own_and_later_vectors():
    torch.manual_seed(0)
    model = CLIPTextModel(TINY)
    ids = random_ids(TINY)
    changed_ids = ids.clone()
    changed_ids[:, 6] += 1 - 2 * (ids[:, 6] > 50).long()
    with torch.no_grad():
        change = (model(ids) - model(changed_ids)).abs().amax(-1)
    assert (change[:, :6] == 0).all() and (change[:, 6:] > 0).all()


def test_invalid_sizes_are_rejected():
    with pytest.raises(ValueError, match="24 is not a multiple of num_attention_heads 5"):
        CLIPTextModel(CLIPTextConfig(hidden_size=24, num_attention_heads=5))
    with pytest.raises(ValueError, match="Texts of 12 ids: give at most 11"):
        CLIPTextModel(TINY)(torch.zeros(1, 12, dtype=torch.int64))
