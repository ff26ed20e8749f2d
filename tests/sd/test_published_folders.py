"""Model folders as found in practice: ``course sd generate`` works with every folder that ``course
sd verify`` accepts, and both reject the others with the same message, which names file and setting.
"""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from course_lib.sd import weights
from tests.support.published_sd import (
    SCHEDULER,
    UNET_FILE,
    course_sd,
    edit,
    setting,
    verify_and_generate,
    write_published,
)

PROMPT = "a red fox"


@pytest.fixture(scope="module")
def _published(tmp_path_factory):
    return write_published(tmp_path_factory.mktemp("published") / "sd")


@pytest.fixture
def folder(_published, tmp_path):
    """The tiny model as a folder, a fresh copy per test."""
    return shutil.copytree(_published, tmp_path / "sd")


@pytest.fixture(scope="module")
def expected(_published):
    """The image generated from the unmodified folder."""
    return weights.load(_published).generate(PROMPT, steps=3)


def shard(folder, variant=""):
    file = folder / UNET_FILE
    state = load_file(file)
    file.unlink()
    names = [f"{file.stem}{variant}-0000{n}-of-00002.safetensors" for n in (1, 2)]
    index = {key: names[number % 2] for number, key in enumerate(sorted(state))}
    for name in names:
        save_file({key: state[key] for key in state if index[key] == name}, file.parent / name)
    suffix = f"safetensors.index{variant}.json"
    (file.parent / f"{file.stem}.{suffix}").write_text(json.dumps({"weight_map": index}))


def rename(old, new):
    return lambda folder: (folder / old).rename(folder / new) and None


def as_hub_cache(folder):
    top = folder.parent / "hub" / "models--me--sd"
    (top / "refs").mkdir(parents=True)
    (top / "refs" / "main").write_text("0123abc\n")
    (top / "snapshots" / "older").mkdir(parents=True)
    folder.rename(top / "snapshots" / "0123abc")
    return top


def byte_order_mark(folder):
    file = folder / "unet" / "config.json"
    file.write_text(file.read_text(), encoding="utf-8-sig")


def windows_line_endings(folder):
    file = folder / "tokenizer" / "merges.txt"
    file.write_bytes(file.read_bytes().replace(b"\n", b"\r\n"))


def without_optional_folders(folder):
    shutil.rmtree(folder / "scheduler")


def learned_word(folder):
    """A word of textual inversion: a file for the tokenizer, and one embedding more."""
    file = folder / "text_encoder" / "model.safetensors"
    state = load_file(file)
    key = next(key for key in state if key.endswith("token_embedding.weight"))
    state[key] = torch.cat([state[key], torch.ones(1, state[key].shape[1])])
    save_file(state, file)
    edit(folder / "text_encoder" / "config.json", vocab_size=len(state[key]))
    write_tokenizer_file(folder, "added_tokens.json", '{"<my-cat>": 700}')


def unused_embedding(folder):
    learned_word(folder)
    (folder / "tokenizer" / "added_tokens.json").unlink()


def tokenizer_of_transformers_5(folder):
    """Only tokenizer.json, without merges.txt and vocab.json."""
    from transformers import CLIPTokenizerFast

    old = folder / "tokenizer"
    theirs = CLIPTokenizerFast.from_pretrained(old, model_max_length=77)
    shutil.rmtree(old)
    theirs.save_pretrained(old)
    for name in ("merges.txt", "vocab.json"):
        (old / name).unlink(missing_ok=True)


def full_clip(folder):
    """The text encoder's file also has CLIP's image encoder and projections."""
    file = folder / "text_encoder" / "model.safetensors"
    extra = {
        "logit_scale": torch.ones(()),
        "vision_model.embeddings.class_embedding": torch.ones(9),
    }
    save_file(load_file(file) | extra | {"text_projection.weight": torch.ones(3, 3)}, file)


SAME_IMAGE = {
    "shards with an index": shard,
    "shards of a variant": lambda folder: shard(folder, ".fp16"),
    "shards of bf16": lambda folder: shard(folder, ".bf16"),
    "non_ema": rename(UNET_FILE, UNET_FILE.replace(".safe", ".non_ema.safe")),
    "bf16": rename(UNET_FILE, UNET_FILE.replace(".safe", ".bf16.safe")),
    "pytorch_model": rename(
        "text_encoder/model.safetensors", "text_encoder/pytorch_model.safetensors"
    ),
    "a cache": as_hub_cache,
    "its snapshots": lambda folder: as_hub_cache(folder) / "snapshots",
    "byte order mark": byte_order_mark,
    "CRLF": windows_line_endings,
    "no scheduler": without_optional_folders,
    "all of CLIP": full_clip,
    "a learned word": learned_word,
    "an unused embedding": unused_embedding,
    "only tokenizer.json": tokenizer_of_transformers_5,
    "lists for the levels": setting(
        "unet/config.json", attention_head_dim=[4, 4], only_cross_attention=[False] * 2
    ),
    "steps_offset 0": setting(SCHEDULER, steps_offset=0),
    "no steps_offset": setting(SCHEDULER, "steps_offset"),
    "clip_sample": setting(SCHEDULER, clip_sample=True),
    "an unknown setting": setting("vae/config.json", my_setting=3),
    "a scheduler that is not here": setting(
        SCHEDULER, _class_name="LMSDiscreteScheduler", timestep_spacing="leading"
    ),
}
NOTES = {
    "non_ema": "Read from unet/diffusion_pytorch_model.non_ema.safetensors",
    "an unused embedding": "701 token embeddings, the tokenizer 700 tokens: the last 1 embeddings",
    "all of CLIP": "not used: logit_scale, text_projection.*, vision_model.*",
    "steps_offset 0": "steps_offset of scheduler_config.json is 0; as in diffusers, 1 is used",
    "clip_sample": "clip_sample of scheduler_config.json is for pixels",
    "an unknown setting": "vae/config.json has unknown settings, which are not used: my_setting.",
    "a scheduler that is not here": "LMSDiscreteScheduler of scheduler_config.json is not among",
}


@pytest.mark.parametrize("name", SAME_IMAGE)
@pytest.mark.extended
def test_equivalent_layouts_and_settings_give_the_same_image(folder, expected, name):
    path = SAME_IMAGE[name](folder) or folder
    found = weights.read(path)
    assert torch.equal(weights.load_parts(found).generate(PROMPT, steps=3), expected)
    assert NOTES.get(name, "") in " ".join(found.notes)
    assert bool(found.notes) == (
        name in NOTES or name in ("bf16", "shards of bf16", "pytorch_model")
    )


def mixed_versions(folder):
    shard(folder)
    index = next((folder / "unet").glob("*.index.json"))
    names = json.loads(index.read_text())["weight_map"]
    other = next(name for name in names.values() if name != names["conv_in.bias"])
    edit(index, weight_map=names | {"conv_in.bias": other})


def lost_shard(folder):
    shard(folder)
    next((folder / "unet").glob("*00002-of*")).unlink()


def lost_index(folder):
    shard(folder)
    next((folder / "unet").glob("*.index.json")).unlink()


def index_out_of_the_folder(folder):
    shard(folder)
    edit(
        next((folder / "unet").glob("*.index.json")),
        weight_map={"conv_in.bias": "../x.safetensors"},
    )


def two_indexes(folder):
    shard(folder, ".bf16")
    index = next((folder / "unet").glob("*.index.bf16.json"))
    shutil.copy(index, index.with_name(index.name.replace("bf16", "non_ema")))


def two_variants(folder):
    file = folder / UNET_FILE
    shutil.copy(file, file.with_name("a.safetensors"))
    file.rename(file.with_name("b.safetensors"))


def around_a_single_file(folder):
    file = folder / UNET_FILE
    (folder.parent / "download").mkdir()
    shutil.copy(file, folder.parent / "download" / "v1-5-pruned.safetensors")
    return folder.parent / "download"


def standalone_autoencoder(folder):
    return shutil.copytree(folder / "vae", folder.parent / "sd-vae-ft-mse")


def cache_of_a_single_file(folder):
    top = as_hub_cache(folder)
    snapshot = top / "snapshots" / "0123abc"
    shutil.copy(snapshot / UNET_FILE, folder.parent / "v1-5-pruned.safetensors")
    shutil.rmtree(snapshot)
    snapshot.mkdir()
    (folder.parent / "v1-5-pruned.safetensors").rename(snapshot / "v1-5-pruned.safetensors")
    return top


def replace_tensors(folder, **changes):
    """Set tensors of the U-Net whose names contain a key to zeros of a shape."""
    file = folder / UNET_FILE
    state = load_file(file)
    for part, shape in changes.items():
        for key in [key for key in state if part in key] or [part]:
            state[key] = torch.zeros(shape)
    save_file(state, file)


def stable_diffusion_2(folder):
    replace_tensors(folder, **{"attn2.to_k.weight": (16, 1024)})
    edit(folder / "unet" / "config.json", cross_attention_dim=1024, use_linear_projection=True)


def stable_diffusion_xl(folder):
    replace_tensors(folder, **{"add_embedding.linear_1.weight": (16, 2816)})
    edit(folder / "unet" / "config.json", addition_embed_type="text_time")


def inpainting(folder):
    replace_tensors(folder, **{"conv_in.weight": (16, 9, 3, 3)})
    edit(folder / "unet" / "config.json", in_channels=9)


def dead_link(folder):
    """A dangling link, as in a Hugging Face cache whose blobs were deleted."""
    (folder / UNET_FILE).unlink()
    (folder / UNET_FILE).symlink_to("../../blobs/0123")


def two_snapshots(folder):
    top = as_hub_cache(folder)
    (top / "refs" / "main").unlink()
    return top


def only_transformer(folder):
    (folder / "unet").rename(folder / "transformer")


def write_tokenizer_file(folder, name, text):
    (folder / "tokenizer" / name).write_text(text)


NOT_1 = "is not Stable Diffusion 1.x: "
REJECTED = {
    "shards of two versions": (
        mixed_versions,
        "conv_in.bias is not in diffusion_pytorch_model-0000",
    ),
    "a shard is missing": (lost_shard, "-00002-of-00002.safetensors is missing, but listed in"),
    "the index is missing": (lost_index, "Download diffusion_pytorch_model.safetensors.index.json"),
    "two indexes": (two_indexes, "shards with no index, or with several. Download diff"),
    "the index leads out": (index_out_of_the_folder, "../x.safetensors, which is outside"),
    "two files": (two_variants, "Rename the file to use to diffusion_pytorch_model.safetensors"),
    "the folder around a file": (
        around_a_single_file,
        "Give the file: {}/download/v1-5-pruned.safe",
    ),
    "one model's folder": (
        lambda f: f / "unet",
        "is the U-Net alone. Give the folder that contains",
    ),
    "an autoencoder alone": (
        standalone_autoencoder,
        "sd-vae-ft-mse is one model alone: config.json is next to diffusion_pytorch_model.safe",
    ),
    "a cache of a single file": (cache_of_a_single_file, "Give the file: {}/hub/models--me--sd/"),
    "Stable Diffusion 2": (
        stable_diffusion_2,
        "is Stable Diffusion 2.x, not Stable Diffusion 1.x. Give version 1.4 or 1.5. In detail: ",
    ),
    "Stable Diffusion XL": (
        stable_diffusion_xl,
        "is Stable Diffusion XL, not Stable Diffusion 1.x. Give version 1.4 or 1.5. In detail: ",
    ),
    "inpainting": (inpainting, "is an inpainting model, which also gets a mask"),
    "the folder above": (lambda f: f.parent, "itself has no weights. Give the folder: {}/sd."),
    "the cache itself": (
        lambda f: as_hub_cache(f).parent,
        "Give the folder: {}/hub/models--me--sd.",
    ),
    "two versions": (two_snapshots, "has several versions. Give one of them: "),
    "a dead link": (dead_link, "a link to ../../blobs/0123, which does not exist"),
    "a transformer": (only_transformer, "has transformer/ instead, as Stable Diffusion 3 and FLUX"),
    "no unet/config.json": (
        lambda f: (f / "unet" / "config.json").unlink(),
        "unet/config.json is missing",
    ),
    "no tokenizer files": (
        lambda f: (f / "tokenizer" / "merges.txt").unlink(),
        "holds merges.txt and vocab.json, or tokenizer.json",
    ),
    "another padding": (
        lambda f: write_tokenizer_file(f, "special_tokens_map.json", '{"pad_token": "!"}'),
        "special_tokens_map.json is not the tokenizer of Stable Diffusion 1.x: pad_token is '!'",
    ),
    "too long prompts": (
        lambda f: write_tokenizer_file(f, "tokenizer_config.json", '{"model_max_length": 78}'),
        "model_max_length is 78, but the text encoder's max_position_embeddings is 77",
    ),
    "more ids than vectors": (
        lambda f: write_tokenizer_file(f, "added_tokens.json", '{"<my-cat>": 700}'),
        "there are 701 ids",
    ),
    "added tokens as a number": (
        lambda f: write_tokenizer_file(f, "tokenizer.json", '{"added_tokens": 5}'),
        "tokenizer is not CLIP's tokenizer: a value has the wrong type",
    ),
    "an infinite id": (
        lambda f: write_tokenizer_file(f, "added_tokens.json", '{"<my-cat>": Infinity}'),
        "tokenizer is not CLIP's tokenizer: a value has the wrong type",
    ),
    "beta_start with 400 digits": (
        setting(SCHEDULER, beta_start=10**400),
        "000..., expected a value like 0.00085",
    ),
    "a scale with 400 digits": (
        setting("vae/config.json", scaling_factor=10**400),
        "scaling_factor is 1",
    ),
    "no heads": (setting("text_encoder/config.json", "num_attention_heads"), "num_attention_heads"),
    "size 0": (
        setting("unet/config.json", sample_size=0),
        f"unet/config.json {NOT_1}sample_size is 0",
    ),
    "NaN": (setting("vae/config.json", scaling_factor=float("nan")), "scaling_factor is nan"),
    "endless layers": (setting("vae/config.json", layers_per_block=10**9), "layers_per_block is 1"),
    "a latent's shift": (
        setting("vae/config.json", shift_factor=0.1),
        f"vae/config.json {NOT_1}shift_factor is 0.1",
    ),
    "LCM": (setting("unet/config.json", time_cond_proj_dim=256), "time_cond_proj_dim is 256"),
    "beta_start 2": (setting(SCHEDULER, beta_start=2), "scheduler_config.json: beta_start is 2"),
    "beta_end NaN": (setting(SCHEDULER, beta_end=float("nan")), "beta_end is nan"),
    "steps_offset -5": (setting(SCHEDULER, steps_offset=-5), "steps_offset is -5, expected 1"),
    "no times": (setting(SCHEDULER, num_train_timesteps=0), "num_train_timesteps is 0"),
    "times as a fraction": (
        setting(SCHEDULER, num_train_timesteps=1e3),
        "num_train_timesteps is 1000.0",
    ),
    "two betas": (setting(SCHEDULER, trained_betas=[0.1, 0.2]), "trained_betas has 2 numbers"),
    "sample": (setting(SCHEDULER, prediction_type="sample"), "prediction_type is 'sample'"),
    "thresholding": (
        setting(SCHEDULER, thresholding=True),
        "thresholding is True, which the samplers here do not support. Change it to f",
    ),
    "Karras": (setting(SCHEDULER, use_karras_sigmas=True), "use_karras_sigmas is True"),
    "Runge-Kutta": (setting(SCHEDULER, "skip_prk_steps"), "skip_prk_steps is False"),
    "pure noise": (
        setting(SCHEDULER, rescale_betas_zero_snr=True),
        "it needs prediction_type v_pred",
    ),
    "another schedule": (
        setting(SCHEDULER, "beta_schedule"),
        "beta_schedule is 'linear', expected 's",
    ),
    "flow matching": (
        setting(SCHEDULER, _class_name="FlowMatchEulerDiscreteScheduler"),
        "_class_name is",
    ),
}


@pytest.mark.parametrize("name", REJECTED)
def test_rejection_names_file_and_setting(folder, name):
    change, message = REJECTED[name]
    path = change(folder) or folder
    with pytest.raises(ValueError) as error:
        weights.read(path)
    assert message.format(folder.parent) in str(error.value)
    assert "Pickled" not in str(error.value)


@pytest.mark.parametrize("name", ["no tokenizer files", "beta_start 2", "NaN", "a dead link"])
def test_both_commands_reject_with_the_same_message(folder, tmp_path, name):
    change, message = REJECTED[name]
    path = change(folder) or folder
    (code, verified), (other_code, generated) = verify_and_generate(path, tmp_path / "x.png")
    assert code == other_code == 1 and not (tmp_path / "x.png").exists()
    assert message.format(folder.parent) in verified and verified == generated


def test_both_commands_accept_the_same_folders(folder, tmp_path):
    """Both commands also accept a schedule that PNDM does not support, and choose DDIM instead."""
    edit(folder / SCHEDULER, rescale_betas_zero_snr=True, prediction_type="v_prediction")
    (code, verified), (other_code, _) = verify_and_generate(folder, tmp_path / "x.png")
    assert code == other_code == 0 and (tmp_path / "x.png").exists()
    assert "tokenizer: 700 tokens, prompts of 77" in verified
    assert "1,000 timesteps, v_prediction, leading; sampler ddim" in verified
    assert (
        "PNDMScheduler of scheduler_config.json is not among the samplers here for this" in verified
    )
    code, output = course_sd(
        "generate", "a fox", "--weights", folder, "--sampler", "pndm", "--accept-licence",
        "--device", "cpu", "--out", tmp_path / "y.png",
    )  # fmt: skip
    assert code == 1 and "PNDM does not support zero terminal SNR" in output
    assert "choose one of ddim, euler, dpm++" in output


def test_relative_paths_are_understood(folder, monkeypatch):
    monkeypatch.chdir(folder)
    assert weights.read(".").path == folder
    monkeypatch.chdir(folder / "unet")
    with pytest.raises(ValueError, match=f"is the U-Net alone. Give the folder .*: {folder}"):
        weights.read(".")


def test_notes_are_printed_by_both_commands(folder, tmp_path):
    SAME_IMAGE["a scheduler that is not here"](folder)
    outputs = verify_and_generate(folder, tmp_path / "x.png")
    for code, output in outputs:
        assert code == 0 and NOTES["a scheduler that is not here"] in output


@pytest.mark.parametrize("name", ["~nobody-here/sd", "a" * 300])
def test_impossible_paths_end_with_one_sentence(tmp_path, name):
    for code, output in verify_and_generate(name, tmp_path / "x.png"):
        assert code == 1 and "does not exist" in output


def test_unreadable_folder_ends_with_one_sentence(folder, monkeypatch, tmp_path):
    def denied(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(weights, "resolve", denied)
    for code, output in verify_and_generate(folder, tmp_path / "x.png"):
        assert code == 1 and "Permission denied" in output


def test_home_folder_is_expanded(folder, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert weights.read("~/sd").path == folder
    (code, output), (other_code, _) = verify_and_generate("~/sd", tmp_path / "x.png")
    assert code == other_code == 0 and "Complete" in output


@pytest.mark.parametrize("parts", [["unet"], ["unet", "text_encoder"], ["vae"], ["text_encoder"]])
@pytest.mark.parametrize(
    "dtype", [torch.float16, pytest.param(torch.bfloat16, marks=pytest.mark.slow)]
)
@pytest.mark.extended
def test_models_keep_their_own_dtypes(folder, expected, parts, dtype):
    """A folder may mix 16-bit and 32-bit models, also for image-to-image."""
    for part in parts:
        (file,) = (folder / part).glob("*.safetensors")
        save_file({key: value.to(dtype) for key, value in load_file(file).items()}, file)
    pipeline = weights.load(folder)
    for part in ("unet", "text_encoder", "vae"):
        types = {value.dtype for value in getattr(pipeline, part).state_dict().values()}
        assert types == {dtype if part in parts else torch.float32}
    image = pipeline.generate(PROMPT, steps=3)
    assert (image - expected).abs().mean() < 0.03
    changed = pipeline.generate(PROMPT, steps=3, image=expected[0], sampler="ddim")
    assert changed.isfinite().all() and changed.shape == expected.shape


def test_mixed_dtypes_within_a_model_are_promoted_without_rounding(folder):
    file = folder / UNET_FILE
    mixed = {k: v if "norm" in k else v.half() for k, v in load_file(file).items()}
    save_file(mixed, file)
    state = weights.load(folder).unet.state_dict()
    assert {value.dtype for value in state.values()} == {torch.float32}
    assert all(torch.equal(state[key], value.float()) for key, value in mixed.items())


def test_truncated_files_affect_only_reading(folder, expected):
    """Loaded weights no longer depend on the files; truncating them before reading is an error."""
    found = weights.read(folder)
    loaded = weights.load(folder)
    for file in folder.rglob("*.safetensors"):
        with file.open("r+b") as opened:
            opened.truncate(file.stat().st_size - 1000)
    assert torch.equal(loaded.generate(PROMPT, steps=3), expected)
    with pytest.raises(ValueError, match="has become shorter since it was opened"):
        weights.load_parts(found)
    (folder / UNET_FILE).unlink()
    with pytest.raises(ValueError, match="can't be read any more"):
        list(found.parts["unet"].values())
