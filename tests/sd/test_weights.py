"""Published weights load exactly, in every layout; anything else is rejected with a message."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

from course_lib.cli import app
from course_lib.sd import weights
from course_lib.sd.clip import CLIPTextConfig
from course_lib.sd.samplers import NoiseSchedule
from course_lib.sd.unet import UNetConfig
from course_lib.sd.vae import AutoencoderConfig
from tests.support.original_names import PREFIXES, original_names

# Four levels of two layers, as the original key names assume; everything else is tiny.
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
STEMS = {
    "text_encoder": "model",
    "unet": "diffusion_pytorch_model",
    "vae": "diffusion_pytorch_model",
}
LEGACY = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
BUFFERS = """
    betas alphas_cumprod alphas_cumprod_prev sqrt_alphas_cumprod sqrt_one_minus_alphas_cumprod
    log_one_minus_alphas_cumprod sqrt_recip_alphas_cumprod sqrt_recipm1_alphas_cumprod
    posterior_variance posterior_log_variance_clipped posterior_mean_coef1 posterior_mean_coef2
"""
IDS = "text_model.embeddings.position_ids"

# The config.json files of version 1.5.
PUBLISHED = {
    "text_encoder": {
        "_name_or_path": "openai/clip-vit-large-patch14",
        "architectures": ["CLIPTextModel"],
        "attention_dropout": 0.0,
        "bos_token_id": 0,
        "dropout": 0.0,
        "eos_token_id": 2,
        "hidden_act": "quick_gelu",
        "hidden_size": 768,
        "initializer_factor": 1.0,
        "initializer_range": 0.02,
        "intermediate_size": 3072,
        "layer_norm_eps": 1e-05,
        "max_position_embeddings": 77,
        "model_type": "clip_text_model",
        "num_attention_heads": 12,
        "num_hidden_layers": 12,
        "pad_token_id": 1,
        "projection_dim": 768,
        "torch_dtype": "float32",
        "transformers_version": "4.22.0.dev0",
        "vocab_size": 49408,
    },
    "unet": {
        "_class_name": "UNet2DConditionModel",
        "_diffusers_version": "0.6.0",
        "act_fn": "silu",
        "attention_head_dim": 8,
        "block_out_channels": [320, 640, 1280, 1280],
        "center_input_sample": False,
        "cross_attention_dim": 768,
        "down_block_types": [*["CrossAttnDownBlock2D"] * 3, "DownBlock2D"],
        "downsample_padding": 1,
        "flip_sin_to_cos": True,
        "freq_shift": 0,
        "in_channels": 4,
        "layers_per_block": 2,
        "mid_block_scale_factor": 1,
        "norm_eps": 1e-05,
        "norm_num_groups": 32,
        "out_channels": 4,
        "sample_size": 64,
        "up_block_types": ["UpBlock2D", *["CrossAttnUpBlock2D"] * 3],
    },
    "vae": {
        "_class_name": "AutoencoderKL",
        "_diffusers_version": "0.6.0",
        "act_fn": "silu",
        "block_out_channels": [128, 256, 512, 512],
        "down_block_types": ["DownEncoderBlock2D"] * 4,
        "in_channels": 3,
        "latent_channels": 4,
        "layers_per_block": 2,
        "norm_num_groups": 32,
        "out_channels": 3,
        "sample_size": 512,
        "up_block_types": ["UpDecoderBlock2D"] * 4,
    },
}
SCHEDULER = {
    "_class_name": "PNDMScheduler",
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "beta_start": 0.00085,
    "clip_sample": False,
    "num_train_timesteps": 1000,
    "set_alpha_to_one": False,
    "skip_prk_steps": True,
    "steps_offset": 1,
    "trained_betas": None,
}


@pytest.fixture(scope="module")
def states():
    """Random state dicts of tiny models, with our key names."""
    torch.manual_seed(0)
    states = {}
    for name, (model_class, _) in weights.MODELS.items():
        state = model_class(CONFIGS[name]).state_dict()
        states[name] = {key: torch.randn(value.shape) for key, value in state.items()}
    return states


def settings(name):
    """A published config.json with tiny sizes.

    Its diffusers version is a later one: small sizes of the first versions are interpreted
    differently.
    """
    tiny = {field: getattr(CONFIGS[name], field) for field in CONFIGS[name].__dataclass_fields__}
    return (
        PUBLISHED[name]
        | {"_diffusers_version": "0.30.0"}
        | {key: list(value) if isinstance(value, tuple) else value for key, value in tiny.items()}
    )


def old_names(name, state):
    """The state with the official files' old names of the autoencoder's attention and the text
    encoder.
    """
    if name == "text_encoder":
        state = {f"text_model.{key}": value for key, value in state.items()}
        return state | {IDS: torch.arange(9)[None]}
    if name == "vae":
        for ours, theirs in LEGACY.items():
            state = {
                key.replace(f"attentions.0.{ours}.", f"attentions.0.{theirs}."): value
                for key, value in state.items()
            }
    return state


def write(folder, states, rename=lambda name, state: state, variant=""):
    """Write models as a folder in diffusers' layout."""
    for name, state in states.items():
        (folder / name).mkdir(parents=True)
        file = folder / name / f"{STEMS[name]}{variant}.safetensors"
        save_file({key: value.contiguous() for key, value in rename(name, state).items()}, file)
        (folder / name / "config.json").write_text(json.dumps(settings(name)))
    return folder


@pytest.fixture
def tiny_is_official(monkeypatch):
    """Make the tiny sizes the official ones, which a single file must have."""
    for name, (model_class, _) in list(weights.MODELS.items()):
        monkeypatch.setitem(weights.MODELS, name, (model_class, lambda name=name: CONFIGS[name]))


@pytest.fixture(scope="module")
def _folder(states, tmp_path_factory):
    return write(tmp_path_factory.mktemp("weights"), states, old_names)


@pytest.fixture
def folder(_folder, tmp_path):
    """The tiny models as a folder, a fresh copy per test."""
    return shutil.copytree(_folder, tmp_path / "tiny")


def assert_loaded(pipeline, states):
    for name, state in states.items():
        loaded = getattr(pipeline, name).state_dict()
        assert list(loaded) == list(state)
        assert all(torch.equal(loaded[key], value) for key, value in state.items()), name


@pytest.mark.parametrize("name", COUNTS)
@pytest.mark.extended
def test_original_names_are_translated(name):
    """All 1,130 keys are translated to our names, as by diffusers' converters."""
    model_class, config_class = weights.MODELS[name]
    config = config_class()
    originals = [PREFIXES[name] + key for key in original_names(name, config)]
    assert len(set(originals)) == len(originals) == COUNTS[name]
    with torch.device("meta"):
        expected = set(model_class(config).state_dict())
    assert {weights.our_name(key) for key in originals} == {f"{name}.{key}" for key in expected}
    numbered = {key: torch.full((1, 1), float(n)) for n, key in enumerate(originals)}
    converted = convert(name, numbered, config)
    for n, key in enumerate(originals):
        assert converted[weights.our_name(key).removeprefix(f"{name}.")] == n, key


def convert(name, checkpoint, config):
    """diffusers' conversion of a single file, with our key names."""
    from diffusers.loaders import single_file_utils

    if name == "text_encoder":
        state = single_file_utils.convert_ldm_clip_checkpoint(checkpoint)
        return {key.removeprefix("text_model."): value for key, value in state.items()}
    sizes = settings(name) | {"block_out_channels": list(config.block_out_channels)}
    if name == "unet":
        return single_file_utils.convert_ldm_unet_checkpoint(checkpoint, sizes)
    return single_file_utils.convert_ldm_vae_checkpoint(checkpoint, sizes)


def make_reference(name, options):
    """diffusers' or transformers' model with the settings of a config.json."""
    import diffusers
    import transformers

    options = {key: value for key, value in options.items() if not key.startswith("_")}
    if name == "text_encoder":
        return transformers.CLIPTextModel(transformers.CLIPTextConfig(**options))
    if name == "unet":
        return diffusers.UNet2DConditionModel(**options)
    return diffusers.AutoencoderKL(**options)


@pytest.mark.parametrize("name", COUNTS)
@pytest.mark.extended
def test_our_key_names_equal_diffusers_and_transformers(name):
    """The official models of diffusers and transformers have exactly our keys and shapes."""
    model_class, config_class = weights.MODELS[name]
    with torch.device("meta"):
        ours = model_class(config_class()).state_dict()
        theirs = make_reference(name, PUBLISHED[name]).state_dict()
    their_shapes = {weights.our_name(f"{name}.{key}"): value.shape for key, value in theirs.items()}
    assert {f"{name}.{key}": value.shape for key, value in ours.items()} == their_shapes


def single_file(states, attention_as_convolution=True):
    """The tensors of a single file with the original names; in the official file the attention
    layers are 1 x 1 convolutions.
    """
    tensors = {}
    for name, state in states.items():
        for key in original_names(name, CONFIGS[name]):
            value = state[weights.our_name(PREFIXES[name] + key).removeprefix(f"{name}.")]
            if attention_as_convolution and name == "vae" and "attn_1" in key and value.ndim == 2:
                value = value[:, :, None, None].clone()
            tensors[PREFIXES[name] + key] = value
    return tensors


def unused_tensors():
    """Other tensors that single files contain."""
    unused = {key: torch.ones(5) for key in BUFFERS.split()}
    unused["model_ema.decay"] = torch.ones(())
    unused["model_ema.diffusion_modelinput_blocks00weight"] = torch.ones(3)
    unused[PREFIXES["text_encoder"] + IDS] = torch.arange(9)[None]
    return unused


@pytest.mark.parametrize("attention_as_convolution", [True, False])
@pytest.mark.extended
def test_single_file_loads_as_in_diffusers(
    states, tmp_path, attention_as_convolution, tiny_is_official
):
    checkpoint = single_file(states, attention_as_convolution)
    save_file(checkpoint | unused_tensors(), tmp_path / "all.safetensors")
    loaded = weights.load(tmp_path / "all.safetensors")
    assert_loaded(loaded, states)
    for name, config in CONFIGS.items():
        part = {key: value for key, value in checkpoint.items() if key.startswith(PREFIXES[name])}
        state = getattr(loaded, name).state_dict()
        for key, value in convert(name, part, config).items():
            assert torch.equal(state[key], value.reshape(state[key].shape)), key


@pytest.mark.parametrize("options", [{}, {"rename": old_names}], ids=["new names", "old names"])
def test_folder_loads_exactly(states, tmp_path, options):
    loaded = weights.load(write(tmp_path / "tiny", states, **options))
    assert_loaded(loaded, states)
    assert {name: getattr(loaded, name).config for name in CONFIGS} == CONFIGS
    assert loaded.schedule == NoiseSchedule()
    assert loaded.tokenizer.encode("a fox")[0].shape == (1, 9)
    for name in CONFIGS:
        model = getattr(loaded, name)
        assert not model.training
        assert not any(value.is_meta for value in [*model.parameters(), *model.buffers()])
    assert loaded.unet.conv_in.weight.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.extended
def test_autoencoder_with_attention_as_convolutions(states, folder):
    file = folder / "vae" / "diffusion_pytorch_model.safetensors"
    state = load_file(file)
    for key in state:
        if "attentions" in key and state[key].ndim == 2:
            state[key] = state[key][:, :, None, None].clone()
    save_file(state, file)
    assert_loaded(weights.load(folder), states)


@pytest.mark.extended
def test_half_precision_files_and_chosen_dtypes(states, tmp_path):
    halves = {
        name: {key: value.half() for key, value in state.items()} for name, state in states.items()
    }
    folder = write(tmp_path / "halves", halves, old_names, variant=".fp16")
    assert_loaded(weights.load(folder), halves)
    rounded = {
        name: {key: value.float() for key, value in state.items()} for name, state in halves.items()
    }
    assert_loaded(weights.load(folder, dtype=torch.float32), rounded)
    write(tmp_path / "both", states)
    shutil.copytree(folder, tmp_path / "both", dirs_exist_ok=True)
    assert_loaded(weights.load(tmp_path / "both"), states)  # full precision is preferred


@pytest.mark.extended
def test_folder_written_by_current_diffusers_loads(tmp_path):
    """Folders saved by the installed diffusers and transformers, with all their settings, load
    exactly.
    """
    import diffusers

    torch.manual_seed(0)
    options = {name: settings(name) for name in CONFIGS}
    options["text_encoder"] |= {"bos_token_id": 598, "eos_token_id": 599}
    references = {name: make_reference(name, options[name]) for name in CONFIGS}
    for name, model in references.items():
        model.save_pretrained(tmp_path / name, safe_serialization=True)
    diffusers.PNDMScheduler.from_config(SCHEDULER).save_pretrained(tmp_path / "scheduler")
    loaded = weights.load(tmp_path)
    assert {name: getattr(loaded, name).config for name in CONFIGS} == CONFIGS
    for name, model in references.items():
        ours = getattr(loaded, name).state_dict()
        for key, value in model.state_dict().items():
            assert torch.equal(ours[key.removeprefix("text_model.")], value), key


@pytest.mark.parametrize("name", COUNTS)
def test_published_configurations_are_the_defaults(name, tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(PUBLISHED[name]))
    config_class = weights.MODELS[name][1]
    assert weights.read_config(config_class, tmp_path / "config.json") == config_class()


@pytest.mark.extended
def test_noise_schedule_of_the_folder_is_used(folder):
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
    ("name", "change", "message"),
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
        ("unet", {"in_channels": 9}, "conv_in"),  # for inpainting
        ("unet", {"cross_attention_dim": 1024}, "to_k"),
        ("unet", {"flip_sin_to_cos": False}, "flip_sin_to_cos is False, expected True"),
        ("unet", {"norm_num_groups": 0}, "norm_num_groups is 0, expected 32"),
        ("unet", {"norm_num_groups": 5}, "the sizes in unet/config.json are invalid"),
        ("unet", {"down_block_types": ["DownBlock2D"]}, "up_block_types is"),
        ("text_encoder", {"hidden_act": "gelu"}, "hidden_act is 'gelu', expected 'quick_gelu'"),
        (
            "text_encoder",
            {"num_hidden_layers": 3},
            r"says 3 layers or levels \(num_hidden_layers\), the weights have 2; .* is missing",
        ),
        (
            "text_encoder",
            {"num_hidden_layers": 1},
            r"says 1 layers or levels \(num_hidden_layers\), the weights have 2; .* is unknown",
        ),
        ("text_encoder", {"hidden_size": 32}, "expected floats"),
        ("vae", {"latent_channels": 16}, "latent|quant_conv|conv"),
        ("vae", {"block_out_channels": "wide"}, "block_out_channels is 'wide'"),
        ("vae", {"layers_per_block": None}, "layers_per_block is None, expected 2"),
    ],
)
def test_different_architecture_is_rejected(folder, name, change, message):
    (folder / name / "config.json").write_text(json.dumps(settings(name) | change))
    with pytest.raises(ValueError, match=message) as error:
        weights.load(folder)
    assert "Stable Diffusion 1.x" in str(error.value) or "the sizes in" in str(error.value)


def test_incompatible_models_are_rejected(states, tmp_path, monkeypatch):
    wide = CLIPTextConfig(**(CONFIGS["text_encoder"].__dict__ | {"hidden_size": 32}))
    monkeypatch.setitem(CONFIGS, "text_encoder", wide)
    torch.manual_seed(0)
    text = weights.MODELS["text_encoder"][0](wide).state_dict()
    with pytest.raises(
        ValueError, match="the text encoder differ in the width of the text embeddings"
    ):
        weights.load(write(tmp_path / "mixed", states | {"text_encoder": text}))


@pytest.mark.parametrize("name", COUNTS)
def test_loading_is_strict_in_both_directions(folder, states, tmp_path, name):
    file = folder / name / f"{STEMS[name]}.safetensors"
    complete = load_file(file)
    last = list(complete)[-1]
    save_file({key: value for key, value in complete.items() if key != last}, file)
    with pytest.raises(ValueError, match=rf"{name}\..* is missing"):
        weights.load(folder)
    save_file(complete | {"another.weight": torch.ones(2)}, file)
    with pytest.raises(ValueError, match="another.weight is unknown"):
        weights.load(folder)
    save_file(complete | {last: complete[last][None].clone()}, file)
    with pytest.raises(ValueError, match="expected floats"):
        weights.load(folder)
    save_file(complete | {last: complete[last].to(torch.int8)}, file)
    with pytest.raises(ValueError, match="is quantised: tensors are I8"):
        weights.load(folder)


def test_tensor_under_two_names_is_rejected(folder, states):
    file = folder / "vae" / "diffusion_pytorch_model.safetensors"
    save_file(load_file(file) | {"encoder.mid_block.attentions.0.to_q.bias": torch.ones(12)}, file)
    with pytest.raises(ValueError, match="is there twice"):
        weights.load(folder)


# Tensors that public files contain besides the three models.
OTHER_TENSORS = """
    alphas cond_stage_model.logit_scale cond_stage_model.transformer.logit_scale
    cond_stage_model.transformer.text_projection.weight control_model.time_embed.0.weight
    denoiser.sigmas embedding_manager.embedder.transformer.text_model.final_layer_norm.bias
    first_stage_model.loss.logvar first_stage_model.model_ema.decay logvar lvlb_weights scale_factor
"""


@pytest.mark.extended
def test_tensors_outside_the_models_are_listed_and_ignored(states, tmp_path, tiny_is_official):
    file = tmp_path / "all.safetensors"
    tensors = single_file(states) | unused_tensors()
    save_file(tensors | {name: torch.ones(2) for name in OTHER_TENSORS.split()}, file)
    found = weights.read(file)
    assert_loaded(weights.load_parts(found), states)
    (note,) = found.notes
    for named in ("betas", "alphas", "cond_stage_model.* (3)", "control_model.*", "and 14 more"):
        assert named in note, note
    save_file(single_file(states) | {"denoiser.sigmas": torch.ones(2)}, file)
    code, output = verify(file)
    assert code == 0 and "Not part of the three models, and not used: denoiser.*." in output
    save_file(single_file(states), file)
    assert weights.read(file).notes == ()


@pytest.mark.parametrize("extra", ["model.diffusion_model.betas", "first_stage_model.quant_conv.a"])
@pytest.mark.extended
def test_unknown_names_inside_the_models_are_rejected(states, tmp_path, extra, tiny_is_official):
    file = tmp_path / "all.safetensors"
    save_file(single_file(states) | unused_tensors() | {extra: torch.ones(2)}, file)
    with pytest.raises(ValueError, match=f"{extra} is unknown"):
        weights.load(file)


def test_single_file_without_a_model_is_rejected(states, tmp_path, tiny_is_official):
    tensors = {
        key: value
        for key, value in single_file(states).items()
        if not key.startswith("first_stage")
    }
    save_file(tensors, tmp_path / "all.safetensors")
    with pytest.raises(ValueError, match="has no autoencoder: the file was pruned. Give a file"):
        weights.load(tmp_path / "all.safetensors")


def test_files_other_than_safetensors_are_rejected(folder, tmp_path):
    file = folder / "unet" / "diffusion_pytorch_model.safetensors"
    complete = file.read_bytes()
    pickled, legacy = tmp_path / "model.ckpt", tmp_path / "old.ckpt"
    torch.save({"state_dict": {"conv_in.weight": torch.ones(2)}}, pickled)
    torch.save({"a": torch.ones(2)}, legacy, _use_new_zipfile_serialization=False)
    lfs_pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"
    for content, message in [
        (
            complete[:-1],
            f"only {len(complete) - 1:,} of its {len(complete):,} bytes: let the download",
        ),
        (complete[:100], "complete .safetensors"),
        (complete + b"1", "1 bytes after its end"),
        (b"", "an empty file"),
        (b"{}", "complete .safetensors"),
        # Header lengths whose bytes look like the start of a web page or a pickle.
        (b"<" + bytes(7) + b"{" * 60, "invalid JSON in header"),
        (b"\x80\x02" + bytes(6) + b"{" * 640, "invalid JSON in header"),
        (lfs_pointer, "a Git LFS pointer"),
        (b"<!DOCTYPE html><html>not found</html>", "a web page"),
        (b"GGUF\x03\x00\x00\x00", "a GGUF file"),
        (pickled.read_bytes(), "found a pickle"),
        (legacy.read_bytes(), "found a pickle"),
    ]:
        file.write_bytes(content)
        with pytest.raises(ValueError, match=message) as error:
            weights.load(folder)
        assert ("Pickled files" in str(error.value)) == ("a pickle" in str(error.value))
    file.unlink()
    pickled.rename(folder / "unet" / "diffusion_pytorch_model.bin")
    message = (
        "expected diffusion_pytorch_model.safetensors, found config.json, "
        "diffusion_pytorch_model.bin, and no .safetensors file. Pickled files"
    )
    with pytest.raises(ValueError, match=message):
        weights.load(folder)
    with pytest.raises(ValueError, match="found a pickle"):
        weights.load(legacy)
    shutil.rmtree(folder / "unet")
    with pytest.raises(ValueError, match="unet is missing: .* has text_encoder/, vae/. Download"):
        weights.load(folder)
    with pytest.raises(ValueError, match="No such file"):
        weights.load(tmp_path / "nowhere")


@pytest.mark.parametrize("content", ["", "{", "[]", "3", '{"act_fn": "gelu"}', "\udcff"])
@pytest.mark.extended
def test_invalid_config_is_rejected(folder, content):
    (folder / "vae" / "config.json").write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(ValueError, match="should hold|act_fn is 'gelu'|is missing|expected floats"):
        weights.load(folder)


def test_folder_with_an_empty_tokenizer_is_rejected(folder):
    (folder / "tokenizer").mkdir()
    with pytest.raises(ValueError, match="merges.txt and vocab.json"):
        weights.load(folder)


def verify(path):
    """Exit code and output of ``course sd verify``."""
    result = CliRunner().invoke(app, ["sd", "verify", str(path)])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, " ".join((result.output + getattr(result, "stderr", "")).split())


def test_verify_lists_the_models(folder, states):
    code, output = verify(folder)
    assert code == 0
    for name, state in states.items():
        total = sum(value.numel() for value in state.values())
        class_name = weights.MODELS[name][0].__name__
        row = f"{name} {class_name} {len(state)} {total:,} float32 {4 * total / 1e6:,.1f}"
        assert row in output
    assert (
        "Complete: Stable Diffusion 1.x, of other sizes than the official ones, a folder" in output
    )


@pytest.mark.extended
def test_verify_shows_the_licence_of_official_weights(
    folder, states, monkeypatch, tiny_is_official
):
    monkeypatch.setattr(weights, "read_config", lambda config_class, path: config_class())
    monkeypatch.setattr(weights, "_notes_on_config", lambda config_class, path: [])
    code, output = verify(folder)
    assert code == 0 and "of the official sizes" in output
    assert "CreativeML OpenRAIL-M: https://" in output
    file = folder.parent / "all.safetensors"
    save_file(single_file(states) | unused_tensors(), file)
    code, output = verify(file)
    assert code == 0 and "a single file with the original names" in output


def test_verify_rejects_with_a_message(folder, tmp_path):
    code, output = verify(tmp_path / "nowhere")
    assert code == 1 and "does not exist" in output
    assert output.count("https://huggingface.co/") >= 2 and "CreativeML OpenRAIL-M" in output
    file = folder / "vae" / "diffusion_pytorch_model.safetensors"
    tensors = load_file(file)
    damaged_key = "decoder.conv_out.weight"
    for damage in (torch.zeros_like, lambda value: torch.full_like(value, torch.nan)):
        save_file(tensors | {damaged_key: damage(tensors[damaged_key])}, file)
        code, output = verify(folder)
        assert code == 1 and f"such as vae.{damaged_key}" in output
    file.write_bytes(file.read_bytes()[:-7])
    code, output = verify(folder)
    assert code == 1 and "course: " in output
    assert "expected a complete .safetensors file" in output
    code, output = verify(tmp_path)
    assert code == 1 and f"Give the folder: {folder}" in output
