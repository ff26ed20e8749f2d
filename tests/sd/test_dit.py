"""The diffusion transformer gives diffusers' predictions, and can replace the U-Net."""

from dataclasses import asdict, replace

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from course_lib.diffusion import text_to_image
from course_lib.profiling.cost import forward_cost
from course_lib.sd.dit import (
    DiTBlock,
    JointTransformerBlock,
    MMDiT,
    MMDiTConfig,
    PatchEmbed,
    modulate,
    patchify,
    position_embedding,
    unpatchify,
)
from tests.support.parity import (
    FLOAT32_TOLERANCE,
    FLOAT64_TOLERANCE,
    PRECISIONS,
    gradient_error,
    relative_error,
)
from tests.support.tiny_sd import CLIP, pipeline_pair

TINY = MMDiTConfig(
    sample_size=8,
    in_channels=4,
    out_channels=4,
    num_layers=2,
    attention_head_dim=8,
    num_attention_heads=3,
    joint_attention_dim=20,
    pooled_projection_dim=12,
    pos_embed_max_size=4,
)
CONFIGS = {
    "one size": TINY,
    "cropped positions, three blocks": replace(TINY, num_layers=3, pos_embed_max_size=7),
    "one block, one head, patches of 4": replace(
        TINY, num_layers=1, num_attention_heads=1, attention_head_dim=16, patch_size=4
    ),
    "a token per value, other channels": replace(
        TINY, patch_size=1, out_channels=3, pos_embed_max_size=8, attention_head_dim=4
    ),
}
# As many FLOPs as the U-Net of the text-to-image model; see the test.
EQUAL_FLOPS = MMDiTConfig(
    sample_size=16,
    in_channels=4,
    out_channels=4,
    num_layers=5,
    attention_head_dim=24,
    num_attention_heads=9,
    joint_attention_dim=text_to_image.TEXT_CONFIG.hidden_size,
    pooled_projection_dim=None,
    pos_embed_max_size=8,
)


def fill(model: nn.Module, seed: int = 0) -> None:
    """Random numbers in every parameter: much starts at zero here, which would hide mistakes."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            scale = 0.3 if parameter.ndim == 1 else parameter[0].numel() ** -0.5
            parameter.copy_(scale * torch.randn(parameter.shape, generator=generator))


def diffusers_sd3(config: MMDiTConfig) -> nn.Module:
    """diffusers' MM-DiT of these sizes."""
    import diffusers

    sizes = asdict(config)
    sizes["pooled_projection_dim"] = sizes["pooled_projection_dim"] or 12
    return diffusers.SD3Transformer2DModel(**sizes, caption_projection_dim=config.width)


def pair(config: MMDiTConfig, dtype: torch.dtype = torch.float64) -> tuple[nn.Module, nn.Module]:
    """Ours and diffusers' with the same weights, loaded strictly."""
    ours, theirs = MMDiT(config), diffusers_sd3(config)
    fill(ours)
    theirs.load_state_dict(ours.state_dict(), strict=True)
    return nn.Module.to(ours, dtype).eval(), nn.Module.to(theirs, dtype).eval()


def inputs(
    config: MMDiTConfig, height: int = 8, width: int = 8, dtype: torch.dtype = torch.float64
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Two random latents, their timesteps, five token embeddings each, and a vector each."""
    generator = torch.Generator().manual_seed(1)
    shapes = (
        (2, config.in_channels, height, width),
        (2, 5, config.joint_attention_dim),
        (2, config.pooled_projection_dim),
    )
    latents, context, pooled = (
        torch.randn(shape, dtype=dtype, generator=generator) for shape in shapes
    )
    return latents, torch.tensor([921.0, 3.5]), context, pooled


def their_prediction(theirs: nn.Module, inputs: tuple[Tensor, Tensor, Tensor, Tensor]) -> Tensor:
    latents, times, context, pooled = inputs
    return theirs(latents, context, pooled, times).sample


@pytest.mark.parametrize("dtype, limit", PRECISIONS)
@pytest.mark.parametrize("name", CONFIGS)
def test_prediction_matches_diffusers(name, dtype, limit):
    ours, theirs = pair(CONFIGS[name], dtype)
    given = inputs(CONFIGS[name], dtype=dtype)
    with torch.no_grad():
        prediction = ours(*given)
        assert relative_error(prediction, their_prediction(theirs, given)) <= limit
        assert prediction.std() > 0.1


@pytest.mark.parametrize("size", [(2, 2), (4, 14), (6, 10)])
def test_other_latent_sizes_match_diffusers(size):
    config = CONFIGS["cropped positions, three blocks"]
    ours, theirs = pair(config)
    given = inputs(config, *size)
    with torch.no_grad():
        assert relative_error(ours(*given), their_prediction(theirs, given)) <= FLOAT64_TOLERANCE


def test_gradients_match_diffusers():
    ours, theirs = pair(TINY)
    latents, times, context, pooled = inputs(TINY)
    our_latents, their_latents = (latents.clone().requires_grad_() for _ in range(2))
    our_context, their_context = (context.clone().requires_grad_() for _ in range(2))
    weight = torch.randn(2, 4, 8, 8, dtype=torch.float64)
    (ours(our_latents, times, our_context, pooled) * weight).sum().backward()
    expected = their_prediction(theirs, (their_latents, times, their_context, pooled))
    (expected * weight).sum().backward()
    pairs = {"latents": (our_latents, their_latents), "context": (our_context, their_context)}
    assert gradient_error(ours, theirs, pairs) <= FLOAT64_TOLERANCE


def test_without_a_pooled_vector():
    """As diffusers' model whose pooled vector contributes nothing."""
    config = replace(TINY, pooled_projection_dim=None)
    ours, theirs = MMDiT(config), diffusers_sd3(config)
    fill(ours)
    theirs.load_state_dict(ours.state_dict(), strict=False)
    for parameter in theirs.time_text_embed.text_embedder.linear_2.parameters():
        nn.init.zeros_(parameter)
    latents, times, context, pooled = inputs(TINY, dtype=torch.float32)
    with torch.no_grad():
        expected = their_prediction(theirs, (latents, times, context, pooled))
        assert relative_error(ours(latents, times, context), expected) <= FLOAT32_TOLERANCE


@pytest.mark.extended
def test_default_is_stable_diffusion_3_medium():
    """2,028,328,000 parameters with diffusers' names; on the meta device."""
    with torch.device("meta"):
        ours, theirs = MMDiT(), diffusers_sd3(MMDiTConfig())
        latents, context = torch.empty(1, 16, 128, 128), torch.empty(1, 333, 4096)
        assert ours(latents, 1000.0, context, torch.empty(1, 2048)).shape == latents.shape
    our_shapes, their_shapes = (
        {key: value.shape for key, value in model.state_dict().items()} for model in (ours, theirs)
    )
    assert our_shapes == their_shapes
    assert sum(parameter.numel() for parameter in ours.parameters()) == 2_028_328_000


@pytest.mark.parametrize("last", [False, True])
def test_joint_block_matches_diffusers(last):
    from diffusers.models.attention import JointTransformerBlock as TheirBlock

    ours, theirs = JointTransformerBlock(24, 3, last), TheirBlock(24, 3, 8, context_pre_only=last)
    fill(ours)
    theirs.load_state_dict(ours.state_dict(), strict=True)
    image, text, conditioning = torch.randn(2, 9, 24), torch.randn(2, 5, 24), torch.randn(2, 24)
    with torch.no_grad():
        our_image, our_text = ours(image, text, conditioning)
        their_text, their_image = theirs(image, text, conditioning)
    assert relative_error(our_image, their_image) <= FLOAT32_TOLERANCE
    if last:
        assert our_text is None and their_text is None
    else:
        assert relative_error(our_text, their_text) <= FLOAT32_TOLERANCE


def test_dit_of_these_parts_matches_diffusers():
    """The whole model of Peebles and Xie, whose conditioning is a time and a class."""
    import diffusers

    # The paper's epsilon, for which diffusers' default is 1e-5.
    theirs = diffusers.DiTTransformer2DModel(
        num_attention_heads=3,
        attention_head_dim=8,
        num_layers=2,
        sample_size=8,
        num_embeds_ada_norm=10,
        norm_eps=1e-6,
    ).eval()
    fill(theirs)
    latents, times, classes = torch.randn(2, 4, 8, 8), torch.tensor([921, 3]), torch.tensor([4, 10])
    embed = PatchEmbed(TINY)
    embed.proj.load_state_dict(theirs.pos_embed.proj.state_dict())
    with torch.no_grad():
        x = embed(latents)
        assert relative_error(x, theirs.pos_embed(latents)) <= FLOAT32_TOLERANCE
        for their_block in theirs.transformer_blocks:
            # diffusers keeps a copy of the conditioning's layers in every block.
            state = {k: v for k, v in their_block.state_dict().items() if ".emb." not in k}
            block = DiTBlock(24, 3)
            block.load_state_dict(state, strict=True)
            conditioning = their_block.norm1.emb(times, classes, hidden_dtype=x.dtype)
            expected = their_block(x, timestep=times, class_labels=classes)
            x = block(x, conditioning)
            assert relative_error(x, expected) <= FLOAT32_TOLERANCE
        conditioning = theirs.transformer_blocks[0].norm1.emb(times, classes, hidden_dtype=x.dtype)
        shift, scale = theirs.proj_out_1(F.silu(conditioning))[:, None].chunk(2, dim=-1)
        prediction = unpatchify(theirs.proj_out_2(modulate(x, shift, scale)), 2, rows=4)
        assert (
            relative_error(prediction, theirs(latents, times, classes).sample) <= FLOAT32_TOLERANCE
        )


def test_position_embedding_matches_diffusers():
    from diffusers.models.embeddings import get_2d_sincos_pos_embed

    for side, base in ((8, 8), (7, 4), (192, 64)):
        theirs = get_2d_sincos_pos_embed(24, side, base_size=base, output_type="pt")
        ours = position_embedding(side, 24, spacing=base / side)
        assert ours.dtype == torch.float32
        assert torch.allclose(ours, theirs.float(), rtol=0, atol=1e-5)
    ours = position_embedding(8, 24)
    # Position 11 is in row 1 and column 3: sines from channel 0 and 12, cosines from 6 and 18.
    angles = torch.tensor([3.0, 3.0, 1.0, 1.0])
    expected = torch.where(torch.tensor([True, False] * 2), angles.sin(), angles.cos())
    assert torch.allclose(ours[11, [0, 6, 12, 18]], expected)


def test_patches_are_cut_row_by_row():
    latents = torch.arange(2 * 3 * 4 * 6).reshape(2, 3, 4, 6).float()
    patches = patchify(latents, 2)
    assert patches.shape == (2, 6, 12)
    # Patch 4 is in the second row, second column; its values end with the channels.
    assert torch.equal(patches[1, 4], latents[1, :, 2:4, 2:4].permute(1, 2, 0).flatten())
    assert torch.equal(unpatchify(patches, 2, rows=2), latents)


def test_embedding_a_patch_is_a_linear_layer():
    embed = PatchEmbed(TINY)
    latents = torch.randn(2, 4, 8, 8)
    weight = embed.proj.weight.permute(0, 2, 3, 1).flatten(1)
    expected = F.linear(patchify(latents, 2), weight, embed.proj.bias) + embed.pos_embed
    assert torch.allclose(embed(latents), expected, atol=1e-5)


def test_blocks_start_as_the_identity():
    image, text, conditioning = torch.randn(2, 9, 24), torch.randn(2, 5, 24), torch.randn(2, 24)
    assert torch.equal(DiTBlock(24, 3)(image, conditioning), image)
    unchanged = JointTransformerBlock(24, 3)(image, text, conditioning)
    assert torch.equal(unchanged[0], image) and torch.equal(unchanged[1], text)
    assert not MMDiT(TINY)(*inputs(TINY, dtype=torch.float32)).any()


def test_one_time_for_all_latents():
    ours, _ = pair(TINY)
    latents, _, context, pooled = inputs(TINY)
    with torch.no_grad():
        expected = ours(latents, torch.tensor([921, 921]), context, pooled)
        assert torch.equal(ours(latents, 921, context, pooled), expected)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"attention_head_dim": 5, "num_attention_heads": 3}, "3 times .* 5: .* multiple of 4"),
        ({"sample_size": 9}, "sample_size 9: give a multiple of patch_size 2"),
        ({"sample_size": 10}, "at most 4 patches"),
    ],
)
def test_invalid_sizes_are_rejected(options, message):
    with pytest.raises(ValueError, match=message):
        MMDiT(replace(TINY, **options))


@pytest.mark.parametrize(
    "shapes, message",
    [
        ({"latents": (2, 3, 8, 8)}, "give 4 channels"),
        ({"context": (2, 5, 21)}, "in vectors of 20"),
        ({"times": (3,)}, "a time for each latent or one for all"),
        ({"latents": (2, 4, 7, 8)}, "7 x 8: both sides must be multiples of 2, up to 8"),
        ({"latents": (2, 4, 8, 10)}, "8 x 10: both sides must be multiples of 2, up to 8"),
        ({"pooled": (2, 11)}, r"pooled of \(2, 11\): give \(2, 12\)"),
        ({"pooled": None}, r"pooled of None: give \(2, 12\)"),
    ],
)
def test_invalid_inputs_are_rejected(shapes, message):
    usual = {"latents": (2, 4, 8, 8), "times": (2,), "context": (2, 5, 20), "pooled": (2, 12)}
    with torch.device("meta"):
        given = [shape and torch.zeros(shape) for shape in (usual | shapes).values()]
        with pytest.raises(ValueError, match=message):
            MMDiT(TINY)(*given)


def test_flops_are_counted():
    """Two per multiplication: linear layers, and attention among all tokens."""
    config, image, text = replace(TINY, pooled_projection_dim=None), 16, 5
    width, both = config.width, image + text
    inner = image * 4 * 4 * width + text * 20 * width + width * (256 + width)
    attention = 3 * both * width**2 + 2 * both**2 * width
    block = 6 * width**2 + image * 9 * width**2
    last = attention + block + 2 * width**2
    first = attention + 2 * 6 * width**2 + both * 9 * width**2
    outer = 2 * width**2 + image * width * 4 * 4
    with torch.device("meta"):
        model, context = MMDiT(config), torch.zeros(1, text, 20)
    cost = forward_cost(model, 1, 4, 8, 8, others=(500, context))
    assert cost.flops == 2 * (inner + first + last + outer)


@pytest.mark.extended
def test_as_many_flops_as_the_unet_of_the_text_to_image_model():
    with torch.device("meta"):
        models = text_to_image.TextToImage().unet, MMDiT(EQUAL_FLOPS)
        context = torch.zeros(1, 24, EQUAL_FLOPS.joint_attention_dim)
    unet, dit = (forward_cost(model, 1, 4, 16, 16, others=(500, context)) for model in models)
    assert dit.flops == pytest.approx(unet.flops, rel=0.03)


def test_trains_in_place_of_the_unet():
    model = text_to_image.TextToImage()
    model.unet = MMDiT(replace(EQUAL_FLOPS, num_layers=2))
    ids, _ = text_to_image.tokenizer().encode(["a red fox", "an owl"])
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(5):  # the gates become nonzero block by block, the last one first
        optimizer.zero_grad()
        text_to_image.loss(model, torch.randn(2, 4, 16, 16), ids[:, None]).backward()
        optimizer.step()
    without = {name for name, p in model.unet.named_parameters() if not p.grad.any()}
    # The softmax cancels a bias of the keys; the last block does not use the text's queries.
    assert all("add_q_proj" in name or name.endswith("k.bias") for name in without), without


def test_generates_in_place_of_the_unet(tmp_path):
    pipeline, _ = pipeline_pair(tmp_path)
    config = replace(TINY, joint_attention_dim=CLIP.hidden_size, pooled_projection_dim=None)
    denoiser = MMDiT(config)
    fill(denoiser)
    images = replace(pipeline, unet=denoiser).generate("a red fox", sampler="ddim", steps=3)
    assert images.shape == (1, 3, 32, 32) and images.isfinite().all()
