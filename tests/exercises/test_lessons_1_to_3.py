"""Lessons 1 to 3: every wrong solution fails the visible check with a specific message and loses
points.

A wrong solution is the reference with one change (``old -> new``), or a whole function body.
"""

# ruff: noqa: E501
import inspect
import re

import numpy as np
import pytest
import torch
from course_grading.autograde.compare import score_cases
from torch import nn
from torch.nn import functional as F

from course_lib.checks import call, without_torch
from course_lib.convolution import edge_kernels
from tests.support.lessons import course_lesson

LESSONS = ("01_why_not_fully_connected", "02_convolution_by_hand", "03_five_levels")
EXERCISES = {
    exercise.name: exercise for name in LESSONS for exercise in course_lesson(name).exercises
}

# Exercise -> wrong wrong_solutions, one a line: a change of the reference, or "|" and a function body.
# After "=>" follows a substring of the expected message; without it, any message is accepted.
WRONG = {
    "count-fully-connected": """
        inputs * outputs + (outputs if bias else 0) -> inputs * outputs => With bias
        inputs * outputs + (outputs if bias else 0) -> inputs * outputs + outputs => no bias
        outputs if bias else 0) -> 1 if bias else 0)
        outputs if bias else 0) -> inputs if bias else 0) => belongs to the outputs
        outputs if bias else 0) -> out_channels if bias else 0)
        outputs if bias else 0) -> outputs if not bias else 0)
        inputs = in_channels * height * width -> inputs = height * width => input channels
        outputs = out_channels * height * width -> outputs = height * width
        outputs = out_channels * height * width -> outputs = out_channels
        inputs = in_channels * height * width -> inputs = in_channels * height
        inputs * outputs + -> inputs + outputs +
        outputs = out_channels * height * width -> outputs = in_channels * height * width
        | return max(in_channels, out_channels) * (height * width) ** 2 + height * width * out_channels * bias
        | return in_channels * out_channels * 9 + out_channels
        | return height * width * in_channels * out_channels + out_channels * bias
        | return float(in_channels * out_channels * (height * width) ** 2) => it must return an int
        | return None => returned None
        | return in_channel * height => stopped
    """,
    "matrix-of-a-convolution": """
        - len(kernel) // 2 -> + len(kernel) // 2 => 0 1 0 copies
        - len(kernel) // 2 ->
        if 0 <= column < length: -> if column < length: => negative index
        if 0 <= column < length: -> if True: => skip those outside
        if 0 <= column < length: -> if 0 < column < length:
        if 0 <= column < length: -> if 0 <= column < length - 1:
        matrix[i, column] = weight -> matrix[column, i] = weight => mirrored
        matrix[i, column] = weight -> matrix[i, column] = 1
        column = i + j - len(kernel) // 2 -> column = (i + j - len(kernel) // 2) % length => wrap around
        column = i + j - len(kernel) // 2 -> column = i - j + len(kernel) // 2 => mirrored
        len(kernel) // 2 -> 1
        len(kernel) // 2 -> min(len(kernel) // 2, length - 1) => may be longer than the signal
        len(kernel) // 2 -> (len(kernel) + 1) // 2
        torch.zeros(length, length) -> torch.ones(length, length)
        torch.zeros(length, length) -> torch.zeros(length, len(kernel))
        range(length) -> range(length - 1)
        | return kernel.repeat(length, 1)
        | return torch.eye(length)
        | return [[0.0] * length] * length => it must return a Tensor
        | pass => returned None
    """,
    "cross-entropy": """
        (log_sum - right).mean() -> (log_sum - right).sum() => mean over the batch
        (log_sum - right).mean() -> (log_sum - right)
        (log_sum - right).mean() -> (right - log_sum).mean() => A loss is positive
        (log_sum - right).mean() -> (log_sum - right)[0]
        (log_sum - right).mean() -> (log_sum - right).max()
        logsumexp(1) -> logsumexp(0)
        logsumexp(1) -> exp().sum(1)
        logsumexp(1) -> exp().sum(1).log() => too large for float32
        scores[torch.arange(len(scores)), labels] -> scores[:, labels].diagonal() * 0
        scores[torch.arange(len(scores)), labels] -> scores.max(1).values
        scores[torch.arange(len(scores)), labels] -> scores[:, 0]
        | return -torch.log2(scores.softmax(1)[torch.arange(len(scores)), labels]).mean() => log2
        | return -torch.log(scores.softmax(1)[torch.arange(len(scores)), labels]).mean() => too large
        | return -torch.log(scores.softmax(0)[torch.arange(len(scores)), labels]).mean()
        | return -torch.log(scores[torch.arange(len(scores)), labels]).mean()
        | return 1 - scores.softmax(1)[torch.arange(len(scores)), labels].mean()
        | return F.mse_loss(scores.softmax(1), F.one_hot(labels, scores.shape[1]).float())
        | return F.cross_entropy(scores, labels) => write your own
        | return nn.CrossEntropyLoss()(scores, labels) => write your own
        | return F.nll_loss(scores.log_softmax(1), labels) => write your own
        | return nn.functional.nll_loss(torch.log(scores.softmax(1)), labels) => write your own
        | return float((scores.logsumexp(1) - scores[torch.arange(len(scores)), labels]).mean()) => it must return a Tensor
        | return scores.softmax(1)[labels].log().mean()
    """,
    "train-a-layer": """
        error[torch.arange(len(labels)), labels] -= 1 -> pass => Subtract 1 from the probability
        error[torch.arange(len(labels)), labels] -= 1 -> error -= 1
        error[torch.arange(len(labels)), labels] -= 1 -> error[:, labels] -= 1
        error[torch.arange(len(labels)), labels] -= 1 -> error[torch.arange(len(labels)), labels] = 1
        error[torch.arange(len(labels)), labels] -= 1 -> error[torch.arange(len(labels)), 1 - labels] -= 1 => the wrong way
        error[torch.arange(len(labels)), labels] -= 1 -> error = 1 - error
        error[torch.arange(len(labels)), labels] -= 1 -> error = F.one_hot(labels, len(layer)) - error => the wrong way
        error[torch.arange(len(labels)), labels] -= 1 -> error = error.log() - F.one_hot(labels, len(layer))
        softmax(1) -> softmax(0)
        softmax(1) -> sigmoid() => the second is not
        .softmax(1) -> => From weights of 0
        images @ layer.T -> images @ weights.T => compute the scores anew
        images @ layer.T -> images @ layer.T * 0 => compute the scores anew
        images @ layer.T -> layer @ images.T
        layer - rate * error.T -> layer + rate * error.T => the wrong way
        layer - rate * error.T -> layer - error.T => by the learning rate
        layer - rate * error.T -> layer - error.T / rate => by the learning rate
        layer - rate * error.T -> weights - rate * error.T => compute the scores anew
        layer - rate * error.T -> -rate * error.T
        layer = layer - rate -> weights - rate => have not moved
        error.T @ images -> images.T @ error => From weights of 0
        error.T @ images -> error @ images => stopped
        error.T @ images -> (error.T @ images).sign()
        error.T @ images -> error[:2].T @ images[:2] => From weights of 0
        / len(images) -> => and not the sum
        / len(images) -> / images.numel()
        / len(images) -> / len(images) ** 0.5
        return layer -> return layer.T
        return layer -> return layer.tolist() => it must return a Tensor
        return layer -> return layer[0] => Return weights of (2, 2)
        | return weights => have not moved
        | return weights - rate * (images @ weights.T).softmax(1).T @ images / len(images) => Subtract 1
        | pass => returned None
    """,
    "shift-an-image": """
        max(-down, 0) : -> max(down, 0) :
        moved = torch.zeros_like(image) -> moved = image.clone()
        moved = torch.zeros_like(image) -> moved = image
        moved = torch.zeros_like(image) -> moved = torch.ones_like(image)
        | return torch.roll(image, (down, right), (0, 1)) => must not come back
        | return torch.roll(image, (right, down), (0, 1))
        | moved = torch.zeros_like(image); moved[down:, right:] = image[: image.shape[0] - down, : image.shape[1] - right]; return moved => negative number counts
        | moved = torch.zeros_like(image); moved[right:, down:] = image[: image.shape[0] - right, : image.shape[1] - down]; return moved
        | moved = torch.zeros_like(image); moved[:, :-right] = image[:, right:]; return moved
        | return F.pad(image, (right, 0, down, 0))
        | image[:, :1] = 0; return image
        | return image[down:, right:]
        | return image
        | return torch.zeros_like(image)
        | return image.tolist() => it must return a Tensor
    """,
    "output-size": """
        return (size + 2 * padding - kernel) // stride + 1 -> return (size + 2 * padding - kernel) // stride => counts the steps
        2 * padding -> padding => both ends
        2 * padding -> 0
        // stride + 1 -> / stride + 1 => whole number
        // stride + 1 -> // stride + 2
        - kernel) // stride + 1 -> - kernel + 1) // stride
        - kernel) // stride + 1 -> - kernel) // stride + kernel
        - kernel) // stride + 1 -> ) // stride
        - kernel) // stride + 1 -> - kernel + stride - 1) // stride + 1 => Round down
        | return round((size + 2 * padding - kernel) / stride) + 1
        | return (size + 2 * padding) // stride - kernel + 1
        | return size - kernel + 1
        | return size
        | return size // stride
        | return len(kernel) => stopped
    """,
    "conv2d": """
        (padding, padding, padding, padding) -> (0, 0, 0, 0)
        (padding, padding, padding, padding) -> (padding, 0, padding, 0)
        image.shape[0] - height) -> image.shape[1] - height)
        image.shape[0] - height) // stride + 1 -> image.shape[0] - height) // stride
        row * stride, column * stride -> row, column => every second pixel
        row * stride, column * stride -> column * stride, row * stride
        * kernel).sum() -> * kernel.flip(0, 1)).sum() => flipped
        * kernel).sum() -> * kernel.T).sum()
        * kernel).sum() -> * kernel).mean()
        * kernel).sum() -> + kernel).sum()
        left : left + width] -> left : left + height]
        height, width = kernel.shape -> height, width = 3, 3
        height, width = kernel.shape -> width, height = kernel.shape
        torch.zeros(rows, columns) -> torch.zeros(columns, rows)
        | return F.conv2d(image[None, None], kernel[None, None], padding=padding)[0, 0]
        | return F.conv2d(image[None, None], kernel[None, None], stride=stride, padding=padding)[0, 0] => writing torch's conv2d yourself
        | return torch.conv2d(image[None, None], kernel[None, None], stride=stride, padding=padding)[0, 0] => writing torch's conv2d yourself
        | layer = nn.Conv2d(1, 1, tuple(kernel.shape), stride, padding, bias=False); layer.weight.data[:] = kernel; return layer(image[None, None])[0, 0].detach() => writing torch's conv2d yourself
        | windows = image.unfold(0, kernel.shape[0], 1).unfold(1, kernel.shape[1], 1); return (windows * kernel.flip(0, 1)).sum((2, 3)) => flipped
        | return image * kernel.sum()
        | return image
        | return (image * kernel).sum() => stopped
    """,
    "conv2d-channels": """
        weight.shape[2:] -> weight.shape[:2]
        image.shape[1] - height + 1 -> image.shape[1] - height
        image.shape[2] - width + 1 -> image.shape[1] - width + 1
        torch.zeros(len(weight), rows, columns) -> torch.zeros(len(image), rows, columns)
        torch.zeros(len(weight), rows, columns) -> torch.zeros(len(weight), columns, rows)
        torch.zeros(len(weight), rows, columns) -> torch.zeros(rows, columns, len(weight))
        (weight * window).sum((1, 2, 3)) + bias -> (weight * window).sum((1, 2, 3)) => Add the bias
        (weight * window).sum((1, 2, 3)) + bias -> (weight * window).sum((1, 2, 3)) - bias
        (weight * window).sum((1, 2, 3)) + bias -> (weight * window).sum((1, 2, 3)) + len(image) * bias => added once
        (weight * window).sum((1, 2, 3)) + bias -> (weight * window).sum((1, 2, 3)) + bias.sum()
        (weight * window).sum((1, 2, 3)) + bias -> (weight[:, 0] * window[0]).sum((1, 2)) + bias => both input channels
        (weight * window).sum((1, 2, 3)) + bias -> (weight[:, -1] * window[-1]).sum((1, 2)) + bias => both input channels
        (weight * window).sum((1, 2, 3)) + bias -> (weight * window).mean((1, 2, 3)) + bias
        (weight * window).sum((1, 2, 3)) + bias -> (weight * window).mean(1).sum((1, 2)) + bias
        (weight * window).sum((1, 2, 3)) + bias -> (weight * window).sum() + bias
        (weight * window).sum((1, 2, 3)) -> (weight.flip(2, 3) * window).sum((1, 2, 3)) => flipped
        (weight * window).sum((1, 2, 3)) -> (weight.flip(1) * window).sum((1, 2, 3))
        (weight * window).sum((1, 2, 3)) -> (weight.transpose(2, 3) * window).sum((1, 2, 3))
        column : column + width] -> column : column + height]
        row : row + height, column -> column : column + height, row
        | return F.conv2d(image[None], weight, bias)[0] => writing torch's conv2d yourself
        | return torch.conv2d(image[None], weight, bias)[0] => writing torch's conv2d yourself
        | return weight * image + bias => stopped
        | return image
        | return bias[:, None, None] + torch.zeros(3, 2, 3)
        | pass => returned None
    """,
    "diagonal-kernel": """
        | return torch.tensor([[2.0, -1, -1], [-1, 2, -1], [-1, -1, 2]]) => line detector
        | return torch.tensor([[0.0, 0, 1], [0, 0, 0], [-1, 0, 0]]) => only 1.00 times
        | return torch.tensor([[0.0, 1, 1], [-1, 0, 1], [-1, -1, 0]]).flip(1) => the other diagonal
        | return torch.tensor([[0.0, 1, 1], [-1, 0, 1], [-1, -1, 0]]).flip(0) => the other diagonal
        | return [[0, 1, 1], [-1, 0, 1], [-1, -1, 0]] => it must return a Tensor
        | return torch.tensor([[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]])
        | return torch.tensor([[-1.0, -2, -1], [0, 0, 0], [1, 2, 1]])
        | return torch.tensor([[0.0, 1, 1], [1, 0, 1], [1, 1, 0]]) => sum to 0
        | return torch.eye(3) => sum to 0
        | return torch.zeros(3, 3) => does not respond
        | return torch.ones(3, 3)
        | return torch.tensor([[0.0, 1, 0], [1, -4, 1], [0, 1, 0]])
        | return torch.tensor([[1.0, -1], [-1, 1]]) => 3 rows
        | return torch.tensor([[0.0, 0, 1], [0, -2, 0], [1, 0, 0]])
        | return torch.tensor([[-1.0, 2, -1], [2, -4, 2], [-1, 2, -1]])
    """,
    "one-kernel": """
        second.flip(0, 1) -> second => one flip is missing
        second.flip(0, 1) -> second.flip(0)
        second.flip(0, 1) -> second.flip(1)
        second.flip(0, 1) -> second.T
        padding=size - 1 -> padding=0
        padding=size - 1 -> padding=size
        padding=size - 1 -> padding=1
        padding=size - 1 -> padding=2
        len(second) -> len(first)
        [0, 0] -> [0]
        | return first @ second
        | return first
        | return second
        | return first + second
        | return torch.zeros(len(first) + len(second) - 1, len(first) + len(second) - 1)
        | return F.conv2d(second[None, None], first[None, None], padding=len(first) - 1)[0, 0] => unrotated
        | return F.conv2d(first[None, None], second.flip(0, 1)[None, None], padding=len(second) - 1)[0, 0].flip(0, 1)
        | dot = torch.zeros(9, 9); dot[4, 4] = 1; out = F.conv2d(F.conv2d(dot[None, None], first[None, None], padding=2), second[None, None]); return out[0, 0]
    """,
    "max-pool": """
        image.shape[0] // size -> image.shape[0] - size + 1
        amax((1, 3)) -> amax((0, 2))
        amax((1, 3)) -> mean((1, 3)) => not the mean
        amax((1, 3)) -> amin((1, 3))
        amax((1, 3)) -> sum((1, 3))
        (rows, size, columns, size) -> (rows, columns, size, size)
        | return image[::size, ::size]
        | return image.unfold(0, size, 1).unfold(1, size, 1).amax((2, 3)) => don't overlap
        | padded = F.pad(image, (0, -image.shape[1] % size, 0, -image.shape[0] % size), value=-9.0); return padded.unfold(0, size, size).unfold(1, size, size).amax((2, 3)) => fills no block
        blocks.amax -> blocks.clamp(min=0).amax => must not start at 0
        | return F.max_pool2d(image[None], size)[0] => writing torch's max_pool2d yourself
        | return nn.MaxPool2d(size)(image[None])[0] => writing torch's max_pool2d yourself
        | return F.avg_pool2d(image[None], size)[0] => not the mean
        | return F.max_pool2d(image[None], 2)[0]
        | return image.max()
        | return image
        | return image.reshape(-1, size, image.shape[1] // size, size).amax((1, 3))
    """,
    "receptive-field": """
        (kernel - 1) * jump -> kernel * jump
        (kernel - 1) * jump -> (kernel - 1)
        (kernel - 1) * jump -> (kernel - 1) * stride => not its own
        (kernel - 1) * jump -> (kernel + 1) * jump
        (kernel - 1) * jump -> (kernel - 1) * stride ** 2
        jump *= stride -> jump = stride => Strides multiply
        jump *= stride -> jump += stride
        jump *= stride -> jump += stride - 1
        jump *= stride -> jump *= kernel
        field = jump = 1 -> field, jump = 0, 1 => Without any layer
        field = jump = 1 -> field, jump = 1, 2
        in stack: -> in stack[::-1]:
        in stack: -> in stack[1:]:
        in stack: -> in stack[:3]:
        jump *= stride -> jump *= 2
        | return 1 + sum(kernel for kernel, _ in stack)
        | return 1 + sum(kernel - 1 for kernel, _ in stack) => a jump is 2 pixels
        | return sum(kernel for kernel, _ in stack) => Without any layer
        | return max([kernel for kernel, _ in stack] + [1])
        | return 2 * len(stack) + 1
        | field = 1; [field := field * kernel for kernel, _ in stack]; return field
        | field, jump = 1, 1; [(jump := jump * s, field := field + (k - 1) * jump) for k, s in stack]; return field => not its own
        | return float(1 + len(stack)) => it must return an int
        | return len(stack[0]) => stopped
        | return stack
        | pass => returned None
    """,
    "im2col": """
        torch.stack(windows, dim=1) -> torch.stack(windows) => as rows
        image.shape[0] - height + 1 -> image.shape[0] - height
        image.shape[1] - width + 1 -> image.shape[1] - width
        image.shape[0] - height + 1 -> image.shape[0]
        .flatten() -> .T.flatten()
        row : row + height -> row : row + width
        column : column + width -> column : column + height
        torch.stack(windows, dim=1) -> torch.stack(windows).reshape(height * width, -1)
        torch.stack(windows, dim=1) -> torch.stack(windows, dim=1).flip(0)
        torch.stack(windows, dim=1) -> torch.stack(windows, dim=1).flip(1)
        | return image.flatten().repeat(height * width, 1)
        | return F.unfold(image[None, None], (height, width))[0] => writing torch's unfold yourself
        | return nn.Unfold((height, width))(image[None, None])[0] => writing torch's unfold yourself
        | return image.unfold(0, width, 1).unfold(1, height, 1).flatten(2).flatten(0, 1).T
        | padded = F.pad(image, (1, 1, 1, 1)); return padded.unfold(0, height, 1).unfold(1, width, 1).flatten(2).flatten(0, 1).T
        | return image.unfold(0, height, 2).unfold(1, width, 2).flatten(2).flatten(0, 1).T
        | return image.unfold(0, height, 1).unfold(1, width, 1).reshape(height * width, -1) 
        | return image
        | return image.numpy() => it must return a Tensor
    """,
    "sparse-loss": """
        0.5 * error -> error => counts half
        sparsity * size -> size => use `sparsity`
        sparsity * size -> 0.5 * size => use `sparsity`
        sparsity * size -> sparsity / 2 * size => 0.2
        (rebuilt - batch).square().sum(1) -> (rebuilt - batch).square().mean(1) => too small
        (rebuilt - batch).square().sum(1) -> (rebuilt - batch).square().sum(1).sqrt() => square root
        (rebuilt - batch).square().sum(1) -> (rebuilt - batch).abs().sum(1)
        (rebuilt - batch).square().sum(1) -> (rebuilt - batch).sum(1).square()
        (rebuilt - batch) -> (codes @ weight)
        (rebuilt - batch) -> batch
        (codes.square() + 0.01).sqrt().sum(1) -> codes.abs().sum(1) => and not 0
        (codes.square() + 0.01).sqrt().sum(1) -> (codes.square() + 0.01).sum(1)
        (codes.square() + 0.01).sqrt().sum(1) -> codes.square().sum(1) => and not 0
        (codes.square() + 0.01).sqrt().sum(1) -> (codes + 0.1).sum(1)
        (codes.square() + 0.01).sqrt().sum(1) -> (codes.square() + 0.01).sqrt().mean(1) => root of 0.01 each
        (codes.square() + 0.01).sqrt().sum(1) -> (codes.square().sum(1) + 0.01).sqrt()
        (codes.square() + 0.01).sqrt().sum(1) -> (codes.clamp(min=0).square() + 0.01).sqrt().sum(1) => negative coefficient
        (codes.square() + 0.01).sqrt().sum(1) -> (weight.square() + 0.01).sqrt().sum()
        size).mean() -> size).sum() => mean over the patches
        size).mean() -> size) => Return one number
        size).mean() -> size).mean().item() => it must return a Tensor
        batch @ weight.T -> batch @ weight => stopped
        batch @ weight.T -> batch * weight => stopped
        batch @ weight.T -> (batch @ weight.T).clamp(min=0) => negative coefficient
        codes @ weight -> codes @ weight / weight.norm()
        | return (0.5 * (batch @ weight.T @ weight - batch).square().mean() + sparsity * (batch @ weight.T).abs().mean())
        | return torch.zeros(())
        | pass => returned None
    """,
    "box-iou": """
        max(width, 0) * max(height, 0) -> width * height => apart
        max(width, 0) * max(height, 0) -> max(width * height, 0) => minus times minus
        sum(areas) - intersection -> sum(areas) => counted twice
        sum(areas) - intersection -> areas[0] => and not by one area
        sum(areas) - intersection -> min(areas)
        sum(areas) - intersection -> max(areas)
        sum(areas) - intersection -> sum(areas) - 2 * intersection
        min(first[2], second[2]) -> max(first[2], second[2])
        max(first[0], second[0]) -> min(first[0], second[0])
        min(first[3], second[3]) - max(first[1], second[1]) -> first[3] - second[1]
        min(first[2], second[2]) - max(first[0], second[0]) -> first[2] - second[0]
        (box[2] - box[0]) * (box[3] - box[1]) -> box[2] * box[3]
        return float(intersection -> return (intersection => Convert the result
        max(width, 0) * max(height, 0) -> (max(width, 0) + 1) * (max(height, 0) + 1)
        | return 1.0
        | return float((first == second).all())
        | return first[4] => stopped
    """,
    "suppress": """
        scores.argsort(descending=True) -> scores.argsort() => most confident box
        scores.argsort(descending=True).tolist() -> range(len(scores)) => not with the first one
        <= threshold -> < threshold / 2
        <= threshold -> < threshold => exactly 0.5 is not
        <= threshold -> >= threshold
        for other in kept -> for other in range(len(scores)) if other != index
        for other in kept -> for other in scores.argsort(descending=True).tolist() if scores[other] > scores[index] => compare with kept boxes only
        for other in kept -> for other in kept[:1]
        for other in kept -> for other in kept[-1:]
        return kept -> return sorted(kept)
        return kept -> return kept[:1]
        return kept -> return [float(index) for index in kept] => Return indices
        return kept -> return torch.tensor(kept) => Return indices
        return kept -> return boxes[kept] => Return indices
        area(first) + area(second) - shared -> area(first)
        kept.append(index) -> kept.insert(0, index)
        | return list(range(len(scores)))
        | return [int(scores.argmax())] if len(scores) else []
        | return [int(scores.argmax())]
        | return []
    """,
    "choose-threshold": """
        each >= threshold -> each > threshold => a score equal to the threshold is enough
        each >= threshold -> each <= threshold
        each >= threshold -> each < threshold
        boxes == true for -> boxes >= true for
        boxes == true for -> boxes <= true for
        boxes == true for -> boxes - true for
        boxes == true for -> boxes != true for
        boxes == true for -> (boxes == true and true > 0) * true for
        boxes == true for -> -abs(boxes - true) for => Errors don't cancel
        boxes == true for -> -((boxes - true) ** 2) for
        return sum(boxes == true for boxes, true in zip(left, objects, strict=True)) -> return -abs(sum(left) - sum(objects)) => Errors don't cancel
        return sum(boxes == true for boxes, true in zip(left, objects, strict=True)) -> return all(boxes == true for boxes, true in zip(left, objects))
        return sum(boxes == true for boxes, true in zip(left, objects, strict=True)) -> return any(boxes == true for boxes, true in zip(left, objects))
        return sum(boxes == true for boxes, true in zip(left, objects, strict=True)) -> return left[0] == objects[0]
        return max(thresholds, key=scenes_right) -> return max(thresholds[::-1], key=scenes_right) => take the smallest one
        return max(thresholds, key=scenes_right) -> return min(thresholds, key=scenes_right)
        return max(thresholds, key=scenes_right) -> return max(map(scenes_right, thresholds)) => it must return a float
        return max(thresholds, key=scenes_right) -> return float(max(map(scenes_right, thresholds))) => Return one of the thresholds
        return max(thresholds, key=scenes_right) -> return max(range(len(thresholds)), key=lambda k: scenes_right(thresholds[k])) => it must return a float
        return max(thresholds, key=scenes_right) -> return torch.tensor(max(thresholds, key=scenes_right)) => it must return a float
        return max(thresholds, key=scenes_right) -> return [t for t in thresholds if scenes_right(t) == len(scores)][0] => stopped
        for each in scores] -> for each in scores if len(each)] => stopped
        for each in scores] -> for each in scores[:1]] * len(scores)
        | return thresholds[0]
        | return thresholds[len(thresholds) // 2]
        | return thresholds[-1] => take the smallest one
        | return 0.5
        | return float(torch.cat(scores).median()) => Return one of the thresholds
        | return scores >= thresholds[0] => stopped
        | pass => returned None
    """,
    "average-precision": """
        scores.argsort(descending=True) -> scores.argsort()
        correct[scores.argsort(descending=True)] -> correct => Sort by score
        / objects -> / max(int(correct.sum()), 1) => divide by `objects`
        / objects -> / max(len(correct), 1)
        * float(is_correct) -> * 1
        .flip(0), correct.flip(0) -> , correct
        torch.arange(1, len(correct) + 1) -> torch.arange(len(correct)).clamp(min=1)
        torch.arange(1, len(correct) + 1) -> objects
        return area -> return torch.tensor(area) => it must return a float
        highest = max(highest, float(value)) -> highest = float(value) => highest precision so far
        return area -> return area / 2
        return area -> return highest
        | return float(correct.double().mean())
        | return float(correct.sum() / objects)
        | return 0.5
    """,
    "mean-iou": """
        sum(ious) / len(ious) -> torch.tensor(ious).mean() => Convert the result
        both / either -> both / (true == k).sum() => is the recall
        both / either -> both / (predicted == k).sum() => is the precision
        both / either -> both / ((predicted == k).sum() + (true == k).sum()) => have once
        both / either -> 2 * both / ((predicted == k).sum() + (true == k).sum())
        both / either -> either / both
        both / either -> both / true.numel()
        true[true > 0].unique() -> true.unique() => not one of the classes
        true[true > 0].unique() -> true.unique()[1:] => stopped
        true[true > 0].unique() -> predicted[predicted > 0].unique()
        true[true > 0].unique() -> torch.stack([predicted, true]).unique()[1:] => prediction only
        true[true > 0].unique() -> range(1, int(true.max()) + 1)
        true[true > 0].unique() -> (1, 2)
        / len(ious) -> / 12
        sum(ious) / len(ious) -> sum(ious)
        sum(ious) / len(ious) -> max(ious)
        sum(ious) / len(ious) -> ious[0]
        | return float((predicted == true).float().mean()) => pixel accuracy
        | on = (predicted == true) & (true > 0); return float(on.sum() / ((predicted > 0) | (true > 0)).sum()) => then their mean
        | return 1.0
        | return float((predicted[true > 0] == true[true > 0]).float().mean())
        | return [float(x) for x in (predicted == true)] => stopped
        | pass => returned None
    """,
    "group-pixels": """
        argmin(-1) + 1 -> argmin(-1) => Count the centres from 1
        argmin(-1) -> argmax(-1) => use argmin
        .square().sum(-1) -> .sum(-1)
        .square().sum(-1) -> [..., 0].abs() => compares only the x
        .square().sum(-1) -> [..., 1].abs() => compares only the y
        torch.where(foreground, distances.argmin(-1) + 1, 0) -> distances.argmin(-1) + 1 => foreground is False
        torch.where(foreground, distances.argmin(-1) + 1, 0) -> torch.where(foreground, 0, distances.argmin(-1) + 1)
        torch.where(foreground, distances.argmin(-1) + 1, 0) -> torch.where(foreground, distances.argmin(-1) + 1, -1)
        torch.where(foreground, distances.argmin(-1) + 1, 0) -> torch.where(foreground, distances.argmin(-1) + 1, 0).float() => Return integers
        targets[:, :, None] - centres -> targets.flip(-1)[:, :, None] - centres
        .square().sum(-1) -> .abs().sum(-1)
        torch.where(foreground, distances.argmin(-1) + 1, 0) -> torch.where(foreground, distances.argmin(-1) + 1, 0).T
        torch.where(foreground, distances.argmin(-1) + 1, 0) -> distances.min(-1).values
        | return foreground.long()
        | return torch.cdist(targets, centres).argmin(0)
        | return (targets - centres).argmin(-1)
    """,
}


def wrong_solutions(name: str) -> list[tuple[str, str]]:
    """The source of each wrong solution of an exercise, with the expected part of the message."""
    exercise, result = EXERCISES[name], []
    for line in inspect.cleandoc(WRONG[name]).splitlines():
        change, _, message = line.partition(" => ")
        if change.startswith("| "):
            head = exercise.solution.split("    ### BEGIN SOLUTION")[0]
            body = "".join(f"    {part}\n" for part in change[2:].split("; "))
            result.append((head + body, message))
            continue
        old, arrow, new = change.partition(" ->")
        assert arrow and old in exercise.solution, (name, old)
        result.append((exercise.solution.replace(old, new.removeprefix(" ")), message))
    return result


CASES = [(name, *case) for name in WRONG for case in wrong_solutions(name)]


def run(name: str, source: str) -> tuple[BaseException | None, float]:
    """The exception that the visible check raises, if any, and the score of the hidden cases."""
    exercise = EXERCISES[name]
    names = {"torch": torch, "nn": nn, "np": np, "F": F, "call": call, "edge_kernels": edge_kernels}
    names["without_torch"] = without_torch
    exec(source, names)
    try:
        exec(exercise.visible_check, names)
        problem = None
    except Exception as error:
        problem = error
    exec(exercise.hidden_tests, names)
    points = score_cases(
        exercise.function,
        reference=exercise.solution,
        cases=names["cases"],
        points=exercise.points,
        names=names,
        **{exercise.comparison: names[exercise.comparison]},
    )
    return problem, points


def test_every_exercise_has_wrong_solutions():
    assert set(WRONG) == set(EXERCISES)
    for name in LESSONS:
        own = {exercise.name for exercise in course_lesson(name).exercises}
        assert len(own) >= 4
        assert sum(case[0] in own for case in CASES) >= 60


@pytest.mark.parametrize("name", EXERCISES)
def test_reference_passes(name):
    problem, points = run(name, EXERCISES[name].solution)
    assert problem is None and points == EXERCISES[name].points


@pytest.mark.parametrize(("name", "source", "message"), CASES)
def test_wrong_solution_gets_a_specific_message(name, source, message):
    problem, points = run(name, source)
    assert isinstance(problem, AssertionError), f"the check lets it pass, or crashes: {problem!r}"
    # Correct values of another type, or computed by torch's own loss, earn their points here; in the
    # grader the visible check, which also counts, rejects them.
    has_right_values = message.startswith(
        (
            "it must return",
            "return a",
            "Convert",
            "Return indices",
            "write your own",
            "writing torch's",
        )
    )
    assert points < EXERCISES[name].points or has_right_values
    assert len(str(problem)) > 15
    assert re.search(re.escape(message), str(problem)), str(problem)


def test_suppression_may_call_the_other_exercise():
    """The grader runs a learner's cells up to the exercise's own, so box_iou is defined there."""
    body = """
def suppress(boxes, scores, threshold):
    kept = []
    for index in scores.argsort(descending=True).tolist():
        if all(box_iou(boxes[index], boxes[other]) <= threshold for other in kept):
            kept.append(index)
    return kept
"""
    problem, points = run("suppress", EXERCISES["box-iou"].solution + body)
    assert problem is None and points == EXERCISES["suppress"].points
