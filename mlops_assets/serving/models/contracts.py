"""What the service knows of each model's rows, and the members that data bring to its fleets while it runs.

Here: `Contracts`, made when they are asked for: a thousand take a quarter of a second. Not here: what a contract is
(`arms`), which values data have brought (`world.landed.fleet_values`), whose row is whose (`engine.members`).
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping

from mlops_assets.core.settings import ModelSettings
from mlops_assets.core.settings_fleet import FleetSettings, MemberSettings
from mlops_assets.serving.engine.arms import CannotServe, Contract
from mlops_assets.serving.engine.members import Members
from mlops_assets.world.landed.fleet_values import brought_values
from mlops_assets.world.platform import Platform

LOOK_SECONDS = 1.0
"""Between two looks at the members of fleets."""


class Contracts(Mapping[str, Contract]):
    """The contract of each declared model, by name. Safe between threads; only more are added."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._brought = brought_values(platform.home)
        self._settings: Mapping[str, ModelSettings] = dict(sorted(platform.models().items()))
        self._made: dict[str, Contract] = {}
        self._members: dict[str, Members | None] = {}
        self._look_at = 0.0

    def __getitem__(self, name: str) -> Contract:
        """The contract of a model.

        Raises:
            KeyError: there is no such model.
            CannotServe: dbt's project lacks what its YAML names.
        """
        if (made := self._made.get(name)) is not None:
            return made
        settings = self._settings[name]
        try:
            made = self._made[name] = Contract.of(settings, self._platform.catalogue)
        except (LookupError, ValueError) as error:
            raise CannotServe(f"{name} cannot be served: {error}") from error
        return made

    def __iter__(self) -> Iterator[str]:
        return iter(self._settings)

    def __len__(self) -> int:
        return len(self._settings)

    def __contains__(self, name: object) -> bool:
        return name in self._settings

    def members(self, name: str) -> Members | None:
        """The members of a fleet; None where a model is none, or has none yet."""
        # Taken before they are looked up: what the settings before say goes with the table before.
        known = self._members
        if name not in known:
            known[name] = self._members_of(name)
        return known[name]

    def _members_of(self, name: str) -> Members | None:
        fleet, contract = self._settings[name], self[name]
        if not isinstance(fleet, FleetSettings):
            return None
        by_value = {
            each.value: member
            for member, each in self._settings.items()
            if isinstance(each, MemberSettings) and each.pool == name
        }
        features = [feature for feature in contract.kinds if feature.partition("__")[2] == fleet.per]
        return Members(fleet.per, features, by_value, fleet.per in contract.keys) if by_value else None

    def look(self) -> None:
        """Take in members that data have brought, once in a while; what else the YAML says stays as it was."""
        if time.monotonic() < self._look_at:
            return
        self._look_at = time.monotonic() + LOOK_SECONDS
        if (brought := brought_values(self._platform.home)) == self._brought:
            return
        new = {
            name: settings
            for name, settings in self._platform.models().items()
            if name not in self._settings and isinstance(settings, MemberSettings) and settings.pool in self._settings
        }
        self._settings = dict(sorted((dict(self._settings) | new).items()))
        self._members = {}
        self._brought = brought
