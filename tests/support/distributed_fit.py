"""What tests/test_several.py starts, in one process or in two: a small training, and what came of
it in a file.
"""

import sys

import torch
from torch.nn import functional as F
from torch.utils.data import TensorDataset

from course_lib.data import resampling
from course_lib.training import distributed
from course_lib.training.loop import fit_new

if __name__ == "__main__":
    result, state = sys.argv[1:]
    x = torch.randn(50, 3, generator=torch.Generator().manual_seed(1))
    data = resampling.loader(TensorDataset(x, x.sum(1, keepdim=True)), 40, batch=16)
    model, history = fit_new(
        *(lambda: torch.nn.Linear(3, 1), lambda model, x, y: F.mse_loss(model(x), y), data, 3),
        checkpoint=state,
        average=0.9,
    )
    noise = torch.rand(())  # what a process draws after the same seed, and the same examples
    torch.save(
        {"weights": model.state_dict(), "losses": history.losses, "noise": noise},
        f"{result}.{distributed.number()}",
    )
