"""The alt texts and captions of the figures of lesson 2 that answer a prediction.

In the lesson's own cell, learners would read the answer there before they run the cell.
"""

# name: (alt text, caption)
_DESCRIPTIONS = {
    "one step": (
        "A grid of 8 by 10 brightness values with an outline around a window of 3 by 3, each of "
        "its pixels with a weight of the kernel, and the output computed so far. Below the output, "
        "the sum of products behind its newest pixel.",
        "Black outline: the window, with the weight that each pixel is multiplied by (blue "
        "positive, orange negative). Green outline: the sum.",
    ),
    "positions": (
        "Four 7 by 7 images with dots at the positions of the kernel's centre. Without padding 5 "
        "by 5 dots; with padding 1, 7 by 7 dots; with stride 2 and padding 1, 4 by 4 dots; with a "
        "5 by 5 kernel and padding 2, 7 by 7 dots.",
        "Each dot is one position of the kernel, one output pixel. Outlines: the first two "
        "positions. Zeros: padding.",
    ),
    "edges": (
        "Three photos and the responses of two kernels. The kernel for vertical edges highlights "
        "the vertical joints of the brick wall and the sides of the man and the cup; the other "
        "the horizontal joints, shoulders and rims.",
        "Blue: brighter on the right (or below). Orange: darker there. White: no difference. "
        "Slanted edges appear in both.",
    ),
    "slope": (
        "A strip of the photo, the brightness along its middle, and the responses of the kernel. "
        "They are near zero where the brightness is constant, positive where it rises and negative "
        "where it falls.",
        "The response follows the slope of the brightness, not the brightness itself.",
    ),
    "diagonals": (
        "Three photos, and the responses of the kernel from the exercise and of its mirror image. "
        "If the kernel passes the check, the tripod's right leg stands out in the first row of "
        "responses, its left leg and the man's back in the second.",
        "Blue: positive, orange: negative. Mirrored left to right, a kernel for one diagonal "
        "becomes the kernel for the other.",
    ),
    "flip": (
        "A 5 by 5 image with one bright pixel, and a kernel with the numbers 1 to 9. "
        "Cross-correlation leaves the numbers 9 to 1, true convolution the numbers 1 to 9, around "
        "the bright pixel.",
        "True convolution puts a copy of the kernel at the pixel; cross-correlation puts a copy "
        "rotated by 180° there.",
    ),
    "parameters": (
        "Marks on a logarithmic scale. From 1 to 1 channel: 25 parameters for the convolution, a "
        "hundred million for the fully connected layer. From 3 to 64: some thousands, and about "
        "twenty billion.",
        "Parameters for a 100x100 image, counted on the layers. Blue squares: convolutions. Orange "
        "dots: fully connected. Each step of the axis is a factor of 100.",
    ),
    "relu": (
        "Four pictures: a photo; its response to vertical edges in orange and blue; the same "
        "without orange; and the same at a quarter of the width and height, with thicker edges.",
        "Blue: positive, orange: negative. ReLU keeps edges from dark to bright. Pooling keeps the "
        "strongest response of each block.",
    ),
    "receptive field": (
        "Two stacks of layers seen from the side. From one pixel at the top, lines fan out to 3 "
        "pixels in the layer below and to 7 pixels of the input, in the left stack through three "
        "layers, in the right one through two.",
        "Each row above the input is a layer's output. Green: the output pixel. Orange: what it "
        "depends on in the layers between. Blue: its receptive field. With a stride it grows "
        "faster: two layers reach as far as three.",
    ),
    "im2col": (
        "A 4 by 4 image of digits, drawn four times with outlines of 3 by 3 pixels in four "
        "colours; the kernel as a row of nine numbers; a matrix of nine rows and four columns, "
        "each column in the colour of its window; and the four products.",
        "Each column holds one window, row by row. A pixel in the middle stands in all four.",
    ),
    "cloud": (
        "Two scatter plots. Left, two neighbouring pixels: a narrow cloud along the diagonal, with "
        "a long arrow along it and a short one across it. Right, the same pairs after whitening: "
        "the cloud is about as wide in every direction, with a dense core along the diagonal.",
        "One dot for each of 2,000 patches. Arrows: the two axes of the cloud, two standard "
        "deviations to each side.",
    ),
    "code sizes": (
        "A chart of the mean size of the two coefficients against the rotation of the axes, "
        "from 0 to 90 degrees. For noise it is a flat line; for pixels a valley with its lowest "
        "point at 45 degrees.",
        "The sum of the two absolute values, the mean over all pairs. At 0° and 90° they are the "
        "two whitened pixels themselves. The axis of the sizes does not start at 0.",
    ),
    "controls": (
        "Three grids of 64 kernels. Yours: mostly stripes in several directions. Without sparsity: "
        "blotches of colour without an orientation. With noise level 0.001: fine noise, in which "
        "neighbouring pixels differ.",
        "All the kernels of the three trainings, each scaled to its own maximum. Mid grey is zero.",
    ),
    "tuning": (
        "A chart: the strongest response against the rotation of the edge, from 0 to 90 degrees. "
        "The curves of Sobel's kernel and of the large kernel with one broad pair of sides fall "
        "slowly, that of the thin pair faster; the curves of the kernel with four stripes and of "
        "the learned kernels fall to less than half within 30 degrees.",
        "Relative to an edge in the kernel's own direction. For the learned kernels, the line is "
        "the median, the band their middle half.",
    ),
}


def describe(name: str) -> dict[str, str]:
    """The alt text and the caption of a figure: ``show(figure, **describe("slope"))``.

    Raises:
        ValueError: if there is no description of this name.
    """
    if name not in _DESCRIPTIONS:
        raise ValueError(
            f"There is no description {name!r}: choose one of {', '.join(_DESCRIPTIONS)}."
        )
    return dict(zip(("alt", "caption"), _DESCRIPTIONS[name], strict=True))
