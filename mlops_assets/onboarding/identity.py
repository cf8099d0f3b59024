"""What identifies rows and whom they are about, and how that fits what the project has already.

Here: columns that are nearly keys, the entity and its type. Not here: facts about columns (`table`), roles (`columns`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from mlops_assets.core.values.display import shown
from mlops_assets.core.values.quoted_commands import typed
from mlops_assets.core.values.sql import quoted
from mlops_assets.onboarding.columns import Column, is_nearly_key
from mlops_assets.onboarding.reading.table import Table

_DBT = {"int64": "bigint", "string": "varchar"}


class CannotOnboard(ValueError):
    """The table cannot become a model as it is asked for; the message ends in the remedy."""


@dataclass(frozen=True)
class Declared:
    """An entity of the project: its type, as Feast calls it, and a view that has it."""

    dtype: str
    view: str


@dataclass(frozen=True)
class Identity:
    """The entity's type to dbt, bigint or varchar, and what was assumed."""

    dtype: str = "varchar"
    notes: tuple[str, ...] = ()


def identity_of(
    table: Table,
    columns: Collection[Column],
    *,
    model: str,
    entity: str | None,
    others: tuple[str, ...],
    declared: Mapping[str, Declared],
) -> Identity:
    """The type of the entity, which is one in all views of a project.

    Args:
        table: the rows.
        columns: with their plain names.
        model: its name; `MODEL_id` identifies its rows, and is a text.
        entity: the column that says whom a row is about; None where rows stand for themselves.
        others: columns that it cannot be.
        declared: the entities that the project has already, but for those of this model itself.

    Raises:
        CannotOnboard: no such column, rows about nobody, or another type in the project that would lose something.
    """
    rows = declared.get(f"{model}_id")
    if rows is not None and rows.dtype != "string":
        raise CannotOnboard(
            f"A model {model} identifies its rows by {model}_id, a text, and {rows.view} has an entity of that name as "
            f"{rows.dtype}. Choose another name for the model. Nothing was written."
        )
    if entity is None:
        return Identity()
    _refuse(table, entity, others)
    name = next(column.name for column in columns if column.facts.name == entity)
    facts, known = table.facts[entity], declared.get(name)
    own = "bigint" if facts.dtype == "BIGINT" else "varchar"
    if known is None or own == _DBT.get(known.dtype):
        return Identity(own)
    if known.dtype == "string":
        note = f"{name} is a text in this project ({known.view} has it, too): the digits of {entity} are taken as one."
        return Identity("varchar", (note,))
    raise CannotOnboard(
        f"{entity} holds texts such as {shown(str(facts.low))!r}, and {known.view} has an entity {name} as "
        f"{known.dtype}: an entity has one type in a project. If these are other things, rename the column in the "
        f"file, such as {model}_{name}; if they are the same, write their numbers. Nothing was written."
    )


def _refuse(table: Table, entity: str, others: tuple[str, ...]) -> None:
    if entity not in table.facts or entity in others:
        known = ", ".join(name for name in table.facts if name not in others)
        raise CannotOnboard(f"{typed('--entity', entity)}: name one of {known}. Nothing was written.")
    facts = table.facts[entity]
    if facts.missing:
        words = [word for word, columns in table.words.items() if entity in columns and word.strip()]
        ids = f", or say {typed('--not-missing', words[0])}, which was read as none" if words else ""
        raise CannotOnboard(
            f"{facts.missing:,} of {facts.rows:,} rows have no {entity}, the first is "
            f"{table.place(f'{quoted(entity)} is null')}: nobody knows whom they are about, and the contract would "
            f"refuse them at landing, too. Remove these rows, or write whom they are about{ids}; or leave --entity "
            "out. Nothing was written."
        )


def nearly_keys(table: Table, others: tuple[str, ...]) -> list[str]:
    """Columns that would identify each row, were it not for a few."""
    said = []
    for name, facts in table.facts.items():
        if name in others or not is_nearly_key(facts):
            continue
        gap = f"it is missing in {table.place(f'{quoted(name)} is null')}" if facts.missing else ""
        why = "; ".join(filter(None, (table.repeated(name), gap)))
        known = facts.rows - facts.missing
        many = f"{known - facts.distinct:,} of {known:,} values repeat another, and {facts.missing:,} are missing"
        said.append(
            f"{name} names rows, but not each its own: {why} ({many}). So no rule `unique` is proposed, and what lands "
            f"twice is not found. Correct these rows and call new-model again, and {name} is the key."
        )
    return said
