"""Stub models for tests of code that processes predictions."""

import torch
from torch import nn


class ConstantModel(nn.Module):
    """A model that returns the same output for any input."""

    def __init__(self, *output):
        super().__init__()
        self.output = output
        self.parameter = nn.Parameter(torch.zeros(0))  # callers read the device from a parameter

    def forward(self, images):
        return self.output
