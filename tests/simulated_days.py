"""Days that resemble their neighbours, to see how often levels ring although nothing has changed.

What lives here: AR(1) days of a reference and the window after it, counted in tenths. What does not: assertions
(tests/core/drift/test_calibration.py), the long runs (benchmarks/calibration.py).
"""

from __future__ import annotations

from datetime import date

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from mlops_assets.core.drift.calibration import calibrate, preset_levels
from mlops_assets.core.drift.day_counts import DayCounts, psi_of
from mlops_assets.core.drift.policy import DriftPolicy

ROWS = 500
"""Rows a day."""
SPREAD = 0.3
"""Standard deviation of a day's mean, in standard deviations of a day's rows."""
TOGETHER = 0.3
"""Correlation of two features' days."""


def autoregressive(rng: np.random.Generator, n_days: int, n: int, phi: float) -> NDArray[np.float64]:
    """Stationary AR(1) series of unit variance, shape (n_days, n)."""
    values = np.empty((n_days, n))
    values[0] = rng.normal(size=n)
    for day in range(1, n_days):
        values[day] = phi * values[day - 1] + np.sqrt(1.0 - phi**2) * rng.normal(size=n)
    return values


def tenths(rng: np.random.Generator, n_days: int, n_features: int, phi: float) -> NDArray[np.int64]:
    """Rows in each tenth, and none missing: shape (n_days, n_features, 11). Features move together a little."""
    common = autoregressive(rng, n_days, 1, phi)
    own = autoregressive(rng, n_days, n_features, phi)
    means = SPREAD * (np.sqrt(TOGETHER) * common + np.sqrt(1.0 - TOGETHER) * own)
    cuts = np.concatenate([[-np.inf], ndtri(np.arange(1, 10) / 10) * np.sqrt(1.0 + SPREAD**2), [np.inf]])
    counts = rng.multinomial(ROWS, np.diff(ndtr(cuts - means[..., None]), axis=-1))
    return np.concatenate([counts, np.zeros((n_days, n_features, 1), dtype=np.int64)], axis=-1)


def rings(
    rng: np.random.Generator, *, windows: int, features: int, phi: float, length: int = 7, gap: int = 0
) -> tuple[bool, bool]:
    """Whether a window `gap` days after a reference of `windows` rings: at calibrated levels, at PSI 0.2."""
    n_days = windows * length
    counts = tenths(rng, n_days + gap + length, features, phi)
    names = [f"x{k}" for k in range(features)]
    days = DayCounts(
        date(2013, 1, 1), n_days, dict.fromkeys(names, "numeric"), {n: counts[:n_days, k] for k, n in enumerate(names)}
    )
    policy = DriftPolicy()
    levels = calibrate(days, length, preset=preset_levels(names, policy))
    values = psi_of(counts[:n_days].sum(axis=0), counts[-length:].sum(axis=0))
    calibrated = np.array([levels.level[name]["psi"] for name in names])
    return bool(np.any(values > calibrated)), bool(np.any(values > (policy.psi or np.inf)))


def rates(runs: int, seed: int, *, windows: int, features: int, phi: float, gap: int = 0) -> tuple[float, float]:
    """Shares of `runs` worlds that ring: at calibrated levels, at PSI 0.2."""
    rng = np.random.default_rng(seed)
    found = [rings(rng, windows=windows, features=features, phi=phi, gap=gap) for _ in range(runs)]
    return float(np.mean([ring for ring, _ in found])), float(np.mean([ring for _, ring in found]))
