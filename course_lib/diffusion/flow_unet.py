"""Text-to-image pipelines as flows: a U-Net that predicts noise or v, read as a velocity model.

fast = as_flow(text_to_image.load())
fast.generate("a fox on a red background", sampler="flow-euler", steps=4, guidance=3)
"""

from collections.abc import Sequence
from dataclasses import replace

import torch
from jaxtyping import Float, Real
from torch import Tensor

from course_lib.diffusion import flow
from course_lib.sd.pipeline import StableDiffusion
from course_lib.sd.schedule import FlowSchedule, NoiseSchedule
from course_lib.sd.unet import Context, FeatureMap, UNet2DConditionModel, UNetConfig


class FlowUNet(UNet2DConditionModel):
    """A U-Net of a noise schedule that takes points of straight paths, and returns velocities.

    It has the weights of the U-Net, under the same names: see :func:`flow.read_as_flow`.
    """

    def __init__(self, config: UNetConfig, schedule: NoiseSchedule) -> None:
        """``schedule``: the one that the weights were trained with."""
        super().__init__(config)
        self.schedule = schedule

    @classmethod
    def from_unet(cls, unet: UNet2DConditionModel, schedule: NoiseSchedule) -> "FlowUNet":
        """The same layers, not a copy: training one trains the other."""
        with torch.device("meta"):
            model = cls(unet.config, schedule)
        for name, layers in unet.named_children():
            setattr(model, name, layers)
        return model.train(unet.training)

    def forward(
        self,
        latents: FeatureMap,
        timesteps: Real[Tensor, "..."] | int | float,
        context: Context,
        residuals: Sequence[Tensor] | None = None,
    ) -> Float[Tensor, "batch predicted height width"]:
        """The velocity in latents of straight paths.

        Arguments and errors are those of the U-Net, but timesteps are 1000 times t: in [0, 1000].
        """
        predict = super().forward
        velocity = flow.read_as_flow(lambda x, t: predict(x, t, context, residuals), self.schedule)
        times = torch.as_tensor(timesteps, device=latents.device, dtype=torch.float32) / 1000
        return velocity(latents, times.flatten().expand(len(latents)))


def as_flow(pipeline: StableDiffusion) -> StableDiffusion:
    """The pipeline with its U-Net read as a flow: generate with ``sampler="flow-euler"``.

    It shares the layers of the original, which can still be used.

    Raises:
        ValueError: if the pipeline is a flow already, or its denoiser isn't a U-Net.
    """
    schedule, unet = pipeline.schedule, pipeline.unet
    if isinstance(schedule, FlowSchedule) or not isinstance(unet, UNet2DConditionModel):
        raise ValueError(
            f"A {type(unet).__name__} with a {type(schedule).__name__}: give a pipeline whose "
            "U-Net predicts noise or v, such as text_to_image.load()."
        )
    return replace(pipeline, unet=FlowUNet.from_unet(unet, schedule), schedule=FlowSchedule())


def predict_velocity(
    pipeline: StableDiffusion, prompts: Sequence[str], guidance: float = 1.0
) -> flow.VelocityModel:
    """The velocity model of a pipeline for given prompts, for :mod:`course_lib.diffusion.flow`.

    Args:
        pipeline: with a ``FlowSchedule``, such as :func:`as_flow` returns.
        prompts: one per image of a batch.
        guidance: the guidance scale; 1 disables guidance and halves the cost.

    Raises:
        ValueError: if the pipeline isn't a flow, or the model is called with more or fewer images
            than prompts.
    """
    if not isinstance(pipeline.schedule, FlowSchedule):
        raise ValueError("The pipeline has a NoiseSchedule: give as_flow(pipeline).")
    context = encode_prompts(pipeline, prompts)
    copies = 1
    if guidance != 1:  # the batch holds every latent twice: unconditional, then conditional
        context, copies = torch.cat([encode_prompts(pipeline, [""]).expand_as(context), context]), 2

    def velocity(x: flow.Images, t: flow.Times) -> flow.Images:
        if len(x) != len(prompts):
            raise ValueError(f"{len(x)} images, {len(prompts)} prompts: give a prompt for each.")
        predictions = pipeline.unet(x.repeat(copies, 1, 1, 1), 1000 * t.repeat(copies), context)
        uncond, cond = predictions[: len(x)], predictions[-len(x) :]
        return uncond + guidance * (cond - uncond)

    return velocity


@torch.no_grad()
def encode_prompts(
    pipeline: StableDiffusion, prompts: Sequence[str]
) -> Float[Tensor, "prompts tokens features"]:
    """The text encoder's output, on the pipeline's device."""
    ids, _ = pipeline.tokenizer.encode(list(prompts))
    return pipeline.text_encoder(ids.to(next(pipeline.unet.parameters()).device))
