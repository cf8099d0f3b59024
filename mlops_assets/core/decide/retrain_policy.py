"""When to retrain: what was agreed beforehand.

Here: the fields under `retrain:` in a model's YAML, their defaults and their reading. Not here: the rules that read
them (`rules`), other sections of the YAML (`settings`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import timedelta
from typing import Annotated, Any, Literal, Self, get_args

from mlops_assets.core.decide.agreed.reading import read_triggers
from mlops_assets.core.decide.agreed.triggers import Trigger
from mlops_assets.core.decide.evidence import CheckKind
from mlops_assets.core.limits.ranges import (
    COUNT,
    LARGEST,
    PART,
    ROW_COUNT,
    SOME_TIME,
    TIME,
    Length,
    Range,
    read_numbers,
    refuse_outside,
)
from mlops_assets.core.record.plain_values import plain
from mlops_assets.core.time.quiet_hours import parse_all
from mlops_assets.core.time.windows import parse_duration

Auto = Literal["auto"]
Mode = Literal["act", "propose"]

SET_BY_PLATFORM = {"window": "monitoring.window", "timezone": "timezone"}
"""Fields that follow from another one of the model's YAML."""
_NEVER = ("max_age", "growth")
"""Fields that `never` switches off."""
_AGE = Length("0d", "3650d", "60d", above=True, words=("auto", "never"))
_SILENT: dict[str, Any] = {"growth": "never", "max_age": "never", "definition_change": False}
"""What asks by default, where people have agreed on what shall."""
_DURATIONS = ("window", "cooldown", "budget_period", "max_age", "price_horizon")


@dataclass(frozen=True)
class RetrainPolicy:
    """When a retraining may and should start. Every field may be set under `retrain:` in a model's YAML.

    Attributes:
        window: length of a monitoring window, set from `monitoring.window`; 7d by default. Only `max_age:
        auto`
            reads it.
        cooldown: least time between two retrainings, 7d by default. A person's request ignores it.
        budget: most retrainings in `budget_period`, 4 by default; requests count, but are never held back.
        budget_period: 30d by default. In YAML: `budget: 4 per 30d`.
        performance_breaches: windows in a row in which a performance check must fail, 1 by default: such a
            check carries its own interval.
        drift_breaches: the same for drift checks, 2 by default: inputs move harmlessly all the time.
        max_age: a champion older than this starts a candidate (never a promotion). `auto` (default) is the
            longer of 30 days and 6 windows; `never` switches it off.
        growth: new labels, as a share of those known when the champion was trained, that start a candidate (never a
            promotion), 0.5 by default: what more rows are worth goes with their logarithm. `never` switches it off.
        definition_change: whether a changed definition (features added, gone or of another kind, edited SQL, another
            transformer or task) starts a candidate, true by default; once for each definition.
        max_novelty: share of rows unlike those the champion was trained on (outside their joint support; 0.01 is
            usual) above which a candidate is started, off by default: what new rows are worth, the probe measures.
        min_matured_labels: fewest new labels to train for, 200 by default; the first model needs as many to be judged
            on.
        min_gain: the price of a retraining, as a share of the champion's loss, 0.01 by default: it starts when the
            lower bound of the gain that the probe has measured exceeds it.
        price_money: the price in the money of `monitoring.costs`, none by default. Both prices must be exceeded: this
            one by the lower bound of the gain in profit over `price_horizon`.
        price_horizon: how long a gain is expected to last and pay, 30d by default.
        mode: `act` (default), or `propose`: what would be done is recorded, and done once a person has approved it.
        quiet_hours: local hours in which no training starts by itself, none by default. In YAML a list such as
            `["mon-fri 08:00-18:00"]`.
        timezone: of the quiet hours, set from the model's `timezone`; UTC by default.
        on: what starts a candidate in place of the probe's measured gain and of growth, age and a changed definition
            (each still does where its own field says so): a list of triggers, see docs/triggers.md. None by default.
    """

    window: Annotated[timedelta, SOME_TIME] = timedelta(days=7)
    cooldown: Annotated[timedelta, TIME] = timedelta(days=7)
    budget: Annotated[int, Range(0, 1e9, 4, whole=True)] = 4
    budget_period: Annotated[timedelta, Length("0d", "3650d", "30d", above=True)] = timedelta(days=30)
    performance_breaches: Annotated[int, COUNT] = 1
    drift_breaches: Annotated[int, COUNT] = 2
    max_age: Annotated[timedelta | Auto | None, _AGE] = "auto"
    growth: Annotated[float | None, Range(0, 1_000, 0.5, above=True, words=("never",))] = 0.5
    definition_change: bool = True
    max_novelty: Annotated[float | None, PART] = None
    min_matured_labels: Annotated[int, ROW_COUNT] = 200
    min_gain: Annotated[float, Range(0, 1, 0.01, below=True)] = 0.01
    price_money: Annotated[float | None, Range(0, LARGEST, 100)] = None
    price_horizon: Annotated[timedelta, Length("0d", "3650d", "30d", above=True)] = timedelta(days=30)
    mode: Mode = "act"
    quiet_hours: tuple[str, ...] = ()
    timezone: str = "UTC"
    on: tuple[Trigger, ...] | None = None

    def __post_init__(self) -> None:
        refuse_outside(RetrainPolicy, vars(self), "retrain")
        if not isinstance(self.definition_change, bool):
            msg = f"retrain.definition_change is {self.definition_change!r}: set true or false"
            raise ValueError(msg)
        if self.mode not in get_args(Mode):
            msg = f"retrain.mode is {self.mode!r}: set act, or propose to have a person approve what is done"
            raise ValueError(msg)
        parse_all(self.quiet_hours)

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: Any, handler: Any) -> dict[str, Any]:
        """The schema that `dg check yaml` goes by, where the bare word `on` is true (see `as_fields`)."""
        written: dict[str, Any] = handler(schema)
        fields_known = handler.resolve_ref_schema(written)
        fields_known.pop("additionalProperties", None)
        fields_known["propertyNames"] = {
            "enum": [*(name for name in fields_known["properties"] if name not in SET_BY_PLATFORM), True]
        }
        return written

    @property
    def age_limit(self) -> timedelta | None:
        """The age in force; None if age never starts a candidate."""
        return max(timedelta(days=30), 6 * self.window) if isinstance(self.max_age, str) else self.max_age

    def breaches_needed(self, kind: CheckKind) -> int:
        """Failed windows in a row that a check of this kind needs."""
        return self.performance_breaches if kind == "performance" else self.drift_breaches

    def to_dict(self) -> dict[str, Any]:
        """Plain values, durations as text; `from_dict` reads them back."""
        values = {f.name: plain(getattr(self, f.name)) for f in fields(self) if f.name != "on"}
        # Left out where nobody has agreed on any, so that decisions without them keep their ids.
        agreed = {"on": [trigger.to_plain() for trigger in self.on]} if self.on else {}
        return values | {name: "never" for name in _NEVER if values[name] is None} | agreed

    def changed(self, data: Mapping[str, Any]) -> Self:
        """The policy with other fields, as `from_dict` reads them.

        Raises:
            ValueError: see `from_dict`.
        """
        fields_given = as_fields(data)
        silent = _SILENT if fields_given.get("on") and not self.on else {}
        return self.from_dict({**self.to_dict(), **silent, **fields_given})

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """A policy from plain values as in YAML; absent fields keep their defaults.

        Raises:
            ValueError: an unknown field or a value that can't be read; the message names the field and the
                remedy.
        """
        values = read_numbers(cls, as_fields(data))
        if values.get("on") is not None:
            values = {**_SILENT, **values, "on": read_triggers(values["on"])}
        unknown = sorted(set(values) - {f.name for f in fields(cls)})
        if unknown:
            msg = f"retrain has no field {unknown[0]!r}: use one of {', '.join(f.name for f in fields(cls))}"
            raise ValueError(msg)
        if isinstance(budget := values.get("budget"), str):
            values |= _budget(budget)
        if "quiet_hours" in values:
            if not isinstance(values["quiet_hours"], list | tuple):
                msg = f'retrain.quiet_hours is {values["quiet_hours"]!r}: write a list, for example ["08:00-18:00"]'
                raise ValueError(msg)
            values["quiet_hours"] = tuple(str(text) for text in values["quiet_hours"])
        refuse_outside(cls, values, "retrain")
        for name in _DURATIONS:
            if name in values and values[name] not in ("auto", "never", None):
                values[name] = parse_duration(values[name])
        values |= {name: None for name in _NEVER if values.get(name) == "never"}
        return cls(**values)


def as_fields(data: Mapping[Any, Any]) -> dict[str, Any]:
    """The fields by name: YAML 1.1 reads the bare word `on` as true."""
    return {"on" if name is True else name: value for name, value in data.items()}


def _budget(text: str) -> dict[str, Any]:
    """`4 per 30d` as its two fields."""
    match = re.fullmatch(r"\s*(\d+)\s+per\s+(\S+)\s*", text)
    if not match:
        raise ValueError(f"retrain.budget is {text!r}: write a number and a period, for example 4 per 30d")
    return {"budget": int(match.group(1)), "budget_period": match.group(2)}
