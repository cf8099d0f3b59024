"""Plain values: what evidence, policies and decisions are on record.

Here: canonical JSON, values and times as plain ones and back; moments, lengths of time and the names of metrics in
words. Not here: what is recorded.

`as_plain` and `from_plain` are the one codec of frozen types, dataclasses and msgspec's alike.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, TypeVar

import msgspec

_T = TypeVar("_T")
Moment = Annotated[datetime, msgspec.Meta(tz=True)]
"""A moment that says its offset."""


def canonical_json(value: Any) -> str:
    """JSON with sorted keys and no spaces, refusing NaN: equal values have equal text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=False)


def plain(value: Any) -> Any:
    """A value as JSON has it: times in UTC as ISO 8601, lengths of time as `7d`, tuples as lists."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    if isinstance(value, timedelta):
        # It takes numpy, and whoever counts in words does not.
        from mlops_assets.core.time.windows import format_duration

        return format_duration(value)
    if isinstance(value, Mapping):
        return {k: plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    return value


def as_plain(value: Any) -> Any:
    """A frozen type as JSON has it; `UNSET` fields are left out."""
    return plain(msgspec.to_builtins(value, builtin_types=(datetime, timedelta), enc_hook=lambda number: number.item()))


def from_plain(kind: type[_T], data: Any) -> _T:
    """The inverse of `as_plain`; fields that the type does not have are left out.

    Raises:
        ValueError: the values are none of that type.
    """
    return msgspec.convert(data, kind)


def left_out(data: Any, known: Any) -> list[str]:
    """The fields that hold something in `data` and are not in `known`, of all depths."""
    if isinstance(data, Mapping) and isinstance(known, Mapping):
        names = [name for name, value in data.items() if name not in known and value not in (None, [], {})]
        return names + [deep for name in data.keys() & known.keys() for deep in left_out(data[name], known[name])]
    if isinstance(data, list) and isinstance(known, list):
        return [deep for pair in zip(data, known, strict=False) for deep in left_out(*pair)]
    return []


def moment(value: str | datetime) -> datetime:
    """A moment in UTC, from text or not.

    Raises:
        ValueError: it has no time zone.
    """
    parsed = value if isinstance(value, datetime) else datetime.fromisoformat(value)
    if parsed.tzinfo is None:
        msg = f"{value} has no time zone: write times with an offset, for example 2013-05-01T00:00:00+00:00"
        raise ValueError(msg)
    return parsed.astimezone(UTC)


def span_told(start: str | datetime, end: str | datetime) -> str:
    """Two moments in words: `2013-10-04 04:00 to 2013-11-01 04:00 UTC`."""
    return f"{moment(start):%Y-%m-%d %H:%M} to {moment(end):%Y-%m-%d %H:%M} UTC"


def days_of(length: timedelta) -> str:
    """A length of time in words: `7 days`, `36.0 hours`."""
    days = length.total_seconds() / 86400
    return f"{days:.0f} days" if days >= 2 else f"{days * 24:.1f} hours"


_ABBREVIATIONS = frozenset({"roc", "auc", "pr", "mae", "mse", "rmse", "rmsle", "mape", "f1", "r2", "ks", "psi"})


def metric_name(name: str) -> str:
    """A metric's identifier as people write it: `roc_auc` is ROC AUC, `log_loss` is log loss."""
    return " ".join(word.upper() if word in _ABBREVIATIONS else word for word in name.split("_"))


def counted(number: int, noun: str) -> str:
    """`3 trainings`, `1 training`, `2 entries`; of several words the last is the one that changes."""
    if number == 1:
        return f"1 {noun}"
    if noun.endswith("y") and noun[-2:-1] not in "aeiou":
        return f"{number:,} {noun[:-1]}ies"
    return f"{number:,} {noun}{'es' if noun.endswith(('s', 'x', 'ch', 'sh')) else 's'}"
