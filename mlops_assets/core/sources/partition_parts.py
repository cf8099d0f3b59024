"""How the rows of a file lie to those that another file of the same partition has: the partition anew, or a part of it.

Here: which rows come again, and what follows from that. Not here: where the rows are (`steps.land.replaced_rows`,
`onboarding.landing`), what makes a partition a fault by its values (`partition_faults`).

A file holds its partition whole, so a newer one takes the place of an older one. That is right for a correction, and
loses the morning where exports were cut at noon. The rows tell which it is: a correction has most rows again, over the
same stretch of time; a part has others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mlops_assets.core.values.identifiers import NEARLY_ALL

_BY_CHANCE = 0.01
"""Chance that rows which were left out here and there are all those at one end."""
_ENOUGH = 20
"""Rows of which nearly all have a cell of their own only in a column of many more values, few of which come again."""
_Answer = Literal["whole", "part", "unclear"]
_Mask = NDArray[np.bool_]
_Codes = NDArray[np.uint64]


@dataclass(frozen=True)
class Parts:
    """What newer rows of a partition are to older ones.

    Attributes:
        verdict: `whole`: they hold the partition anew; `part`: they stand beside the older ones; `unclear`: neither is
            sure.
        lost: shape (n,), older rows that do not come again.
        beside: shape (n,), older rows that stand beside the newer ones if those are a part: without those again.
    """

    verdict: _Answer
    lost: _Mask
    beside: _Mask


def parts_of(old: pd.DataFrame, new: pd.DataFrame, event_time: str, keys: Sequence[str] = ()) -> Parts:
    """Compare two sets of rows of one partition.

    Args:
        old: n rows, without missing event times.
        new: m rows, likewise; columns that only one of them has do not count.
        event_time: the column with the time of the event.
        keys: columns that together name a row; empty where nothing does.
    """
    codes = _codes(old, new)
    same = _again(_row([*codes.values()]), len(old))
    if same.all():
        return Parts("whole", ~same, ~same)
    if keys:
        again = _again(_row([codes[key] for key in keys]), len(old))
        beside = ~again
    else:
        again, beside = _again_without_key(old, new, codes, event_time), ~same
    lost = ~again
    return Parts(_verdict(old[event_time], new[event_time], lost, beside, is_keyed=bool(keys)), lost, beside)


def _verdict(old: pd.Series, new: pd.Series, lost: _Mask, beside: _Mask, *, is_keyed: bool) -> _Answer:
    """What follows from the older rows that do not come again, and where they lie in time."""
    first, last = new.min(), new.max()
    outside = lost & ((old < first) | (old > last)).to_numpy()
    left_out, ends = lost.mean(), int(outside.sum())
    # Two rows and more that lie at the ends alone are a cut: left out by chance they would lie among the others.
    is_cut = ends > 1 and ends == lost.sum()
    if left_out <= 0.5 and not is_cut and (ends <= 1 or left_out**ends > _BY_CHANCE):
        return "whole"
    if is_keyed and lost.all():
        return "part"
    # Of the moment at which two files meet each may have rows of its own.
    inside = ~outside & ~((old == first) | (old == last)).to_numpy()
    has_others = inside & lost if is_keyed else inside & (lost | beside)
    return "part" if ends and not has_others.any() else "unclear"


def _again_without_key(old: pd.DataFrame, new: pd.DataFrame, codes: dict[str, _Codes], event_time: str) -> _Mask:
    """Older rows that come again, perhaps with other values, where no column names them.

    A row is known again by its time, by all cells but those of one column, or by all, where (nearly) no other row has
    the same; on days of `_ENOUGH` rows by its time and one more cell, too, or by a fraction. Two places that measure at
    the same moments differ in a text throughout.
    """
    n, others = len(old), [name for name in codes if name != event_time]
    none = np.zeros(n, dtype=np.bool_)
    if any(_is_text(old[name]) and _has_none_of(codes[name], n) for name in others):
        return none
    time, every = codes[event_time], _row([*codes.values()])
    ways = [time, every]
    if others:
        ways += [every - cells for cells in codes.values()]
    if min(n, len(new)) >= _ENOUGH:
        ways += [time + codes[name] for name in others]
        ways += [codes[name] for name in others if _has_fractions(old[name])]
    best = none
    for place, rows in enumerate(ways):
        if min(len(np.unique(part)) / len(part) for part in (rows[:n], rows[n:])) < NEARLY_ALL:
            continue
        again = _again(rows, n)
        # Some cells come again by chance.
        if again.sum() > best.sum() and (place < 2 or again.mean() > 0.5):
            best = again
        if best.mean() >= NEARLY_ALL:
            break
    return best


def _codes(old: pd.DataFrame, new: pd.DataFrame) -> dict[str, _Codes]:
    """Shape (n + m,) of each column that both have: equal cells have equal numbers, and so have missing ones.

    The numbers of each column are those of cells times a random one: their sum over columns tells combinations apart.
    """
    weights = np.random.default_rng(0).integers(1, 2**63, len(old.columns), dtype=np.uint64) * np.uint64(2) + np.uint64(
        1
    )
    return {
        str(name): (_factorized(pd.concat([old[name], new[name]], ignore_index=True)) + 1).astype(np.uint64) * weight
        for name, weight in zip(old.columns, weights, strict=True)
        if name in new.columns
    }


def _factorized(cells: pd.Series) -> NDArray[np.intp]:
    try:
        return pd.factorize(cells)[0]
    except TypeError:  # lists and the like have no hash
        return pd.factorize(cells.map(str))[0]


def _row(columns: Sequence[_Codes]) -> _Codes:
    """One number for each combination of cells."""
    rows = np.zeros(len(columns[0]), dtype=np.uint64)
    for cells in columns:
        rows += cells
    return rows


def _again(rows: _Codes, n: int) -> _Mask:
    """Which of the first n rows come again among the others, each as often as it stands there."""
    frame = pd.DataFrame({"row": rows, "is_new": np.arange(len(rows)) >= n})
    frame["place"] = frame.groupby(["is_new", "row"]).cumcount()
    there = pd.MultiIndex.from_frame(frame.loc[frame["is_new"], ["row", "place"]])
    asked = pd.MultiIndex.from_frame(frame.loc[~frame["is_new"], ["row", "place"]])
    return np.asarray(asked.isin(there), dtype=np.bool_)


def _is_text(cells: pd.Series) -> bool:
    return not (pd.api.types.is_numeric_dtype(cells) or pd.api.types.is_datetime64_any_dtype(cells))


def _has_none_of(codes: _Codes, n: int) -> bool:
    """Whether both have values of a column, and none in common."""
    old, new = np.unique(codes[:n]), np.unique(codes[n:])
    return bool(old.any() and new.any()) and not np.isin(old[old > 0], new).any()


def _has_fractions(cells: pd.Series) -> bool:
    return pd.api.types.is_float_dtype(cells) and bool((cells.dropna() % 1 != 0).mean() > 0.5)
