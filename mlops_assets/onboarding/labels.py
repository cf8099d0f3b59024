"""The label column: which one it is, what task it makes, how it becomes a number.

Here: guessing the label and its task, the SQL that turns it into 0 and 1, class codes or a number, what is odd about
it. Not here: when it becomes known (`plan`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from itertools import groupby

from mlops_assets.core.stats.metrics import Task
from mlops_assets.core.values.display import shown, some
from mlops_assets.core.values.sql import quoted
from mlops_assets.onboarding.columns import LABEL_NAMES
from mlops_assets.onboarding.odd.spellings import YES, places_of, spelled, texts_of
from mlops_assets.onboarding.reading.table import Facts, Table
from mlops_assets.onboarding.times import TimeColumn

MAX_CLASSES = 20
"""Numbers with more different values are a regression's, texts with more are no label."""
POSITIVE = YES | {"positive", "won", "bad"}
SKEWED = 3.0
"""From this skewness on, a few large values carry most of the squared error."""


class NoLabel(ValueError):
    """No column can be the label; the message ends in the remedy."""


@dataclass(frozen=True)
class Label:
    """What is predicted.

    Attributes:
        name: the column, as in the file.
        task: what it makes of the model.
        sql: `{column}` as a number: 0 or 1, a class code, or the number itself.
        classes: the values behind 0, 1, 2, ...; none for a regression.
        metric: what gate and monitors judge by.
        missing_share: share of rows without it.
        notes: what was assumed.
        warnings: what is odd about it.
    """

    name: str
    task: Task
    sql: str
    classes: tuple[str, ...]
    metric: str
    missing_share: float
    notes: tuple[str, ...]
    warnings: tuple[str, ...]


def label_of(table: Table, time: TimeColumn, asked: str | None, task: Task | None) -> Label:
    """The label that was asked for, or the likeliest, and what it makes of the model.

    Raises:
        NoLabel: there is none, it has one value, or it does not fit the task.
    """
    if asked is not None and asked not in table.facts:
        raise NoLabel(f"There is no column {asked!r} to predict; there are {', '.join(table.facts)}.")
    if asked == time.name:
        raise NoLabel(f"{asked} is the time: name another column with `--label`. Nothing was written.")
    facts = table.facts[asked or _guess(table, time)]
    guessed = () if asked else (f"The label is {facts.name} (--label names another).",)
    if facts.distinct < 2:
        value = facts.low if facts.distinct else "missing"
        raise NoLabel(
            f"The label {facts.name} is {value} in all rows, so there is nothing to learn. Give a file with both "
            "outcomes, or name another column with `--label`. Nothing was written."
        )
    if task != "multiclass" and (alike := spelled(texts_of(table, facts))):
        raise NoLabel(
            f"The label {facts.name} has {places_of(table, facts, alike)}: to a model they would be classes of their "
            "own. Write each value in one spelling, or say --task multiclass if they are. Nothing was written."
        )
    chosen = task or _task(facts)
    notes = guessed if task else (*guessed, f"The task is {chosen}: {facts.name} {_why(facts)} (--task).")
    made = _regression if chosen == "regression" else _classes
    sql, classes, metric, more = made(table, facts, chosen)
    return Label(facts.name, chosen, sql, classes, metric, facts.missing_share, (*notes, *more), _warnings(facts))


def constant_stretches(table: Table, label: Label, time: TimeColumn, zone: str) -> list[tuple[date, date]]:
    """Months in a row, two at least, in which the label has one value only: first and last month."""
    column = quoted(label.name)
    months = table.connection.execute(
        f"select date_trunc('month', timezone('{zone}', {time.sql}))::date as month, count(distinct {column}), "
        f"min({column})::varchar from {table.relation} where {column} is not null group by 1 order by 1"
    ).fetchall()
    stretches = [list(of) for value, of in groupby(months, lambda row: row[2] if row[1] == 1 else None) if value]
    return [(of[0][0], of[-1][0]) for of in stretches if len(of) > 1]


def _guess(table: Table, time: TimeColumn) -> str:
    names = [name for name in table.facts if name != time.name]
    if not names:
        raise NoLabel("There is no column beside the time: nothing to predict. Give a file with the outcome in it.")
    named = [name for name in names if name.lower() in LABEL_NAMES]
    return named[0] if named else names[-1]


def _task(facts: Facts) -> Task:
    if facts.distinct == 2:
        return "binary"
    if facts.is_number and (facts.distinct > MAX_CLASSES or facts.dtype == "DOUBLE"):
        return "regression"
    return "multiclass"


def _why(facts: Facts) -> str:
    if facts.distinct == 2:
        return f"is {' or '.join(sorted(facts.values))}"
    return f"has {facts.distinct:,} different {'numbers' if facts.is_number else 'values'}"


_Made = tuple[str, tuple[str, ...], str, tuple[str, ...]]


def _classes(table: Table, facts: Facts, task: Task) -> _Made:
    """A binary or multiclass label."""
    if facts.distinct > MAX_CLASSES or (task == "binary" and facts.distinct != 2):
        raise NoLabel(
            f"{facts.name} has {facts.distinct:,} different values{_listed(facts)}, and a {task} label has "
            f"{'2' if task == 'binary' else f'{MAX_CLASSES} at most'}. {_other_task(facts)}, make fewer values of them "
            "in the file, or say which means that none is known (`--missing WORD`). Nothing was written."
        )
    if task == "multiclass":
        values = tuple(sorted(facts.values))
        listed = ", ".join(_text(value) for value in values)
        sql = f"nullif(list_position([{listed}], {{column}}::varchar), 0) - 1"
        meanings = ", ".join(f"{code} is {value}" for code, value in enumerate(values))
        return f"({sql})::double", values, "log_loss", (f"Classes: {meanings}.",)
    positive, is_sure = _positive(facts)
    negative = next(value for value in facts.values if value != positive)
    notes = () if is_sure else (f"{facts.name} = {positive} counts as 1, being the rarer one.",)
    if facts.is_number and {positive, negative} <= {"0", "1", "0.0", "1.0"}:
        return "{column}::double", (negative, positive), _binary_metric(table, facts, positive), notes
    if facts.dtype == "BOOLEAN":
        return "{column}::int::double", (negative, positive), _binary_metric(table, facts, positive), notes
    sql = f"({{column}}::varchar = {_text(positive)})::int::double"
    return sql, (negative, positive), _binary_metric(table, facts, positive), notes


def _listed(facts: Facts) -> str:
    values = [repr(shown(value)) for value in sorted(facts.values)]
    return f" ({some(values, MAX_CLASSES)})" if values else ""


def _other_task(facts: Facts) -> str:
    """What to say of a label that has more values than its task."""
    task = _task(facts)
    fits = task == "regression" or facts.distinct <= MAX_CLASSES
    return f"Say `--task {task}`" if fits else "Name another column with --label"


def _positive(facts: Facts) -> tuple[str, bool]:
    """The value that counts as 1, and whether its name says so."""
    named = [value for value in facts.values if value.lower().removesuffix(".0") in POSITIVE]
    return (named[0], True) if len(named) == 1 else (facts.values[-1], False)


def _binary_metric(table: Table, facts: Facts, positive: str) -> str:
    """The area under the ROC curve; that of precision and recall where positives are rarer than 5 %."""
    count = table.first(
        f"select count(*) from {table.relation} where {quoted(facts.name)}::varchar = $value", {"value": positive}
    )[0]
    return "pr_auc" if count < 0.05 * (facts.rows - facts.missing) else "roc_auc"


def _regression(table: Table, facts: Facts, task: Task) -> _Made:
    if not facts.is_number:
        raise NoLabel(
            f"{facts.name} holds {facts.dtype.lower()}, and a regression's label is a number. Name another task with "
            "--task, or another column with `--label`. Nothing was written."
        )
    sql = "case when isfinite({column}) then {column} end::double" if facts.odd else "{column}::double"
    value = f"{quoted(facts.name)}::double"
    finite = f"{table.relation} where isfinite({value})"
    # As shares of the largest, whose skewness is the same: the third power of 1e103 is beyond a double.
    share = f"{value} / (select nullif(max(abs({value})), 0) from {finite})"
    skew = table.first(f"select skewness({share}) from {finite}")[0]
    if skew is not None and abs(skew) >= SKEWED:
        return (
            sql,
            (),
            "mae",
            (f"The label is skewed ({skew:.1f}): judged by mae, which a few large values don't carry.",),
        )
    return sql, (), "rmse", ()


def _warnings(facts: Facts) -> tuple[str, ...]:
    if facts.missing_share >= 0.05:
        return (
            f"{facts.missing_share:.0%} of the rows have no {facts.name}. They stay as rows without a label: they are "
            "predicted, and neither trained on nor judged.",
        )
    return ()


def _text(value: str) -> str:
    """A value as a text of dbt's SQL: a brace begins a template there, and the column's place in `Label.sql`."""
    literal = "'" + value.replace("'", "''") + "'"
    return "(" + literal.replace("{", "{' || '") + ")" if "{" in value else literal
