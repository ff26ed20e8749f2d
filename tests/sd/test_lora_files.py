"""Files of diffusers, peft and kohya give the same pictures as there, and ours are read there.

Peers' files are made here, by diffusers' writers and converters and from the published names. What
needs peft is skipped where it is not installed.
"""

import json
import re
from copy import deepcopy
from functools import cache

import pytest
import torch
from safetensors.torch import load_file, save_file

from course_lib.sd import lora, lora_files
from course_lib.sd.clip import CLIPTextModel
from course_lib.sd.tensor_files import TensorFile
from course_lib.sd.unet import UNet2DConditionModel
from tests.support.lora import (
    TEXT,
    Change,
    attention_names,
    kohya_names,
    random_changes,
    text_names,
    with_changes,
)
from tests.support.parity import (
    FLOAT32_TOLERANCE,
    clip_pair,
    relative_error,
    unet_inputs,
    unet_pair,
)
from tests.support.tiny_sd import UNET

IDS = torch.randint(50, (3, 9), generator=torch.Generator().manual_seed(0))
TO_Q = "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q"
LATENTS, TIMES, CONTEXT = unet_inputs(UNET, dtype=torch.float32)


@cache
def shared_pairs():
    """Our U-Net and diffusers', our text encoder and transformers'."""
    torch.manual_seed(0)
    return unet_pair(UNET, torch.float32), clip_pair(TEXT, torch.float32)


@pytest.fixture
def unet():
    return deepcopy(shared_pairs()[0][0])


@pytest.fixture
def text_encoder():
    return deepcopy(shared_pairs()[1][0])


@torch.no_grad()
def matches_peers(unet, text_encoder, changes, text_changes):
    """Whether our models agree with the peers' whose weights contain the changes."""
    (_, their_unet), (_, their_text_encoder) = shared_pairs()
    expected = with_changes(their_unet, changes)(LATENTS, TIMES, CONTEXT).sample
    text_expected = with_changes(their_text_encoder, text_changes)(IDS).last_hidden_state
    errors = [
        relative_error(unet(LATENTS, TIMES, CONTEXT), expected),
        relative_error(text_encoder(IDS), text_expected),
    ]
    return max(errors) <= FLOAT32_TOLERANCE


def peft_state(changes, prefix=""):
    """A and B under peft's names."""
    return {
        f"{prefix}{name}.lora_{part}.weight": getattr(change, part)
        for name, change in changes.items()
        for part in "AB"
    }


def kohya_state(changes, text_changes, alpha=torch.tensor):
    """The tensors that kohya's scripts save; ``alpha`` makes those of alpha, None leaves it out."""
    state = {}
    for start, group in (("lora_unet_", changes), ("lora_te_text_model_", text_changes)):
        for name, change in group.items():
            key = start + name.replace(".", "_")
            state[f"{key}.lora_down.weight"] = change.A
            state[f"{key}.lora_up.weight"] = change.B
            if alpha is not None:
                state[f"{key}.alpha"] = alpha(change.alpha)
    return state


# Writers: each writes the changes to a folder and returns the path to read. They differ in the
# layers and in what alpha they can write.


def write_diffusers(folder, changes, text_changes):
    """By diffusers, with peft's names, alpha and ranks in the metadata."""
    from diffusers import StableDiffusionPipeline

    def settings(group):
        first = next(iter(group.values()))
        return {"r": len(first.A), "lora_alpha": first.alpha, "target_modules": list(group)}

    StableDiffusionPipeline.save_lora_weights(
        folder,
        unet_lora_layers=peft_state(changes),
        text_encoder_lora_layers=peft_state(text_changes, "text_model."),
        unet_lora_adapter_metadata=settings(changes),
        text_encoder_lora_adapter_metadata=settings(text_changes),
    )
    return folder


def write_diffusers_2023(folder, changes, text_changes):
    """By diffusers, with the names of its training scripts, without alpha."""
    from diffusers import StableDiffusionPipeline
    from diffusers.utils import convert_state_dict_to_diffusers

    StableDiffusionPipeline.save_lora_weights(
        folder,
        unet_lora_layers=convert_state_dict_to_diffusers(peft_state(changes)),
        text_encoder_lora_layers=convert_state_dict_to_diffusers(
            peft_state(text_changes, "text_model.")
        ),
    )
    names = TensorFile(folder / "pytorch_lora_weights.safetensors").names
    assert f"unet.{TO_Q}.lora.down.weight" in names
    ending = "self_attn.q_proj.lora_linear_layer.down.weight"
    assert f"text_encoder.text_model.encoder.layers.0.{ending}" in names
    return folder / "pytorch_lora_weights.safetensors"


def write_diffusers_old(folder, changes, text_changes):
    """The first names of diffusers, with attention processors."""
    parts, state = {"A": "down", "B": "up"}, {}
    for name, change in changes.items():
        layer = re.sub(r"\.to_(q|k|v|out)(\.0)?$", r".processor.to_\1_lora", name)
        assert layer != name
        state |= {f"unet.{layer}.{end}.weight": getattr(change, p) for p, end in parts.items()}
    for name, change in text_changes.items():
        layer = "text_model." + re.sub(r"\.(q|k|v|out)_proj$", r".to_\1_lora", name)
        layer += "" if layer.endswith("_lora") else ".lora_linear_layer"
        state |= {
            f"text_encoder.{layer}.{end}.weight": getattr(change, p) for p, end in parts.items()
        }
    save_file(state, folder / "old.safetensors")
    return folder / "old.safetensors"


def write_kohya(folder, changes, text_changes):
    """kohya's names; some scripts save alpha in half precision."""
    save_file(kohya_state(changes, text_changes), folder / "kohya.safetensors")
    return folder / "kohya.safetensors"


def write_kohya_half_alpha(folder, changes, text_changes):
    state = kohya_state(changes, text_changes, lambda alpha: torch.tensor(alpha).half())
    save_file(state, folder / "kohya.safetensors")
    return folder / "kohya.safetensors"


def write_kohya_without_alpha(folder, changes, text_changes):
    save_file(kohya_state(changes, text_changes, None), folder / "kohya.safetensors")
    return folder / "kohya.safetensors"


def write_kohya_by_diffusers(folder, changes, text_changes):
    """By diffusers' converter, which takes alpha for the rank, as an integer."""
    from diffusers.utils import convert_state_dict_to_kohya

    state = peft_state(changes, "unet.") | peft_state(text_changes, "text_encoder.text_model.")
    converted = convert_state_dict_to_kohya(state)
    key = "lora_unet_" + TO_Q.replace(".", "_")
    assert converted[f"{key}.alpha"].dtype == torch.int64
    save_file(converted, folder / "kohya.safetensors")
    return folder / "kohya.safetensors"


WRITERS = [
    (write_diffusers, attention_names, 2.0),
    (write_diffusers, kohya_names, 2.0),
    (write_diffusers_2023, attention_names, 3.0),
    (write_diffusers_old, attention_names, 3.0),
    (write_kohya, kohya_names, 1.0),
    # As LoCon: every linear layer and convolution.
    (write_kohya, lora.adaptable_layers, 2.0),
    (write_kohya_half_alpha, attention_names, 0.5),
    (write_kohya_without_alpha, attention_names, 3.0),
    (write_kohya_by_diffusers, attention_names, 3.0),
]


@pytest.mark.parametrize("write, layers, alpha", WRITERS)
def test_peers_file_gives_the_peers_result(write, layers, alpha, unet, text_encoder, tmp_path):
    changes = random_changes(unet, layers(unet), 3, alpha)
    text_changes = random_changes(text_encoder, text_names(text_encoder), 3, alpha)
    path = write(tmp_path, changes, text_changes)
    added = lora_files.load(path, unet, text_encoder)
    names = [f"unet.{name}" for name in changes]
    names += [f"text_encoder.{name}" for name in text_changes]
    assert sorted(added) == sorted(names)
    assert {layer.alpha for layer in added.values()} == {alpha}
    assert matches_peers(unet, text_encoder, changes, text_changes)
    assert {id(p) for p in unet.parameters() if p.requires_grad} == {
        id(parameter) for parameter in lora.parameters(unet)
    }


def test_peft_folder_is_read(unet, tmp_path):
    changes = random_changes(unet, attention_names(unet), 3, 2.0)
    changes[TO_Q] = random_changes(unet, [TO_Q], 2, 4.0)[TO_Q]
    save_file(peft_state(changes, "base_model.model."), tmp_path / "adapter_model.safetensors")
    settings = {
        "peft_type": "LORA",
        "r": 3,
        "lora_alpha": 2,
        "rank_pattern": {TO_Q: 2},
        "alpha_pattern": {TO_Q.partition(".")[2]: 4},
        "use_rslora": False,
    }
    (tmp_path / "adapter_config.json").write_text(json.dumps(settings))
    added = lora_files.load(tmp_path, unet)
    assert added[f"unet.{TO_Q}"].scale == 2
    assert matches_peers(unet, shared_pairs()[1][0], changes, {})


def with_two_ranks(unet, text_encoder):
    """Changes of several ranks and alphas, in our models."""
    for model, names in ((unet, lora.ATTENTION), (text_encoder, ["q_proj", "out_proj", "fc1"])):
        lora.inject(model, 3, 2.0, names)
    lora.inject(unet, 2, 5.0, ["proj_in", "conv1"])
    # In kohya's layout, diffusers ignores a second alpha in the text encoder, and expects out_proj.
    lora.inject(text_encoder, 1, 2.0, ["fc2"])
    changes = []
    for model in (unet, text_encoder):
        for index, layer in enumerate(lora.find_layers(model).values()):
            torch.manual_seed(index)
            torch.nn.init.normal_(layer.lora_B.weight, std=0.3)
        changes.append(
            {
                name: Change(layer.lora_A.weight, layer.lora_B.weight, layer.alpha)
                for name, layer in lora.find_layers(model).items()
            }
        )
    return changes


@pytest.mark.parametrize("layout", lora_files.LAYOUTS)
def test_file_is_read_as_it_was_written(layout, unet, text_encoder, tmp_path):
    before = with_two_ranks(unet, text_encoder)
    assert matches_peers(unet, text_encoder, *before)
    lora_files.save(tmp_path / "lora.safetensors", unet, text_encoder, layout)
    lora.remove(unet), lora.remove(text_encoder)
    lora_files.load(tmp_path / "lora.safetensors", unet, text_encoder, strength=0.5)
    for model, changes in zip((unet, text_encoder), before, strict=True):
        layers = lora.find_layers(model)
        assert layers.keys() == changes.keys()
        for name, layer in layers.items():
            assert torch.equal(layer.lora_A.weight, changes[name].A)
            assert torch.equal(layer.lora_B.weight, changes[name].B)
            assert layer.alpha == changes[name].alpha and layer.strength == 0.5


def test_diffusers_reads_the_kohya_layout(unet, text_encoder, tmp_path):
    """Its reader finds every layer and alpha."""
    from diffusers import StableDiffusionPipeline
    from diffusers.utils import convert_unet_state_dict_to_peft

    changes, _ = with_two_ranks(unet, text_encoder)
    lora_files.save(tmp_path / "lora.safetensors", unet, text_encoder, "kohya")
    state, alphas = StableDiffusionPipeline.lora_state_dict(
        tmp_path, weight_name="lora.safetensors"
    )
    read = convert_unet_state_dict_to_peft(
        {key: value for key, value in state.items() if key.startswith("unet.")}
    )
    assert read.keys() == peft_state(changes, "unet.").keys()
    assert all(torch.equal(read[key], value) for key, value in peft_state(changes, "unet.").items())
    named = convert_unet_state_dict_to_peft(alphas)
    found = {
        re.sub(r"(\.lora_A\.weight)?\.alpha$", "", key).removeprefix("unet."): value
        for key, value in named.items()
        if key.startswith("unet.")
    }
    assert found == {name: change.alpha for name, change in changes.items()}
    assert len(state) + len(alphas) == 3 * sum(
        len(lora.find_layers(model)) for model in (unet, text_encoder)
    )


def test_diffusers_reads_the_diffusers_layout(unet, text_encoder, tmp_path):
    from diffusers import StableDiffusionPipeline

    changes, text_changes = with_two_ranks(unet, text_encoder)
    lora_files.save(tmp_path / "lora.safetensors", unet, text_encoder)
    state, alphas, metadata = StableDiffusionPipeline.lora_state_dict(
        tmp_path, weight_name="lora.safetensors", return_lora_metadata=True
    )
    expected = peft_state(changes, "unet.")
    expected |= peft_state(text_changes, "text_encoder.text_model.")
    assert state.keys() == expected.keys() and alphas is None
    assert set(metadata["unet.target_modules"]) == changes.keys()
    ranks, alphas = metadata["unet.rank_pattern"], metadata["unet.alpha_pattern"]
    assert {metadata["unet.r"], *ranks.values()} == {2, 3}
    assert {metadata["unet.lora_alpha"], *alphas.values()} == {2.0, 5.0}
    assert ranks.keys() < changes.keys()


def attach_in_diffusers(path):
    """diffusers' own models with the LoRA that diffusers and peft read."""
    from diffusers import StableDiffusionPipeline

    (_, unet), (_, text_encoder) = deepcopy(shared_pairs())
    state, alphas, metadata = StableDiffusionPipeline.lora_state_dict(
        path.parent, weight_name=path.name, return_lora_metadata=True
    )
    for read, model in (
        (StableDiffusionPipeline.load_lora_into_unet, unet),
        (StableDiffusionPipeline.load_lora_into_text_encoder, text_encoder),
    ):
        read(dict(state), alphas, model, metadata=metadata)
    return unet, text_encoder


@pytest.mark.parametrize("layout", lora_files.LAYOUTS)
def test_peft_computes_the_same(layout, unet, text_encoder, tmp_path):
    pytest.importorskip("peft")
    with_two_ranks(unet, text_encoder)
    lora_files.save(tmp_path / "lora.safetensors", unet, text_encoder, layout)
    their_unet, their_text_encoder = attach_in_diffusers(tmp_path / "lora.safetensors")
    with torch.no_grad():
        expected = their_unet(LATENTS, TIMES, CONTEXT).sample
        assert relative_error(unet(LATENTS, TIMES, CONTEXT), expected) <= FLOAT32_TOLERANCE
        expected = their_text_encoder(IDS).last_hidden_state
        assert relative_error(text_encoder(IDS), expected) <= FLOAT32_TOLERANCE


@pytest.mark.parametrize("kind", ["adapter", "folder"])
@pytest.mark.extended
def test_peft_writes_what_is_read(kind, unet, tmp_path):
    peft = pytest.importorskip("peft")
    their_unet = deepcopy(shared_pairs()[0][1])
    config = peft.LoraConfig(
        r=4,
        lora_alpha=6,
        init_lora_weights=False,
        target_modules=["to_q", "to_v", "to_out.0", "conv2"],
        rank_pattern={"attn2.to_q": 2},
        alpha_pattern={"to_v": 3},
    )
    if kind == "adapter":
        their_unet.add_adapter(config)
        their_unet.save_lora_adapter(tmp_path)
    else:
        their_unet = peft.get_peft_model(their_unet, config)
        their_unet.save_pretrained(tmp_path)
    added = lora_files.load(tmp_path, unet)
    assert {(layer.rank, layer.alpha) for layer in added.values()} == {(4, 6), (4, 3), (2, 6)}
    with torch.no_grad():
        expected = their_unet(LATENTS, TIMES, CONTEXT).sample
        assert relative_error(unet(LATENTS, TIMES, CONTEXT), expected) <= FLOAT32_TOLERANCE


def test_kohyas_file_for_stable_diffusion_loads_at_full_size(tmp_path):
    """192 layers of the U-Net and 72 of the text encoder, on the meta device."""
    with torch.device("meta"):
        unet, text_encoder = UNet2DConditionModel(), CLIPTextModel()
    kinds = ["proj_in", "proj_out", "ff.net.0.proj", "ff.net.2"]
    kinds += [f"attn{n}.{part}" for n in (1, 2) for part in ("to_q", "to_k", "to_v", "to_out.0")]
    blocks = [f"down_blocks.{level}.attentions.{n}" for level in (0, 1, 2) for n in (0, 1)]
    blocks += ["mid_block.attentions.0"]
    blocks += [f"up_blocks.{level}.attentions.{n}" for level in (1, 2, 3) for n in (0, 1, 2)]
    names = [
        f"{block}.{kind}" if "proj_" in kind else f"{block}.transformer_blocks.0.{kind}"
        for block in blocks
        for kind in kinds
    ]
    attention = [f"self_attn.{part}_proj" for part in ("q", "k", "v", "out")]
    text = [
        f"encoder.layers.{n}.{x}" for n in range(12) for x in (*attention, "mlp.fc1", "mlp.fc2")
    ]
    assert (len(names), len(text)) == (192, 72)
    changes = random_changes(unet, names, 1, 1.0), random_changes(text_encoder, text, 1, 1.0)
    path = write_kohya(tmp_path, *changes)
    added = lora_files.load(path, unet, text_encoder)
    assert len(added) == 264
    layer = added["unet.mid_block.attentions.0.proj_in"]
    assert layer.weight.shape == (1280, 1280, 1, 1) and layer.lora_A.weight.is_meta


def renamed(old, new):
    def change(state):
        return {key.replace(old, new): value for key, value in state.items()}

    return change


def replaced(ending, value):
    def change(state):
        key = next(key for key in state if key.endswith(ending))
        return state | {key: value(state[key])}

    return change


def without(ending):
    def change(state):
        removed = next(key for key in state if key.endswith(ending))
        return {key: value for key, value in state.items() if key != removed}

    return change


FAULTS = {
    "missing": (without("lora_up.weight"), r"unet\.\S+ has no B"),
    "unknown layer": (renamed("attn1_to_q", "attn3_to_q"), r"attn3_to_q\S+ is unknown"),
    "unknown tensor": (
        lambda state: state | {"lora_unet_conv_in.bias": torch.zeros(2)},
        r"Problems: 1, such as: lora_unet_conv_in.bias is unknown",
    ),
    "shape of A": (
        replaced("lora_down.weight", lambda A: A[:, :-1].contiguous()),
        r"A of unet\.\S+ is \[3, \d+\], expected \[3, \d+\] for the rank 3",
    ),
    "ranks differ": (
        replaced("lora_up.weight", lambda B: B[:, :2].contiguous()),
        r"B of unet\.\S+ is \[\d+, 2\], expected \[\d+, 3\] for the rank 3 of A",
    ),
    "rank 0": (replaced("lora_down.weight", lambda A: A[:0]), r"for the rank 0"),
    "a number for A": (replaced("lora_down.weight", lambda A: A[0, 0].clone()), r"A of .* is \[\]"),
    "integers": (replaced("lora_up.weight", lambda B: B.int()), "is I32, expected floats"),
    "alpha 0": (replaced(".alpha", lambda alpha: 0 * alpha), r"alpha of .* is 0.0, expected"),
    "alpha of two numbers": (replaced(".alpha", lambda alpha: torch.ones(2)), "alpha of .*tensor"),
    "alpha nan": (replaced(".alpha", lambda alpha: alpha * torch.nan), "alpha of .* is nan"),
    "twice": (
        lambda state: state | {f"unet.{TO_Q}.lora_A.weight": torch.zeros(3, 16)},
        "is there twice, under two names",
    ),
    "empty": (lambda state: {}, "there are no tensors"),
    "DoRA": (
        lambda state: state | {"lora_unet_conv_in.dora_scale": torch.zeros(2)},
        "is a DoRA, .*: give a LoRA for Stable Diffusion 1.x",
    ),
    "LoHa": (renamed("lora_down.weight", "hada_w1_a"), "is a LoHa"),
    "LoKr": (renamed("lora_down.weight", "lokr_w1"), "is a LoKr"),
    "LoCon in three": (
        lambda state: state | {"lora_unet_conv_in.lora_mid.weight": torch.zeros(2)},
        "is a LoCon with three matrices",
    ),
    "SDXL": (renamed("lora_unet_down_blocks_0", "lora_unet_input_blocks_1"), "Diffusion XL"),
    "SDXL, text": (
        lambda state: state | {"lora_te2_text_projection.alpha": torch.ones(())},
        "Stable Diffusion XL",
    ),
    "SD 3": (renamed("lora_unet_", "lora_transformer_"), "Stable Diffusion 3 or FLUX"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_damaged_file_is_rejected_and_nothing_changed(name, unet, tmp_path):
    fault, message = FAULTS[name]
    state = kohya_state(random_changes(unet, attention_names(unet)), {})
    save_file(fault(state), tmp_path / "lora.safetensors")
    with pytest.raises(ValueError, match=message):
        lora_files.load(tmp_path / "lora.safetensors", unet)
    assert not lora.find_layers(unet) and unet.conv_in.weight.requires_grad


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"unet.r": 4}, "has rank 3, the settings say 4"),
        ({"r": "3"}, "has rank 3, the settings say '3'"),
        ({"unet.rank_pattern": {"to_q": 2}}, "has rank 3, the settings say 2"),
        ({"unet.lora_alpha": "big"}, "alpha of .* is 'big', expected a number above 0"),
        ({"unet.lora_alpha": True}, "alpha of .* is True"),
        ({"unet.use_rslora": True}, "the setting use_rslora is not supported"),
        ({"use_dora": True}, "the setting use_dora is not supported"),
        ([], "lora_adapter_metadata in its header is not a JSON object"),
    ],
)
def test_unsupported_settings_are_rejected(settings, message, unet, tmp_path):
    state = peft_state(random_changes(unet, attention_names(unet)), "unet.")
    metadata = {"lora_adapter_metadata": json.dumps(settings)}
    save_file(state, tmp_path / "lora.safetensors", metadata)
    with pytest.raises(ValueError, match=message):
        lora_files.load(tmp_path / "lora.safetensors", unet)


def test_file_for_both_models_needs_both(unet, text_encoder, tmp_path):
    path = write_kohya(
        tmp_path,
        random_changes(unet, attention_names(unet)),
        random_changes(text_encoder, text_names(text_encoder)),
    )
    with pytest.raises(ValueError, match="unknown.* If it is for the text_encoder too, give that"):
        lora_files.load(path, unet)
    state = {key: value for key, value in load_file(path).items() if "_unet_" in key}
    save_file(state, path)
    lora_files.load(path, unet, text_encoder)
    assert not lora.find_layers(text_encoder)
    assert text_encoder.final_layer_norm.weight.requires_grad
    with pytest.raises(ValueError, match="The unet has a LoRA already: call lora.remove first"):
        lora_files.load(path, unet)


def test_linear_layer_can_be_held_as_a_convolution(unet, tmp_path):
    changes = random_changes(unet, attention_names(unet))
    state = {
        key: value[..., None, None] if value.ndim else value
        for key, value in kohya_state(changes, {}).items()
    }
    save_file(state, tmp_path / "lora.safetensors")
    lora_files.load(tmp_path / "lora.safetensors", unet)
    assert matches_peers(unet, shared_pairs()[1][0], changes, {})


def test_other_mistakes_are_explained(unet, tmp_path):
    with pytest.raises(ValueError, match="No model has a LoRA: call lora.inject first"):
        lora_files.save(tmp_path / "lora.safetensors", unet)
    with pytest.raises(ValueError, match="no layout 'peft': choose one of diffusers, kohya"):
        lora_files.save(tmp_path / "lora.safetensors", unet, layout="peft")
    with pytest.raises(ValueError, match="give the path of the .safetensors file"):
        lora_files.load(tmp_path, unet)
    (tmp_path / "lora.safetensors").write_bytes(b"PK\x03\x04")
    with pytest.raises(ValueError, match="found a pickle"):
        lora_files.load(tmp_path / "lora.safetensors", unet)
