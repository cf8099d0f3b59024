"""What the service knows of each model's rows, and the members that data bring to its fleets while it runs.

Here: `Contracts`, made when they are asked for: a thousand take a quarter of a second. Not here: what a contract is
(`arms`), which values data have brought (`world.landed.fleet_values`), whose row is whose (`members`).
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping

from mlops_assets.core.settings import ModelSettings
from mlops_assets.core.settings_fleet import MemberSettings
from mlops_assets.serving.engine.arms import CannotServe, Contract
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
        self._members = _members(self._settings)
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

    def members(self, pool: str) -> Mapping[str, str]:
        """The members of a fleet: value of its column -> name; nothing where a model is no fleet."""
        return self._members.get(pool, {})

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
        self._members = _members(self._settings)
        self._brought = brought


def _members(settings: Mapping[str, ModelSettings]) -> dict[str, dict[str, str]]:
    members: dict[str, dict[str, str]] = {}
    for name, each in settings.items():
        if isinstance(each, MemberSettings):
            members.setdefault(each.pool, {})[each.value] = name
    return members
