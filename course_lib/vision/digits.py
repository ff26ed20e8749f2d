"""Two small classifiers of 28x28 greyscale images: fully connected and convolutional.

Both return logits, one per class. The convolutional classifier has a tenth of the parameters; it
resembles LeNet-5: LeCun et al. (1998), section II, https://doi.org/10.1109/5.726791
"""

from jaxtyping import Float
from torch import Tensor, nn


class FullyConnectedClassifier(nn.Module):
    """784 inputs, 128 hidden units, 10 outputs. 101,770 parameters."""

    def __init__(self, side: int = 28, hidden: int = 128, classes: int = 10) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Flatten(),  # 1 x 28 x 28 -> 784: discards the spatial layout
            nn.Linear(side * side, hidden),
            nn.ReLU(),
            nn.Linear(hidden, classes),
        )

    def forward(
        self, images: Float[Tensor, "batch 1 height width"]
    ) -> Float[Tensor, "batch classes"]:
        return self.layers(images)


class ConvolutionalClassifier(nn.Module):
    """Three 3x3 convolutions, each followed by pooling, and a linear layer. 10,114 parameters."""

    def __init__(self, side: int = 28, classes: int = 10) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(1, 12, 3, padding=1),  # 1 x 28 x 28 -> 12 x 28 x 28
            nn.ReLU(),
            nn.MaxPool2d(2),  # -> 12 x 14 x 14
            nn.Conv2d(12, 24, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),  # -> 24 x 7 x 7
            nn.Conv2d(24, 24, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),  # -> 24 x 3 x 3
            nn.Flatten(),
            nn.Linear(24 * (side // 8) ** 2, classes),
        )

    def forward(
        self, images: Float[Tensor, "batch 1 height width"]
    ) -> Float[Tensor, "batch classes"]:
        return self.layers(images)
