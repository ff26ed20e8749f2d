"""The device that a lesson runs on: one call at the top of each lesson."""

import contextlib

import torch


def best_device() -> torch.device:
    """The fastest device here: CUDA, else Apple's MPS, else the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")


def autocast(device: torch.device) -> contextlib.AbstractContextManager:
    """Mixed precision where it pays (CUDA, in bfloat16 or float16), and nothing at all
    elsewhere.
    """
    if device.type != "cuda":
        return contextlib.nullcontext()
    dtype = torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    return torch.autocast("cuda", dtype=dtype)


def start(seed: int = 0) -> torch.device:
    """Seed torch, say which device the lesson will use, and return it."""
    torch.manual_seed(seed)
    device = best_device()
    name = (
        torch.cuda.get_device_name(device)
        if device.type == "cuda"
        else f"{torch.get_num_threads()} threads"
    )
    print(f"torch {torch.__version__} on {device.type} ({name}), seed {seed}")
    return device
