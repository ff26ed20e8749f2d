"""The im2col convolution compared with torch, scipy and Python loops, and the time of an update of
the kernel editor.

The goals: at most twice torch's time, faster than scipy, and an update of the editor in less than
100 ms.
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
LOOPS_CASE = (1, 1, 1, 64, 3)  # the loops would take minutes on the other cases
REPEATS = 31
EDITOR_MILLISECONDS = 100


def run() -> dict:
    """Median times of alternating runs with two threads, their ratios, and whether the goals are
    met.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    torch.manual_seed(0)
    try:
        with torch.inference_mode():
            rows = [_measure(case) for case in (*CASES, LOOPS_CASE)]
    finally:
        torch.set_num_threads(threads)
    editor = _measure_editor()
    editor_row = {
        "input": "kernel editor, 256x256, whole image",
        "weight": "3x3",
        "im2col ms": editor["median ms"],
        "goal met": str(editor["median ms"] < EDITOR_MILLISECONDS),
    }
    rows.append(dict.fromkeys(rows[0], "") | editor_row)
    return {"threads": 2, "repeats": REPEATS, "rows": rows, "kernel editor": editor}


def _measure(case: tuple[int, int, int, int, int]) -> dict:
    images, channels, kernels, side, kernel_side = case
    x = torch.randn(images, channels, side, side)
    weight = torch.randn(kernels, channels, kernel_side, kernel_side)
    functions = {"im2col": lambda: conv2d_im2col(x, weight), "torch": lambda: conv2d(x, weight)}
    if channels == kernels == 1:
        image, kernel = x[0, 0].numpy(), weight[0, 0].numpy()
        functions["scipy"] = lambda: correlate2d(image, kernel, mode="valid")
    if case == LOOPS_CASE:
        functions["loops"] = lambda: conv2d_loops(x, weight)
    ms = {name: seconds * 1000 for name, seconds in medians(functions, REPEATS).items()}
    goal_met = ms["im2col"] <= 2 * ms["torch"] and ms["im2col"] < ms.get("scipy", float("inf"))
    return {
        "input": "x".join(map(str, x.shape)),
        "weight": "x".join(map(str, weight.shape)),
        **{f"{name} ms": ms.get(name, "") for name in ("im2col", "torch", "scipy", "loops")},
        "im2col / torch": ms["im2col"] / ms["torch"],
        "im2col / scipy": ms["im2col"] / ms["scipy"] if "scipy" in ms else "",
        "goal met": "-" if case == LOOPS_CASE else str(goal_met),
    }


def _measure_editor() -> dict:
    """The time from a change of a kernel weight to the new image at 256x256, with the library's
    im2col instead of the learner's function.
    """
    editor = KernelEditor(
        lambda image, kernel: conv2d_im2col(image[None, None], kernel[None, None])[0, 0], size=256
    )
    milliseconds = []
    for step in range(REPEATS):
        start = time.perf_counter()
        editor.weights[4].value = float(step + 1)
        milliseconds.append((time.perf_counter() - start) * 1000)
    return {"median ms": median(milliseconds), "worst ms": max(milliseconds)}
