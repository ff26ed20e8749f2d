"""Published weights load to the number, in every layout they come in; anything else ends in a
sentence.
"""

import json
import shutil

import diffusers
import pytest
import torch
import transformers
from diffusers.loaders import single_file_utils
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

from course_lib.cli import app
from course_lib.sd import weights
from course_lib.sd.clip import CLIPTextConfig
from course_lib.sd.samplers import NoiseSchedule
from course_lib.sd.unet import UNetConfig
from course_lib.sd.vae import AutoencoderConfig

# Four levels of two layers, as the original names have them; everything else tiny.
CONFIGS = {
    "text_encoder": CLIPTextConfig(
        vocab_size=600,
        max_position_embeddings=9,
        hidden_size=24,
        intermediate_size=40,
        num_hidden_layers=2,
        num_attention_heads=4,
    ),
    "unet": UNetConfig(
        sample_size=8,
        block_out_channels=(8, 16, 24, 24),
        cross_attention_dim=24,
        attention_head_dim=4,
        norm_num_groups=4,
    ),
    "vae": AutoencoderConfig(block_out_channels=(4, 8, 12, 12), norm_num_groups=4),
}
COUNTS = {"text_encoder": 196, "unet": 686, "vae": 248}
PREFIXES = {
    "text_encoder": "cond_stage_model.transformer.",
    "unet": "model.diffusion_model.",
    "vae": "first_stage_model.",
}
STEMS = {
    "text_encoder": "model",
    "unet": "diffusion_pytorch_model",
    "vae": "diffusion_pytorch_model",
}
LEGACY = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
BUFFERS = """betas alphas_cumprod alphas_cumprod_prev sqrt_alphas_cumprod sqrt_one_minus_alphas_cumprod
    log_one_minus_alphas_cumprod sqrt_recip_alphas_cumprod sqrt_recipm1_alphas_cumprod posterior_variance
    posterior_log_variance_clipped posterior_mean_coef1 posterior_mean_coef2"""
IDS = "text_model.embeddings.position_ids"

# What version 1.5's config.json say.
PUBLISHED = {
    "text_encoder": {
        "_name_or_path": "openai/clip-vit-large-patch14", "architectures": ["CLIPTextModel"], "attention_dropout": 0.0,
        "bos_token_id": 0, "dropout": 0.0, "eos_token_id": 2, "hidden_act": "quick_gelu", "hidden_size": 768,
        "initializer_factor": 1.0, "initializer_range": 0.02, "intermediate_size": 3072, "layer_norm_eps": 1e-05,
        "max_position_embeddings": 77, "model_type": "clip_text_model", "num_attention_heads": 12,
        "num_hidden_layers": 12, "pad_token_id": 1, "projection_dim": 768, "torch_dtype": "float32",
        "transformers_version": "4.22.0.dev0", "vocab_size": 49408,
    },
    "unet": {
        "_class_name": "UNet2DConditionModel", "_diffusers_version": "0.6.0", "act_fn": "silu", "attention_head_dim": 8,
        "block_out_channels": [320, 640, 1280, 1280], "center_input_sample": False, "cross_attention_dim": 768,
        "down_block_types": [*["CrossAttnDownBlock2D"] * 3, "DownBlock2D"], "downsample_padding": 1,
        "flip_sin_to_cos": True, "freq_shift": 0, "in_channels": 4, "layers_per_block": 2, "mid_block_scale_factor": 1,
        "norm_eps": 1e-05, "norm_num_groups": 32, "out_channels": 4, "sample_size": 64,
        "up_block_types": ["UpBlock2D", *["CrossAttnUpBlock2D"] * 3],
    },
    "vae": {
        "_class_name": "AutoencoderKL", "_diffusers_version": "0.6.0", "act_fn": "silu",
        "block_out_channels": [128, 256, 512, 512], "down_block_types": ["DownEncoderBlock2D"] * 4, "in_channels": 3,
        "latent_channels": 4, "layers_per_block": 2, "norm_num_groups": 32, "out_channels": 3, "sample_size": 512,
        "up_block_types": ["UpDecoderBlock2D"] * 4,
    },
}  # fmt: skip
SCHEDULER = {
    "_class_name": "PNDMScheduler", "beta_end": 0.012, "beta_schedule": "scaled_linear", "beta_start": 0.00085,
    "clip_sample": False, "num_train_timesteps": 1000, "set_alpha_to_one": False, "skip_prk_steps": True,
    "steps_offset": 1, "trained_betas": None,
}  # fmt: skip


@pytest.fixture(scope="module")
def states():
    """The tensors of tiny models by our names, every one of them random."""
    torch.manual_seed(0)
    every = {}
    for name, (kind, _) in weights.MODELS.items():
        state = kind(CONFIGS[name]).state_dict()
        every[name] = {key: torch.randn(value.shape) for key, value in state.items()}
    return every


def settings(name):
    """A published config.json with the tiny sizes."""
    tiny = {field: getattr(CONFIGS[name], field) for field in CONFIGS[name].__dataclass_fields__}
    return PUBLISHED[name] | {
        key: list(value) if isinstance(value, tuple) else value for key, value in tiny.items()
    }


def old_names(name, state):
    """As the official files have them: the autoencoder's attention and the text encoder under their
    first names.
    """
    if name == "text_encoder":
        state = {f"text_model.{key}": value for key, value in state.items()}
        return state | {IDS: torch.arange(9)[None]}
    if name == "vae":
        for ours, theirs in LEGACY.items():
            state = {
                key.replace(f"attentions.0.{ours}.", f"attentions.0.{theirs}."): v
                for key, v in state.items()
            }
    return state


def write(folder, states, name_of=lambda name, state: state, variant=""):
    for name, state in states.items():
        (folder / name).mkdir(parents=True)
        file = folder / name / f"{STEMS[name]}{variant}.safetensors"
        save_file({key: value.contiguous() for key, value in name_of(name, state).items()}, file)
        (folder / name / "config.json").write_text(json.dumps(settings(name)))
    return folder


@pytest.fixture
def tiny_is_official(monkeypatch):
    """The tiny sizes take the place of the official ones, which single files have."""
    for name, (kind, _) in list(weights.MODELS.items()):
        monkeypatch.setitem(weights.MODELS, name, (kind, lambda name=name: CONFIGS[name]))


@pytest.fixture
def folder(states, tmp_path):
    return write(tmp_path / "tiny", states, old_names)


def same(loaded, states):
    for name, state in states.items():
        there = getattr(loaded, name).state_dict()
        assert list(there) == list(state)
        assert all(torch.equal(there[key], value) for key, value in state.items()), name


def original_names(name, config):
    """The names that the authors' code gives its layers, in the order in which it makes them."""

    def both(*layers):
        return [f"{layer}.{end}" for layer in layers for end in ("weight", "bias")]

    def inside(where, names):
        return [f"{where}.{each}" for each in names]

    def residual(before, after, names, shortcut):
        return both(*names, *([shortcut] if before != after else []))

    if name == "text_encoder":
        layer = [
            *(f"self_attn.{way}_proj" for way in ("k", "v", "q", "out")),
            "layer_norm1",
            "mlp.fc1",
            "mlp.fc2",
        ]
        keys = [f"embeddings.{kind}_embedding.weight" for kind in ("token", "position")]
        for number in range(config.num_hidden_layers):
            keys += inside(f"encoder.layers.{number}", both(*layer, "layer_norm2"))
        return inside("text_model", keys + both("final_layer_norm"))

    widths = list(config.block_out_channels)
    if name == "unet":
        parts = ["in_layers.0", "in_layers.2", "emb_layers.1", "out_layers.0", "out_layers.3"]
        block = [f"attn{n}.to_{way}.weight" for n in (1, 2) for way in "qkv"]
        block += both(
            "attn1.to_out.0",
            "attn2.to_out.0",
            "ff.net.0.proj",
            "ff.net.2",
            "norm1",
            "norm2",
            "norm3",
        )
        attention = both("norm", "proj_in", "proj_out") + inside("transformer_blocks.0", block)
        keys = both("time_embed.0", "time_embed.2", "input_blocks.0.0")
        number, channels, skips = 1, widths[0], [widths[0]]
        for level, width in enumerate(widths):
            for _ in range(config.layers_per_block):
                keys += inside(
                    f"input_blocks.{number}.0", residual(channels, width, parts, "skip_connection")
                )
                keys += inside(f"input_blocks.{number}.1", attention) if level < 3 else []
                number, channels = number + 1, width
                skips.append(channels)
            if level < 3:
                keys += both(f"input_blocks.{number}.0.op")
                number += 1
                skips.append(channels)
        keys += inside("middle_block.0", residual(0, 0, parts, "")) + inside(
            "middle_block.1", attention
        )
        keys += inside("middle_block.2", residual(0, 0, parts, ""))
        number = 0
        for level, width in reversed(list(enumerate(widths))):
            for layer in range(config.layers_per_block + 1):
                before = channels + skips.pop()
                keys += inside(
                    f"output_blocks.{number}.0", residual(before, width, parts, "skip_connection")
                )
                keys += inside(f"output_blocks.{number}.1", attention) if level < 3 else []
                if level and layer == config.layers_per_block:
                    keys += both(f"output_blocks.{number}.{2 if level < 3 else 1}.conv")
                number, channels = number + 1, width
        return keys + both("out.0", "out.2")

    parts = ["norm1", "conv1", "norm2", "conv2"]
    middle = inside("mid", inside("block_1", both(*parts)) + inside("block_2", both(*parts)))
    middle += inside("mid.attn_1", both("norm", "q", "k", "v", "proj_out"))
    keys = both("quant_conv", "post_quant_conv")
    for side, way, levels in (("encoder", "down", range(4)), ("decoder", "up", range(3, -1, -1))):
        channels = widths[levels[0]]
        keys += inside(side, both("conv_in", "norm_out", "conv_out") + middle)
        for level in levels:
            for layer in range(config.layers_per_block + (way == "up")):
                here = f"{side}.{way}.{level}.block.{layer}"
                keys += inside(here, residual(channels, widths[level], parts, "nin_shortcut"))
                channels = widths[level]
            keys += both(f"{side}.{way}.{level}.{way}sample.conv") if level != levels[-1] else []
    return keys


@pytest.mark.parametrize("name", COUNTS)
def test_the_original_names_become_every_one_of_ours(name):
    """All 1,130 keys at the official sizes, against our models' and against diffusers'
    converters.
    """
    kind, config = weights.MODELS[name]
    theirs = [PREFIXES[name] + key for key in original_names(name, config())]
    assert len(set(theirs)) == len(theirs) == COUNTS[name]
    with torch.device("meta"):
        expected = set(kind(config()).state_dict())
    assert {weights.our_name(key) for key in theirs} == {f"{name}.{key}" for key in expected}
    converted = convert(
        name, {key: torch.full((1, 1), float(n)) for n, key in enumerate(theirs)}, config()
    )
    for n, key in enumerate(theirs):
        assert converted[weights.our_name(key).removeprefix(f"{name}.")] == n, key


def convert(name, checkpoint, config):
    """diffusers' own translation of a single file, by our names."""
    if name == "text_encoder":
        state = single_file_utils.convert_ldm_clip_checkpoint(checkpoint)
        return {key.removeprefix("text_model."): value for key, value in state.items()}
    sizes = settings(name) | {"block_out_channels": list(config.block_out_channels)}
    convert = {"unet": "convert_ldm_unet_checkpoint", "vae": "convert_ldm_vae_checkpoint"}[name]
    return getattr(single_file_utils, convert)(checkpoint, sizes)


@pytest.mark.parametrize("name", COUNTS)
def test_names_of_the_folder_layout_are_the_peers(name):
    """diffusers' and transformers' own models of the official sizes have exactly our keys."""
    kind, config = weights.MODELS[name]
    with torch.device("meta"):
        ours = kind(config()).state_dict()
        sizes = {key: value for key, value in PUBLISHED[name].items() if not key.startswith("_")}
        if name == "text_encoder":
            theirs = transformers.CLIPTextModel(transformers.CLIPTextConfig(**sizes))
        else:
            theirs = {"unet": diffusers.UNet2DConditionModel, "vae": diffusers.AutoencoderKL}[name](
                **sizes
            )
    peers = {
        weights.our_name(f"{name}.{key}"): value.shape for key, value in theirs.state_dict().items()
    }
    assert {f"{name}.{key}": value.shape for key, value in ours.items()} == peers


def single(states, squared=True):
    """One file with the original names; the official one has the attention as convolutions of 1 x
    1.
    """
    file = {}
    for name, state in states.items():
        for key in original_names(name, CONFIGS[name]):
            value = state[weights.our_name(PREFIXES[name] + key).removeprefix(f"{name}.")]
            square = squared and name == "vae" and "attn_1" in key and value.ndim == 2
            file[PREFIXES[name] + key] = value[:, :, None, None].clone() if square else value
    return file


def ballast():
    """What single files carry besides."""
    extra = {key: torch.ones(5) for key in BUFFERS.split()}
    extra |= {
        "model_ema.decay": torch.ones(()),
        "model_ema.diffusion_modelinput_blocks00weight": torch.ones(3),
    }
    return extra | {PREFIXES["text_encoder"] + IDS: torch.arange(9)[None]}


@pytest.mark.parametrize("squared", [True, False])
def test_a_single_file_loads_as_diffusers_reads_it(states, tmp_path, squared, tiny_is_official):
    checkpoint = single(states, squared)
    save_file(checkpoint | ballast(), tmp_path / "all.safetensors")
    loaded = weights.load(tmp_path / "all.safetensors")
    same(loaded, states)
    for name, config in CONFIGS.items():
        part = {key: value for key, value in checkpoint.items() if key.startswith(PREFIXES[name])}
        state = getattr(loaded, name).state_dict()
        for key, value in convert(name, part, config).items():
            assert torch.equal(state[key], value.reshape(state[key].shape)), key


@pytest.mark.parametrize("form", ["new", "old"])
def test_a_folder_loads_to_the_number(states, tmp_path, form):
    folder = write(
        tmp_path / "tiny", states, old_names if form == "old" else lambda name, state: state
    )
    loaded = weights.load(folder)
    same(loaded, states)
    assert {name: getattr(loaded, name).config for name in CONFIGS} == CONFIGS
    assert loaded.schedule == NoiseSchedule()
    assert loaded.tokenizer.encode("a fox")[0].shape == (1, 9)
    for name in CONFIGS:
        model = getattr(loaded, name)
        assert not model.training
        assert not any(value.is_meta for value in [*model.parameters(), *model.buffers()])
    assert loaded.unet.conv_in.weight.is_contiguous(memory_format=torch.channels_last)


def test_the_autoencoders_attention_as_convolutions(states, folder):
    file = folder / "vae" / "diffusion_pytorch_model.safetensors"
    state = load_file(file)
    for key in state:
        if "attentions" in key and state[key].ndim == 2:
            state[key] = state[key][:, :, None, None].clone()
    save_file(state, file)
    same(weights.load(folder), states)


def test_halves_are_found_and_types_are_chosen(states, tmp_path):
    halves = {
        name: {key: value.half() for key, value in state.items()} for name, state in states.items()
    }
    folder = write(tmp_path / "halves", halves, old_names, variant=".fp16")
    same(weights.load(folder), halves)
    loaded = weights.load(folder, dtype=torch.float32)
    same(
        loaded,
        {
            name: {key: value.float() for key, value in state.items()}
            for name, state in halves.items()
        },
    )
    write(tmp_path / "both", states)
    shutil.copytree(folder, tmp_path / "both", dirs_exist_ok=True)
    same(weights.load(tmp_path / "both"), states)  # the full precision, where there are both


def test_what_the_peers_write_today_is_read(tmp_path):
    """config.json with every setting that diffusers and transformers know, and their names of the
    tensors.
    """
    torch.manual_seed(0)
    sizes = {
        name: {k: v for k, v in settings(name).items() if not k.startswith("_")} for name in CONFIGS
    }
    sizes["text_encoder"] |= {"bos_token_id": 598, "eos_token_id": 599}
    peers = {
        "unet": diffusers.UNet2DConditionModel(**sizes["unet"]),
        "vae": diffusers.AutoencoderKL(**sizes["vae"]),
        "text_encoder": transformers.CLIPTextModel(
            transformers.CLIPTextConfig(**sizes["text_encoder"])
        ),
    }
    for name, model in peers.items():
        model.save_pretrained(tmp_path / name, safe_serialization=True)
    diffusers.PNDMScheduler.from_config(SCHEDULER).save_pretrained(tmp_path / "scheduler")
    loaded = weights.load(tmp_path)
    assert {name: getattr(loaded, name).config for name in CONFIGS} == CONFIGS
    for name, model in peers.items():
        mine = getattr(loaded, name).state_dict()
        for key, value in model.state_dict().items():
            assert torch.equal(mine[key.removeprefix("text_model.")], value), key


@pytest.mark.parametrize("name", COUNTS)
def test_the_published_configurations_are_the_defaults(name, tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(PUBLISHED[name]))
    kind = weights.MODELS[name][1]
    assert weights.read_config(kind, tmp_path / "config.json") == kind()


def test_the_folders_noise_schedule_is_read(folder):
    (folder / "scheduler").mkdir()
    file = folder / "scheduler" / "scheduler_config.json"
    file.write_text(json.dumps(SCHEDULER))
    assert weights.load(folder).schedule == NoiseSchedule()
    file.write_text(json.dumps(SCHEDULER | {"prediction_type": "v_prediction", "beta_end": 0.02}))
    assert weights.load(folder).schedule == NoiseSchedule(
        prediction_type="v_prediction", beta_end=0.02
    )
    file.write_text(json.dumps(SCHEDULER | {"beta_schedule": "linear"}))
    with pytest.raises(ValueError, match="beta_schedule is 'linear', expected 'scaled_linear'"):
        weights.load(folder)


@pytest.mark.parametrize(
    ("name", "change", "told"),
    [
        (
            "unet",
            {"attention_head_dim": [5, 10, 20, 20]},
            r"attention_head_dim is \[5, 10, 20, 20\], expected 8",
        ),  # 2.x
        (
            "unet",
            {"use_linear_projection": True},
            "use_linear_projection is True, expected False",
        ),  # 2.x
        ("unet", {"addition_embed_type": "text_time"}, "addition_embed_type is 'text_time'"),  # XL
        ("unet", {"num_attention_heads": 4}, "num_attention_heads is 4, expected None"),
        ("unet", {"in_channels": 9}, "conv_in"),  # for filling holes
        ("unet", {"cross_attention_dim": 1024}, "to_k"),
        ("unet", {"flip_sin_to_cos": False}, "flip_sin_to_cos is False, expected True"),
        ("unet", {"norm_num_groups": 0}, "no unet of the sizes"),
        ("unet", {"down_block_types": ["DownBlock2D"]}, "no unet of the sizes"),
        ("text_encoder", {"hidden_act": "gelu"}, "hidden_act is 'gelu', expected 'quick_gelu'"),
        ("text_encoder", {"num_hidden_layers": 3}, "is missing"),
        ("text_encoder", {"num_hidden_layers": 1}, "is unknown"),
        ("text_encoder", {"hidden_size": 32}, "expected floats"),
        ("vae", {"latent_channels": 16}, "latent|quant_conv|conv"),
        ("vae", {"block_out_channels": "wide"}, "block_out_channels is 'wide'"),
        ("vae", {"layers_per_block": None}, "layers_per_block is None, expected 2"),
    ],
)
def test_another_architecture_is_refused(folder, name, change, told):
    (folder / name / "config.json").write_text(json.dumps(settings(name) | change))
    with pytest.raises(ValueError, match=told) as error:
        weights.load(folder)
    assert "Stable Diffusion 1.x" in str(error.value) or "of the sizes in" in str(error.value)


def test_models_that_do_not_belong_together_are_refused(states, tmp_path, monkeypatch):
    wide = CLIPTextConfig(**(CONFIGS["text_encoder"].__dict__ | {"hidden_size": 32}))
    monkeypatch.setitem(CONFIGS, "text_encoder", wide)
    torch.manual_seed(0)
    text = weights.MODELS["text_encoder"][0](wide).state_dict()
    with pytest.raises(ValueError, match="its vectors not the text encoder's"):
        weights.load(write(tmp_path / "mixed", states | {"text_encoder": text}))


@pytest.mark.parametrize("name", COUNTS)
def test_loading_is_strict_in_both_directions(folder, states, tmp_path, name):
    file = folder / name / f"{STEMS[name]}.safetensors"
    whole = load_file(file)
    last = list(whole)[-1]
    save_file({key: value for key, value in whole.items() if key != last}, file)
    with pytest.raises(ValueError, match=rf"{name}\..* is missing"):
        weights.load(folder)
    save_file(whole | {"lora_up.weight": torch.ones(2)}, file)
    with pytest.raises(ValueError, match="lora_up.weight is unknown"):
        weights.load(folder)
    save_file(whole | {last: whole[last][None].clone()}, file)
    with pytest.raises(ValueError, match="expected floats"):
        weights.load(folder)
    save_file(whole | {last: whole[last].to(torch.int8)}, file)
    with pytest.raises(ValueError, match="is I8"):
        weights.load(folder)


def test_a_tensor_under_two_names_is_refused(folder, states):
    file = folder / "vae" / "diffusion_pytorch_model.safetensors"
    save_file(load_file(file) | {"encoder.mid_block.attentions.0.to_q.bias": torch.ones(12)}, file)
    with pytest.raises(ValueError, match="is there twice"):
        weights.load(folder)


@pytest.mark.parametrize(
    "extra",
    ["conditioner.embedders.0.transformer.text_model.final_layer_norm.bias", "cond_stage_model.model.ln_final.bias",
     "alphas", "model.diffusion_model.betas", "state", "first_stage_model.loss.logvar"],
)  # fmt: skip
def test_a_single_files_unknown_names_are_refused(states, tmp_path, extra, tiny_is_official):
    """Of XL, of 2.x, and what only looks like a table of the schedule."""
    save_file(single(states) | ballast() | {extra: torch.ones(2)}, tmp_path / "all.safetensors")
    with pytest.raises(ValueError, match=f"{extra} is unknown"):
        weights.load(tmp_path / "all.safetensors")


def test_a_single_file_without_a_model_is_refused(states, tmp_path, tiny_is_official):
    file = {
        key: value for key, value in single(states).items() if not key.startswith("first_stage")
    }
    save_file(file, tmp_path / "all.safetensors")
    with pytest.raises(
        ValueError, match="248 things are wrong: vae.encoder.conv_in.weight is missing"
    ):
        weights.load(tmp_path / "all.safetensors")


def test_files_that_are_no_safetensors_are_refused(folder, tmp_path, states):
    file = folder / "unet" / "diffusion_pytorch_model.safetensors"
    whole = file.read_bytes()
    pickled = tmp_path / "model.ckpt"
    torch.save({"state_dict": {"conv_in.weight": torch.ones(2)}}, pickled)
    torch.save({"a": torch.ones(2)}, tmp_path / "old.ckpt", _use_new_zipfile_serialization=False)
    for content, told in [
        (whole[:-1], "whole .safetensors"),
        (whole[:100], "whole .safetensors"),
        (whole + b"1", "whole .safetensors"),
        (b"", "whole .safetensors"),
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
            "whole .safetensors",
        ),
        (b"<!DOCTYPE html><html>not found</html>", "whole .safetensors"),
        (pickled.read_bytes(), "found a pickle"),
        ((tmp_path / "old.ckpt").read_bytes(), "found a pickle"),
    ]:
        file.write_bytes(content)
        with pytest.raises(ValueError, match=told):
            weights.load(folder)
    file.unlink()
    pickled.rename(folder / "unet" / "diffusion_pytorch_model.bin")
    told = "expected diffusion_pytorch_model.safetensors, found config.json, diffusion_pytorch_model.bin. Pickled ones"
    with pytest.raises(ValueError, match=told):
        weights.load(folder)
    with pytest.raises(ValueError, match="found a pickle"):
        weights.load(tmp_path / "old.ckpt")
    shutil.rmtree(folder / "unet")
    with pytest.raises(ValueError, match="No such file"):
        weights.load(folder)
    with pytest.raises(ValueError, match="No such file"):
        weights.load(tmp_path / "nowhere")


@pytest.mark.parametrize("content", ["", "{", "[]", "3", '{"act_fn": "gelu"}', "\udcff"])
def test_a_broken_config_is_refused(folder, content):
    (folder / "vae" / "config.json").write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(
        ValueError, match="should hold the settings|act_fn is 'gelu'|is missing|expected floats"
    ):
        weights.load(folder)


def test_a_folder_with_its_own_tokenizer(folder):
    (folder / "tokenizer").mkdir()
    with pytest.raises(ValueError, match="merges.txt and vocab.json"):
        weights.load(folder)


def run(*arguments):
    result = CliRunner().invoke(app, ["sd", "verify", *map(str, arguments)])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, " ".join((result.output + getattr(result, "stderr", "")).split())


def test_verify_says_what_is_there(folder, states):
    code, said = run(folder)
    assert code == 0
    for name, state in states.items():
        numbers = sum(value.numel() for value in state.values())
        kind = weights.MODELS[name][0].__name__
        assert f"{name} {kind} {len(state)} {numbers:,} float32 {4 * numbers / 1e6:,.1f}" in said
    assert "Complete: Stable Diffusion 1.x, at other sizes than the official ones, a folder" in said


def test_verify_tells_the_official_sizes_by_their_licence(
    folder, states, monkeypatch, tiny_is_official
):
    monkeypatch.setattr(weights, "read_config", lambda kind, path: kind())
    code, said = run(folder)
    assert (
        code == 0 and "of the official sizes" in said and "CreativeML OpenRAIL-M: https://" in said
    )
    file = folder.parent / "all.safetensors"
    save_file(single(states) | ballast(), file)
    code, said = run(file)
    assert code == 0 and "a single file with the original names" in said


def test_verify_refuses_in_a_sentence(folder, tmp_path):
    code, said = run(tmp_path / "nowhere")
    assert code == 1 and "is not there" in said and said.count("https://huggingface.co/") >= 2
    assert "CreativeML OpenRAIL-M" in said
    file = folder / "vae" / "diffusion_pytorch_model.safetensors"
    whole = load_file(file)
    for spoil in (torch.zeros_like, lambda value: torch.full_like(value, torch.nan)):
        save_file(
            whole | {"decoder.conv_out.weight": spoil(whole["decoder.conv_out.weight"])}, file
        )
        code, said = run(folder)
        assert code == 1 and "such as vae.decoder.conv_out.weight" in said
    file.write_bytes(file.read_bytes()[:-7])
    code, said = run(folder)
    assert code == 1 and "course: " in said and "expected a whole .safetensors file" in said
    code, said = run(tmp_path)
    assert code == 1 and "Pickled ones" in said
