"""What was assumed about a table, and what to look at, in sentences.

Here: those that belong to the whole table. Not here: those on single columns (`columns`, `odd`), their being said
(`plan.Plan.notes` and `warnings`).
"""

from __future__ import annotations

import shlex

from mlops_assets.core.drift.grid import MIN_REFERENCE_ROWS
from mlops_assets.core.values.display import some
from mlops_assets.core.values.quoted_commands import typed
from mlops_assets.onboarding.asked import Asked
from mlops_assets.onboarding.calendar import Calendar
from mlops_assets.onboarding.labels import Label, constant_stretches
from mlops_assets.onboarding.late import LateLabels
from mlops_assets.onboarding.odd.times_of_day import days_alone
from mlops_assets.onboarding.reading.table import Table
from mlops_assets.onboarding.times import TimeColumn

_NAMED = 3
"""Columns that a sentence names."""
JUDGED_ROWS = MIN_REFERENCE_ROWS * 11 // 10
"""Those that a version must be judged on, and a tenth more: days have more or less of them."""


def notes_on(
    asked: Asked, table: Table, time: TimeColumn, days: Calendar, rows: list[str], late: LateLabels | None
) -> list[str]:
    """What was assumed about time, rows (`rows`, of what names them), and how texts are written."""
    notes = []
    if asked.time is None:
        others = f"; {', '.join(time.others)} would do, too" if time.others else ""
        why = f", since it is never later than {some(time.later, _NAMED)}" if time.later else ""
        notes.append(f"A row is about the moment in {time.name}{why} (--time names another column{others}).")
    notes += days_alone(table, time)
    if time.how:
        notes.append(
            f"{time.name} holds {time.how}; it is landed as a timestamp (`mlops land` converts new files the same way)."
        )
    if asked.timezone == "UTC":
        notes.append("Times without an offset, and days, are those of UTC (--timezone).")
    if asked.is_hourly:
        notes.append("Files land by the hour, and a day is known as far as its hours have come: partitions are days.")
    elif asked.grain is None:
        notes.append(
            f"Files land by {days.grain}: {len(days.rows):,} of them from {days.first} to {days.last} (--grain)."
        )
    notes += rows
    if late is not None:
        notes.append(
            f"A label is known at {late.time.name} (--label-time), at most {late.waits_days} days after its row; it "
            f"belongs to the row with the same {late.key} (--key)."
        )
        if not late.time.has_hours:
            notes.append(
                f"{late.time.name} holds days: a label counts as known when its day is over in {asked.timezone} (write "
                "the time of day, if it is known earlier)."
            )
        if late.unknown:
            notes.append(f"{late.unknown:,} labels belong to no row and are landed all the same.")
    elif asked.delay == "0d":
        notes.append("The label is known together with its row (`--label-delay 7d` says that it comes a week later).")
    return [*notes, *_texts_read(table, late)]


def _texts_read(table: Table, late: LateLabels | None) -> list[str]:
    """What was assumed about how texts are written."""
    tables = [table, late.table] if late else [table]
    words = [
        f"{word!r} ({', '.join(f'{count:,} in {name}' for name, count in columns.items())})"
        for source in tables
        for word, columns in source.words.items()
    ]
    said = [note for source in tables for note in source.texts.notes]
    if words:
        said.append(
            f"Read as missing, as empty cells are: {', '.join(words)} (`--not-missing WORD` says that one is a value, "
            "`--missing [COL=]WORD` that another is none)."
        )
    return said


def words_without_cells(asked: Asked, table: Table, late: LateLabels | None) -> list[str]:
    """Sentences on the texts of `--missing` that stand in no cell: a slip, most likely."""
    cells: dict[str, set[str]] = {}
    for source in [table, late.table] if late else [table]:
        for cell, columns in source.words.items():
            for name in ("", *columns):
                cells.setdefault(name, set()).add(cell.strip())
    in_one = [(name, word) for name, words in asked.missing_in.items() for word in words]
    everywhere = [("", word) for word in asked.missing if word in asked.reading.missing]
    return [
        f"No cell{f' of {name}' if name else ''} holds {shlex.quote(word)}, which --missing says means missing: "
        f"look how it is written in the file{_without_column(word)}."
        for name, word in (*in_one, *everywhere)
        if not any(cell == word or _number(cell) == _number(word) is not None for cell in cells.get(name, ()))
    ]


def _without_column(word: str) -> str:
    """What is said of `=-1`, which means missing in all columns, as Excel's =NA() does."""
    return f", or name its column: {typed('--missing', f'COL{word}')}" if word.startswith("=") else ""


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def constant_label(table: Table, label: Label, time: TimeColumn, zone: str) -> list[str]:
    """Stretches in which the label has one value."""
    return [
        f"{label.name} has one value only from {a:%Y-%m} to {b:%Y-%m}: nothing can be judged there."
        for a, b in constant_stretches(table, label, time, zone)
    ]


def too_few(label: Label, table: Table) -> list[str]:
    """What is said where no window can hold enough rows to judge, and leave as many to train on."""
    labelled, needed = round(table.rows * (1 - label.missing_share)), 2 * JUDGED_ROWS
    if labelled >= needed:
        return []
    return [
        f"{labelled:,} rows have a {label.name}, and {needed - labelled:,} more are needed for a first model: it is "
        f"judged on the newest {MIN_REFERENCE_ROWS} at least, and trained on as many before them. Until then nothing "
        "is trained."
    ]


def gaps_in(days: Calendar) -> list[str]:
    """Stretches without a row."""
    gaps = days.gaps
    if not gaps:
        return []
    longest = max(gaps, key=lambda gap: gap[1] - gap[0])
    many = "1 gap" if len(gaps) == 1 else f"{len(gaps)} gaps"
    return [
        f"{many} in time, the longest from {longest[0]} to {longest[1]}: no row, no prediction, no report there.",
    ]
