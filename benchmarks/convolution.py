"""Convolution by im2col against torch and scipy, the loops for scale, and the kernel editor's time
a picture.

The bar: at most twice torch's time, faster than scipy, and a picture of the editor in under 100 ms.
"""

import time
from statistics import median

import torch
from scipy.signal import correlate2d

from course_lib.convolution.layers import conv2d, conv2d_im2col, conv2d_loops
from course_lib.profiling.timing import medians
from course_lib.widgets.convolution import KernelEditor

# images, channels, kernels, side of the image, side of the kernel
CASES = [(1, 1, 1, 512, 3), (1, 1, 1, 512, 7), (16, 64, 64, 64, 3)]
LOOPS = (1, 1, 1, 64, 3)  # the loops would take minutes on the others
REPEATS = 31


def run() -> dict:
    """Medians in milliseconds over alternating runs with two threads, their ratios, and whether the
    bar is met.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    torch.manual_seed(0)
    try:
        with torch.inference_mode():
            rows = [_row(case) for case in (*CASES, LOOPS)]
    finally:
        torch.set_num_threads(threads)
    editor = _editor()
    picture = {
        "input": "kernel editor, 256x256, whole picture",
        "weight": "3x3",
        "im2col ms": editor["median ms"],
    }
    empty = dict.fromkeys(rows[0], "")
    rows.append(empty | picture | {"bar met": str(editor["median ms"] < 100)})
    return {"threads": 2, "repeats": REPEATS, "rows": rows, "kernel editor": editor}


def _row(case: tuple[int, int, int, int, int]) -> dict:
    images, channels, kernels, side, kernel = case
    x, weight = (
        torch.randn(images, channels, side, side),
        torch.randn(kernels, channels, kernel, kernel),
    )
    functions = {"im2col": lambda: conv2d_im2col(x, weight), "torch": lambda: conv2d(x, weight)}
    if channels == kernels == 1:
        image, small = x[0, 0].numpy(), weight[0, 0].numpy()
        functions["scipy"] = lambda: correlate2d(image, small, mode="valid")
    if case == LOOPS:
        functions["loops"] = lambda: conv2d_loops(x, weight)
    found = {name: seconds * 1000 for name, seconds in medians(functions, REPEATS).items()}
    ratio, scipy = found["im2col"] / found["torch"], found.get("scipy")
    row = {"input": "x".join(map(str, x.shape)), "weight": "x".join(map(str, weight.shape))}
    row |= {f"{name} ms": found.get(name, "") for name in ("im2col", "torch", "scipy", "loops")}
    row |= {"im2col / torch": ratio, "im2col / scipy": found["im2col"] / scipy if scipy else ""}
    return row | {
        "bar met": "-"
        if case == LOOPS
        else str(ratio <= 2 and (scipy is None or found["im2col"] < scipy))
    }


def _editor() -> dict:
    """From a changed number to the new picture, at 256x256, with the library's im2col as the
    learner's function.
    """
    editor = KernelEditor(
        lambda image, kernel: conv2d_im2col(image[None, None], kernel[None, None])[0, 0], size=256
    )
    milliseconds = []
    for step in range(REPEATS):
        begin = time.perf_counter()
        editor.numbers[4].value = float(step + 1)
        milliseconds.append((time.perf_counter() - begin) * 1000)
    return {"median ms": median(milliseconds), "worst ms": max(milliseconds)}
