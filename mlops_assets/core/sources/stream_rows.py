"""Messages of a stream as rows: which can be one by itself, in which partition, and why the others cannot.

Here: decoded messages held against a source's contract, one by one. Not here: bytes (`steps.land.stream_decoding`),
what only a whole partition can break, such as keys, counts and shares (`core.sources.contract`, when the partition is
taken in).

A message that breaks a rule which no share excuses is poison: it would stop the whole partition that it belongs to, and
nobody can send a correction of a message.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd

from mlops_assets.core.sources.contract import Column, SourceContract
from mlops_assets.core.sources.contract_cast import conform
from mlops_assets.core.sources.contract_check import check_frame
from mlops_assets.core.sources.contract_failures import NUL, hint_of
from mlops_assets.core.sources.settings import partition_of
from mlops_assets.core.sources.stream_settings import StreamSettings
from mlops_assets.core.time.local_times import local_times
from mlops_assets.core.values.exact import holds_nul

SKEW = timedelta(minutes=5)
"""How far the clock of a sender may be ahead."""


class Undecodable(ValueError):
    """The bytes of a message are not what the format says; the message says how."""


Decoded = Mapping[str, Any] | Undecodable


@dataclass(frozen=True)
class JudgedRows:
    """Messages as rows.

    Attributes:
        rows: of the sound ones, in the declared columns and types, indexed by their place among all.
        partition: shape (n,), the first day of each message's partition as ISO text, or its hour; None for poison.
        poison: place -> why.
    """

    rows: pd.DataFrame
    partition: np.ndarray
    poison: Mapping[int, str]


def judge_messages(source: StreamSettings, messages: Sequence[Decoded], *, now: datetime) -> JudgedRows:
    """Hold each message against the contract by itself.

    Args:
        source: with the contract.
        messages: n decoded ones, in order.
        now: an event later than this by more than `SKEW` is none, where the contract refuses the future: it would
            close the partitions of today.
    """
    values, poison = _fields(source, messages)
    places = np.array([place for place in range(len(messages)) if place not in poison], dtype=np.int64)
    # As they came: pandas would make floats of integers where one message has none, and identifiers lose digits.
    frame = pd.DataFrame(
        {name: [values[place].get(name) for place in places] for name in source.contract.columns}, dtype=object
    )
    alone = _of_one_row(source.rules)
    checked = check_frame(alone, frame, now=now + SKEW, alone=True)
    if checked.bad_rows.any():
        bad = np.flatnonzero(checked.bad_rows)
        poison |= dict(zip(places[bad].tolist(), _reasons(alone, frame.iloc[bad], now + SKEW), strict=True))
    sound = ~checked.bad_rows
    # Cast anew where one was bad: a wrong cell among thousands must not have decided how the others are read.
    cast = checked.frame if sound.all() else conform(source.rules, frame[sound]).frame
    rows = cast.set_index(pd.Index(places[sound]))
    partition: np.ndarray = np.full(len(messages), None, dtype=object)
    partition[places[sound]] = _partitions(source, rows[str(source.event_time)])
    early = {int(place): _too_early(source) for place in places[sound] if partition[place] < str(source.start_date)}
    partition[list(early)] = None
    return JudgedRows(rows.drop(index=list(early)), partition, poison | early)


def _fields(source: StreamSettings, messages: Sequence[Decoded]) -> tuple[dict[int, Mapping[str, Any]], dict[int, str]]:
    """Place -> fields by their columns' names; place -> why it cannot have any."""
    declared, others = source.contract.columns.keys(), source.other_names
    values: dict[int, Mapping[str, Any]] = {}
    poison: dict[int, str] = {}
    for place, message in enumerate(messages):
        if isinstance(message, Undecodable):
            poison[place] = str(message)
            continue
        fields = message
        if not fields.keys() <= declared:
            fields = {others.get(name, name): value for name, value in message.items()}
            unknown = fields.keys() - declared
            if len(fields) < len(message):
                poison[place] = f"a field stands in it under two names: {', '.join(sorted(message))}"
                continue
            if unknown and source.contract.extra == "forbid":
                poison[place] = _unknown(source, fields, sorted(unknown))
                continue
        nested = [name for name, value in fields.items() if isinstance(value, dict | list)]
        if nested:
            poison[place] = f"{nested[0]} is no single value"
            continue
        values[place] = fields
    return values, poison


def _unknown(source: StreamSettings, fields: Mapping[str, Any], unknown: Sequence[str]) -> str:
    absent = [name for name, column in source.contract.columns.items() if column.required and name not in fields]
    if len(absent) == len(unknown) == 1:
        return (
            f"{absent[0]} is missing and {unknown[0]} is not declared; if that is its new name, write "
            f"renamed: {{{absent[0]}: [{unknown[0]}]}} under stream"
        )
    return f"{', '.join(unknown)} is not declared in the contract"


def _of_one_row(rules: SourceContract) -> SourceContract:
    """The contract's rules that one row can break, whatever the others are."""
    columns = {name: _strict(column, name in rules.never_null) for name, column in rules.columns.items()}
    return replace(rules, columns=columns, unique=(), min_rows=0, max_rows=None, extra="ignore")


def _strict(column: Column, never_null: bool) -> Column:
    """A column without what a share excuses."""
    may_be_missing = not never_null and column.nullable and column.max_null_share != 0.0
    allowed = column.allowed if column.new_category_share == 0.0 else None
    return replace(column, required=False, nullable=may_be_missing, max_null_share=None, allowed=allowed, usual=None)


def _reasons(rules: SourceContract, frame: pd.DataFrame, now: datetime) -> list[str]:
    """Why each row is bad: its columns, one after the other, since a check of all says only that it is."""
    reasons: list[list[str]] = [[] for _ in range(len(frame))]
    for name, column in rules.columns.items():
        alone = replace(rules, columns={name: column}, event_time=name if name == rules.event_time else None)
        checked = check_frame(alone, frame[[name]].reset_index(drop=True), now=now, alone=True)
        for place in np.flatnonzero(checked.bad_rows):
            cell = frame[name].iloc[place]
            why = NUL if holds_nul(cell) else hint_of(column, cell)
            reasons[place].append(f"{name} is {_shown(cell)}, declared as {_declared(column)}{why and f' ({why})'}")
    return ["; ".join(each) or "it breaks the contract" for each in reasons]


def _shown(value: Any) -> str:
    if value is None or value is pd.NA or value != value:
        return "missing"
    return repr(value.item() if isinstance(value, np.generic) else value)[:80]


def _declared(column: Column) -> str:
    limits = [f"{name} {value}" for name, value in (("from", column.min), ("to", column.max)) if value is not None]
    known = [f"one of {', '.join(map(str, column.allowed))}"] if column.allowed else []
    return " ".join([column.type, *([] if column.nullable else ["never missing"]), *limits, *known])


def _partitions(source: StreamSettings, moments: pd.Series) -> np.ndarray:
    """The first day of the partition of each moment, as ISO text; where files hold an hour, that hour of its day."""
    local = local_times(moments, source.timezone)
    if source.is_hourly:
        return local.dt.strftime("%Y-%m-%dT%H").to_numpy(dtype=object)
    codes, unique = pd.factorize(local.dt.date)
    names = np.array([partition_of(day, source.grain).isoformat() for day in unique], dtype=object)
    return names[codes] if len(names) else np.empty(0, dtype=object)


def _too_early(source: StreamSettings) -> str:
    return f"{source.event_time} is before the source's start, {source.start_date}"
