"""Lesson 8's models: initial predictions, short trainings, pairs, control and edges."""

import pytest
import torch
from torch.utils.data import TensorDataset

from course_lib.compression import autoencoder
from course_lib.data import captioned, resampling
from course_lib.diffusion import (
    edge_control,
    flow,
    flow_training,
    flow_unet,
    judge,
    one_step,
    sampler_comparison,
    small_dit,
    text_to_image,
)
from course_lib.sd.controlnet import ControlledUNet
from course_lib.training import recipes
from course_lib.training.loop import fit_new
from tests.diffusion.test_small_denoiser import TINY

NAMES = ("flow", "one-step", "dit", "controlnet")


def latents(count):
    return torch.randn(count, 4, 16, 16, generator=torch.Generator().manual_seed(0))


def contexts(count):
    return torch.randn(count, 24, 96, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("name", NAMES)
def test_recipe_refuses_unknown_splits(name):
    recipe = recipes.recipe(name)
    with pytest.raises(ValueError, match="no split 'x'"):
        recipe.evaluate(recipe.make_model(), "x", 1)


@pytest.mark.parametrize("name", NAMES)
def test_packed_state_fits_the_model(name):
    recipe = recipes.recipe(name)
    model = recipe.make_model()
    state = model.state_dict()
    restored = recipe.unpack(recipe.pack(state))
    assert restored.keys() == state.keys()
    model.load_state_dict(restored)


def test_flow_starts_at_velocity_0_and_learns():
    torch.manual_seed(0)
    model, clean = flow_training.VelocityUNet(TINY), latents(1).expand(16, -1, -1, -1)
    times = torch.full((16,), 0.5)
    assert not model(clean, times).any()
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    losses = []
    for _ in range(12):
        optimizer.zero_grad()
        losses.append(flow_training.loss(model, clean))
        losses[-1].backward()
        optimizer.step()
    assert losses[-1] < losses[0]
    assert flow_training.sample(model, latents(2), steps=2).shape == (2, 4, 16, 16)


def test_one_euler_step_along_the_true_velocity_ends_at_the_image():
    clean, noise = latents(4).split(2)
    assert torch.allclose(
        flow_training.sample(lambda x, t: noise - clean, noise, steps=1), clean, atol=1e-6
    )


def test_flow_is_compared_with_the_denoiser_of_the_same_steps():
    flow_recipe, denoiser = recipes.recipe("flow"), recipes.recipe("denoiser")
    for field in ("examples_per_epoch", "epochs", "batch_size", "learning_rate", "thresholds"):
        assert getattr(flow_recipe, field) == getattr(denoiser, field)


def test_latents_are_measured():
    result = sampler_comparison.measure_latents(
        latents(3),
        vae=autoencoder.load(),
        judge=judge.load(),
        real_features=torch.randn(3, 128),
    )
    assert 0 <= result.recognised <= 1 and result.frechet > 0 and len(result.images) == 3


@pytest.fixture
def few_pairs(monkeypatch):
    for name, value in {"PAIRS": 4, "EXAMPLES_PER_EPOCH": 4, "BATCH": 2, "STEPS": 2}.items():
        monkeypatch.setattr(one_step, name, value)


def test_pairs_are_the_ends_of_paths_and_reproducible(few_pairs):
    pipeline = flow_unet.as_flow(text_to_image.load())
    pairs, context = one_step.make_pairs(pipeline, 2, seed=3)
    prompts = [captioned.make_caption(*pair) for pair in text_to_image.prompt_pairs("seen", 2)]
    velocity = flow_unet.predict_velocity(pipeline, prompts, one_step.GUIDANCE)
    assert torch.equal(pairs.x0, flow.integrate(velocity, pairs.noise, [1, 0.5, 0])[-1])
    assert torch.equal(context, flow_unet.encode_prompts(pipeline, prompts))
    again, _ = one_step.make_pairs(pipeline, 2, seed=3)
    assert torch.equal(pairs.noise, again.noise)


@pytest.mark.extended
def test_one_step_trains_only_what_a_lora_can_hold(few_pairs):
    model, history = one_step.train(epochs=1, seed=0, batch_size=2)
    assert len(history.losses) == 1
    packed = one_step.pack(model.state_dict(), rank=2)
    assert packed and all("lora_" in name for name in packed)


@pytest.mark.extended
def test_one_step_model_generates_in_one_call():
    pipeline = one_step.to_pipeline(one_step.make_model())
    calls, forward = [], pipeline.unet.forward
    pipeline.unet.forward = lambda x, *others: calls.append(len(x)) or forward(x, *others)
    pipeline.generate("a fox on a red background", **one_step.SETTINGS)
    assert calls == [1]
    assert 0.05 < one_step.measure_curvature(pipeline, 2) < 1


def test_dit_starts_at_0_learns_and_generates():
    torch.manual_seed(0)
    clean, context = latents(1).expand(8, -1, -1, -1), contexts(8)
    assert not small_dit.make_model()(clean, 500, context).any()
    data = resampling.loader(TensorDataset(clean, context), 80, batch_size=8)
    model, history = fit_new(small_dit.make_model, small_dit.loss, data, 2, learning_rate=3e-3)
    assert history.losses[1] < history.losses[0]
    images = small_dit.to_pipeline(model).generate("a fox", sampler="flow-euler", steps=1)
    assert images.shape == (1, 3, 128, 128)


def test_edges_have_the_length_of_the_gradient():
    images = torch.zeros(2, 3, 8, 8)
    images[0, 1, :, 4:] = 0.5  # a vertical edge in one channel
    edges = edge_control.detect_edges(images)
    assert edges.shape == (2, 1, 8, 8) and not edges[1].any()
    assert edges[0, 0, :, 3:5].eq(0.5).all() and not edges[0, 0, :, [0, 1, 2, 5, 6, 7]].any()
    assert edge_control.detect_edges(torch.eye(8).expand(1, 3, 8, 8)).max() <= 1


def test_edge_f1():
    def with_edge_at(column):
        image = torch.zeros(1, 3, 16, 16)
        image[..., column:] = 1
        return image

    edges = edge_control.detect_edges(with_edge_at(8))
    scores = [edge_control.edge_f1(with_edge_at(column), edges) for column in (8, 10, 14)]
    assert scores == [1, 1, 0]
    both = with_edge_at(8) - with_edge_at(13)  # a second edge: half of the found ones are right
    assert edge_control.edge_f1(both, edges) == pytest.approx(2 * 0.5 / 1.5)
    assert edge_control.edge_f1(torch.zeros(1, 3, 16, 16), edges) == 0


def test_controlnet_starts_without_effect_and_gets_a_gradient():
    torch.manual_seed(0)
    model, clean, context = edge_control.make_model(), latents(2), contexts(2)
    pipeline = text_to_image.load()
    edges = torch.rand(2, 1, 128, 128)
    controlled = edge_control.control(pipeline, model, edges)
    x = controlled.unet(clean, 500, context)
    assert torch.equal(x, pipeline.unet(clean, 500, context))
    edge_control.loss(model, clean, context, edges.half()).backward()
    gradient = model.controlnet_mid_block.weight.grad
    assert gradient is not None and gradient.abs().max() > 0


def test_the_untrained_hint_encoder_tells_images_apart():
    torch.manual_seed(0)
    encoder = edge_control.make_model().controlnet_cond_embedding
    torch.nn.init.normal_(encoder.conv_out.weight, std=1 / 17)  # of 0, nothing would differ
    pictures = [captioned.captioned_picture(seed).image for seed in range(8)]
    hints = encoder(edge_control.detect_edges(torch.stack(pictures)))
    assert (hints - hints.mean(0)).std() > 0.05


def test_a_flow_cannot_be_controlled():
    pipeline, model = flow_unet.as_flow(text_to_image.load()), edge_control.make_model()
    with pytest.raises(ValueError, match="has a FlowSchedule: give one with tiny-sd's schedule"):
        edge_control.control(pipeline, model, torch.zeros(1, 128, 128))


def test_each_image_has_its_own_control():
    torch.manual_seed(0)
    model, pipeline = edge_control.make_model(), text_to_image.load()
    with torch.no_grad():  # so that the hint matters
        for layer in (model.controlnet_cond_embedding.conv_out, model.controlnet_mid_block):
            layer.weight.normal_(std=0.1)
    edges, x, context = torch.rand(2, 1, 128, 128), latents(2), contexts(2)
    together = ControlledUNet(pipeline.unet, model, edges)
    doubled = together(x.repeat(2, 1, 1, 1), 500, context.repeat(2, 1, 1))  # as with guidance
    for index in range(2):
        alone = ControlledUNet(pipeline.unet, model, edges[index])
        expected = alone(x[index : index + 1], 500, context[index : index + 1])[0]
        for row in (index, index + 2):
            torch.testing.assert_close(doubled[row], expected, rtol=1e-4, atol=1e-4)
    with pytest.raises(ValueError, match="3 latents and 2 control images: give one image"):
        together(latents(3), 500, contexts(3))
