"""How often a look at a champion that cannot be bettered rings: `python benchmarks/aa_probe.py [--quick]`.

Lives of eight windows of 28 days with a champion, five refits and a kept version that are equally good. Each differs
from the champion by 2 % of the loss from day to day (standard deviation), half of that shared by all refits; days
remember the day before. A ring is a lower bound above zero; beside it, above the price of a training, which is what
starts one. `probe.level` states 10 % a look. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np

from mlops_assets.core.decide.judged_window import KEEP
from mlops_assets.core.decide.probe import add_up
from mlops_assets.core.decide.probe_policy import ProbePolicy
from mlops_assets.core.decide.probe_result import Look, Part, Series

START = datetime(2024, 1, 1, tzinfo=UTC)
DAYS, NEWEST, WINDOWS, EFFECT, ROWS = 28, 10, 8, 0.02, 100
PRICE = 0.01


def remembering(rng: np.random.Generator, rho: float) -> np.ndarray:
    """Daily gains of a life."""
    values = rng.normal(size=DAYS * WINDOWS)
    for day in range(1, len(values)):
        values[day] = rho * values[day - 1] + np.sqrt(1 - rho**2) * values[day]
    return values * EFFECT


def part(end: datetime, gains: dict[str, np.ndarray]) -> Part:
    """One stretch; the champion loses 1."""
    days = len(next(iter(gains.values())))
    series = {
        name: Series(float(gain.mean()), tuple((gain - gain.mean()) * ROWS), (float(ROWS),) * days)
        for name, gain in gains.items()
    }
    loss = {KEEP: 1.0, **{name: 1.0 - float(gain.mean()) for name, gain in gains.items()}}
    return Part(end - timedelta(days=days), days * ROWS, loss, series)


def rings(rho: float, lives: int, *, seed: int = 0) -> tuple[float, float]:
    """Shares of looks whose bound is above zero, and above the price."""
    rng, policy, found = np.random.default_rng(seed), ProbePolicy(), []
    for _ in range(lives):
        common, looks = remembering(rng, rho), list[Look]()
        kinds = {
            kind: {name: np.sqrt(0.5) * (common + remembering(rng, rho)) for name in policy.candidates}
            for kind in ("whole", "newest")
        }
        back = remembering(rng, rho)
        for k in range(WINDOWS):
            first, end = DAYS * k, DAYS * (k + 1)
            at = START + timedelta(days=end)
            stretches = {"whole": slice(first, end), "newest": slice(end - NEWEST, end)}
            parts = {
                kind: part(at, {**{n: g[where] for n, g in kinds[kind].items()}, "revert:0": back[where]})
                for kind, where in stretches.items()
            }
            looks.append(Look(str(k), at, at, "1", parts["whole"], parts["newest"]))
            probed = add_up(looks, policy, champion="1", since=START, length=timedelta(days=DAYS))
            found.append(max(one.lower for one in (probed.refit, probed.revert) if one is not None))
    bounds = np.array(found)
    return float((bounds > 0.0).mean()), float((bounds > PRICE).mean())


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="50 lives")
    lives = 50 if parser.parse_args().quick else 1_000
    results = []
    for rho in (0.0, 0.3, 0.5, 0.7):
        above_zero, above_price = rings(rho, lives)
        results.append({"rho": rho, "above_zero": above_zero, "above_price": above_price})
        print(json.dumps(results[-1]), file=sys.stderr, flush=True)
    print(json.dumps({"benchmark": "aa_probe", "target": "at most 10 % a look", "lives": lives, "results": results}))


if __name__ == "__main__":
    main()
