"""The script that tests/training/test_distributed.py runs in one or two processes: it trains a
small model and saves the result of each rank.
"""

import sys

import torch
from torch.nn import functional as F
from torch.utils.data import TensorDataset

from course_lib.data import resampling
from course_lib.training import distributed
from course_lib.training.loop import fit_new

if __name__ == "__main__":
    result, checkpoint = sys.argv[1:]
    x = torch.randn(50, 3, generator=torch.Generator().manual_seed(1))
    data = resampling.loader(TensorDataset(x, x.sum(1, keepdim=True)), 40, batch_size=16)
    model, history = fit_new(
        lambda: torch.nn.Linear(3, 1),
        lambda model, x, y: F.mse_loss(model(x), y),
        data,
        epochs=3,
        checkpoint=checkpoint,
        ema_decay=0.9,
    )
    noise = torch.rand(())  # differs between ranks, although the seed and the examples are equal
    torch.save(
        {"weights": model.state_dict(), "losses": history.losses, "noise": noise},
        f"{result}.{distributed.rank()}",
    )
