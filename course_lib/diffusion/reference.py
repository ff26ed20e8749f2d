"""Reference solutions of the exercises of lessons 6 to 8, used until the learner's are written.

See :func:`course_lib.checks.prefer`. The models themselves use :mod:`course_lib.sd.samplers`.
"""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from course_lib.diffusion import flow

Images = Float[Tensor, "batch *shape"]
AlphaBars = Float[Tensor, " times"]


def add_noise(x0: Images, noise: Images, alpha_bars: Float[Tensor, " batch"]) -> Images:
    """Noisy images; ``alpha_bars``: one per image, in [0, 1]."""
    alpha_bars = alpha_bars.view(-1, *[1] * (x0.ndim - 1))
    return alpha_bars.sqrt() * x0 + (1 - alpha_bars).sqrt() * noise


def zero_terminal_snr(alpha_bars: AlphaBars) -> AlphaBars:
    """A schedule whose last alpha is 0: Lin et al. (2023), arXiv:2305.08891, section 3.1."""
    alphas = alpha_bars.sqrt()
    shifted = alphas - alphas[-1]
    return (shifted * alphas[0] / shifted[0]) ** 2


def predict_x0(x: Images, model_output: Images, alpha_bar: float, prediction_type: str) -> Images:
    """The clean image; ``prediction_type``: "noise" or "v"."""
    alpha, sigma = alpha_bar**0.5, (1 - alpha_bar) ** 0.5
    if prediction_type == "v":
        return alpha * x - sigma * model_output
    return (x - sigma * model_output) / alpha


def posterior_mean(
    x: Float[Tensor, "batch values"], images: Float[Tensor, "count values"], alpha_bar: float
) -> Float[Tensor, "batch values"]:
    """The mean of all images, weighted with their probability given ``x``: Bayes' rule.

    Karras et al. (2022), arXiv:2206.00364, appendix B.3. alpha_bar: above 0 and below 1.
    """
    distances = ((x[:, None] - alpha_bar**0.5 * images) ** 2).sum(dim=2)
    return (-distances / (2 * (1 - alpha_bar))).softmax(dim=1) @ images


def diffusion_loss(
    denoiser: Callable,
    x0: Images,
    noise: Images,
    t: Int[Tensor, " batch"],
    alpha_bars: AlphaBars,
) -> Float[Tensor, ""]:
    """The mean squared error of v, from a denoiser that predicts the noise."""
    bars = alpha_bars[t]
    errors = denoiser(add_noise(x0, noise, bars), t) - noise
    return (errors**2 / bars.view(-1, *[1] * (x0.ndim - 1))).mean()


def ddim_step(x: Images, noise_pred: Images, alpha_bar: float, next_alpha_bar: float) -> Images:
    """Song et al. (2021), arXiv:2010.02502, equation 12, without new noise."""
    x0 = predict_x0(x, noise_pred, alpha_bar, "noise")
    return next_alpha_bar**0.5 * x0 + (1 - next_alpha_bar) ** 0.5 * noise_pred


def sample(
    denoiser: Callable, x: Images, timesteps: Sequence[int], alpha_bars: AlphaBars
) -> Images:
    """DDIM from noise to images; the last step ends without noise."""
    following = [float(alpha_bars[t]) for t in timesteps[1:]] + [1.0]
    for t, next_alpha_bar in zip(timesteps, following, strict=True):
        x = ddim_step(x, denoiser(x, t), float(alpha_bars[t]), next_alpha_bar)
    return x


def apply_guidance(
    predictions: Float[Tensor, "twice *shape"], guidance: float
) -> Float[Tensor, "batch *shape"]:
    """Classifier-free guidance; the first half of ``predictions`` is unconditional."""
    uncond, cond = predictions.chunk(2)
    return uncond + guidance * (cond - uncond)


def keep_outside(
    x: Images, known: Images, noise: Images, mask: Float[Tensor, "1 1 _ _"], alpha_bar: float
) -> Images:
    """``x`` where the mask is 1; elsewhere the known latent, noised to this timestep."""
    noisy = alpha_bar**0.5 * known + (1 - alpha_bar) ** 0.5 * noise
    return mask * x + (1 - mask) * noisy


def sinusoidal_embedding(t: int, channels: int) -> Float[Tensor, " channels"]:
    """Vaswani et al. (2017), arXiv:1706.03762, section 3.5; first cosines, then sines."""
    half = channels // 2
    angles = t / 10_000 ** (torch.arange(half, dtype=torch.float32) / half)
    return torch.cat([angles.cos(), angles.sin()])


def attention(
    q: Float[Tensor, "*lead queries channels"],
    k: Float[Tensor, "*lead tokens channels"],
    v: Float[Tensor, "*lead tokens values"],
) -> tuple[Float[Tensor, "*lead queries values"], Float[Tensor, "*lead queries tokens"]]:
    """Outputs and weights: Vaswani et al. (2017), arXiv:1706.03762, equation 1."""
    weights = (q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5).softmax(dim=-1)
    return weights @ v, weights


def causal_weights(
    scores: Float[Tensor, "*lead tokens tokens"],
) -> Float[Tensor, "*lead tokens tokens"]:
    """Attention weights without later tokens: Vaswani et al. (2017), arXiv:1706.03762, 3.2.3."""
    later = torch.ones_like(scores, dtype=torch.bool).triu(1)
    return scores.masked_fill(later, -torch.inf).softmax(dim=-1)


def split_heads(
    x: Float[Tensor, "batch tokens channels"], heads: int
) -> Float[Tensor, "batch heads tokens share"]:
    """Split the channels evenly among the heads."""
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)


def to_velocity(prediction: Images, x: Images, alpha: float, sigma: float, kind: str) -> Images:
    """The velocity, noise - x0; ``kind``: "noise", "x0" or "v"."""
    names = {"noise": "epsilon", "v": "v_prediction"}
    return flow.convert(prediction, x, alpha, sigma, names.get(kind, kind), "velocity")


def joint_attention(
    image: tuple[Tensor, Tensor, Tensor], text: tuple[Tensor, Tensor, Tensor]
) -> tuple[Tensor, Tensor]:
    """Queries, keys and values of both sets of tokens; the outputs of both: arXiv:2403.03206, 4."""
    q, k, v = (torch.cat(pair, dim=-2) for pair in zip(image, text, strict=True))
    output, _ = attention(q, k, v)
    of_image, of_text = output.split([image[0].shape[-2], text[0].shape[-2]], dim=-2)
    return of_image, of_text


def lora_linear(
    x: Float[Tensor, "*batch inputs"],
    weight: Float[Tensor, "outputs inputs"],
    A: Float[Tensor, "rank inputs"],
    B: Float[Tensor, "outputs rank"],
    alpha: float,
) -> Float[Tensor, "*batch outputs"]:
    """A linear layer with a LoRA, without merging: Hu et al. (2021), arXiv:2106.09685, 4.1."""
    return x @ weight.T + alpha / len(A) * (x @ A.T @ B.T)
