"""Trainings that a fleet starts for nothing, and what it costs to bound them: `benchmarks/fleet_false_starts.py`.

1,000 models, 40 windows of 28 days each; no file, the probe's own statistics (`core.decide.probe.add_up`) on simulated
looks. Each day a refit gains on the champion by a noise of 1 to 10 % of its loss (standard deviation, log-uniform over
models), half of its variance shared by all refits of a model; days remember the day before, by `rho`; `world` is the
share of the variance that all models have in common, `alike` or with a random sign of each (`either way`). The price of
a training is 1 % of the loss. All looks at one window are of one day.

Without losers no model has a gain beyond the price: `stable` models have none at all, `edge` ones exactly the price,
the worst case. Then every start is false, and the false discovery rate is the share of days with a start. With losers
some models lose 5 % of their loss from a window on, until they are trained; then another one begins to, so that the
share stays; the rest is stable, and the rate is the mean over days of the false share among the started (0 without a
start). Beside it: false among all started, and the losers that are started at their first look and within four.

`alone` starts where the lower bound exceeds the price, as one model does (`probe.level` 0.1); `bh` and `by` bound the
rate by 0.05 (Benjamini and Hochberg 1995; Benjamini and Yekutieli 2001). The last line is JSON.

Usage: python benchmarks/fleet_false_starts.py [--quick]
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
from scipy.signal import lfilter
from scipy.special import stdtr

from mlops_assets.core.decide.fleet.false_discoveries import any_dependence, found_among
from mlops_assets.core.decide.judged_window import KEEP
from mlops_assets.core.decide.probe import add_up
from mlops_assets.core.decide.probe_policy import ProbePolicy
from mlops_assets.core.decide.probe_result import Look, Part, Series
from mlops_assets.core.decide.retrain_policy import RetrainPolicy

START = datetime(2024, 1, 1, tzinfo=UTC)
MODELS, WINDOWS, DAYS, NEWEST, ROWS = 1_000, 40, 28, 10, 100
PRICES, POLICY = RetrainPolicy(), ProbePolicy()
LOST, RATE, ALONE = 0.05, 0.05, 0.1
REMEMBERED = 12
"""Newest looks that `add_up` goes by."""
HOPELESS = 0.04
"""A look none of whose t tests has so small a p-value, days taken as independent, has one above 0.1 altogether."""
RULES = ("alone", "bh", "by")


def remembering(rng: np.random.Generator, shape: tuple[int, ...], rho: float) -> np.ndarray:
    """Series of unit variance, days in the last place."""
    noise = rng.normal(size=(*shape[:-1], shape[-1] + 60))
    return np.asarray(lfilter([np.sqrt(1 - rho**2)], [1, -rho], noise, axis=-1)[..., 60:])


@dataclass
class Fleet:
    """Models that live through their windows.

    Attributes:
        gains: by kind of part, of shape (models, refits, days).
        truth: what each model's champion loses in each window, as a share of its loss.
        since: the window from which on each champion reigns.
        champion: its number.
    """

    gains: dict[str, np.ndarray]
    truth: np.ndarray
    since: np.ndarray
    champion: np.ndarray
    looks: dict[tuple[int, int], Look] = field(default_factory=dict)

    @classmethod
    def of(cls, seed: int, *, rho: float, world: float, signs: str, gain: float) -> Fleet:
        """A fleet of stable models, or of models at the price."""
        rng = np.random.default_rng(seed)
        days, refits = DAYS * WINDOWS, len(POLICY.candidates)
        effect = np.exp(rng.uniform(np.log(0.01), np.log(0.1), MODELS))[:, None, None]
        sign = np.ones(MODELS) if signs == "alike" else rng.choice([-1.0, 1.0], MODELS)
        gains = {}
        for kind in ("whole", "newest"):
            shared = remembering(rng, (days,), rho)
            model = remembering(rng, (MODELS, 1, days), rho)
            own = remembering(rng, (MODELS, refits, days), rho)
            mine = np.sqrt(0.5) * (model + own)
            gains[kind] = effect * (np.sqrt(world) * sign[:, None, None] * shared + np.sqrt(1 - world) * mine)
        return cls(gains, np.full((MODELS, WINDOWS), gain), np.zeros(MODELS, int), np.zeros(MODELS, int))

    def p_values(self, window: int) -> np.ndarray:
        """Of all models' looks at a window; 1 where the gain is hopeless."""
        p = np.ones(MODELS)
        for model in np.flatnonzero(self._least(window) <= HOPELESS):
            first = max(0, window + 1 - REMEMBERED)
            looks = [self._look(int(model), number) for number in range(first, window + 1)]
            begun = START + timedelta(days=DAYS * int(self.since[model]))
            champion = str(self.champion[model])
            length = timedelta(days=DAYS)
            refit = add_up(looks, POLICY, champion=champion, since=begun, length=length, prices=PRICES).refit
            p[model] = 1.0 if refit is None else refit.p
        return p

    def _least(self, window: int) -> np.ndarray:
        """The smallest p-value of any test of any refit, days taken as independent: no p-value is smaller."""
        least = np.ones(MODELS)
        for span in (0, 1, 2, 4):
            last = DAYS * (window + 1)
            days = NEWEST if span == 0 else DAYS * span
            if days > last:
                continue
            part = self.gains["whole" if span else "newest"][:, :, last - days : last]
            means = (
                part.mean(axis=-1) + self.truth[:, max(0, window + 1 - max(1, span)) : window + 1].max(axis=1)[:, None]
            )
            t = (means - PRICES.min_gain) / (part.std(axis=-1, ddof=1) / np.sqrt(days))
            least = np.minimum(least, stdtr(days - 1, -t).min(axis=1))
        return least

    def _look(self, model: int, window: int) -> Look:
        if (known := self.looks.get((model, window))) is not None:
            return known
        end = START + timedelta(days=DAYS * (window + 1))
        last = DAYS * (window + 1)
        whole, newest = (
            self._part(end, self.gains[kind][model, :, last - days : last] + self.truth[model, window])
            for kind, days in (("whole", DAYS), ("newest", NEWEST))
        )
        look = Look(str(window), end, end, str(self.champion[model]), whole, newest)
        self.looks[model, window] = look
        return look

    @staticmethod
    def _part(end: datetime, gains: np.ndarray) -> Part:
        days = gains.shape[1]
        means = gains.mean(axis=1)
        series = {
            name: Series(float(mean), tuple((each - mean) * ROWS), (float(ROWS),) * days)
            for name, each, mean in zip(POLICY.candidates, gains, means, strict=True)
        }
        loss = {KEEP: 1.0, **{name: 1.0 - float(mean) for name, mean in zip(POLICY.candidates, means, strict=True)}}
        return Part(end - timedelta(days=days), days * ROWS, loss, series)

    def heal(self, model: int, window: int) -> None:
        """It is trained after a window: another champion, that loses nothing."""
        for number in range(max(0, window + 1 - REMEMBERED), window + 1):
            self._look(model, number)
        self.truth[model, window + 1 :] = 0.0
        self.since[model], self.champion[model] = window + 1, self.champion[model] + 1


def started(p: np.ndarray, rule: str) -> set[int]:
    """The models whose training starts, by their p-values of one day."""
    if rule == "alone":
        return {int(model) for model in np.flatnonzero(p < ALONE)}
    rate = RATE * (any_dependence(MODELS) if rule == "bh" else 1.0)
    return {int(model) for model in found_among({str(n): each for n, each in enumerate(p)}, MODELS, rate)}


def without_losers(seed: int, gain: float, **world: Any) -> Iterator[dict[str, float]]:
    """By day: starts by each rule."""
    fleet = Fleet.of(seed, gain=gain, **world)
    for window in range(WINDOWS):
        p = fleet.p_values(window)
        yield {rule: len(started(p, rule)) for rule in RULES}


def with_losers(seed: int, share: float, rule: str, **world: Any) -> dict[str, list[float]]:
    """By day the false share and the counts of starts; by loser the look at which it was started, 0 for none."""
    fleet, rng = Fleet.of(seed, gain=0.0, **world), np.random.default_rng(seed + 1)
    begun: dict[int, int] = {}
    found: dict[str, list[float]] = {"share": [], "false": [], "started": [], "looks": []}
    for window in range(WINDOWS):
        stable = [model for model in range(MODELS) if model not in begun]
        for model in rng.choice(stable, round(share * MODELS) - len(begun), replace=False):
            begun[int(model)] = window
            fleet.truth[model, window:] = LOST
            # Looks of before were made of another truth, and stay what they were.
        starting = started(fleet.p_values(window), rule)
        false = starting - begun.keys()
        found["share"].append(len(false) / max(1, len(starting)))
        found["false"].append(len(false))
        found["started"].append(len(starting))
        for model in starting & begun.keys():
            found["looks"].append(window - begun.pop(model) + 1)
            fleet.heal(model, window)
    # Who began within the last four windows had no time to be found.
    found["looks"] += [0.0 for first in begun.values() if first < WINDOWS - 4]
    return found


def null_row(fleets: int, **world: Any) -> dict[str, Any]:
    """The share of days with a start, where every start is false."""
    days = [day for seed in range(fleets) for day in without_losers(100 + seed, **world)]
    return {
        **world,
        "days": len(days),
        **{f"{rule}: days with a start": round(float(np.mean([day[rule] > 0 for day in days])), 4) for rule in RULES},
        **{f"{rule}: starts a day": round(float(np.mean([day[rule] for day in days])), 3) for rule in RULES},
    }


def loser_row(fleets: int, share: float, **world: Any) -> dict[str, Any]:
    """False among the started, and losers that are found in time."""
    row: dict[str, Any] = {"losers": share, **world}
    for rule in RULES:
        lives = [with_losers(100 + seed, share, rule, **world) for seed in range(fleets)]
        looks = np.array([number for life in lives for number in life["looks"]])
        row[f"{rule}: fdr"] = round(float(np.mean([each for life in lives for each in life["share"]])), 4)
        started_in_all = sum(sum(life["started"]) for life in lives)
        row[f"{rule}: false of all started"] = round(
            sum(sum(life["false"]) for life in lives) / max(1, started_in_all), 4
        )
        row[f"{rule}: at the first look"] = round(float((looks == 1).mean()), 3)
        row[f"{rule}: within four"] = round(float(((looks > 0) & (looks <= 4)).mean()), 3)
    return row


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one fleet of each kind")
    parser.add_argument("--fleets", type=int, default=5, help="of each kind")
    parser.add_argument("--only", default="", help="null or losers")
    options = parser.parse_args()
    fleets = 1 if options.quick else options.fleets
    worlds = [(0.0, "alike"), (0.5, "alike"), (0.5, "either way")]
    results = []
    for rho in (0.0, 0.5, 0.7):
        for world, signs in worlds:
            for name, gain in (("stable", 0.0), ("edge", PRICES.min_gain)):
                if options.only != "losers":
                    row = {"models": name, **null_row(fleets, gain=gain, rho=rho, world=world, signs=signs)}
                    results.append(row)
                    print(json.dumps(row), file=sys.stderr, flush=True)
    for share in (0.01, 0.05, 0.2):
        if options.only != "null":
            for rho in (0.0, 0.5):
                results.append(loser_row(fleets, share, rho=rho, world=0.5, signs="alike"))
                print(json.dumps(results[-1]), file=sys.stderr, flush=True)
    target = "at most 5 % of a day's starts without a true gain"
    print(json.dumps({"benchmark": "fleet_false_starts", "target": target, "results": results}))


if __name__ == "__main__":
    main()
