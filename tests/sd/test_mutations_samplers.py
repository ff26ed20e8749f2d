"""Classic mistakes in samplers and pipeline are put in, one by one, and the comparison with
diffusers sees each.
"""

from dataclasses import fields

import pytest

from course_lib.sd import samplers
from course_lib.sd.pipeline import StableDiffusion
from tests.support.parity import SINGLE, apart
from tests.support.sampling import mutant, noise, run_ours, run_peer
from tests.support.tiny_sd import PICTURE, both, ends, peer_ends

# diffusers' arithmetic with numpy 2 warns about itself.
pytestmark = pytest.mark.filterwarnings("ignore:__array:DeprecationWarning")

CLEAR = 100 * SINGLE  # far above what the comparison lets pass

# What is mistaken: (the sampler that shows it, or what the pipeline makes a picture of; what is
# right, what is wrong, and what else the run is asked for)
MISTAKES = {
    "betas grow evenly, not their roots": (
        "ddim", "self.beta_start**0.5, self.beta_end**0.5, self.num_train_timesteps, dtype=torch.float64)",
        "self.beta_start, self.beta_end, self.num_train_timesteps, dtype=torch.float64).sqrt()", {}
    ),
    "roots of the betas taken for betas": ("ddim", "(1 - roots**2)", "(1 - roots)", {}),
    "alphas not multiplied up": ("ddim", ".cumprod(0)", "", {}),
    "steps_offset forgotten": ("ddim", "i * stride + self.steps_offset", "i * stride", {}),
    "trailing times one too many": (
        "ddim", "total / steps) - 1 for", "total / steps) - 2 for", {"spacing": "trailing"}
    ),
    "the next time is this time": ("ddim", "[*self.timesteps[1:], self.end]", "self.timesteps", {}),
    "the next time is the last one": ("ddim", "[*self.timesteps[1:], self.end]", "[0] * run", {}),
    "DDIM ends without any noise": ("ddim", "    end = 0  # as", "    end = -1  # as", {}),
    "PNDM ends without any noise": ("pndm", "    end, calls, noises = 0,", "    end, calls, noises = -1,", {}),
    "signal and noise swapped": (
        "pndm", "return sqrt(square), sqrt(1 - square)", "return sqrt(1 - square), sqrt(square)", {}
    ),
    "squares taken for signal and noise": (
        "ddim", "return sqrt(square), sqrt(1 - square)", "return square, 1 - square", {}
    ),
    "noise read without its amount": (
        "ddim", "(x - noise * output) / signal, output", "(x - output) / signal, output", {}
    ),
    "clean picture not divided by the signal": (
        "ddim", "(x - noise * output) / signal, output", "x - noise * output, output", {}
    ),
    "v of the wrong sign": (
        "ddim", "signal * x - noise * output, noise",
        "signal * x + noise * output, noise", {"prediction": "v_prediction"}
    ),
    "v taken for noise": (
        "ddim", 'if self.schedule.prediction_type == "epsilon":', "if True:", {"prediction": "v_prediction"}
    ),
    "DDPM: no new noise": (
        "ddpm", "return mean + deviation * gaussian(x.shape, generator).to(x) if deviation else mean",
        "return mean", {}
    ),
    "DDPM: the variance for the deviation": (
        "ddpm", "sqrt(beta) * next_noise / noise  #", "beta * (next_noise / noise) ** 2  #", {}
    ),
    "DDPM: the larger variance": ("ddpm", "sqrt(beta) * next_noise / noise  #", "sqrt(beta)  #", {}),
    "DDPM: beta of all steps for that of one": (
        "ddpm", "beta = 1 - (signal / next_signal) ** 2", "beta = 1 - signal**2", {}
    ),
    "DDPM: the mean without beta": ("ddpm", "x - beta / noise *", "x - noise *", {}),
    "DDIM: eta without new noise": (
        "ddim", "return x + new * gaussian(x.shape, generator).to(x) if new else x", "return x", {"eta": 1.0}
    ),
    "DDIM: new noise on top of the old": ("ddim", "sqrt(next_noise**2 - new**2)", "next_noise", {"eta": 1.0}),
    "DDIM: eta left out": ("ddim", "new = self.eta * next_noise", "new = next_noise", {"eta": 0.5}),
    "Euler: input not scaled": ("euler", "        return self.parts(t)[0]\n", "        return 1.0\n", {}),
    "Euler: noise to begin with not scaled": ("euler", "= 1 / self.input_scale(self.timesteps[0])", "= 1.0", {}),
    "Euler: towards more noise": ("euler", "(next_sigma - sigma)", "(sigma - next_sigma)", {}),
    "Euler: reads the picture before scaling": (
        "euler", "x * self.input_scale(t))  # of", "x)  # of", {"prediction": "v_prediction"}
    ),
    "2M: first step extrapolated from nothing": ("dpm++", "    before = None  #", "    before = (0.0, 0.0)  #", {}),
    "2M: never of second order": ("dpm++", "if self.before and next_noise:", "if False:", {}),
    "2M: the earlier picture forgotten": (
        "dpm++", "self.before = clean, now", "self.before = self.before or (clean, now)", {}
    ),
    "2M: the extrapolated picture kept": ("dpm++", "self.before = clean, now", "self.before = best, now", {}),
    "2M: steps' lengths taken for equal": (
        "dpm++", "(log(next_signal / next_noise) - now) / (now - then) / 2", "1 / 2", {}
    ),
    "2M: half of the extrapolation missing": ("dpm++", "(now - then) / 2 *", "(now - then) *", {}),
    "PNDM: no second call for the first step": (
        "pndm", "        self.timesteps = self.timesteps[:2] + self.timesteps[1:]\n", "        self.calls = 2\n", {}
    ),
    "PNDM: the second call from where the first step led": (
        "pndm", "self.timesteps[0], self.start, (", "self.timesteps[0], x, (", {}
    ),
    "PNDM: the second call from the second time": (
        "pndm", "t, x, noise = self.timesteps[0], self.start,", "x, noise = self.start,", {}
    ),
    "PNDM: the mean missing": ("pndm", "(self.noises[0] + noise) / 2", "noise", {}),
    "PNDM: weights in the wrong order": ("pndm", "(noise, *self.noises[:3])", "(*self.noises[-3:], noise)", {}),
    "PNDM: only two steps looked back on": ("pndm", "(noise, *self.noises[:3])", "(noise, *self.noises[:1])", {}),
    "PNDM: a weight of the wrong sign": ("pndm", "37 / 24, -9 / 24", "37 / 24, 9 / 24", {}),
    "noise put in as the square": (
        "ddim", "square.sqrt().to(clean), (1 - square).sqrt().to(clean)", "square, 1 - square", {"clean": True}
    ),
    "the last steps left out, not the first": ("ddim", "[-run:]", "[:run]", {"clean": True, "strength": 0.5}),
    "strength counted from the wrong side": (
        "ddim", "run = int(steps * strength)", "run = steps - int(steps * strength)", {"clean": True, "strength": 0.8}
    ),
    # The pipeline
    "guidance: the halves swapped": (
        "a sentence", "said[0] + guidance * (said[-1] - said[0])", "said[-1] + guidance * (said[0] - said[-1])", {}
    ),
    "guidance: on top of the prompt": ("a sentence", "run.step(said[0] + guidance", "run.step(said[-1] + guidance", {}),
    "guidance: forgotten": ("a sentence", "said[0] + guidance * (said[-1] - said[0])", "said[-1]", {}),
    "the texts of the pair swapped": (
        "a sentence", "[texts[:1].expand_as(wanted), wanted]", "[wanted, texts[:1].expand_as(wanted)]", {}
    ),
    "the negative prompt forgotten": ("a sentence", "encode([negative, *prompts])", 'encode(["", *prompts])', {}),
    "one seed for all pictures": ("a sentence", "manual_seed(seed + n)", "manual_seed(seed)", {}),
    "the denoiser is told the step, not the time": (
        "a sentence", "1, 1, 1), t, context)", "1, 1, 1), number, context)", {}
    ),
    "decoded without the scaling factor": (
        "a sentence", "decode((x / self.vae.config.scaling_factor)", "decode((x)", {}
    ),
    "decoded times the scaling factor": (
        "a sentence", "decode((x / self.vae.config.scaling_factor)", "decode((x * self.vae.config.scaling_factor)", {}
    ),
    "pictures left in [-1, 1]": ("a sentence", "(pictures.float() / 2 + 0.5)", "pictures.float()", {}),
    "Euler in the pipeline: input not scaled": (
        "a sentence", "(x * run.input_scale(t))", "x", {"sampler": "euler"}
    ),
    "Euler in the pipeline: noise not scaled": (
        "a sentence", "x = x * run.initial_scale", "", {"sampler": "euler"}
    ),
    "encoded without the scaling factor": ("a picture", ".float() * self.vae.config.scaling_factor", ".float()", {}),
    "the picture encoded in [0, 1]": ("a picture", "2 * image[None].to(like) - 1", "image[None].to(like)", {}),
    "the mean of the latents, no sample": ("a picture", "posterior.sample(each)", "posterior.mean", {}),
    "noise as at the last time": ("a picture", "add_noise(clean, x, run.timesteps[0])", "add_noise(clean, x, 1)", {}),
    "strength forgotten": ("a picture", "1.0 if image is None else strength", "1.0", {}),
}  # fmt: skip


@pytest.fixture(scope="module")
def pipelines(tmp_path_factory):
    return both(tmp_path_factory.mktemp("tokenizer"))


def sampler_errors(name, right, wrong, *, strength=1.0, clean=False, **asked):
    """How far from diffusers' sampler ours ends, and ours with the mistake."""
    asked["clean"] = noise(seed=1) if clean else None
    theirs = run_peer(name, noise(), 10, **asked, skip=10 - int(10 * strength))
    for module in (samplers, mutant("samplers", right, wrong)):
        yield apart(run_ours(name, noise(), 10, **asked, strength=strength, module=module), theirs)


def pipeline_errors(what, right, wrong, pipelines, *, sampler="ddim"):
    """How far from diffusers' pipeline ours ends, in latents or pictures, and ours with the
    mistake.
    """
    ours, theirs = pipelines
    asked = {"image": PICTURE, "strength": 0.6} if what == "a picture" else {}
    expected = peer_ends(theirs, sampler, "leading", **asked)
    for kind in (StableDiffusion, mutant("pipeline", right, wrong).StableDiffusion):
        model = kind(**{field.name: getattr(ours, field.name) for field in fields(ours)})
        yield max(map(apart, ends(model, sampler, **asked), expected))


@pytest.mark.parametrize("mistake", MISTAKES)
def test_the_comparison_sees_it(mistake, pipelines):
    where, right, wrong, asked = MISTAKES[mistake]
    if where in samplers.SAMPLERS:
        fine, mistaken = sampler_errors(where, right, wrong, **asked)
    else:
        fine, mistaken = pipeline_errors(where, right, wrong, pipelines, **asked)
    assert fine <= SINGLE
    assert not mistaken <= CLEAR  # and not a number is no excuse
