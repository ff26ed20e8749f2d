"""ControlNet gives diffusers' residuals, starts as the plain U-Net, and loads published folders."""

import json
import shutil
from dataclasses import asdict, fields, replace
from functools import cache

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from course_lib.sd import controlnet_files
from course_lib.sd.controlnet import (
    ControlledUNet,
    ControlNetConfig,
    ControlNetModel,
    HintEncoder,
    zero_convolution,
)
from course_lib.sd.settings import read_config
from course_lib.sd.unet import UNetConfig
from tests.support.parity import (
    FLOAT32_TOLERANCE,
    FLOAT64_TOLERANCE,
    PRECISIONS,
    UNET,
    WITH_ATTENTION,
    WITHOUT_ATTENTION,
    gradient_error,
    randomise,
    relative_error,
    unet_inputs,
    unet_pair,
)
from tests.support.published_sd import edit
from tests.support.tiny_sd import IMAGE, diffusers_result, our_result, pipeline_pair
from tests.support.tiny_sd import UNET as SHALLOW

WEIGHTS = "diffusion_pytorch_model.safetensors"
# The config.json of version 1.1's ControlNet for Canny edges.
PUBLISHED = {
    "_class_name": "ControlNetModel",
    "_diffusers_version": "0.16.0.dev0",
    "act_fn": "silu",
    "attention_head_dim": 8,
    "block_out_channels": [320, 640, 1280, 1280],
    "class_embed_type": None,
    "conditioning_embedding_out_channels": [16, 32, 96, 256],
    "controlnet_conditioning_channel_order": "rgb",
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
    "num_class_embeds": None,
    "only_cross_attention": False,
    "projection_class_embeddings_input_dim": None,
    "resnet_time_scale_shift": "default",
    "upcast_attention": False,
    "use_linear_projection": False,
}


def control(unet: UNetConfig = UNET, **sizes) -> ControlNetConfig:
    """A ControlNet's configuration for this U-Net."""
    sizes = {"conditioning_embedding_out_channels": (4, 8, 12)} | sizes
    return ControlNetConfig(**asdict(unet), **sizes)


CONFIGS = {
    "three levels": control(),
    "one level, without attention, the image as large as the latent": control(
        replace(UNET, down_block_types=(WITHOUT_ATTENTION,), block_out_channels=(16,)),
        conditioning_embedding_out_channels=(6,),
    ),
    "attention at the coarse level, grey image of twice the size": control(
        UNetConfig(
            in_channels=9,
            down_block_types=(WITHOUT_ATTENTION, WITH_ATTENTION),
            block_out_channels=(16, 32),
            layers_per_block=3,
            cross_attention_dim=24,
            norm_num_groups=8,
            norm_eps=1e-3,
        ),
        conditioning_channels=1,
        conditioning_embedding_out_channels=(5, 7),
    ),
}


def unet_config(config: ControlNetConfig) -> UNetConfig:
    """The configuration of the U-Net that the ControlNet controls."""
    return UNetConfig(**{field.name: getattr(config, field.name) for field in fields(UNetConfig)})


def diffusers_controlnet(config: ControlNetConfig) -> nn.Module:
    """diffusers' ControlNet of these sizes."""
    import diffusers

    sizes = asdict(config)
    del sizes["sample_size"], sizes["out_channels"]
    return diffusers.ControlNetModel(**sizes)


def fill_zero_convolutions(model: ControlNetModel) -> None:
    """Random numbers where training would begin with zeros."""
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for parameter in model.parameters():
            if not parameter.any():
                parameter.copy_(0.3 * torch.randn(parameter.shape, generator=generator))


def pair(
    config: ControlNetConfig, dtype: torch.dtype = torch.float64
) -> tuple[ControlNetModel, nn.Module]:
    """Ours and diffusers' with the same weights, loaded strictly."""
    torch.manual_seed(0)
    ours, theirs = ControlNetModel(config), diffusers_controlnet(config)
    fill_zero_convolutions(ours)
    randomise(ours)
    theirs.load_state_dict(ours.state_dict(), strict=True)
    return nn.Module.to(ours, dtype).eval(), nn.Module.to(theirs, dtype).eval()


cached_pair = cache(pair)
cached_unet_pair = cache(unet_pair)


def inputs(
    config: ControlNetConfig, height: int = 8, width: int = 12, dtype: torch.dtype = torch.float64
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Those of the U-Net, and two random images."""
    shape = 2, config.conditioning_channels, config.factor * height, config.factor * width
    image = torch.rand(shape, dtype=dtype, generator=torch.Generator().manual_seed(3))
    return *unet_inputs(config, height, width, dtype), image


def their_residuals(theirs: nn.Module, inputs: tuple, scale: float = 1.0) -> list[Tensor]:
    result = theirs(*inputs, conditioning_scale=scale)
    return [*result.down_block_res_samples, result.mid_block_res_sample]


@pytest.mark.parametrize("dtype, limit", PRECISIONS)
@pytest.mark.parametrize("name", CONFIGS)
def test_residuals_and_prediction_match_diffusers(name, dtype, limit):
    config = CONFIGS[name]
    ours, theirs = cached_pair(config, dtype)
    unet, their_unet = cached_unet_pair(unet_config(config), dtype)
    given = inputs(config, dtype=dtype)
    with torch.no_grad():
        residuals, expected = ours(*given, 0.7), their_residuals(theirs, given, 0.7)
        for residual, their_residual in zip(residuals, expected, strict=True):
            assert relative_error(residual, their_residual) <= limit
        their_prediction = their_unet(
            *given[:3],
            down_block_additional_residuals=expected[:-1],
            mid_block_additional_residual=expected[-1],
        ).sample
        prediction = unet(*given[:3], residuals)
        assert relative_error(prediction, their_prediction) <= limit
        assert relative_error(prediction, unet(*given[:3])) > 0.01


@pytest.mark.parametrize("size", [(1, 1), (5, 8), (15, 13)])
def test_any_latent_size_works(size):
    config = CONFIGS["three levels"]
    ours, theirs = cached_pair(config)
    unet, _ = cached_unet_pair(unet_config(config))
    given = inputs(config, *size)
    with torch.no_grad():
        residuals, expected = ours(*given), their_residuals(theirs, given)
        for residual, their_residual in zip(residuals, expected, strict=True):
            assert relative_error(residual, their_residual) <= FLOAT64_TOLERANCE
        assert unet(*given[:3], residuals).shape == given[0].shape


def test_gradients_match_diffusers():
    config = CONFIGS["three levels"]
    ours, theirs = pair(config)
    *given, image = inputs(config)
    our_image, their_image = (image.clone().requires_grad_() for _ in range(2))
    results = ours(*given, our_image), their_residuals(theirs, (*given, their_image))
    for residuals in results:
        sum(residual.square().sum() for residual in residuals).backward()
    pairs = {"image": (our_image, their_image)}
    assert gradient_error(ours, theirs, pairs) <= FLOAT64_TOLERANCE


def test_default_is_the_published_architecture(tmp_path):
    """361,279,120 parameters in 340 tensors with diffusers' names; on the meta device."""
    file = tmp_path / "config.json"
    file.write_text(json.dumps(PUBLISHED))
    assert read_config(ControlNetConfig, file) == ControlNetConfig()
    with torch.device("meta"):
        ours, theirs = ControlNetModel(), diffusers_controlnet(ControlNetConfig())
        image = torch.empty(2, 3, 512, 512)
        residuals = ours(torch.empty(2, 4, 64, 64), 999, torch.empty(2, 77, 768), image)
    our_shapes, their_shapes = (
        {key: value.shape for key, value in model.state_dict().items()} for model in (ours, theirs)
    )
    assert our_shapes == their_shapes and len(our_shapes) == 340
    assert sum(parameter.numel() for parameter in ours.parameters()) == 361_279_120
    assert len(residuals) == 13 and residuals[-1].shape == (2, 1280, 8, 8)


def test_copy_of_a_unet_has_its_weights():
    import diffusers

    unet, their_unet = cached_unet_pair(UNET, torch.float32)
    ours = ControlNetModel.from_unet(unet, 1, (4, 8))
    theirs = diffusers.ControlNetModel.from_unet(
        their_unet, conditioning_channels=1, conditioning_embedding_out_channels=(4, 8)
    )
    expected = theirs.state_dict()
    state = ours.state_dict()
    assert state.keys() == expected.keys()
    for key, value in state.items():
        if "cond_embedding" not in key:
            assert torch.equal(value, expected[key]), key
    assert unet_config(ours.config) == UNET
    # Nothing is shared with the U-Net.
    assert ours.conv_in.weight.data_ptr() != unet.conv_in.weight.data_ptr()


def test_copy_keeps_the_dtype():
    assert (
        ControlNetModel.from_unet(cached_unet_pair(UNET)[0]).conv_in.weight.dtype == torch.float64
    )


def test_training_starts_from_the_plain_unet():
    """The first prediction is equal to the bit, and only the zero convolutions get gradients."""
    unet, _ = cached_unet_pair(UNET, torch.float32)
    controlnet = ControlNetModel.from_unet(unet, 3, (4, 8, 12))
    *given, image = inputs(controlnet.config, dtype=torch.float32)
    residuals = controlnet(*given, image)
    assert not any(residual.any() for residual in residuals)
    prediction = unet(*given, residuals)
    with torch.no_grad():
        assert torch.equal(prediction, unet(*given))
    prediction.square().sum().backward()
    with_gradient = {name for name, p in controlnet.named_parameters() if p.grad.any()}
    assert with_gradient == {
        name
        for name, _ in controlnet.named_parameters()
        if name.startswith(("controlnet_down_blocks", "controlnet_mid_block"))
    }
    unet.zero_grad()


def test_training_learns_to_use_the_image():
    """After two steps every layer gets gradients, and the image changes the prediction."""
    unet, _ = cached_unet_pair(UNET, torch.float32)
    unet.requires_grad_(False)
    controlnet = ControlNetModel.from_unet(unet, 3, (4, 8, 12))
    *given, image = inputs(controlnet.config, dtype=torch.float32)
    optimizer = torch.optim.Adam(controlnet.parameters(), lr=1e-3)
    for _ in range(3):
        optimizer.zero_grad()
        unet(*given, controlnet(*given, image)).square().mean().backward()
        optimizer.step()
    unet.requires_grad_(True)
    for name, parameter in controlnet.named_parameters():
        assert parameter.grad.any(), name
    with torch.no_grad():
        residuals, others = controlnet(*given, image), controlnet(*given, 1 - image)
    assert not torch.equal(residuals[-1], others[-1])


def test_conditioning_scale():
    config = CONFIGS["three levels"]
    ours, _ = cached_pair(config)
    unet, _ = cached_unet_pair(unet_config(config))
    given = inputs(config)
    with torch.no_grad():
        once, twice = ours(*given), ours(*given, scale=2.0)
        assert all(torch.equal(2 * a, b) for a, b in zip(once, twice, strict=True))
        plain = unet(*given[:3])
        assert torch.equal(unet(*given[:3], ours(*given, scale=0.0)), plain)


def test_zero_convolution_is_zero():
    layer = zero_convolution(3, 5, 3)
    output = layer(torch.randn(2, 3, 6, 7))
    assert output.shape == (2, 5, 6, 7) and not output.any()


def test_hint_encoder_reduces_the_image_to_the_latent():
    hint = HintEncoder(control(conditioning_embedding_out_channels=(4, 6, 8, 10)))
    assert hint(torch.rand(1, 3, 40, 24)).shape == (1, UNET.block_out_channels[0], 5, 3)
    assert ControlNetConfig().factor == 8


def test_pipeline_matches_diffusers(tmp_path):
    """Images of a controlled pipeline, with guidance: StableDiffusionControlNetPipeline."""
    pipeline, theirs = pipeline_pair(tmp_path)
    controlnet, their_controlnet = pair(control(SHALLOW), torch.float32)
    unet = ControlledUNet(pipeline.unet, controlnet, IMAGE, 0.7)
    controlled = replace(pipeline, unet=unet)
    latents, images = our_result(controlled, "ddim")
    their_latents, their_images = diffusers_result(
        theirs,
        "ddim",
        "leading",
        controlnet=their_controlnet,
        image=IMAGE,
        controlnet_conditioning_scale=0.7,
    )
    assert relative_error(latents, their_latents) <= FLOAT32_TOLERANCE
    assert relative_error(images, their_images) <= FLOAT32_TOLERANCE
    assert relative_error(images, our_result(pipeline, "ddim")[1]) > 0.01


def test_controlnet_keeps_its_own_dtype(tmp_path):
    pipeline, _ = pipeline_pair(tmp_path)
    controlnet, _ = pair(control(SHALLOW), torch.float32)
    options = {"steps": 2, "sampler": "ddim", "image": None}
    images = []
    for dtype in (torch.float32, torch.bfloat16):
        unet = ControlledUNet(pipeline.unet, controlnet.to(dtype), IMAGE, 0.7)
        images.append(replace(pipeline, unet=unet).generate("a fox", **options))
    assert images[1].isfinite().all() and (images[0] - images[1]).abs().mean() < 0.03


@pytest.mark.parametrize(
    "shape, message",
    [
        ((2, 3, 8, 12), r"control images of \(2, 3, 8, 12\): give \(2, 3, 32, 48\)"),
        ((2, 1, 32, 48), r"give \(2, 3, 32, 48\)"),
        ((2, 3, 48, 32), r"give \(2, 3, 32, 48\)"),
    ],
)
def test_invalid_images_are_rejected(shape, message):
    ours, _ = cached_pair(CONFIGS["three levels"])
    *given, _ = inputs(ours.config)
    with pytest.raises(ValueError, match=message):
        ours(*given, torch.zeros(shape))


def test_invalid_residuals_are_rejected():
    ours, _ = cached_pair(CONFIGS["three levels"])
    unet, _ = cached_unet_pair(UNET)
    given = inputs(ours.config)
    with torch.no_grad():
        residuals = ours(*given)
        others = ours(*inputs(ours.config, 16, 12))
    for wrong in (residuals[:-1], residuals[::-1], others, []):
        with pytest.raises(ValueError, match="give one for each skip connection and one for the"):
            unet(*given[:3], wrong)


# Published folders


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """A tiny ControlNet as diffusers writes it."""
    folder = tmp_path_factory.mktemp("published") / "controlnet"
    pair(control(), torch.float32)[1].save_pretrained(folder)
    return folder


@pytest.fixture
def folder(published, tmp_path):
    """A copy to change."""
    return shutil.copytree(published, tmp_path / "controlnet")


def test_published_folder_loads_exactly(published):
    expected, _ = pair(control(), torch.float32)
    model = controlnet_files.load(published)
    assert model.config == replace(control(), sample_size=UNetConfig.sample_size)
    assert not model.training and model.conv_in.weight.requires_grad
    assert model.conv_in.weight.is_contiguous(memory_format=torch.channels_last)
    state = model.state_dict()
    for key, value in expected.state_dict().items():
        assert torch.equal(state[key], value), key
    given = inputs(model.config, dtype=torch.float32)
    with torch.no_grad():
        assert relative_error(model(*given)[-1], expected(*given)[-1]) <= FLOAT32_TOLERANCE


def test_dtype_is_the_files_or_the_given_one(folder):
    state = {key: value.half() for key, value in load_file(folder / WEIGHTS).items()}
    (folder / WEIGHTS).unlink()
    save_file(state, folder / "diffusion_pytorch_model.fp16.safetensors")
    assert controlnet_files.load(folder).conv_in.weight.dtype == torch.float16
    assert controlnet_files.load(folder, torch.float32).conv_in.weight.dtype == torch.float32


def test_folder_of_the_hubs_cache_is_found(folder, tmp_path):
    snapshots = tmp_path / "models--someone--control" / "snapshots"
    shutil.copytree(folder, snapshots / "0123abc")
    assert controlnet_files.load(snapshots.parent).config == controlnet_files.load(folder).config


def test_published_settings_of_2023_are_accepted(folder):
    sizes = json.loads((folder / "config.json").read_text())
    older = PUBLISHED | {key: sizes[key] for key, value in PUBLISHED.items() if value != sizes[key]}
    (folder / "config.json").write_text(json.dumps(older))
    assert controlnet_files.load(folder).config.block_out_channels == UNET.block_out_channels


def change_weights(folder, change):
    state = load_file(folder / WEIGHTS)
    change(state)
    save_file(state, folder / WEIGHTS)


def rename_all(folder):
    state = load_file(folder / WEIGHTS)
    save_file({f"control_model.{key}": value for key, value in state.items()}, folder / WEIGHTS)


MISTAKES = {
    "a tensor is missing": (
        lambda f: change_weights(f, lambda s: s.pop("controlnet_mid_block.bias")),
        "controlnet_mid_block.bias is missing",
    ),
    "a tensor is unknown": (
        lambda f: change_weights(f, lambda s: s.update(extra=torch.zeros(1))),
        "Problems: 1, such as: extra is unknown",
    ),
    "a tensor of the wrong shape": (
        lambda f: change_weights(f, lambda s: s.update({"conv_in.bias": torch.zeros(3)})),
        r"conv_in.bias is F32 \[3\], expected floats \[16\]",
    ),
    "a tensor of whole numbers": (
        lambda f: change_weights(f, lambda s: s.update({"conv_in.bias": s["conv_in.bias"].int()})),
        "conv_in.bias is I32",
    ),
    "the original names": (rename_all, "has the original key names. Give .* diffusers' layout"),
    "blue first": (
        lambda f: edit(f / "config.json", controlnet_conditioning_channel_order="bgr"),
        "controlnet_conditioning_channel_order is 'bgr', expected 'rgb'",
    ),
    "pooled": (
        lambda f: edit(f / "config.json", global_pool_conditions=True),
        "global_pool_conditions is True",
    ),
    "sizes that do not fit": (
        lambda f: edit(f / "config.json", attention_head_dim=3),
        "the sizes in config.json are invalid. .*3 heads",
    ),
    "no settings": (lambda f: (f / "config.json").unlink(), "config.json is missing"),
    "no weights": (
        lambda f: (f / WEIGHTS).unlink(),
        "expected diffusion_pytorch_model.safetensors",
    ),
    "a pickle": (
        lambda f: (f / WEIGHTS).rename(f / "diffusion_pytorch_model.bin"),
        "Pickled files .* are never read",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_anything_else_is_rejected(folder, name):
    change, message = MISTAKES[name]
    change(folder)
    with pytest.raises(ValueError, match=message):
        controlnet_files.load(folder)


def test_paths_without_a_folder_are_rejected(published, tmp_path):
    with pytest.raises(ValueError, match="is a file. Give the folder"):
        controlnet_files.load(published / WEIGHTS)
    with pytest.raises(ValueError, match="there is no such folder"):
        controlnet_files.load(tmp_path / "elsewhere")


@pytest.mark.slow
def test_full_size_matches_diffusers():
    """In float32, 361,279,120 random parameters, in memory once: both models share them."""
    torch.manual_seed(0)
    ours = ControlNetModel().eval()
    fill_zero_convolutions(ours)
    with torch.device("meta"):
        theirs = diffusers_controlnet(ControlNetConfig()).eval()
    theirs.load_state_dict(ours.state_dict(), strict=True, assign=True)
    given = inputs(ours.config, 16, 16, torch.float32)
    with torch.no_grad():
        residuals, expected = ours(*given), their_residuals(theirs, given)
    for residual, their_residual in zip(residuals, expected, strict=True):
        assert relative_error(residual, their_residual) <= FLOAT32_TOLERANCE
