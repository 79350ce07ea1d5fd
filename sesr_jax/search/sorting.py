"""Orders candidates by several objectives: fast non-dominated sorting and crowding (NSGA-II).

The rules are those of Deb et al., A Fast and Elitist Multiobjective Genetic Algorithm, IEEE Transactions on
Evolutionary Computation 2002, §III. All objectives are to be low.
"""

import numpy as np


def sort_fronts(points: np.ndarray) -> list[list[int]]:
    """Returns the indices of ``[candidates, objectives]`` by front; nothing dominates the first."""
    no_worse = np.all(points[:, None] <= points[None], axis=-1)
    dominates = no_worse & np.any(points[:, None] < points[None], axis=-1)
    left, fronts = list(range(len(points))), []
    while left:
        front = [i for i in left if not any(dominates[j, i] for j in left)]
        fronts.append(front)
        left = [i for i in left if i not in front]
    return fronts


def measure_crowding(points: np.ndarray) -> np.ndarray:
    """Returns the crowding distance of each point of a front ``[candidates, objectives]``, inf at ends."""
    distance = np.zeros(len(points))
    for column in points.T:
        order = np.argsort(column, kind="stable")
        span = column[order[-1]] - column[order[0]]
        distance[order[[0, -1]]] = np.inf
        if span > 0:
            distance[order[1:-1]] += (column[order[2:]] - column[order[:-2]]) / span
    return distance


def order_candidates(points: np.ndarray) -> list[int]:
    """Returns the indices of ``[candidates, objectives]``, the best first.

    With one objective that is its order. Otherwise earlier fronts come first, and within a front the points
    with the most room around them. Equal ones keep their order.
    """
    if points.shape[1] == 1:
        return [int(i) for i in np.argsort(points[:, 0], kind="stable")]
    order: list[int] = []
    for front in sort_fronts(points):
        crowding = measure_crowding(points[front])
        order += [front[int(i)] for i in np.argsort(-crowding, kind="stable")]
    return order
