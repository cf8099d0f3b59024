"""The look-ahead guard on paper: what was known of a table at a moment, and how two computations of a view differ.

Here: what of a source is hidden until it became known (its `known_at`), the SQL that hides it, the SQL that compares a
view computed from everything with one computed from what was known, and what is found. Not here: compiling dbt's
models and running any of it (`steps.features.look_ahead`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from mlops_assets.core.features.catalogue import FeatureView
from mlops_assets.core.sources.settings import SourceSettings
from mlops_assets.core.values.sql import quoted

WHOLE_ROW = "*"
"""Stands for the rows themselves where a column is named."""
NTH = quoted("nth of key")
"""A row's number among those of its key and time."""
RELATIVE, ABSOLUTE = 1e-6, 1e-9
"""How far two numbers may differ and count as equal: a sum in another order differs in its last digits."""
SAMPLED_ROWS = 5
"""Rows shown of each feature that peeks."""
CHECK = "no_feature_looks_ahead"
"""The asset check of a feature view."""
_FLOATS = ("float64", "float32")


@dataclass(frozen=True)
class Hidden:
    """Something of a source that is not known from the beginning.

    Attributes:
        source: its name.
        column: the column, or `WHOLE_ROW` for whole rows.
        known_at: SQL over a row: when it became known, a TIMESTAMPTZ; NULL means never.
    """

    source: str
    column: str
    known_at: str

    @property
    def words(self) -> str:
        """What a view that reads it too early reads."""
        if self.column == WHOLE_ROW:
            return f"rows of {self.source} that came later"
        return f"{self.source}.{self.column} before it was known"


@dataclass(frozen=True)
class Peek:
    """A feature that is another one when the future is hidden.

    Attributes:
        feature: its name; `WHOLE_ROW` where rows come or go.
        rows: how many of the compared rows differ, over all moments.
        reads: what of the future it reads, in words.
        sample: some of these rows: `as_of`, keys and times, `known_then` and `with_later_data`.
    """

    feature: str
    rows: int
    reads: tuple[str, ...]
    sample: tuple[Mapping[str, Any], ...]

    @property
    def is_of_rows(self) -> bool:
        """Whether it is rows that come or go, and no value."""
        return self.feature == WHOLE_ROW


@dataclass(frozen=True)
class LookAhead:
    """What the guard found of one view.

    Attributes:
        view: its name.
        moments: as of when it was computed again.
        rows: rows compared, over all moments.
        peeks: features that look ahead; empty if none does.
    """

    view: str
    moments: tuple[datetime, ...]
    rows: int
    peeks: tuple[Peek, ...]

    @property
    def passed(self) -> bool | None:
        """Whether no feature looks ahead; None where there was nothing to compare."""
        return not self.peeks if self.rows else None

    @property
    def sentence(self) -> str:
        """What was found, and what to do."""
        if not self.rows:
            return (
                f"{self.view}: nothing was compared, for it has no rows in these days. Land data, or look at more days."
            )
        if not self.peeks:
            return f"{self.view}: no feature looks ahead ({self.rows:,} rows as of {len(self.moments)} moments)."
        leaks = "; ".join(
            f"{'rows come or go' if peek.is_of_rows else peek.feature} ({peek.rows:,} rows; reads "
            f"{', '.join(peek.reads) or 'later data'})"
            for peek in self.peeks
        )
        return (
            f"{self.view} looks ahead: {leaks}. Let it read only what was known by event_timestamp and "
            "created_timestamp, or correct `known_at` in the source's YAML if that is wrong."
        )


def hidden_parts(source: SourceSettings) -> list[Hidden]:
    """What of a source becomes known in the course of time: its rows, and columns with a `known_at` of their own."""
    hidden = []
    rows = source.moment_sql(source.known_at) if source.known_at else source.event_sql
    if rows:
        hidden.append(Hidden(source.name, WHOLE_ROW, rows))
    for name, column in source.contract.columns.items():
        if column.known_at:
            hidden.append(Hidden(source.name, name, source.moment_sql(column.known_at)))
    return hidden


def as_known(relation: str, parts: Collection[Hidden], as_of: datetime) -> str:
    """SQL of a source's table as it was known at a moment.

    Args:
        relation: SQL of the table with everything that is known today.
        parts: what to hide of it until it was known.
        as_of: the moment; what became known then is known.
    """
    moment = f"timestamptz '{as_of.isoformat()}'"
    values = [
        f"case when ({part.known_at}) <= {moment} then {quoted(part.column)} end as {quoted(part.column)}"
        for part in parts
        if part.column != WHOLE_ROW
    ]
    rows = [f"({part.known_at}) <= {moment}" for part in parts if part.column == WHOLE_ROW]
    replaced = f" replace ({', '.join(values)})" if values else ""
    return f"select *{replaced} from {relation}" + (f" where {' and '.join(rows)}" if rows else "")


def usable_from(view: FeatureView) -> str:
    """SQL over a row of a view: from when it is given to a model, for the join asks for both of its times."""
    return f"greatest({quoted(view.timestamp)}, {quoted(view.created)})"


def pairs_sql(view: FeatureView, whole: str, known: str, as_of: datetime) -> str:
    """SQL that joins the rows of two computations of a view that were usable at a moment.

    Columns: `of_whole` and `of_known`, the rows as structs whose `NTH` is NULL where there is none. The names of our
    own have a space, which no column of the catalogue has (`core.features.dbt_meta`): `a` would be the view's column
    `a`.

    Args:
        view: the view; its keys and event time identify a row.
        whole: the table computed from everything.
        known: the table computed from what was known at the moment.
        as_of: the moment.
    """
    keys = [*view.entities, view.timestamp]
    listed = ", ".join(quoted(key) for key in keys)

    def usable(table: str) -> str:
        return (
            f"select *, row_number() over (partition by {listed} order by {quoted(view.created)}) as {NTH} "
            f"from {table} where {usable_from(view)} <= timestamptz '{as_of.isoformat()}'"
        )

    a, b = quoted("row of whole"), quoted("row of known")
    same = " and ".join(f"{a}.{key} is not distinct from {b}.{key}" for key in [*map(quoted, keys), NTH])
    return (
        f"select {a} as of_whole, {b} as of_known from ({usable(whole)}) as {a} "
        f"full outer join ({usable(known)}) as {b} on {same}"
    )


def differs(view: FeatureView) -> dict[str, str]:
    """SQL over a pair of rows: for each feature, whether its value differs; for `WHOLE_ROW`, whether one is missing."""
    conditions = {WHOLE_ROW: f"of_whole.{NTH} is null or of_known.{NTH} is null"}
    for feature in view.features:
        a, b = (f"{side}.{quoted(feature.name)}" for side in ("of_whole", "of_known"))
        other = f"{a} is distinct from {b}"
        if feature.dtype in _FLOATS:
            close = f"abs({a} - {b}) <= {ABSOLUTE} + {RELATIVE} * greatest(abs({a}), abs({b}))"
            other = f"{other} and not coalesce({close}, false)"
        conditions[feature.name] = f"not ({conditions[WHOLE_ROW]}) and {other}"
    return conditions


def moments_among(times: Sequence[datetime], wanted: int) -> tuple[datetime, ...]:
    """Some of the times at which rows became usable, evenly among the rows, the newest among them.

    Args:
        times: one a row, in order.
        wanted: how many.
    """
    if not times:
        return ()
    places = {round((len(times) - 1) * (place + 1) / wanted) for place in range(wanted)}
    return tuple(dict.fromkeys(times[place] for place in sorted(places)))
