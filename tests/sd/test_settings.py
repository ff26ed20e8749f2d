"""Every setting of diffusers and transformers is used, fixed or known to have no effect, and a
folder gives the same image as diffusers for all supported settings.
"""

import inspect
import shutil
from dataclasses import fields, replace

import pytest
import torch

from course_lib.sd import schedule_settings, settings, weights
from course_lib.sd.clip import CLIPTextConfig
from course_lib.sd.controlnet import ControlNetConfig
from course_lib.sd.samplers import SAMPLERS, NoiseSchedule
from course_lib.sd.unet import UNetConfig
from course_lib.sd.vae import AutoencoderConfig
from tests.support.parity import (
    FLOAT32_TOLERANCE,
    FLOAT64_TOLERANCE,
    UNET,
    VAE,
    WITH_ATTENTION,
    WITHOUT_ATTENTION,
    relative_error,
)
from tests.support.published_sd import SCHEDULER, edit, write_published
from tests.support.sampling import (
    comparable,
    diffusers_scheduler,
    random_latents,
    run_diffusers,
    run_ours,
)

# diffusers triggers a deprecation warning of numpy 2.
pytestmark = pytest.mark.filterwarnings("ignore:__array:DeprecationWarning")


def parameters(owner):
    found = inspect.signature(owner.__init__).parameters.items()
    return {name: value.default for name, value in found if name not in ("self", "kwargs")}


@pytest.mark.parametrize(
    "config_class", [CLIPTextConfig, UNetConfig, AutoencoderConfig, ControlNetConfig]
)
def test_every_setting_of_the_published_models_is_known(config_class):
    import diffusers
    import transformers

    theirs = {
        CLIPTextConfig: transformers.CLIPTextConfig,
        UNetConfig: diffusers.UNet2DConditionModel,
        AutoencoderConfig: diffusers.AutoencoderKL,
        ControlNetConfig: diffusers.ControlNetModel,
    }
    known = {field.name for field in fields(config_class)} | {*settings._FIXED[config_class]}
    known |= {*settings._WITHOUT_EFFECT[config_class], settings._PARTLY_FIXED.get(config_class)}
    assert set(parameters(theirs[config_class])) <= known
    assert not set(settings._FIXED[config_class]) & {*settings._WITHOUT_EFFECT[config_class]}


def scheduler_names():
    return [*schedule_settings._SAMPLERS, *schedule_settings._OTHER_SCHEDULERS]


@pytest.mark.parametrize("name", scheduler_names())
def test_every_setting_of_the_schedulers_is_known(name):
    """Every setting is known, and a missing one has the same default as in diffusers."""
    import diffusers

    theirs = parameters(getattr(diffusers, name))
    if name in schedule_settings._SAMPLERS:
        known = {*schedule_settings._SCHEDULE, *schedule_settings._FIXED}
        assert set(theirs) <= known | {*schedule_settings._WITHOUT_EFFECT}
    used = {*schedule_settings._SCHEDULE, "skip_prk_steps"} - {"steps_offset"}
    ours = schedule_settings._COMMON | schedule_settings._DEFAULTS.get(name, {})
    for key in used & set(theirs):
        default = ours.get(key, getattr(NoiseSchedule(), key, None))
        assert default == theirs[key], key


@pytest.fixture(scope="module")
def _published(tmp_path_factory):
    return write_published(tmp_path_factory.mktemp("published") / "sd")


DDIM = {"_class_name": "DDIMScheduler"}
TRAINED = [(0.0001 + 0.0199 * n / 999) for n in range(1000)]
SCHEDULER_CHANGES = {
    "as published": {},
    "steps_offset 0": {"steps_offset": 0},
    "PNDM, set_alpha_to_one": {"set_alpha_to_one": True},
    "PNDM, trained_betas": {"trained_betas": TRAINED},
    "DDIM, clip_sample": DDIM | {"clip_sample": True},
    "DDIM, set_alpha_to_one": DDIM | {"set_alpha_to_one": True},
    "DDIM, set_alpha_to_one missing": DDIM | {"set_alpha_to_one": None},
    "DDIM, pure noise": DDIM
    | {
        "rescale_betas_zero_snr": True,
        "timestep_spacing": "trailing",
        "prediction_type": "v_prediction",
    },
    "DDPM, linspace": {"_class_name": "DDPMScheduler", "timestep_spacing": "linspace"},
    "an old sample_size": {"sample_size": 4},
}
FEW_ATTENTIONS = replace(
    UNET,
    down_block_types=(WITHOUT_ATTENTION, WITHOUT_ATTENTION, WITH_ATTENTION),
    layers_per_block=1,
)
SMALL_VAE = replace(VAE, block_out_channels=(8, 16), layers_per_block=1)


@pytest.mark.filterwarnings("ignore:The configuration file of:FutureWarning")
@pytest.mark.parametrize("name", SCHEDULER_CHANGES)
def test_folder_gives_the_same_image_as_diffusers(_published, tmp_path, name):
    changes = dict(SCHEDULER_CHANGES[name])
    if size := changes.pop("sample_size", None):
        # 64 x 64 latents are slow: attention only at 16 x 16, a smaller decoder, and one step.
        folder = write_published(tmp_path / "sd", FEW_ATTENTIONS, SMALL_VAE)
        edit(folder / "unet" / "config.json", sample_size=size, _diffusers_version="0.6.0")
    else:
        folder = shutil.copytree(_published, tmp_path / "sd")
    steps, side = (1, 128) if size else (5, 32)
    removed = [key for key, value in changes.items() if value is None]
    edit(folder / SCHEDULER, *removed, **changes)
    scheduler = changes.get("_class_name", "PNDMScheduler")
    found, ours, expected = generate_with_both(folder, scheduler, steps)
    assert scheduler.lower().startswith(found.sampler)
    assert ours.shape == expected.shape == (1, 3, side, side)
    assert relative_error(ours, expected) <= FLOAT32_TOLERANCE
    read_as_64 = f"sample_size {size} of diffusers 0.6.0 is read as 64"
    assert any(read_as_64 in note for note in found.notes) == bool(size)


def test_old_sample_size_by_side_is_kept(_published, tmp_path):
    folder = shutil.copytree(_published, tmp_path / "sd")
    edit(folder / "unet" / "config.json", sample_size=[4, 4], _diffusers_version="0.6.0")
    found = weights.read(folder)
    assert found.parts["unet"].model.config.sample_size == 4
    assert not found.notes  # diffusers replaces a number only


def generate_with_both(folder, scheduler, steps):
    """The weights, and the image by us and by diffusers with the folder's own scheduler."""
    import diffusers

    edit(folder / "model_index.json", scheduler=["diffusers", scheduler])
    theirs = diffusers.StableDiffusionPipeline.from_pretrained(
        folder, safety_checker=None, requires_safety_checker=False
    )
    theirs.set_progress_bar_config(disable=True)
    found = weights.read(folder)
    options = {"num_inference_steps": steps, "guidance_scale": 7.5, "output_type": "pt"}
    expected = theirs("a red fox", generator=torch.Generator().manual_seed(3), **options).images
    pipeline = weights.load_parts(found)
    ours = pipeline.generate("a red fox", sampler=found.sampler, steps=steps, seed=3)
    return found, ours, expected


@pytest.mark.parametrize("spacing", ["leading", "linspace", "trailing"])
@pytest.mark.parametrize("scheduler", schedule_settings._SAMPLERS)
@pytest.mark.extended
def test_spacing_gives_the_same_image_as_diffusers_or_a_note(
    _published, tmp_path, scheduler, spacing
):
    folder = shutil.copytree(_published, tmp_path / "sd")
    edit(folder / SCHEDULER, _class_name=scheduler, timestep_spacing=spacing)
    errors = []
    for steps in (5, 7):  # a divisor of the 1,000 timesteps, and another number
        found, ours, expected = generate_with_both(folder, scheduler, steps)
        errors.append(relative_error(ours, expected))
    noted = any(f"is {spacing}: with it, steps or initial noise" in note for note in found.notes)
    assert noted == (max(errors) > FLOAT32_TOLERANCE)


ZERO_TERMINAL_SNR = {"rescale_betas_zero_snr": True}


@pytest.mark.parametrize("name", ["ddim", "euler", "dpm++"])
@pytest.mark.parametrize("spacing", ["leading", "trailing"])
def test_sampler_from_pure_noise_matches_diffusers(name, spacing):
    if (name, spacing) == ("dpm++", "leading"):
        pytest.skip("diffusers defines leading timesteps differently for DPM-Solver++")
    for dtype, limit in (
        (torch.float64, 100 * FLOAT64_TOLERANCE),
        (torch.float32, 100 * FLOAT32_TOLERANCE),
    ):
        noise = random_latents(dtype=dtype)
        options = {"prediction": "v_prediction", "spacing": spacing, "settings": ZERO_TERMINAL_SNR}
        ours = run_ours(name, noise, 10, **options)
        theirs = run_diffusers(name, noise, 10, **options)
        # Euler starts at 4,096 times the noise, where float32 has three digits less.
        assert relative_error(ours, theirs) <= limit
        assert relative_error(ours, run_ours(name, noise, 10, "v_prediction", spacing)) > 0.01


@pytest.mark.parametrize("betas", [{"trained_betas": TRAINED}, {"set_alpha_to_one": True}])
@pytest.mark.parametrize("name", SAMPLERS)
def test_betas_and_the_last_alpha_match_diffusers(name, betas):
    noise = random_latents()
    spacing = "trailing" if name == "dpm++" else "leading"
    ours = run_ours(name, noise, 10, spacing=spacing, settings=betas)
    theirs = run_diffusers(name, noise, 10, spacing=spacing, settings=betas)
    assert relative_error(ours, theirs) <= (1e-9 if name == "ddpm" else FLOAT64_TOLERANCE)


def test_schedule_that_ends_at_pure_noise_matches_diffusers():
    schedule = NoiseSchedule(prediction_type="v_prediction", rescale_betas_zero_snr=True)
    with comparable(torch.float64, "ddim"):
        theirs = diffusers_scheduler("ddim", 10, "v_prediction", rescale_betas_zero_snr=True)
    ours = schedule.alphas_cumprod
    assert ours[-1] == 0 and relative_error(ours, theirs.alphas_cumprod) <= FLOAT64_TOLERANCE
    assert ours[0] == NoiseSchedule().alphas_cumprod[0]


@pytest.mark.parametrize("name", ["ddpm", "ddim", "pndm"])
def test_linspace_times_match_diffusers(name):
    schedule = NoiseSchedule(timestep_spacing="linspace")
    for steps in (2, 3, 7, 10, 25, 50, 999, 1000):
        theirs = diffusers_scheduler(name, steps, spacing="linspace").timesteps
        assert SAMPLERS[name](schedule, steps).timesteps == [int(t) for t in theirs], steps
    for steps in (0, 1, 1001):
        with pytest.raises(ValueError, match="spacing is linspace: take 2 to 1000 steps"):
            schedule.timesteps(steps)


def test_linspace_steps_end_at_the_next_timestep():
    """DDPM matches diffusers, and every sampler steps to the next timestep. diffusers' DDIM steps
    by 1000 // steps instead, past the next timestep.
    """
    noise = random_latents()
    ours = run_ours("ddpm", noise, 10, spacing="linspace")
    assert relative_error(ours, run_diffusers("ddpm", noise, 10, spacing="linspace")) <= 1e-9
    for name in SAMPLERS:
        sampler = SAMPLERS[name](NoiseSchedule(timestep_spacing="linspace"), 10)
        times = list(dict.fromkeys(sampler.timesteps))
        assert [sampler.next_timestep[t] for t in times[:-1]] == times[1:]


@pytest.mark.parametrize("name", ["ddpm", "pndm"])
def test_samplers_without_zero_terminal_snr_name_the_others(name):
    schedule = NoiseSchedule(prediction_type="v_prediction", rescale_betas_zero_snr=True)
    with pytest.raises(ValueError, match="zero terminal SNR .*: choose one of ddim"):
        SAMPLERS[name](schedule, 10)


@pytest.mark.parametrize(
    "setting, message",
    [
        ({"prediction_type": "sample"}, "prediction_type is 'sample'"),
        ({"timestep_spacing": "karras"}, "timestep_spacing is 'karras'"),
        ({"num_train_timesteps": 0}, "num_train_timesteps is 0"),
        ({"steps_offset": -1}, "steps_offset is -1"),
        ({"steps_offset": 1000}, "steps_offset is 1000"),
        ({"beta_start": 0.0}, "beta_start is 0.0"),
        ({"beta_end": float("nan")}, "beta_end is nan"),
        ({"beta_end": float("inf")}, "beta_end is inf"),
        ({"trained_betas": [0.1]}, "trained_betas has 1 numbers, num_train_timesteps is 1000"),
        ({"trained_betas": [0.1] * 999 + [1.0]}, "trained_betas is 1.0"),
        ({"rescale_betas_zero_snr": True}, "needs prediction_type v_prediction"),
    ],
)
def test_invalid_schedules_are_rejected(setting, message):
    with pytest.raises(ValueError, match=message):
        NoiseSchedule(**setting)
