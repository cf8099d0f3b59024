"""What a person asked `mlops new-model` for.

Here: the wishes, and those that cannot be whatever the table holds. Not here: what the table says to them (`plan`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from mlops_assets.core.sources.settings import ModelGrain, known_zone
from mlops_assets.core.stats.metrics import Task
from mlops_assets.core.time.windows import parse_duration
from mlops_assets.core.values.display import shown
from mlops_assets.core.values.quoted_commands import typed
from mlops_assets.core.values.text_formats import MISSING, DateOrder, Mark
from mlops_assets.onboarding.columns import LONGEST, RESERVED, plain_names
from mlops_assets.onboarding.identity import CannotOnboard
from mlops_assets.onboarding.reading.instructions import Reading


@dataclass(frozen=True)
class Asked:
    """What a person said about the table; None is for the platform to find out.

    Attributes:
        name: of the model, its source and its dbt models.
        pattern: files, as a path or glob.
        time: the column that says when a row is about.
        label: the column that is predicted.
        task: binary, regression or multiclass.
        entity: the column that says whom a row is about; None for rows that stand for themselves.
        delay: how long after the event the label is known, where it comes with the row.
        labels: files of the labels, where they come by themselves.
        key: the column that rows and labels share.
        label_time: the column that says when a label became known.
        grain: length of a partition.
        is_hourly: whether the files of a day come by the hour.
        timezone: whose days are counted, and in which times without an offset are read.
        missing: texts that mean missing, beside those known; as COL=TEXT in one column alone.
        not_missing: texts among those known that are values here.
        date_order: whether day or month stands first in dates whose year stands last.
        decimal: the decimal mark of its numbers.
        moments: columns of numbers that are times, beside that of the event.
        texts: columns that are texts, whatever stands in them.
        per: the column whose values have a model each; None for one model of all rows.
    """

    name: str
    pattern: str
    time: str | None = None
    label: str | None = None
    task: Task | None = None
    entity: str | None = None
    delay: str = "0d"
    grain: ModelGrain | None = None
    timezone: str = "UTC"
    labels: str | None = None
    key: str | None = None
    label_time: str | None = None
    is_hourly: bool = False
    missing: tuple[str, ...] = ()
    not_missing: tuple[str, ...] = ()
    date_order: DateOrder | None = None
    decimal: Mark | None = None
    moments: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    per: str | None = None

    @property
    def reading(self) -> Reading:
        """How the texts of its tables are to be read."""
        everywhere = (word for word in self.missing if not _in_one_column(word))
        known = dict.fromkeys((*MISSING, *everywhere))
        listed = tuple(word for word in known if word not in self.not_missing)
        # Which column labels share with their rows is known when both are read.
        naming = None if self.labels and not self.key else tuple(filter(None, (self.entity, self.key)))
        return Reading(
            self.timezone, listed, self.date_order, self.decimal, asked=self.texts, naming=naming,
            missing_in=self.missing_in,
        )  # fmt: skip

    @property
    def missing_in(self) -> dict[str, tuple[str, ...]]:
        """Column -> the texts that mean missing in it alone."""
        words: dict[str, tuple[str, ...]] = {}
        for name, word in filter(None, map(_in_one_column, self.missing)):
            words[name] = (*words.get(name, ()), word)
        return words

    def __post_init__(self) -> None:
        """Refuse a wish that cannot be, as far as it says itself: before a file is read.

        Raises:
            CannotOnboard: naming the wish.
        """
        _refuse_name(self.name)
        known_zone(self.timezone)
        try:
            parse_duration(self.delay)
        except ValueError as error:
            raise CannotOnboard(f"{typed('--label-delay', self.delay)}: {error}. Nothing was written.") from error
        if self.labels is None and (beside := [o for o, of in _OF_LABELS.items() if getattr(self, of) is not None]):
            raise CannotOnboard(
                f"{beside[0]} is about labels in files of their own, and none are named: say `--labels FILES`, or "
                f"leave {beside[0]} out. Nothing was written."
            )
        if self.labels is not None and parse_duration(self.delay):
            raise CannotOnboard(
                "`--label-delay` is about labels that stand in the rows; those in files of their own are known when "
                "their `--label-time` says. Leave `--label-delay` or `--labels` out. Nothing was written."
            )
        if both := [name for name in (self.time, self.label_time, *self.moments) if name in self.texts]:
            raise CannotOnboard(f"{both[0]} is asked for as a time and as text: leave {typed('--text', both[0])} out.")

    def refuse_unknown_columns(self, names: Sequence[str]) -> None:
        """Do nothing where the columns that are to be texts, or have words for missing, are among these.

        Raises:
            CannotOnboard: naming the first that is not.
        """
        named = [
            *(("--text", name) for name in self.texts),
            *(("--missing", name) for name in self.missing_in),
            *(("--per", name) for name in filter(None, (self.per,))),
        ]
        if unknown := [typed(option, name) for option, name in named if name not in names]:
            raise CannotOnboard(f"{unknown[0]}: name one of {', '.join(dict.fromkeys(names))}. Nothing was written.")


_OF_LABELS = {"`--key`": "key", "`--label-time`": "label_time"}
"""Options that say something of labels in files of their own, and where they are kept."""


def _in_one_column(word: str) -> tuple[str, str] | None:
    """The column and the text of COL=TEXT; None for a text that means missing everywhere, as #N/A or =NA() do."""
    name, mark, text = word.partition("=")
    return (name, text) if name and mark else None


def _refuse_name(name: str) -> None:
    if name in RESERVED:
        why = "it means something else in YAML or in the lake"
    elif not re.fullmatch(rf"[a-z][a-z0-9_]{{0,{LONGEST - 1}}}", name):
        why = f"a name has a small letter first, then small letters, digits and underscores, {LONGEST} in all at most"
    else:
        return
    raise CannotOnboard(
        f"{shown(name)!r} cannot be a model's name: {why}. Take another, such as {plain_names([name], ())[name]}. "
        "Nothing was written."
    )
