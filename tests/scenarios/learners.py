"""Linear models that fit in a few milliseconds: ridge, and logistic regression of two or more classes.

What lives here: fitting from arrays. What does not: the worlds that are learned (`worlds`).

Columns are standardised and penalised by 1, as one row's worth of doubt; a missing value is its column's mean.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.special import expit, logsumexp

Model = Callable[[np.ndarray], np.ndarray]
NEWTON_STEPS = 8
FAR = 1.0
"""A shorter step than this is taken unasked: near the top Newton does not jump over it."""
CLOSE = 1e-4
"""Newton ends when no weight moves further than this: its next step would be about the square of it."""


def ridge(x: np.ndarray, y: np.ndarray) -> Model:
    """Features, shape (n, k), and values -> a model that says values, shape (m,)."""
    x, center, spread = _known(x)
    a = _design(x, center, spread)
    weights = np.linalg.solve(a.T @ a + _penalty(x), a.T @ y)
    return lambda values: _sums(values, center, spread, weights[:, None])[:, 0]


def logistic(x: np.ndarray, y: np.ndarray, classes: int) -> Model:
    """Features, shape (n, k), and class codes -> a model that says chances, of class 1 or of each of three and more."""
    x, center, spread = _known(x)
    a, penalty = _design(x, center, spread), _penalty(x)
    weights = _newton(a, np.asarray(y[:, None] == np.arange(classes), dtype=np.float64), penalty)

    def model(values: np.ndarray) -> np.ndarray:
        sums = _sums(values, center, spread, weights)
        return expit(sums[:, 1]) if classes == 2 else softmax(sums)

    return model


def softmax(scores: np.ndarray) -> np.ndarray:
    """Log-odds of each class as probabilities."""
    powers = np.exp(np.clip(scores, -30.0, 30.0))
    # numpy sums a few columns slowly, and one by one fast.
    return powers / sum(powers.T)[:, None]


def _known(x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features without gaps, and each column's mean and spread."""
    if np.isnan(x.sum()):
        x = np.where(np.isnan(x), np.nanmean(x, axis=0), x)
    center = x.mean(axis=0)
    # The same as x.std, in one pass: columns are about as wide as they are far from zero.
    return x, center, np.sqrt(np.maximum(np.einsum("ij,ij->j", x, x) / len(x) - center**2, 0.0)) + 1e-9


def _design(x: np.ndarray, center: np.ndarray, spread: np.ndarray) -> np.ndarray:
    a = np.ones((x.shape[0], x.shape[1] + 1))
    np.subtract(x, center, out=a[:, 1:])
    a[:, 1:] /= spread
    return a


def _penalty(x: np.ndarray) -> np.ndarray:
    return np.diag([1e-6, *[1.0] * x.shape[1]])


def _sums(values: np.ndarray, center: np.ndarray, spread: np.ndarray, weights: np.ndarray) -> np.ndarray:
    if np.isnan(values.sum()):
        values = np.where(np.isnan(values), center, values)
    slopes = weights[1:] / spread[:, None]
    return values @ slopes + (weights[0] - center @ slopes)


def _newton(a: np.ndarray, classes: np.ndarray, penalty: np.ndarray) -> np.ndarray:
    """Weights of all classes, shape (columns, classes); the first class's are 0."""
    columns, free = a.shape[1], classes.shape[1] - 1
    weights = _discriminant(a, classes)
    curve = np.empty((free * columns, free * columns))
    for _ in range(NEWTON_STEPS):
        p = _further_chances(a @ weights[:, 1:])
        slope = a.T @ (classes[:, 1:] - p) - penalty @ weights[:, 1:]
        for i in range(free):
            for j in range(i + 1):
                share = p[:, i] * ((1.0 if i == j else 0.0) - p[:, j])
                block = (a * share[:, None]).T @ a
                if i == j:
                    block += penalty + 1e-6 * np.eye(columns)
                curve[i * columns : (i + 1) * columns, j * columns : (j + 1) * columns] = block
                curve[j * columns : (j + 1) * columns, i * columns : (i + 1) * columns] = block.T
        step = np.linalg.solve(curve, slope.T.ravel()).reshape(free, columns).T
        if np.abs(step).max() > FAR:
            # A class of a few rows lets such a step jump over the top, and the next one further.
            now = _likelihood(a, classes, penalty, weights[:, 1:])
            while np.abs(step).max() > CLOSE and _likelihood(a, classes, penalty, weights[:, 1:] + step) < now:
                step = step / 2.0
        weights[:, 1:] += step
        if np.abs(step).max() < CLOSE:
            break
    return weights


def _likelihood(a: np.ndarray, classes: np.ndarray, penalty: np.ndarray, further: np.ndarray) -> float:
    """What Newton climbs, at the weights of all classes but the first."""
    sums = np.column_stack([np.zeros(len(a)), a @ further])
    return float((classes * sums).sum() - logsumexp(sums, axis=1).sum() - 0.5 * (further * (penalty @ further)).sum())


def _further_chances(scores: np.ndarray) -> np.ndarray:
    """Chances of all classes but the first, from their log-odds to it."""
    if scores.shape[1] == 1:
        return expit(scores)
    return softmax(np.column_stack([np.zeros(len(scores)), scores]))[:, 1:]


def _discriminant(a: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Where Newton begins: Fisher's linear discriminant, two steps from the end where features are about normal."""
    counts = classes.sum(axis=0)
    weights = np.zeros((a.shape[1], classes.shape[1]))
    if counts.min() == 0.0:
        return weights
    means = (classes.T @ a[:, 1:]) / counts[:, None]
    within = (a[:, 1:].T @ a[:, 1:] - (means.T * counts) @ means) / len(a) + 1e-6 * np.eye(a.shape[1] - 1)
    weights[1:] = np.linalg.solve(within, means.T)
    weights[0] = np.log(counts) - 0.5 * (means * weights[1:].T).sum(axis=1)
    return weights - weights[:, :1]
