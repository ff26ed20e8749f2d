"""The error message for a file that is not a complete Stable Diffusion 1.x model says what it is.

The files are safetensors headers with the published names, shapes and dtypes, followed by a hole in
place of the data.
"""

import json
import math
import struct

import pytest
import torch

from course_lib.sd import weights
from course_lib.sd.tensor_files import TensorFile
from tests.support.original_names import PREFIXES, original_names
from tests.support.published_sd import course_sd

U, V, K = PREFIXES["unet"], PREFIXES["vae"], PREFIXES["text_encoder"]
SIZES = {"F16": 2, "F32": 4, "I64": 8, "I32": 4, "F8_E4M3": 1, "C64": 8}


@pytest.fixture(scope="module")
def official():
    """Key -> shape of Stable Diffusion 1.x as a single file."""
    shapes = {}
    for name, (model_class, config_class) in weights.MODELS.items():
        config = config_class()
        with torch.device("meta"):
            state = model_class(config).state_dict()
        for key in original_names(name, config):
            ours = weights.our_name(PREFIXES[name] + key).removeprefix(f"{name}.")
            shapes[PREFIXES[name] + key] = list(state[ours].shape)
    return shapes


def sparse_file(path, shapes, dtype="F16", metadata=None):
    """A sparse safetensors file with these names and shapes."""
    header, end = {"__metadata__": metadata} if metadata else {}, 0
    for name, shape in shapes.items():
        begin, end = end, end + SIZES[dtype] * math.prod(shape)
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}
    text = json.dumps(header).encode()
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.truncate(8 + len(text) + end)
    return path


def without(shapes, *prefixes):
    return {name: shape for name, shape in shapes.items() if not name.startswith(prefixes)}


def bare(shapes, prefix):
    return {name.removeprefix(prefix): shape for name, shape in shapes.items() if prefix in name}


def second_version(shapes):
    changed = without(shapes, K) | {"cond_stage_model.model.positional_embedding": [77, 1024]}
    return changed | {n: [s[0], 1024] for n, s in changed.items() if "attn2.to_k" in n}


def ema_names(shapes):
    names = {n: "model_ema." + n.removeprefix("model.").replace(".", "") for n in shapes if U in n}
    return {names.get(name, name): shape for name, shape in shapes.items()}


def channels(count):
    return lambda shapes: shapes | {f"{U}input_blocks.0.0.weight": [320, count, 3, 3]}


LORA = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q"
PEFT = "unet.down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q.lora_A.weight"
KINDS = {
    "inpainting": (channels(9), "is an inpainting model"),
    "pix2pix": (channels(8), "is InstructPix2Pix"),
    "depth": (channels(5), "also gets a depth map"),
    "no autoencoder": (lambda s: without(s, V), "has no autoencoder: the file was pruned"),
    "no text encoder": (lambda s: without(s, K), "has no text encoder: the file was pruned"),
    "autoencoder": (lambda s: bare(s, V), "is the autoencoder alone"),
    "U-Net": (lambda s: bare(s, U), "is the U-Net alone"),
    "U-Net with its prefix": (lambda s: without(s, K, V), "is the U-Net alone"),
    "text encoder": (lambda s: bare(s, K), "is the text encoder alone"),
    "averages": (ema_names, "holds the U-Net only as averaged weights (EMA"),
    "LoRA": (lambda s: {f"{LORA}.lora_up.weight": [320, 4], f"{LORA}.alpha": []}, "is a LoRA: "),
    "LoRA of PEFT": (lambda s: {PEFT: [4, 320]}, "a LoRA: "),
    "LoRA inside": (lambda s: s | {f"{U}out.2.lora_down.weight": [4, 4]}, "contains a LoRA: "),
    "textual inversion": (lambda s: {"emb_params": [4, 768]}, "is a textual inversion"),
    "its other form": (lambda s: {"<my-cat>": [768]}, "is a textual inversion"),
    "ControlNet": (lambda s: {"control_model.time_embed.0.weight": [1280, 320]}, "is a ControlNet"),
    "2.x": (second_version, "is Stable Diffusion 2.x"),
    "XL": (lambda s: {"conditioner.embedders.0.x": [2]}, "is Stable Diffusion XL"),
    "3": (lambda s: {f"{U}joint_blocks.0.x": [2]}, "is Stable Diffusion 3, FLUX"),
    "another model": (lambda s: {"layer1.0.bn1.weight": [64]}, "are named layer1.0.bn1.weight"),
    "empty": (lambda s: {}, "holds no tensors"),
}


@pytest.mark.parametrize("name", KINDS)
def test_error_message_identifies_the_file(official, tmp_path, name):
    change, message = KINDS[name]
    file = sparse_file(tmp_path / "x.safetensors", change(official), metadata={"format": "pt"})
    with pytest.raises(ValueError) as error:
        weights.read(file)
    assert str(error.value).startswith(f"{file} ") and message in str(error.value)
    assert "Give" in str(error.value) and "Problems" not in str(error.value)


def test_quantised_file_is_identified(official, tmp_path):
    with pytest.raises(ValueError, match=r"is quantised: tensors are F8_E4M3. Give the file with"):
        weights.read(sparse_file(tmp_path / "x.safetensors", official, dtype="F8_E4M3"))


def test_official_header_is_complete(official, tmp_path):
    found = weights.read(sparse_file(tmp_path / "x.safetensors", official))
    assert sum(len(part.tensors) for part in found.parts.values()) == 1130 and found.notes == ()
    assert {part.dtype for part in found.parts.values()} == {torch.float16}


@pytest.mark.parametrize(
    "names, dtype",
    [
        (["model.diffusion_model.out.2.bias\n\x1b[31mred"], "F16"),
        (["x" * 100_000], "F16"),
        (["model.diffusion_model.input_blocks." + "1" * 5000 + ".0.weight"], "F16"),
        (["first_stage_model.decoder.up.9.block.0.conv1.weight"], "F16"),
        (["a"], "C64"),
        ([f"a{number}" for number in range(30_000)], "F32"),
    ],
)
@pytest.mark.extended
def test_hostile_names_give_a_short_message(tmp_path, names, dtype):
    file = sparse_file(tmp_path / "x.safetensors", dict.fromkeys(names, [2]), dtype)
    code, output = course_sd("verify", file)
    assert code == 1 and "course: " in output and "\x1b" not in output and len(output) < 1000


def test_tensors_are_read_exactly(tmp_path):
    from safetensors.torch import save_file

    tensors = {
        "a": torch.randn(3, 5, dtype=torch.float64),
        "b": torch.randn(()).bfloat16(),
        "c": torch.zeros(0, 4),
        "d": torch.randn(7).half(),
    }
    save_file(tensors, tmp_path / "x.safetensors")
    file = TensorFile(tmp_path / "x.safetensors")
    assert sorted(file.names) == sorted(tensors)
    for name, value in tensors.items():
        read = file.read(name)
        assert torch.equal(read, value) and read.dtype == value.dtype
        assert file.shape(name) == list(value.shape)
