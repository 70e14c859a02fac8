"""mmcv's operators by their definitions, one sample at a time, in differentiable PyTorch."""

import numpy as np
import torch


def brute_force_soft_nms(boxes, scores, threshold, sigma, min_score, method, offset):
    """Soft-NMS by definition, in float64; returns kept indices and their lowered scores."""
    boxes, scores = boxes.astype(np.float64), dict(enumerate(scores.astype(np.float64)))
    kept = []
    while scores:
        best = max(scores, key=lambda i: (scores[i], -i))
        kept.append((best, scores.pop(best)))
        for other in list(scores):
            x1, y1 = np.maximum(boxes[other, :2], boxes[best, :2])
            x2, y2 = np.minimum(boxes[other, 2:], boxes[best, 2:])
            common = max(0.0, x2 - x1 + offset) * max(0.0, y2 - y1 + offset)
            areas = [np.prod(boxes[i, 2:] - boxes[i, :2] + offset) for i in (other, best)]
            overlap = common / (sum(areas) - common)
            if method == "gaussian":
                scores[other] *= np.exp(-(overlap**2) / sigma)
            elif overlap >= threshold:
                scores[other] *= 0.0 if method == "naive" else 1 - overlap
            if scores[other] < min_score:
                del scores[other]
    return [index for index, _ in kept], [score for _, score in kept]


def bilinear(image, y, x):
    """The value of (C, H, W) at a place, 0 outside; differentiable in all three arguments."""
    height, width = image.shape[-2:]
    y0, x0 = int(torch.floor(y)), int(torch.floor(x))
    value = image.new_zeros(image.shape[0])
    for row in (y0, y0 + 1):
        for column in (x0, x0 + 1):
            if 0 <= row < height and 0 <= column < width:
                weight = (1 - (y - row).abs()) * (1 - (x - column).abs())
                value = value + weight * image[:, row, column]
    return value


def deformable_convolution(
    x, offset, weight, mask=None, bias=None, stride=(1, 1), padding=(0, 0), dilation=(1, 1),
    groups=1, deform_groups=1,
):  # fmt: skip
    """Every output cell is a sum over kernel cells of displaced samples."""
    out_channels, _, kernel_h, kernel_w = weight.shape
    in_group, out_group = x.shape[1] // groups, out_channels // groups
    in_deform = x.shape[1] // deform_groups
    rows = []
    for image, places, modulation in zip(x, offset, offset if mask is None else mask, strict=True):
        for i in range(offset.shape[2]):
            for j in range(offset.shape[3]):
                samples = []  # per kernel cell, all input channels
                for a in range(kernel_h):
                    for b in range(kernel_w):
                        cell, parts = a * kernel_w + b, []
                        for g in range(deform_groups):
                            at = 2 * (g * kernel_h * kernel_w + cell)
                            y = i * stride[0] - padding[0] + a * dilation[0] + places[at, i, j]
                            z = j * stride[1] - padding[1] + b * dilation[1] + places[at + 1, i, j]
                            part = bilinear(image[g * in_deform : (g + 1) * in_deform], y, z)
                            if mask is not None:
                                part = part * modulation[g * kernel_h * kernel_w + cell, i, j]
                            parts.append(part)
                        samples.append(torch.cat(parts))
                samples = torch.stack(samples, dim=1)  # (C, kH * kW)
                value = [
                    (weight[o].flatten(1) * samples[o // out_group * in_group :][:in_group]).sum()
                    for o in range(out_channels)
                ]
                rows.append(torch.stack(value))
    out = torch.stack(rows).reshape(len(x), *offset.shape[2:], out_channels).permute(0, 3, 1, 2)
    return out if bias is None else out + bias[:, None, None]


def deformable_attention(value, shapes, locations, weights):
    """Sums of weighted samples, query by query."""
    starts = [0]
    for height, width in shapes:
        starts.append(starts[-1] + height * width)
    batch, queries, heads, levels, points = weights.shape
    out = []
    for b in range(batch):
        for q in range(queries):
            for m in range(heads):
                total = value.new_zeros(value.shape[-1])
                for level, (height, width) in enumerate(shapes):
                    rows = value[b, starts[level] : starts[level + 1], m]
                    image = rows.T.reshape(-1, height, width)
                    for p in range(points):
                        x, y = locations[b, q, m, level, p]
                        sample = bilinear(image, y * height - 0.5, x * width - 0.5)
                        total = total + weights[b, q, m, level, p] * sample
                out.append(total)
    return torch.stack(out).reshape(batch, queries, -1)
