"""Grows trees of vessels and airways from a hilum to points spread over a lung, by halving the points again and again. Compiled. Start at tree()."""

from math import sqrt

import numpy as np

from sdx_domains.medicine.phantom.anatomy import lung_distance
from sdx_domains.medicine.phantom.compiled import njit

SEGMENT = 9
"""Columns of a piece of a tree: start x y z, end x y z, ends reached beyond it, generation, straight distance of its end under the pleura."""


@njit
def tree(body, ends, start, lengths, jitter):
    """(pieces, SEGMENT) of a tree from `start` to every row of `ends` (n, 3), which is reordered.

    lengths: (n,) share, 0..1, of the way to the middle of the points that a piece goes; jitter: (2n, 3) mm.
    """
    n = len(ends)
    out = np.empty((2 * n, SEGMENT))
    stack = np.empty((2 * n, 7))
    stack[0] = np.array([start[0], start[1], start[2], 0.0, float(n), 0.0, 0.0])
    top, made = 1, 0
    while top:
        top -= 1
        x, y, z, first, last, generation = (
            stack[top, 0],
            stack[top, 1],
            stack[top, 2],
            int(stack[top, 3]),
            int(stack[top, 4]),
            stack[top, 5],
        )
        own = ends[first:last]
        middle = np.array([own[:, 0].mean(), own[:, 1].mean(), own[:, 2].mean()])
        share = 1.0 if last - first == 1 else lengths[made % n]
        ex, ey, ez = x + share * (middle[0] - x), y + share * (middle[1] - y), z + share * (middle[2] - z)
        if last - first > 1:
            bend = min(1.0, 0.12 * sqrt((ex - x) ** 2 + (ey - y) ** 2 + (ez - z) ** 2))
            ex, ey, ez = ex + bend * jitter[made, 0], ey + bend * jitter[made, 1], ez + bend * jitter[made, 2]
        out[made] = np.array([x, y, z, ex, ey, ez, float(last - first), generation, -lung_distance(body, ex, ey, ez)])
        made += 1
        if last - first == 1:
            continue
        spread = np.array([own[:, 0].std(), own[:, 1].std(), own[:, 2].std()])
        axis = int(np.argmax(spread))
        order = np.argsort(own[:, axis])
        ends[first:last] = own[order].copy()
        cut = first + max(1, min(last - first - 1, int((last - first) * (0.5 + 0.02 * jitter[made - 1, 0]))))
        stack[top] = np.array([ex, ey, ez, float(first), float(cut), generation + 1.0, 0.0])
        stack[top + 1] = np.array([ex, ey, ez, float(cut), float(last), generation + 1.0, 0.0])
        top += 2
    return out[:made]


@njit
def depths(body, points):
    """(n,) mm under the pleura, positive in lung."""
    out = np.empty(len(points))
    for n in range(len(points)):
        out[n] = -lung_distance(body, points[n, 0], points[n, 1], points[n, 2])
    return out
