"""What the templates name: a plan in the words of YAML and SQL.

Here: every value of the templates, the contract's rules, the features. Not here: what was decided (`plan`), which file
it stands in (`files`).
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from mlops_assets.core.record.plain_values import counted
from mlops_assets.core.time.calendar_cycles import Cycle
from mlops_assets.core.values.column_names import has_template, without_template
from mlops_assets.core.values.display import harmless_json, shown
from mlops_assets.core.values.sql import quoted
from mlops_assets.core.values.text_formats import MISSING
from mlops_assets.onboarding.calendar import calendar
from mlops_assets.onboarding.columns import Column, plain_names
from mlops_assets.onboarding.plan import Plan
from mlops_assets.onboarding.ranges import SHARE, Usual
from mlops_assets.onboarding.reading.table import Facts, Table
from mlops_assets.onboarding.times import TimeColumn
from mlops_assets.world.files.refused_files import is_parquet

_YEAR = 366
"""Days that a history must be longer than to hold a season twice."""
MEANS = 3
"""Numbers of a row whose mean over an entity's history becomes a feature."""
ALLOWED = 12
"""Texts of so few values are listed in the contract."""
_CONTRACT = {"BIGINT": "integer", "DOUBLE": "number", "BOOLEAN": "boolean", "DATE": "date", "VARCHAR": "string"}
_DBT = {"BIGINT": "bigint", "DOUBLE": "double", "BOOLEAN": "boolean", "DATE": "date", "VARCHAR": "varchar"}
_LONGEST = {"day": 0, "week": 6, "month": 31}
"""Days by which a partition's first day may lie before one of its own."""


@dataclass(frozen=True)
class Feature:
    """A feature: its SQL over staging, and what the YAML says of it."""

    name: str
    sql: str
    data_type: str
    description: str
    cycle: Cycle | None = None


def values_of(plan: Plan) -> dict[str, Any]:
    """What the templates name."""
    label = next(column for column in plan.columns if column.facts.name == plan.label.name)
    grain = plan.calendar.grain
    features, words = _features(plan), plan.table.keywords
    return {
        "name": plan.name,
        "files": without_template(shown(plan.asked.pattern.rsplit("/", 1)[-1])),
        "rows": f"{plan.table.rows:,}",
        "grain": grain,
        "time": plan.time.name,
        "timezone": plan.asked.timezone,
        "start": plan.first,
        "key": plan.key,
        "lands_by": plan.lands_by,
        "rows_min": max(1, _fewest(plan) // 2),
        "null_values": json.dumps(plan.asked.reading.missing) if _says_missing(plan) else "",
        "contract": _contract(plan),
        "description": without_template(f"{_prediction(plan)}, as known when it happens."),
        "task": plan.label.task,
        "label": label.name,
        "max_delay": plan.max_delay,
        "mature_share": round(min(0.95, 0.9 * (1 - plan.label.missing_share)), 2),
        "metric": plan.label.metric,
        "min_rows": plan.min_rows,
        "gate_rows": plan.gate_rows,
        "gate_window": plan.gate_window,
        "monitoring_window": plan.monitoring_window,
        "row_id": _row_id(plan),
        "raw_time": _sql(plan.time.name, words),
        "staged": [
            _staged(column, plan.entity_type if column is plan.entity else None)
            for column in plan.columns
            if column.facts.name in plan.table.facts
        ],
        "late": _late(plan),
        "raw": [{"name": f.name, "data_type": _dbt_type(f, plan.time.name)} for f in plan.table.facts.values()],
        "features": features,
        "longest": _LONGEST[grain],
        "label_column": label.name,
        "label_sql": plan.label.sql.replace(
            "{column}", f"labels.{_sql(label.facts.name, words)}" if plan.late else label.name
        ),
        "label_description": _label_description(plan),
        "claims": _claims(plan, label),
        "entity": _history(plan),
        "entities": [plan.entity.name] if plan.entity else [],
        "per": _per(plan),
        "views": [f"feat_{plan.name}", *([f"feat_{plan.name}_{plan.entity.name}"] if plan.entity else [])],
        "delay": f" + interval {int(plan.delay.total_seconds())} second" if plan.delay else "",
    }


def _says_missing(plan: Plan) -> bool:
    """Whether the YAML says which texts mean missing: other ones than elsewhere, or some in Parquet files."""
    tables = [plan.table, *([plan.late.table] if plan.late else [])]
    # Blanks are missing everywhere.
    words = (word for table in tables if is_parquet(table.files[0]) for word in table.words)
    in_parquet = (not word or word.strip() for word in words)
    return plan.asked.reading.missing != MISSING or any(in_parquet)


def _fewest(plan: Plan) -> int:
    """Rows of the smallest file."""
    if not plan.asked.is_hourly:
        return min(plan.calendar.rows.values())
    hours = f"select count(*) as n from {plan.table.relation} group by date_trunc('hour', {plan.time.sql})"
    return int(plan.table.first(f"select min(n) from ({hours})")[0])


def _row_id(plan: Plan) -> str:
    """What identifies a row: its key, else its file and its place in it."""
    if plan.key:
        return f"{_sql(plan.key, plan.table.keywords)}::varchar"
    if not plan.asked.is_hourly:
        return "strftime(partition, '%Y%m%d') || '-' || file_row_number"
    moment = f"{_sql(plan.time.name, plan.table.keywords)} at time zone '{plan.asked.timezone}'"
    return f"strftime({moment}, '%Y%m%dT%H') || '-' || file_row_number"


def _prediction(plan: Plan) -> str:
    """What one prediction is."""
    if plan.label.task == "regression":
        return f"The {plan.label.name} of an event of {plan.name}"
    if plan.label.task == "multiclass":
        return f"The chance of each {plan.label.name} of an event of {plan.name}"
    return f"The probability that {plan.label.name} is {plan.label.classes[1]} for an event of {plan.name}"


def _label_description(plan: Plan) -> str:
    classes = ", ".join(f"{code} is {value}" for code, value in enumerate(plan.label.classes))
    return without_template(
        f"{plan.label.name} as a number{': ' + classes if classes else ''}; missing while it is not known."
    )


def _claims(plan: Plan, label: Column) -> list[str]:
    claims = ["label_available_at >= event_timestamp"]
    if plan.label.task != "regression":
        claims.append(f"{label.name} in ({', '.join(str(code) for code in range(len(plan.label.classes)))})")
    return [json.dumps(claim) for claim in claims]


def _contract(plan: Plan) -> list[dict[str, str]]:
    """Name, rule and comment of each column, proposed from what was seen."""
    return [
        {"name": facts.name, "rule": rule, "note": note}
        for facts in plan.table.facts.values()
        for rule, note in [_rule(facts, plan, plan.time, plan.usual, plan.table)]
    ]


def _late(plan: Plan) -> dict[str, Any] | None:
    """The source of labels that come by themselves, and how the label model reads it."""
    if plan.late is None:
        return None
    late, facts, words = plan.late, plan.late.table.facts.values(), plan.table.keywords
    first = calendar(late.table, late.time, plan.asked.timezone, plan.calendar.grain).rows
    return {
        "name": f"{plan.name}_labels",
        "time": late.time.name,
        "start": min(first),
        "key": late.key,
        "raw_key": _sql(late.key, words),
        "known": late.known_sql(f"labels.{_sql(late.time.name, words)}", plan.asked.timezone),
        "waits_days": late.waits_days,
        "contract": [
            {"name": f.name, "rule": rule, "note": note}
            for f in facts
            for rule, note in [_rule(f, plan, late.time, {}, late.table)]
        ],
        "raw": [{"name": f.name, "data_type": _dbt_type(f, late.time.name)} for f in facts],
    }


def _rule(facts: Facts, plan: Plan, time: TimeColumn, usual: Mapping[str, Usual], table: Table) -> tuple[str, str]:
    is_event_time = facts.name == time.name
    kind = "timestamp" if is_event_time or facts.dtype.startswith("TIMESTAMP") else _CONTRACT[facts.dtype]
    written = (time.unit if is_event_time else None) or table.texts.formats.get(facts.name)
    words = plan.asked.missing_in.get(facts.name)
    rules, notes = [f"type: {kind}"], []
    rules += [f"format: {written}"] if written and kind != "string" else []
    rules += [f"null_values: {json.dumps(words, ensure_ascii=False)}"] if words else []
    if facts.is_number and facts.distinct and not is_event_time:
        is_never_below_0 = facts.low is not None and float(facts.low) >= 0
        if is_never_below_0:
            rules.append("min: 0")
        if (limits := usual.get(facts.name)) is not None:
            low = max(limits.low, 0.0) if is_never_below_0 else limits.low
            rules.append(f"usual: [{_plain(low)}, {_plain(limits.high)}]")
            if limits.share != SHARE:
                rules.append(f"unusual_share: {limits.share:g}")
        # Numbers that name rows go on by themselves. Keys are held against no other day anyway.
        named = {column.facts.name for column in plan.columns if column.is_name} if table is plan.table else set()
        rules += ["steady: false"] if facts.name in named - {plan.key} else []
        notes.append(f"seen {_short(facts.low)} to {_short(facts.high)}")
    elif not facts.distinct:
        notes.append("no value seen")
    elif facts.dtype == "VARCHAR" and not is_event_time and facts.distinct <= ALLOWED and _may_be_listed(facts.values):
        rules += [
            f"allowed: [{', '.join(plain_yaml(value) for value in sorted(facts.values))}]",
            "new_category_share: 0.05",
        ]
    elif not is_event_time and facts.dtype == "VARCHAR":
        notes.append(f"{facts.distinct:,} values seen")
    if facts.name in plan.null_shares:
        share = plan.null_shares[facts.name]
        rules.append(f"max_null_share: {min(1.0, math.ceil((1.5 * share + 0.02) * 100) / 100):g}")
        notes.append(f"at most {share:.0%} missing in {_a(plan.lands_by)}")
    if facts.name == plan.label.name and plan.delay:
        rules.append(f"known_at: {plan.asked.delay} later")
    return ", ".join(rules), "; ".join(notes)


def _may_be_listed(values: Collection[str]) -> bool:
    """Whether Dagster, to which each text of its YAML is a template, would read these as they are."""
    return not any(has_template(value) for value in values)


def _a(length: str) -> str:
    return f"an {length}" if length == "hour" else f"a {length}"


def _plain(value: float) -> str:
    """A number that YAML reads as one, which it does not without a point before an exponent."""
    return str(int(value)) if value.is_integer() else repr(value)


def _short(value: str | None) -> str:
    if value is None:
        return "nothing"
    return value if value.lstrip("-").isdigit() else f"{float(value):.6g}"


def _dbt_type(facts: Facts, time: str) -> str:
    if facts.name == time or facts.dtype.startswith("TIMESTAMP"):
        return "timestamptz"
    return _DBT[facts.dtype]


def _sql(name: str, keywords: Collection[str]) -> str:
    """A raw column in SQL: as it is if that is a plain name, else in quotes."""
    return name if plain_names([name], keywords)[name] == name else quoted(name)


def _per(plan: Plan) -> dict[str, str] | None:
    """The column whose values have a model each."""
    if plan.per is None:
        return None
    facts = plan.per.facts
    members = counted(facts.distinct, "value")
    return {"name": plan.per.name, "data_type": _dbt_type(facts, plan.time.name), "members": members}


def _staged(column: Column, entity_type: str | None) -> str:
    raw = column.name if column.facts.name == column.name else quoted(column.facts.name)
    if entity_type == "varchar" and column.facts.dtype != "VARCHAR":
        return f"{raw}::varchar as {column.name}"
    return raw if raw == column.name else f"{raw} as {column.name}"


def _features(plan: Plan) -> list[Feature]:
    """The features of a row: its columns, and the hour, weekday and season of its time where they vary.

    A season can be learned from more than a year; from less it would be a second name for when a row happened.
    """
    specs = [_feature(column) for column in plan.features]
    local = f"event_timestamp at time zone '{plan.asked.timezone}'"
    if plan.time.has_hours:
        specs.append(Feature("event_hour", f"hour({local}) as event_hour", "bigint", "Hour of the event, local time."))
    if plan.calendar.days > 2 * len(plan.calendar.rows) or (plan.calendar.grain == "day" and plan.calendar.days > 7):
        specs.append(
            Feature(
                "event_weekday", f"isodow({local}) as event_weekday", "bigint", "Day of the week, 1 is Monday.", "week"
            )
        )
    if plan.calendar.span > _YEAR:
        meaning = "Day of the year, 1 to 366: the season."
        specs.append(
            Feature("event_day_of_year", f"dayofyear({local}) as event_day_of_year", "bigint", meaning, "year")
        )
    return specs


def _history(plan: Plan) -> dict[str, Any] | None:
    """What the history of an entity holds: its events, and the means of up to `MEANS` numbers, over each window."""
    if plan.entity is None:
        return None
    entity, means = plan.entity.name, [c.name for c in plan.features if c.role == "numeric"][:MEANS]
    features = []
    for days in plan.history_windows:
        features.append(Feature(f"{entity}_events_{days}d", "", "bigint", f"Its events in {days} days."))
        for mean in means:
            meaning = f"Mean of {mean} over its events in {days} days."
            features.append(Feature(f"{entity}_{mean}_mean_{days}d", "", "double", meaning))
    return {
        "name": entity,
        "data_type": plan.entity_type,
        "means": means,
        "windows": list(plan.history_windows),
        "ttl": f"{max(plan.history_windows)}d",
        "features": features,
    }


def _feature(column: Column) -> Feature:
    facts, name = column.facts, column.name
    raw = f"Column {facts.name} of the raw table"
    if column.role == "moment":
        cast = "::timestamptz" if facts.dtype == "DATE" else ""
        sql = f"date_diff('second', {name}{cast}, event_timestamp) / 3600 as hours_since_{name}"
        return Feature(f"hours_since_{name}", sql, "double", f"Hours from {facts.name} to the event.")
    if facts.odd:
        return Feature(name, f"case when isfinite({name}) then {name} end as {name}", "double", f"{raw}; finite.")
    if column.role == "categorical" and facts.is_number:
        return Feature(name, f"{name}::varchar as {name}", "varchar", f"{raw}, by its digits.")
    return Feature(name, name, _DBT[facts.dtype], f"{raw}.")


def plain_yaml(value: Any) -> str:
    """A value as it may stand in YAML: plain where that is safe, else in quotes."""
    text = str(value)
    plain = text.replace("_", "").replace("-", "")
    is_safe = plain.isalnum() and plain.isascii() and yaml.safe_load(text) == text and not text.startswith("-")
    if is_safe:
        return text
    # A mark that turns the direction of what follows shows a reader another file than the one that is read.
    return harmless_json(yaml.safe_dump(text, default_style='"', allow_unicode=True, width=math.inf).rstrip())
