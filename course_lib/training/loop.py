"""One training loop for every lesson: progress, mixed precision, checkpoints, and a safe way to
stop.

    fit(model, cross_entropy, batches(images, labels), epochs=10)

``loss(model, *batch)`` is a plain function that returns a scalar, so the loop fits every task of
the course.
"""

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
    """What a training run did: the mean loss and the score of every epoch, and the time it took in
    seconds.
    """

    losses: list[float] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    seconds: float = 0.0
    interrupted: bool = False


def batches(*tensors: Tensor, size: int = 64) -> DataLoader:
    """Batches of ``size`` from tensors of equal length, in a new order every epoch.

    Raises:
        ValueError: if the tensors differ in length.
    """
    if len({len(tensor) for tensor in tensors}) != 1:
        raise ValueError(
            f"batches() needs tensors of one length, but these have {[len(t) for t in tensors]}."
        )
    return DataLoader(TensorDataset(*tensors), batch_size=size, shuffle=True)


def cross_entropy(
    model: nn.Module,
    images: Float[Tensor, "batch channels height width"],
    labels: Int64[Tensor, " batch"],
) -> Float[Tensor, ""]:
    """The loss of a classifier: minus the log of the probability it gives to the right class,
    averaged.
    """
    return F.cross_entropy(model(images), labels)


@torch.no_grad()
def accuracy(
    model: nn.Module,
    images: Float[Tensor, "count channels height width"],
    labels: Int64[Tensor, " count"],
) -> float:
    """The share of images, in [0, 1], whose highest score stands at the right label. Leaves the
    model as it was.
    """
    was_training, device = model.training, next(model.parameters()).device
    model.eval()
    guesses = torch.cat([model(part.to(device)).argmax(1).cpu() for part in images.split(1000)])
    model.train(was_training)
    return (guesses == labels.cpu()).float().mean().item()


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
    average: float | None = None,
    label: str = "training",
) -> History:
    """Train ``model`` in place with AdamW and a one-cycle learning rate (Smith and Topin 2018,
    arXiv:1708.07120).

    Args:
        model: moved to ``device`` and left in training mode.
        loss: ``loss(model, *batch)`` returns the scalar to make small.
        data: batches, each a tuple of tensors whose first dimension counts the examples.
        epochs: how often to go through the data.
        learning_rate: the highest one; it rises to it in the first 30 % of the steps and then falls
            to almost 0.
        device: where to train; by default where the model is.
        score: called after every epoch, larger is better; the weights of the best epoch are the
            ones kept.
        checkpoint: file in which the state is saved after every epoch. If it exists, training goes
            on from it.
        seed: epoch ``e`` is seeded with ``seed + e``, so a resumed run does what an uninterrupted
            one would.
        average: if given, the model ends with a running mean of its weights, of which this share
            stays in every step: 0.999 averages over about the last 1,000. It is less noisy than any
            of them, as diffusion models need (Ho et al., 2020, arXiv:2006.11239, appendix B).
        label: what stands before the progress bar.

    Started by torchrun, several processes train it together: see
    :mod:`course_lib.training.distributed`.

    An interruption (Ctrl+C, the stop button) ends training early and returns. What is kept is the
    best epoch so far, or without ``score`` the weights as they stand.

    Raises:
        FloatingPointError: if the loss stops being a number.
        ValueError: if the checkpoint belongs to a run with another number of steps or another seed.
    """
    device = device or next(model.parameters()).device
    model.to(device).train()
    step = distributed.joined(model, loss)
    optimizer = torch.optim.AdamW(model.parameters(), lr=learning_rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, learning_rate, total_steps=max(epochs * len(data), 1)
    )
    scaler = _grad_scaler(device)  # float16's small gradients would round to 0 without it
    history, best = History(), None
    parts = {"model": model, "optimizer": optimizer, "schedule": schedule, "scaler": scaler}
    if average is not None:
        parts["average"] = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(average))
    kept = parts["average"].module if average is not None else model
    if checkpoint is not None and Path(checkpoint).exists():
        history, best = _resume(Path(checkpoint), parts, device, seed)

    begin, before = time.perf_counter(), history.seconds
    images = len(data.sampler) * distributed.count()  # not of the data set, which may be endless
    done = len(history.losses) * images
    # On stdout: a notebook shows stderr as if something were wrong.
    shown = {"desc": label, "unit": " images", "file": sys.stdout, "mininterval": 0.5}
    bar = tqdm(total=epochs * images, initial=done, disable=distributed.number() > 0, **shown)
    try:
        for epoch in range(len(history.losses), epochs):
            torch.manual_seed(seed + epoch)
            total = torch.zeros((), device=device)  # read once an epoch: each read makes a GPU wait
            for batch in data:
                batch = [tensor.to(device) for tensor in batch]
                with autocast(device):
                    value = step(*batch)
                optimizer.zero_grad()
                scaler.scale(value).backward()
                scaler.step(optimizer)
                scaler.update()
                schedule.step()
                if average is not None:
                    parts["average"].update_parameters(model)
                total += value.detach() * len(batch[0])
                bar.update(len(batch[0]) * distributed.count())
            history.losses.append(distributed.summed(total) / images)
            if not math.isfinite(history.losses[-1]):
                raise FloatingPointError(
                    f"The loss became {history.losses[-1]}: try a smaller learning_rate."
                )
            bar.set_postfix(loss=f"{history.losses[-1]:.4f}")
            if score is not None:
                history.scores.append(score(kept))
                if history.scores[-1] == max(history.scores):
                    best = {
                        name: value.detach().clone() for name, value in kept.state_dict().items()
                    }
            history.seconds = before + time.perf_counter() - begin
            if checkpoint is not None and distributed.number() == 0:
                _save(Path(checkpoint), parts, history, best, seed)
    except KeyboardInterrupt:
        history.interrupted = True
        print(f"\nStopped after {len(history.losses)} of {epochs} epochs.")
    finally:
        bar.close()
    if best is not None or kept is not model:
        model.load_state_dict(best or kept.state_dict())
    return history


def fit_new(
    make: Callable[[], nn.Module],
    loss: Loss,
    data: DataLoader,
    epochs: int,
    *,
    seed: int = 0,
    start: Mapping[str, Tensor] | None = None,
    **options: Any,
) -> tuple[nn.Module, History]:
    """Make a model and :func:`fit` it; returns it ready to predict, with what the training did.

    Args:
        make: makes the model; its random weights depend on ``seed`` only.
        loss: as for :func:`fit`, like ``data``, ``epochs`` and the other ``options``.
        start: weights to begin with in place of random ones, for another cycle of the learning
            rate.
    """
    torch.manual_seed(seed)
    model = make()
    if start is not None:
        model.load_state_dict(start)
    history = fit(model, loss, data, epochs, seed=seed, **options)
    return model.eval(), history


def _grad_scaler(device: torch.device) -> Any:  # the class moved after torch 2.2
    """Loss scaling where autocast computes in float16 (a GPU without bfloat16), and a pass-through
    elsewhere.
    """
    needed = device.type == "cuda" and not torch.cuda.is_bf16_supported()
    newer = hasattr(torch.amp, "GradScaler")  # torch 2.2 has it under torch.cuda only
    return (torch.amp.GradScaler if newer else torch.cuda.amp.GradScaler)(enabled=needed)


def _save(path: Path, parts: dict, history: History, best: dict | None, seed: int) -> None:
    state = {name: part.state_dict() for name, part in parts.items()}
    # Only plain numbers of the schedule: older versions of torch keep functions in it, which a safe
    # load refuses.
    state["schedule"] = {
        key: state["schedule"][key] for key in ("last_epoch", "total_steps", "_step_count")
    }
    resume.write(path, {**state, "history": vars(history), "best": best, "seed": seed})


def _resume(
    path: Path, parts: dict, device: torch.device, seed: int
) -> tuple[History, dict | None]:
    """Put the saved state back into the parts."""
    state = resume.read(path, device)
    saved, wanted = state["schedule"]["total_steps"], parts["schedule"].total_steps
    if saved != wanted:
        raise ValueError(
            f"{path} belongs to a run of {saved} steps, not {wanted}: set epochs and data back, or delete it."
        )
    if state["seed"] != seed:
        raise ValueError(
            f"{path} belongs to a run with seed {state['seed']}, not {seed}: set it back, or delete it."
        )
    for name, part in parts.items():
        part.load_state_dict(state[name])
    return History(**state["history"]), state["best"]
