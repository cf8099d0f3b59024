from __future__ import annotations

import re
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

from mlops_assets.core.drift.feature_drift import compare
from mlops_assets.core.drift.grid import Grid
from mlops_assets.core.drift.policy import DriftPolicy, drift_verdict
from mlops_assets.core.drift.profile import Profile
from mlops_assets.pages.drift import drift_page, histogram

RANDOM = np.random.default_rng(2)


def frame(shift: float) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "<x>": RANDOM.standard_normal(2_000) + shift,
            "kind": RANDOM.choice(["a", "<b>"] if not shift else ["a", "new"], 2_000),
            "nothing": np.full(2_000, np.nan),
        }
    )


def page(current: pd.DataFrame) -> str:
    reference = frame(0.0)
    grid = Grid.from_reference(reference)
    profiles = Profile.of(grid, reference), Profile.of(grid, current)
    drifts = compare(*profiles)
    verdict = drift_verdict(drifts, DriftPolicy())
    return drift_page(
        names=("old <1>", "new"), profiles=profiles, drifts=drifts, verdict=verdict, left_out={"day": "a time"}, kl=True
    )


class Checked(HTMLParser):
    """Which tags there are, and whether each is closed."""

    VOID = frozenset({"meta", "br"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.seen.append(tag)
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: object) -> None:
        self.seen.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_needs_nothing_and_names_everything() -> None:
    text = page(frame(1.0))
    checked = Checked()
    checked.feed(text)
    assert checked.open == []
    assert checked.seen.count("tr") == 4
    assert checked.seen.count("svg") == 1
    assert not {"script", "link", "img"} & set(checked.seen)
    assert not re.search(r"https?://", text)
    assert "<h1>Drift</h1>" in text
    assert "&lt;x&gt; PSI" in text
    assert "old &lt;1&gt;" in text
    assert "new ones" in text
    assert "day (a time)" in text
    assert "cannot judge" in text
    assert "<h1>No drift</h1>" in page(frame(0.0))


def test_the_bars_hold_the_shares() -> None:
    reference, current = frame(0.0), frame(0.5)
    grid = Grid.from_reference(reference)
    counts = [Profile.of(grid, side).counts["<x>"] for side in (reference, current)]
    p, q = (side / side.sum() for side in counts)
    borders, ref, cur = histogram(grid.features["<x>"], p, q)
    for values, bars in ((reference["<x>"], ref), (current["<x>"], cur)):
        exact = np.histogram(values, borders)[0] / len(values)
        assert bars == pytest.approx(exact, abs=0.005)
    assert min(ref.sum(), cur.sum()) > 0.97


def test_bars_of_whole_numbers_hold_as_many_of_them_each() -> None:
    ages = pd.DataFrame({"age": np.repeat(np.arange(18, 90), 40)})  # 72 values, as often each: a flat drawing
    grid = Grid.from_reference(ages)
    counts = Profile.of(grid, ages).counts["age"] / len(ages)
    borders, ref, _ = histogram(grid.features["age"], counts, counts)
    assert ref == pytest.approx(np.full(36, 1 / 36))
    assert (f"{borders[0]:.4g}", f"{borders[-1]:.4g}") == ("18", "90")
