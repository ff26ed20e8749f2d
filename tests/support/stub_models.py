"""Stub models for tests of what is computed from a prediction."""

import torch
from torch import nn


class ConstantModel(nn.Module):
    """A model that answers the same whatever it is shown."""

    def __init__(self, *answer):
        super().__init__()
        self.answer = answer
        self.place = nn.Parameter(torch.zeros(0))  # it says which device the model is on

    def forward(self, images):
        return self.answer
