"""Everything that was decided about a table, and what was assumed in doing so.

Here: putting time, label, key and columns together; settings that suit the number of rows. Not here: how each is
found (`times`, `calendar`, `labels`, `columns`, `identity`, `suspects`), the files (`files`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from mlops_assets.core.record.plain_values import counted
from mlops_assets.core.time.windows import format_duration, parse_duration
from mlops_assets.core.values.quoted_commands import typed
from mlops_assets.core.values.sql import quoted
from mlops_assets.onboarding.asked import Asked
from mlops_assets.onboarding.assumptions import (
    JUDGED_ROWS,
    constant_label,
    gaps_in,
    notes_on,
    too_few,
    words_without_cells,
)
from mlops_assets.onboarding.calendar import Calendar, calendar, refuse_strays
from mlops_assets.onboarding.columns import (
    Column,
    Role,
    is_identifier,
    is_nearly_key,
    is_whom,
    plain_names,
    role_of,
)
from mlops_assets.onboarding.event_time import event_time
from mlops_assets.onboarding.fleet_column import refuse_unfit_fleet
from mlops_assets.onboarding.identity import CannotOnboard, Declared, identity_of, nearly_keys
from mlops_assets.onboarding.labels import Label, label_of
from mlops_assets.onboarding.late import LateLabels, with_labels
from mlops_assets.onboarding.odd.changed_days import changed_days
from mlops_assets.onboarding.odd.look_alikes import columns_in_folders, copies, uneven_columns
from mlops_assets.onboarding.odd.oddities import oddities
from mlops_assets.onboarding.odd.repeated_rows import corrected_rows
from mlops_assets.onboarding.odd.times_of_day import holds_clocks
from mlops_assets.onboarding.odd.twelve_hours import clocks_of_twelve
from mlops_assets.onboarding.ranges import Usual, usual_ranges
from mlops_assets.onboarding.reading.table import Table, by_digits, read_table, refuse_codes
from mlops_assets.onboarding.row_names import RowNames, clocks, key_of, row_names
from mlops_assets.onboarding.suspects import doubted
from mlops_assets.onboarding.times import TimeColumn, with_moments

GATE_DAYS = 10
"""Days with rows that a gate window should hold; the interval needs eight."""
GATE_ROWS = 500
MIN_PARTS = 4


@dataclass(frozen=True)
class Plan:
    """What will be written.

    Attributes:
        asked: what a person said.
        table: the rows.
        time: the time column.
        calendar: how the rows lie in time.
        label: the label.
        late: the table of the labels; None where they are in the rows.
        key: the column that identifies each row; None where rows are numbered.
        entity_type: dbt's type of the entity, bigint or varchar.
        columns: all columns but the time, in the file's order.
        null_shares: largest share of missing values in a partition, of columns that miss any.
        usual: where the numbers of a column lie, of columns that keep to a range.
        notes: what was assumed, in sentences.
        warnings: what to look at, in sentences.
    """

    asked: Asked
    table: Table
    time: TimeColumn
    calendar: Calendar
    label: Label
    late: LateLabels | None
    key: str | None
    entity_type: str
    columns: tuple[Column, ...]
    null_shares: dict[str, float]
    usual: dict[str, Usual]
    notes: tuple[str, ...]
    warnings: tuple[str, ...]

    @property
    def name(self) -> str:
        """Of the model, and of its source."""
        return self.asked.name

    @property
    def lands_by(self) -> str:
        """How much a file holds: an hour, day, week or month."""
        return "hour" if self.asked.is_hourly else self.calendar.grain

    @property
    def delay(self) -> timedelta:
        """From the event to its label."""
        return parse_duration(self.asked.delay)

    @property
    def first(self) -> date:
        """The first partition."""
        return min(self.calendar.rows)

    @property
    def entity(self) -> Column | None:
        """Whom a row is about."""
        return next((column for column in self.columns if column.facts.name == self.asked.entity), None)

    @property
    def per(self) -> Column | None:
        """Of whose values each has a model."""
        return next((column for column in self.columns if column.facts.name == self.asked.per), None)

    @property
    def history_windows(self) -> tuple[int, ...]:
        """Days over which an entity's history is counted: short ones where it has many events."""
        if self.calendar.span / self.calendar.days > 5:
            return (90, 365)
        return (7, 30) if self.calendar.span > 120 else (1, 7)

    @property
    def features(self) -> list[Column]:
        """Columns that features are made of."""
        return [column for column in self.columns if column.role != "left out"]

    @property
    def labelled(self) -> int:
        """Rows with a label."""
        return round(self.table.rows * (1 - self.label.missing_share))

    @property
    def min_rows(self) -> int:
        """Fewest rows to train on: 500, less where there is little history."""
        return max(50, min(500, self.labelled // 8))

    @property
    def gate_rows(self) -> int:
        """Fewest rows to judge on: 50, less where there is little history."""
        return max(30, min(50, self.labelled // 20))

    @property
    def monitoring_window(self) -> str:
        """A month, week or day: the longest of which there are many."""
        return "month" if self.calendar.span > 180 else "week" if self.calendar.span > 28 else "day"

    @property
    def gate_window(self) -> str:
        """Long enough for `GATE_DAYS` days with rows and `GATE_ROWS` rows, at most a quarter of the history.

        With little history it is longer, and half of that at most: a version has `MIN_REFERENCE_ROWS` judged rows.
        """
        by_days = GATE_DAYS * self.calendar.span / self.calendar.days
        by_rows = min(GATE_ROWS, self.labelled / 6) * self.calendar.span / max(self.labelled, 1)
        wanted = max(by_days, by_rows, 28)
        judged = JUDGED_ROWS * self.calendar.span / max(self.labelled, 1)
        least = min(judged, self.calendar.span / 2)
        return f"{max(8, math.ceil(max(least, min(wanted, max(self.calendar.span / 4, by_days)))))}d"

    @property
    def max_delay(self) -> str:
        """How long a window waits for labels: their delay, and a partition in which they may land."""
        landing = {"day": timedelta(days=1), "week": timedelta(days=7), "month": timedelta(days=31)}
        delay = timedelta(days=self.late.waits_days) if self.late else self.delay
        return format_duration(delay + (timedelta(hours=1) if self.asked.is_hourly else landing[self.calendar.grain]))


def make_plan(asked: Asked, declared: Mapping[str, Declared] | None = None) -> Plan:
    """Look at the files and decide.

    Args:
        asked: what a person said.
        declared: the entities that the project has already.

    Raises:
        CannotOnboard: what was asked for does not fit.
        UnreadableTable: the files are no table.
        NoTime: nothing says when a row is about.
        NoLabel: there is nothing to predict.
    """
    table = with_moments(read_table(asked.pattern, reading=asked.reading), asked.moments, asked.timezone)
    if asked.entity in table.facts:
        table = by_digits(table, str(asked.entity))
    time = event_time(table, asked.time, asked.timezone)
    refuse_strays(table, time)
    days = calendar(table, time, asked.timezone, asked.grain)
    whole, late = table, None
    if asked.labels is not None:
        table, whole, late = with_labels(
            table, time, asked.labels,
            key=asked.key, label=asked.label, known=asked.label_time, zone=asked.timezone, reading=asked.reading,
        )  # fmt: skip
    asked.refuse_unknown_columns([*table.facts, *(late.table.facts if late else ())])
    label = label_of(whole, time, late.column if late else asked.label, asked.task)
    _refuse_short(asked, days)
    others = (time.name, label.name)
    naming = row_names(table, time, but=(*others, *filter(None, (asked.entity,))))
    key = late.key if late else key_of(table, naming, others)
    refuse_unfit_fleet(asked.per, table, others=(*others, *filter(None, (key,))))
    refuse_codes(table, [name for name in table.facts if name == key or is_nearly_key(table.facts[name])])
    columns, warnings = _columns(whole, time, label, asked, naming)
    identity = identity_of(
        table, columns, model=asked.name, entity=asked.entity, others=others, declared=declared or {}
    )
    rows = naming.notes(table, key, asked.name)
    lands_by = "hour" if asked.is_hourly else days.grain
    measures = [c.facts.name for c in columns if c.role == "numeric"]
    changed = changed_days(table, time, days, asked.timezone, _with_units(table, time, label, measures, naming))
    return Plan(
        asked=asked,
        table=table,
        time=time,
        calendar=days,
        label=label,
        late=late,
        key=key,
        entity_type=identity.dtype,
        columns=columns,
        null_shares=_null_shares(table, time, lands_by),
        usual=usual_ranges(
            table, time, measures, lands_by, without={name: change.condition for name, change in changed.items()}
        ),
        notes=(*identity.notes, *notes_on(asked, table, time, days, rows, late), *label.notes),
        warnings=(
            *label.warnings,
            *too_few(label, table),
            *constant_label(whole, label, time, asked.timezone),
            *gaps_in(days),
            *words_without_cells(asked, table, late),
            *uneven_columns(table.files),
            *columns_in_folders(table),
            *copies(table, without=others),
            *corrected_rows(table.cells, table.repeats, time.name, time.sql, zone=asked.timezone, grain=days.grain),
            *(nearly_keys(table, others) if key is None else []),
            *oddities(table, time, asked.timezone),
            *(clocks_of_twelve(late.table) if late else []),
            *(change.sentence for change in changed.values()),
            *warnings,
        ),
    )


def _refuse_short(asked: Asked, days: Calendar) -> None:
    if len(days.rows) < MIN_PARTS:
        raise CannotOnboard(
            f"All rows of {asked.pattern} lie in {len(days.rows)} {days.grain}s ({days.first} to {days.last}): too "
            "short a history to train on its first part and live through the rest. Give more history, or a shorter "
            "--grain. Nothing was written."
        )


def _refuse_featureless(asked: Asked, label: Label, columns: Sequence[Column]) -> None:
    if all(column.role == "left out" for column in columns):
        raise CannotOnboard(
            f"No column of {asked.pattern} can be a feature of {label.name}: "
            f"{'; '.join(f'{c.facts.name}: {c.why}' for c in columns)}. Give a file with more columns. Nothing was "
            "written."
        )


def _with_units(table: Table, time: TimeColumn, label: Label, measures: list[str], naming: RowNames) -> list[str]:
    """The columns, and the label, that may be in another unit on some days: neither go with time nor may name rows."""
    of_label = [label.name] if label.task == "regression" and label.name in table.facts else []
    names = [*measures, *of_label]
    without = {*naming.possible, *clocks(table, time, names)}
    return [name for name in names if name not in without]


def _columns(
    table: Table, time: TimeColumn, label: Label, asked: Asked, naming: RowNames
) -> tuple[tuple[Column, ...], list[str]]:
    """What becomes of each column but the time; and what to look at."""
    names = plain_names([n for n in table.facts if n != time.name], table.keywords, taken=(f"{asked.name}_id",))
    suspected = doubted(table, time, label)
    columns, warnings = [], []
    for name, plain in names.items():
        facts = table.facts[name]
        role, why = role_of(facts)
        if name == label.name:
            role, why = "left out", "it is the label"
        elif name == asked.entity:
            role, why = "left out", "it is the entity; its history is a feature view of its own"
        elif name in naming.certain:
            role, why = "left out", naming.certain[name]
        elif role != "left out" and name in suspected:
            role, why = "left out", suspected[name]
            warnings.append(
                f"{name} looks like leakage: {why}. It is left out of the features; if it was known in time, add it "
                f"to feat_{asked.name}."
            )
        is_measured = name in table.texts.amounts or holds_clocks(table, facts)
        if asked.entity is None and name != label.name and is_whom(facts, is_measured=is_measured):
            known = facts.rows - facts.missing
            each = f"{facts.distinct:,} things, each in {known / facts.distinct:.1f} rows on average"
            option = f"{typed('--entity', name)} adds the history of each"
            if facts.missing:
                option += f", once the {counted(facts.missing, 'row')} without {name} are removed"
            warnings.append(f"{name} names {each}: if rows are about them, {option}. {_TAKEN[role].format(name)}")
        is_name = name in naming.certain or (facts.is_number and is_identifier(facts))
        columns.append(Column(facts, plain, role, why, is_name))
    _refuse_featureless(asked, label, columns)
    return tuple(columns), warnings


_TAKEN: dict[Role, str] = {
    "numeric": "Without it {} is a number to the model, as if 7 were more than 6.",
    "categorical": "Without it {} is a category like any other.",
    "left out": "Without it {} is left out.",
    "boolean": "",
    "moment": "",
}
"""How a column that names things is taken where they are not the entity."""


def _null_shares(table: Table, time: TimeColumn, length: str) -> dict[str, float]:
    """The largest share of missing values in a file of this length, of each column that misses any."""
    missing = [name for name, facts in table.facts.items() if facts.missing]
    if not missing:
        return {}
    shares = ", ".join(f"max(share_{i})" for i in range(len(missing)))
    each = ", ".join(f"1 - count({quoted(name)}) / count(*) as share_{i}" for i, name in enumerate(missing))
    largest = table.connection.execute(
        f"select {shares} from (select {each} from {table.relation} group by date_trunc('{length}', {time.sql}))"
    ).fetchall()[0]
    return dict(zip(missing, (float(share) for share in largest), strict=True))
