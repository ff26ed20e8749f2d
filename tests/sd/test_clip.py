"""The text encoder gives transformers' vectors for the same weights, has the published names, and
looks back only.
"""

import pytest
import torch
import transformers

from course_lib.sd.clip import CLIPTextConfig, CLIPTextModel

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


def pair(config, dtype=torch.float64):
    """Ours and theirs with the same weights: random norms, biases and embeddings, of a size that
    tells.
    """
    torch.manual_seed(0)
    ours = CLIPTextModel(config)
    with torch.no_grad():
        for name, parameter in ours.named_parameters():
            if parameter.ndim == 1 or "embedding" in name:
                parameter += 0.3 * torch.randn_like(parameter)
    theirs = transformers.CLIPTextModel(
        transformers.CLIPTextConfig(
            **{name: getattr(config, name) for name in CLIPTextConfig.__dataclass_fields__},
            hidden_act="quick_gelu",
            bos_token_id=0,
            eos_token_id=1,
        )
    )
    prefix = (
        "text_model." if any(key.startswith("text_model.") for key in theirs.state_dict()) else ""
    )
    theirs.load_state_dict(
        {prefix + key: value for key, value in ours.state_dict().items()}, strict=True
    )
    return ours.to(dtype), theirs.to(dtype).eval()


def apart(ours, theirs):
    assert ours.shape == theirs.shape
    return ((ours - theirs).abs().max() / theirs.abs().max()).item()


def ids_of(config, length=None):
    torch.manual_seed(1)
    return torch.randint(config.vocab_size, (3, length or config.max_position_embeddings))


@pytest.mark.parametrize("config", [TINY, WIDE], ids=["tiny", "wide"])
@pytest.mark.parametrize("length", [1, 5, None], ids=["one", "five", "all"])
@pytest.mark.parametrize(
    ("dtype", "bar"), [(torch.float64, 1e-12), (torch.float32, 1e-5)], ids=["fp64", "fp32"]
)
def test_the_vectors_are_transformers(config, length, dtype, bar):
    ours, theirs = pair(config, dtype)
    ids = ids_of(config, length)
    with torch.no_grad():
        assert apart(ours(ids), theirs(ids).last_hidden_state) <= bar


def test_the_gradients_are_transformers():
    ours, theirs = pair(TINY)
    ids = ids_of(TINY)
    for vectors in (ours(ids), theirs(ids).last_hidden_state):
        torch.manual_seed(2)
        (vectors * torch.randn_like(vectors)).sum().backward()
    prefix = (
        "text_model."
        if any(name.startswith("text_model.") for name, _ in theirs.named_parameters())
        else ""
    )
    peers = {
        name.removeprefix(prefix): parameter.grad for name, parameter in theirs.named_parameters()
    }
    largest = max(grad.abs().max() for grad in peers.values())
    for name, parameter in ours.named_parameters():
        assert (parameter.grad - peers[name]).abs().max() <= 1e-12 * largest, name


@pytest.mark.parametrize(
    "spoil",
    [
        lambda model: setattr(model.final_layer_norm, "eps", 1e-6),
        lambda model: [
            setattr(layer.layer_norm1, "eps", 1e-6) for layer in model.encoder["layers"]
        ],
        lambda model: [setattr(layer.self_attn, "heads", 2) for layer in model.encoder["layers"]],
        lambda model: [
            layer._modules.update(layer_norm1=layer.layer_norm2)
            for layer in model.encoder["layers"]
        ],
        lambda model: [
            layer.self_attn._modules.update(k_proj=layer.self_attn.q_proj)
            for layer in model.encoder["layers"]
        ],
        lambda model: setattr(model, "final_layer_norm", torch.nn.Identity()),
        lambda model: model.embeddings["position_embedding"].weight.data.copy_(
            model.embeddings["position_embedding"].weight.data.roll(1, 0)
        ),
    ],
    ids=[
        "eps of the last norm",
        "eps of the first norms",
        "heads",
        "norms",
        "keys",
        "no last norm",
        "positions",
    ],
)
def test_a_mistake_is_seen(spoil):
    """The bar above would not hold: so it tells something."""
    ours, theirs = pair(TINY)
    spoil(ours)
    with torch.no_grad():
        assert apart(ours(ids_of(TINY)), theirs(ids_of(TINY)).last_hidden_state) > 1e-8


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("sigmoid", lambda x: torch.special.ndtr(x / 1.702)),  # GELU, not the quick one
        ("scaled_dot_product_attention", None),  # no mask
    ],
)
def test_a_wrong_function_is_seen(name, wrong, monkeypatch):
    ours, theirs = pair(TINY)
    ids = ids_of(TINY)
    with torch.no_grad():
        expected = theirs(ids).last_hidden_state
        if wrong is None:
            attend = torch.nn.functional.scaled_dot_product_attention
            monkeypatch.setattr(
                torch.nn.functional, name, lambda q, k, v, is_causal: attend(q, k, v)
            )
        else:
            monkeypatch.setattr(torch, name, wrong)
        assert apart(ours(ids), expected) > 1e-8


def test_the_default_is_the_published_architecture():
    """123,060,480 parameters under 196 names: the official checkpoint's, counted on the meta
    device.
    """
    with torch.device("meta"):
        model = CLIPTextModel()
        vectors = model(torch.empty(2, 77, dtype=torch.int64))
        theirs = transformers.CLIPTextModel(
            transformers.CLIPTextConfig(
                hidden_size=768,
                intermediate_size=3072,
                num_hidden_layers=12,
                num_attention_heads=12,
            )
        )
    assert vectors.shape == (2, 77, 768)
    assert sum(parameter.numel() for parameter in model.parameters()) == 123_060_480
    shapes = {name: parameter.shape for name, parameter in model.named_parameters()}
    assert len(shapes) == len(model.state_dict()) == 196
    assert shapes == {
        name.removeprefix("text_model."): p.shape for name, p in theirs.named_parameters()
    }


@pytest.mark.slow
def test_the_vectors_are_transformers_at_full_size():
    ours, theirs = pair(CLIPTextConfig(), torch.float32)
    ids = ids_of(CLIPTextConfig())
    with torch.no_grad():
        assert apart(ours(ids), theirs(ids).last_hidden_state) <= 1e-5


def test_a_word_sees_those_before_it_only():
    torch.manual_seed(0)
    model = CLIPTextModel(TINY)
    ids = ids_of(TINY)
    other = ids.clone()
    other[:, 6] += 1 - 2 * (ids[:, 6] > 50).long()
    with torch.no_grad():
        change = (model(ids) - model(other)).abs().amax(-1)
    assert (change[:, :6] == 0).all() and (change[:, 6:] > 0).all()


def test_bad_sizes_are_told():
    with pytest.raises(ValueError, match="24 is no multiple of 5 heads"):
        CLIPTextModel(CLIPTextConfig(hidden_size=24, num_attention_heads=5))
    with pytest.raises(ValueError, match="Texts of 12 ids: give 11 at most"):
        CLIPTextModel(TINY)(torch.zeros(1, 12, dtype=torch.int64))
