"""What a person can change where a table is read: options of `mlops new-model`, or fields of a source's YAML.

Here: the words for both. Not here: what is wrong (`texts`, `times`).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Remedies:
    """The ends of sentences that ask a person; `{name}` stands for the column.

    Attributes:
        time: to take the time from elsewhere.
        date_order: to say whether the day or the month stands first.
        decimal: to say what the decimal mark is.
    """

    time: str
    date_order: str
    decimal: str


OPTIONS = Remedies(
    time="name another column with --time",
    date_order="--date-order dmy or --date-order mdy",
    decimal="--decimal comma or --decimal point",
)
"""For a table that is to become a source."""
FIELDS = Remedies(
    time="name another column as `event_time` in the source's YAML",
    date_order="`format: dmy` or `format: mdy` of {name} in the contract",
    decimal="`format: comma` or `format: point` of {name} in the contract",
)
"""For a source that is declared."""
