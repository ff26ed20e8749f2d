"""The device that a lesson runs on, and mixed precision there."""

import contextlib

import torch


def best_device() -> torch.device:
    """The fastest device here: CUDA, else Apple's MPS, else the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")


def resolve_device(name: str | None) -> torch.device:
    """The device with this name; by default the fastest one.

    Raises:
        ValueError: if this machine can't use it.
    """
    if name is None:
        return best_device()
    try:
        return torch.zeros((), device=name).device
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise ValueError(
            f"The device {name!r} cannot be used here: choose cpu, or give no device."
        ) from error


def setup(seed: int = 0) -> torch.device:
    """Seed torch, print which device the lesson uses, and return it."""
    torch.manual_seed(seed)
    device = best_device()
    name = "Apple GPU" if device.type == "mps" else f"{torch.get_num_threads()} threads"
    if device.type == "cuda":
        name = torch.cuda.get_device_name(device)
    print(f"torch {torch.__version__} on {device.type} ({name}), seed {seed}")
    return device


def autocast(
    device: torch.device, *, bfloat16_on_cpu: bool = False
) -> contextlib.AbstractContextManager:
    """Mixed precision on CUDA (bfloat16, or float16 on older GPUs); no effect on other devices.

    ``bfloat16_on_cpu``: on a CPU too. Processors with AMX multiply bfloat16 matrices several times
    faster than float32; on others it is slower.
    """
    if device.type == "cpu" and bfloat16_on_cpu:
        return torch.autocast("cpu", dtype=torch.bfloat16)
    if device.type != "cuda":
        return contextlib.nullcontext()
    dtype = torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    return torch.autocast("cuda", dtype=dtype)
