"""Drift inside one slice that the whole does not show.

Here: profiles of slices on one coarse grid, and the features that moved in a slice but not in all rows. Not here: the
statistics (`feature_drift`), which columns are slices (`monitoring.slices` of a model's YAML), drift of all rows
(`drift_findings`).

A carrier with a tenth of the rows may lose a feature altogether and move its PSI over all rows by next to nothing. A
slice has few rows, though, and many slices times many features are many chances: a PSI must be above the policy's
level by what sampling alone adds on average, (groups - 1) (1 / n + 1 / m), twice as large as that of all rows, and
larger than what the older and the newer half of the slice's own reference differ by, so that a mean over four weeks,
which takes few values in a slice, does not ring each month. What then still rings by chance is days that are not
alike; nothing follows from it but a line in the report.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from mlops_assets.core.drift.calibration import Breach, Levels, breaches
from mlops_assets.core.drift.feature_drift import FeatureDrift, compare
from mlops_assets.core.drift.grid import Grid, Kind, NumericGrid
from mlops_assets.core.drift.profile import Profile
from mlops_assets.core.drift.statistics import PSI_BINS
from mlops_assets.core.stats.comparison import slice_rows
from mlops_assets.core.values.display import some

_BINS = 128
"""Of equal mass for a number: a PSI needs ten, and its borders are off by one of these at most."""
_MIN_ROWS = 500
"""Smaller slices are named, not compared: of 500 rows a side, sampling adds 0.04 to a PSI of ten groups."""
MAX_SLICES = 100
"""The largest ones are kept."""
TIMES = 2.0
"""A slice's value must be so many times that of all rows."""
STATISTICS = ("psi", "kl", "js", "wasserstein", "new_share", "missing_change", "outside_share")
"""Those whose size within the reference is looked at."""
_TOLD = 3


@dataclass(frozen=True)
class SliceReference:
    """What a slice was like.

    Attributes:
        profile: of its rows.
        usual: feature -> statistic -> how far the newer half of its rows is from the older; absent where unknown.
    """

    profile: Profile
    usual: Mapping[str, Mapping[str, float]] = field(default_factory=dict)


@dataclass(frozen=True)
class LocalFinding:
    """One feature that moved in one slice.

    Attributes:
        slice: `column=value`.
        feature: its name.
        statistic: the worst breach ...
        value: ... with this value in the slice ...
        level: ... where this was allowed.
        whole: the statistic over all rows; None where it is not defined there.
        n_reference: rows of the slice in the reference.
        n_current: rows of it in the window.
        matters: importance of the feature times excess (value / level); findings are sorted by it.
        sentence: for people.
    """

    slice: str
    feature: str
    statistic: str
    value: float
    level: float
    whole: float | None
    n_reference: int
    n_current: int
    matters: float
    sentence: str


@dataclass(frozen=True)
class LocalDrift:
    """What moved in slices only.

    Attributes:
        findings: what matters most first.
        judged: slices that were compared.
        too_small: slices that were not, for want of rows on either side.
        sentence: for people.
    """

    findings: tuple[LocalFinding, ...]
    judged: int
    too_small: tuple[str, ...]
    sentence: str


def slice_grid(frame: pd.DataFrame, kinds: Mapping[str, Kind]) -> Grid:
    """A coarse grid over a reference, counted by sorting: cells pay from some ten thousand rows on.

    Args:
        frame: the reference's rows.
        kinds: its features.

    Raises:
        CannotJudge: fewer than 100 rows.
    """
    laid = Grid.from_reference(frame, kinds, bins=_BINS).features
    return Grid.of({n: replace(grid, cuts=None) if isinstance(grid, NumericGrid) else grid for n, grid in laid.items()})


def slice_profiles(grid: Grid, frame: pd.DataFrame, slices: Mapping[str, Any]) -> dict[str, Profile]:
    """The profile of every slice, the largest ones where there are over a hundred.

    Args:
        grid: of the reference's features.
        frame: n rows with them.
        slices: column -> values, shape (n,); missing values form no slice.

    Returns:
        `column=value` -> profile, in the order of names.
    """
    largest = sorted(slice_rows(slices), key=lambda part: (-part[1].size, part[0]))[:MAX_SLICES]
    return {name: Profile.of(grid, frame.iloc[rows]) for name, rows in sorted(largest)}


def slice_references(grid: Grid, frame: pd.DataFrame, slices: Mapping[str, Any]) -> dict[str, SliceReference]:
    """The slices of a reference that are large enough to be compared with, and what is usual in them.

    Args:
        grid: of the reference's features.
        frame: its rows, in the order of time.
        slices: column -> values, shape (n,).
    """
    references = {}
    for name, rows in slice_rows(slices):
        if rows.size < _MIN_ROWS:
            continue
        halves = [Profile.of(grid, frame.iloc[half]) for half in np.array_split(np.sort(rows), 2)]
        references[name] = SliceReference(halves[0] + halves[1], _between(*halves))
    kept = sorted(references, key=lambda name: (-references[name].profile.rows, name))[:MAX_SLICES]
    return {name: references[name] for name in sorted(kept)}


def _between(older: Profile, newer: Profile) -> dict[str, dict[str, float]]:
    return {
        drift.feature: {name: abs(value) for name in STATISTICS if (value := getattr(drift, name)) is not None}
        for drift in compare(older, newer)
    }


def local_drift(
    reference: Mapping[str, SliceReference],
    current: Mapping[str, Profile],
    *,
    whole: Sequence[FeatureDrift],
    levels: Levels,
    importance: Mapping[str, float],
) -> LocalDrift:
    """The features that moved in a slice and not in all rows.

    Args:
        reference: `slice_references` of the reference.
        current: `slice_profiles` of the window, on the same grid.
        whole: the drift of all rows, as `compare` returned it.
        levels: of its statistics; the slices' are wider by what their size adds.
        importance: feature -> share of the champion's gain.
    """
    everywhere = {drift.feature: drift for drift in whole}
    # Of what cannot be judged over all rows a slice, which has fewer, says nothing either.
    left = {drift.feature for drift in whole if drift.why is None and not breaches(drift, levels)}
    large = [name for name in current if name in reference and current[name].rows >= _MIN_ROWS]
    findings = [
        _finding(name, breach, everywhere[breach.feature], reference[name].profile, current[name], importance)
        for name in large
        for drift in compare(reference[name].profile, current[name], features=left)
        for breach in _own(drift, everywhere[drift.feature], levels, reference[name], current[name])[:1]
    ]
    findings.sort(key=lambda finding: (-finding.matters, -finding.value / max(finding.level, 1e-9), finding.slice))
    small = tuple(sorted({*reference, *current} - set(large)))
    return LocalDrift(tuple(findings), len(large), small, _sentence(findings, len(large), small))


def _groups(drift: FeatureDrift, reference: Profile, current: Profile) -> int:
    """Groups that a PSI sums over: ten of a number, the categories that either side has."""
    if drift.kind != "categorical":
        return PSI_BINS
    return int(np.count_nonzero(reference.counts[drift.feature] + current.counts[drift.feature]))


def _own(
    drift: FeatureDrift, whole: FeatureDrift, levels: Levels, reference: SliceReference, current: Profile
) -> list[Breach]:
    """What is beyond the levels of such a slice, its own past, and well beyond what all rows show; the worst first."""
    level = dict(levels.level.get(drift.feature, {}))
    usual = reference.usual.get(drift.feature, {})
    for statistic in level:
        # A p-value knows how many rows there are; that of all rows is above its level, or nobody would ask.
        if statistic.endswith("_p"):
            continue
        if statistic == "psi" and drift.n_reference and drift.n_current:
            groups = _groups(drift, reference.profile, current)
            level[statistic] += (groups - 1) * (1.0 / drift.n_reference + 1.0 / drift.n_current)
        over_all = TIMES * abs(getattr(whole, statistic) or 0.0)
        level[statistic] = max(level[statistic], over_all, usual.get(statistic, 0.0))
    return breaches(drift, replace(levels, level={drift.feature: level}))


def _finding(
    name: str,
    breach: Breach,
    whole: FeatureDrift,
    reference: Profile,
    current: Profile,
    importance: Mapping[str, float],
) -> LocalFinding:
    over_all = getattr(whole, breach.statistic)
    sentence = f"{name}: {breach.feature} has moved ({breach.statistic} {breach.value:.3g}, level {breach.level:.3g}"
    sentence += f"; over all rows {over_all:.3g})" if over_all is not None else ")"
    return LocalFinding(
        slice=name,
        feature=breach.feature,
        statistic=breach.statistic,
        value=breach.value,
        level=breach.level,
        whole=over_all,
        n_reference=reference.rows,
        n_current=current.rows,
        matters=importance.get(breach.feature, 0.0) * breach.excess,
        sentence=f"{sentence}, in {current.rows:,} rows.",
    )


def _sentence(findings: Sequence[LocalFinding], judged: int, small: Sequence[str]) -> str:
    slices = len({finding.slice for finding in findings})
    head = f"Of {judged} slices, none shows drift that all rows together do not"
    if findings:
        head = f"In {slices} of {judged} slices features moved that did not move over all rows: "
        head += some([finding.sentence for finding in findings], _TOLD, between="; ")
    note = f" {len(small)} have fewer than {_MIN_ROWS} rows on a side and were not compared." if small else ""
    return f"{head}.{note}"
