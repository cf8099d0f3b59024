"""The values that new rows bring to a fleet: each is a member from the next load of the definitions on.

Here: looking into the rows of days. Not here: where the values stand (`world.landed.fleet_values`), what a member is
(`core.settings_fleet`).

Until Dagster has loaded the definitions anew, the pooled model alone predicts the rows of a new value.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date

from mlops_assets.core.record.plain_values import counted
from mlops_assets.core.settings_fleet import FleetSettings
from mlops_assets.core.values.display import shown
from mlops_assets.world.columns import refuse_unknown_columns
from mlops_assets.world.landed.fleet_values import add_values, values_of
from mlops_assets.world.platform import Platform

_NAMED = 10


@dataclass(frozen=True)
class BroughtMembers:
    """What the rows of some days brought to a fleet.

    Attributes:
        new: values that are members from now on.
        beyond: values that are not, because there are `most` already.
        most: see there.
    """

    new: list[str]
    beyond: list[str]
    most: int

    @property
    def sentence(self) -> str:
        """Both, in words; empty without either."""
        parts = []
        if self.new:
            parts.append(f"New: {_named(self.new)}. Reload the definitions (Deployment, Reload) to watch them alone.")
        if self.beyond:
            parts.append(
                f"The fleet has {counted(self.most, 'member')}, and `most` allows no more, so that the pooled model "
                f"alone predicts {_named(self.beyond)}. Raise `most`, or name the members under `values`."
            )
        return " ".join(parts)


def note_members(platform: Platform, fleet: FleetSettings, days: Collection[date]) -> BroughtMembers:
    """Keep the values of a fleet's column that the rows of these days bring; the first time, those of all days before.

    Raises:
        WrongSetting: the label model has no such column.
        DamagedFile: what was kept before cannot be read.
    """
    nothing = BroughtMembers([], [], fleet.most)
    if fleet.values is not None or not days:
        return nothing
    refuse_unknown_columns(fleet, platform.catalogue)
    home, known = platform.home, values_of(platform.home, fleet.name)
    if known is None:
        days = [day for day in platform.lake.partitions("labels", fleet.label.model) if day <= max(days)]
    values = platform.lake.texts("labels", fleet.label.model, column=fleet.per, days=days)
    # An empty text names nobody: such rows stay with the pooled model, like those without a value.
    values = [value for value in values if value.strip()]
    if not set(values) - set(known or ()):
        return nothing
    new = add_values(home, fleet.name, values, most=fleet.most)
    return BroughtMembers(new, sorted(set(values) - set(known or ()) - set(new)), fleet.most)


def _named(values: list[str]) -> str:
    more = f" and {len(values) - _NAMED:,} more" if len(values) > _NAMED else ""
    return ", ".join(shown(value) for value in values[:_NAMED]) + more
