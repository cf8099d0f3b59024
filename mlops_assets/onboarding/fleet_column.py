"""Which columns can tell the members of a fleet apart.

Here: refusing the others. Not here: what a fleet is (`core.settings_fleet`), the rest of a plan (`plan`).
"""

from __future__ import annotations

from collections.abc import Sequence

from mlops_assets.core.settings_fleet import FleetSettings
from mlops_assets.core.values.quoted_commands import typed
from mlops_assets.onboarding.identity import CannotOnboard
from mlops_assets.onboarding.reading.table import Table

MOST_MEMBERS: int = FleetSettings.model_fields["most"].default
"""Of a fleet, unless its YAML says another number."""


def refuse_unfit_fleet(per: str | None, table: Table, others: Sequence[str]) -> None:
    """Refuse a fleet by a column that says nothing of what belongs together.

    Args:
        per: the column; None where no fleet is asked for.
        table: the rows.
        others: columns that are something else: the time, the label, the key.

    Raises:
        CannotOnboard: with the reason.
    """
    if per is None:
        return
    if per in others:
        why = "it is the time, the label or the key of a row"
    elif per not in table.facts:
        why = "it stands with the labels, which are not known when a row is predicted"
    elif table.facts[per].is_time or table.facts[per].dtype == "DOUBLE":
        why = "its values are moments or measures, not names"
    elif (distinct := table.facts[per].distinct) < 2:
        why = "it has one value, so that there would be one model: leave --per out"
    elif distinct > MOST_MEMBERS:
        why = f"it has {distinct:,} values, and a fleet begins with at most {MOST_MEMBERS:,}: group them in a column"
    else:
        return
    raise CannotOnboard(f"{typed('--per', per)}: {why}. Nothing was written.")
