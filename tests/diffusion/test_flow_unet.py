"""Pipelines read as flows: same images as DDIM's, shared layers, guidance, and clear errors."""

import pytest
import torch

from course_lib.diffusion import flow, flow_unet
from course_lib.sd.samplers import find_sampler
from course_lib.sd.schedule import FlowSchedule
from tests.support.parity import FLOAT32_TOLERANCE, relative_error
from tests.support.small_sd import small_pipeline

PROMPTS = ["a fox on a red background", "an owl on a blue background"]


def test_velocity_is_that_of_the_model_read_as_a_flow():
    pipeline = small_pipeline()
    fast = flow_unet.as_flow(pipeline)
    context = flow_unet.encode_prompts(fast, PROMPTS)
    x, t = torch.randn(2, 4, 8, 8), torch.tensor([0.3, 1.0])
    read = flow.read_as_flow(lambda x, t: pipeline.unet(x, t, context), pipeline.schedule)
    assert relative_error(fast.unet(x, 1000 * t, context), read(x, t)) <= FLOAT32_TOLERANCE
    # one time for all
    assert torch.equal(fast.unet(x, 300, context)[0], fast.unet(x, 1000 * t, context)[0])


def test_layers_are_shared_and_the_original_still_works():
    pipeline = small_pipeline()
    fast = flow_unet.as_flow(pipeline)
    ours, originals = fast.unet.state_dict(), pipeline.unet.state_dict()
    assert list(ours) == list(originals)
    assert all(ours[name].data_ptr() == value.data_ptr() for name, value in originals.items())
    pipeline.generate(PROMPTS[0], steps=1, sampler="ddim")


def test_generating_is_following_the_predicted_velocity():
    fast = flow_unet.as_flow(small_pipeline())
    latents = []
    settings = {"sampler": "flow-euler", "steps": 4, "guidance": 3.0}
    images = fast.generate(
        PROMPTS, seed=5, callback=lambda *step: latents.append(step[2]), **settings
    )
    noise = torch.cat(
        [torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(5 + n)) for n in (0, 1)]
    )
    velocity = flow_unet.predict_velocity(fast, PROMPTS, guidance=3.0)
    path = flow.integrate(velocity, noise, [1, 0.75, 0.5, 0.25, 0])
    assert relative_error(path[-1], latents[-1]) <= FLOAT32_TOLERANCE
    assert images.shape == (2, 3, 32, 32)


def test_guidance_1_needs_half_the_calls():
    fast = flow_unet.as_flow(small_pipeline())
    sizes, forward = [], fast.unet.forward
    fast.unet.forward = lambda x, *others: sizes.append(len(x)) or forward(x, *others)
    x, t = torch.randn(2, 4, 8, 8), torch.ones(2)
    plain = flow_unet.predict_velocity(fast, PROMPTS)(x, t)
    guided = flow_unet.predict_velocity(fast, PROMPTS, guidance=3.0)(x, t)
    assert sizes == [2, 4] and not torch.equal(plain, guided)
    with pytest.raises(ValueError, match="4 images, 2 prompts: give a prompt for each"):
        flow_unet.predict_velocity(fast, PROMPTS, guidance=3.0)(x.repeat(2, 1, 1, 1), t.repeat(2))


def test_errors_name_the_fix():
    pipeline = small_pipeline()
    with pytest.raises(ValueError, match=r"give as_flow\(pipeline\)"):
        flow_unet.predict_velocity(pipeline, PROMPTS)
    with pytest.raises(ValueError, match="A FlowUNet with a FlowSchedule: give a pipeline whose"):
        flow_unet.as_flow(flow_unet.as_flow(pipeline))
    with pytest.raises(ValueError, match="no sampler 'ddim': choose one of flow-euler"):
        find_sampler("ddim", FlowSchedule())
    with pytest.raises(ValueError, match="no sampler 'flow-euler': choose one of ddpm, ddim"):
        find_sampler("flow-euler", pipeline.schedule)
