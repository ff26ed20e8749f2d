"""The training loop of all lessons: progress bar, mixed precision, checkpoints, interruption.

    fit(model, cross_entropy, batches(images, labels), epochs=10)

``loss(model, *batch)`` is a plain function that returns a scalar, so the loop suits every task of
the course.
"""

import contextlib
import math
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader, TensorDataset
from tqdm import tqdm

from course_lib.device import autocast
from course_lib.training import distributed, resume

Loss = Callable[..., Tensor]


@dataclass
class History:
    """A training run: mean loss and score per epoch, and the total time in seconds."""

    losses: list[float] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    seconds: float = 0.0
    interrupted: bool = False


def batches(*tensors: Tensor, size: int = 64) -> DataLoader:
    """Batches of ``size`` from tensors of equal length, shuffled in every epoch.

    Raises:
        ValueError: if the tensors differ in length.
    """
    if len({len(tensor) for tensor in tensors}) != 1:
        raise ValueError(
            f"batches() needs tensors of one length, not lengths {[len(t) for t in tensors]}."
        )
    return DataLoader(TensorDataset(*tensors), batch_size=size, shuffle=True)


def cross_entropy(
    model: nn.Module,
    images: Float[Tensor, "batch channels height width"],
    labels: Int64[Tensor, " batch"],
) -> Float[Tensor, ""]:
    """The loss of a classifier: the mean negative log-probability of the true class."""
    return F.cross_entropy(model(images), labels)


@torch.no_grad()
def accuracy(
    model: nn.Module,
    images: Float[Tensor, "count channels height width"],
    labels: Int64[Tensor, " count"],
) -> float:
    """The fraction of images whose predicted label is correct, in [0, 1].

    The model's training mode is restored.
    """
    was_training, device = model.training, next(model.parameters()).device
    model.eval()
    predictions = torch.cat([model(part.to(device)).argmax(1).cpu() for part in images.split(1000)])
    model.train(was_training)
    return (predictions == labels.cpu()).float().mean().item()


def fit(
    model: nn.Module,
    loss: Loss,
    data: DataLoader,
    epochs: int,
    *,
    learning_rate: float = 4e-3,
    device: torch.device | None = None,
    score: Callable[[nn.Module], float] | None = None,
    checkpoint: str | Path | None = None,
    seed: int = 0,
    ema_decay: float | None = None,
    max_grad_norm: float | None = None,
    bfloat16: bool = False,
    label: str = "training",
) -> History:
    """Train ``model`` in place with AdamW and a one-cycle learning rate (Smith and Topin 2018,
    arXiv:1708.07120).

    Args:
        model: moved to ``device`` and left in training mode.
        loss: ``loss(model, *batch)`` returns the scalar to minimise.
        data: batches: tuples of tensors whose first dimension is the batch.
        epochs: the number of passes over the data.
        learning_rate: the peak; the rate rises to it in the first 30 % of the steps and then falls
            to almost 0.
        device: where to train; by default the model's device.
        score: called after every epoch, higher is better; the weights of the best epoch are kept.
        checkpoint: the file to save the training state in, after every epoch. If it exists,
            training resumes from it.
        seed: epoch ``e`` is seeded with ``seed + e``, so a resumed run gives the same result as an
            uninterrupted one.
        ema_decay: if given, the model ends with an exponential moving average of its weights:
            0.999 averages over about the last 1,000 steps. Diffusion models need it (Ho et al.,
            2020, arXiv:2006.11239, appendix B).
        max_grad_norm: if given, gradients with a larger norm are scaled down to it: a single bad
            batch cannot make the training diverge (Pascanu et al., 2013, arXiv:1211.5063).
        bfloat16: mixed precision on a CPU: see :func:`course_lib.device.autocast`.
        label: the description of the progress bar.

    Several processes started by torchrun train the model together: see
    :mod:`course_lib.training.distributed`.

    An interruption (Ctrl+C, the stop button) ends the training early and returns. The model then
    has the weights of the best epoch so far; without ``score``, the current weights.

    Raises:
        FloatingPointError: if the loss is not finite.
        ValueError: if the checkpoint belongs to a run with a different number of steps or a
            different seed.
    """
    device = device or next(model.parameters()).device
    model.to(device).train()
    if bfloat16 and any(isinstance(layer, nn.GroupNorm) for layer in model.modules()):
        # GroupNorm in bfloat16 with channels last takes 12 times as long on a CPU with torch 2.15.
        model.to(memory_format=torch.contiguous_format)
    batch_loss = distributed.wrap_ddp(model, loss)
    optimizer = torch.optim.AdamW(model.parameters(), lr=learning_rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, learning_rate, total_steps=max(epochs * len(data), 1)
    )
    scaler = _grad_scaler(device)  # without it, small float16 gradients would underflow to 0
    parts = {"model": model, "optimizer": optimizer, "schedule": schedule, "scaler": scaler}
    if ema_decay is not None:
        parts["average"] = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(ema_decay))
    final_model = parts["average"].module if ema_decay is not None else model
    history, best = History(), None
    if checkpoint is not None and Path(checkpoint).exists():
        history, best = _load_state(Path(checkpoint), parts, device, seed)

    start, earlier_seconds = time.perf_counter(), history.seconds
    # the sampler's length: the data set itself may be endless
    examples = len(data.sampler) * distributed.world_size()
    bar = tqdm(
        total=epochs * examples,
        initial=len(history.losses) * examples,
        disable=distributed.rank() > 0,
        desc=label,
        unit=" images",
        file=sys.stdout,  # notebooks show stderr like an error
        mininterval=0.5,
    )
    try:
        for epoch in range(len(history.losses), epochs):
            torch.manual_seed(seed + epoch)
            with _attention(device, bfloat16):
                total = _train_epoch(
                    batch_loss, data, parts, device, bar, max_grad_norm, bfloat16=bfloat16
                )
            history.losses.append(distributed.all_reduce_sum(total) / examples)
            if not math.isfinite(history.losses[-1]):
                raise FloatingPointError(
                    f"The loss became {history.losses[-1]}: try a smaller learning_rate."
                )
            bar.set_postfix(loss=f"{history.losses[-1]:.4f}")
            if score is not None:
                history.scores.append(score(final_model))
                if history.scores[-1] == max(history.scores):
                    weights = final_model.state_dict().items()
                    best = {name: weight.detach().clone() for name, weight in weights}
            history.seconds = earlier_seconds + time.perf_counter() - start
            if checkpoint is not None and distributed.rank() == 0:
                _save_state(Path(checkpoint), parts, history, best, seed)
    except KeyboardInterrupt:
        history.interrupted = True
        print(f"\nStopped after {len(history.losses)} of {epochs} epochs.")
    finally:
        bar.close()
    if best is not None or final_model is not model:
        model.load_state_dict(best or final_model.state_dict())
    return history


def _train_epoch(
    batch_loss: nn.Module,
    data: DataLoader,
    parts: dict[str, Any],
    device: torch.device,
    bar: tqdm,
    max_grad_norm: float | None,
    *,
    bfloat16: bool,
) -> Float[Tensor, ""]:
    """Train for one epoch; returns the summed losses of this process's examples."""
    total = torch.zeros((), device=device)  # read once per epoch: reading it synchronises the GPU
    for batch in data:
        batch = [tensor.to(device) for tensor in batch]
        with autocast(device, bfloat16_on_cpu=bfloat16):
            loss = batch_loss(*batch)
        parts["optimizer"].zero_grad()
        parts["scaler"].scale(loss).backward()
        if max_grad_norm is not None:
            parts["scaler"].unscale_(parts["optimizer"])
            nn.utils.clip_grad_norm_(parts["model"].parameters(), max_grad_norm)
        parts["scaler"].step(parts["optimizer"])
        parts["scaler"].update()
        parts["schedule"].step()
        if "average" in parts:
            parts["average"].update_parameters(parts["model"])
        total += loss.detach() * len(batch[0])
        bar.update(len(batch[0]) * distributed.world_size())
    return total


def _attention(device: torch.device, bfloat16: bool) -> contextlib.AbstractContextManager:
    """Attention in separate operations for bfloat16 on a CPU, where the backward pass of torch's
    fused attention is slow: with it, a training step of tiny-sd takes 1.8 times as long.
    """
    if device.type != "cpu" or not bfloat16 or not hasattr(nn, "attention"):  # new in torch 2.3
        return contextlib.nullcontext()
    return nn.attention.sdpa_kernel(nn.attention.SDPBackend.MATH)


def fit_new(
    make_model: Callable[[], nn.Module],
    loss: Loss,
    data: DataLoader,
    epochs: int,
    *,
    seed: int = 0,
    initial_weights: Mapping[str, Tensor] | None = None,
    **options: Any,
) -> tuple[nn.Module, History]:
    """Make a model and :func:`fit` it; returns it in eval mode, with the training's history.

    Args:
        make_model: makes the model; its random weights depend only on ``seed``.
        loss, data, epochs, options: as for :func:`fit`.
        initial_weights: a state dict to start from instead of random weights, for a further cycle
            of the learning rate.
    """
    torch.manual_seed(seed)
    model = make_model()
    if initial_weights is not None:
        model.load_state_dict(initial_weights)
    history = fit(model, loss, data, epochs, seed=seed, **options)
    return model.eval(), history


def _grad_scaler(device: torch.device) -> Any:  # the class moved after torch 2.2
    """Loss scaling, enabled only where autocast uses float16 (GPUs without bfloat16)."""
    enabled = device.type == "cuda" and not torch.cuda.is_bf16_supported()
    # torch 2.2 only has torch.cuda.amp.GradScaler
    module = torch.amp if hasattr(torch.amp, "GradScaler") else torch.cuda.amp
    return module.GradScaler(enabled=enabled)


def _save_state(
    path: Path, parts: dict[str, Any], history: History, best: dict | None, seed: int
) -> None:
    state = {name: part.state_dict() for name, part in parts.items()}
    # Only the schedule's numbers: older versions of torch also store functions, which
    # weights_only=True rejects.
    state["schedule"] = {
        key: state["schedule"][key] for key in ("last_epoch", "total_steps", "_step_count")
    }
    resume.write(path, {**state, "history": vars(history), "best": best, "seed": seed})


def _load_state(
    path: Path, parts: dict[str, Any], device: torch.device, seed: int
) -> tuple[History, dict | None]:
    """Load the saved state into ``parts``; returns the history and the weights of the best epoch.

    Raises:
        ValueError: if it belongs to a run with a different number of steps or a different seed.
    """
    state = resume.read(path, device)
    saved_steps, total_steps = state["schedule"]["total_steps"], parts["schedule"].total_steps
    if saved_steps != total_steps:
        raise ValueError(
            f"{path} belongs to a run of {saved_steps} steps, not {total_steps}: "
            "restore the former epochs and data, or delete it."
        )
    if state["seed"] != seed:
        raise ValueError(
            f"{path} belongs to a run with seed {state['seed']}, not {seed}: "
            f"give seed={state['seed']}, or delete it."
        )
    for name, part in parts.items():
        part.load_state_dict(state[name])
    return History(**state["history"]), state["best"]
