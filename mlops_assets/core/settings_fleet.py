"""A fleet: one YAML for a model per value of a column, and a pooled model of all rows that they begin as.

Here: the fields that a fleet has beside those of a model, and the settings of its members. Not here: which values data
have brought (`world.fleet_values`), when a member leaves the pool (`steps.promote.pool`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from pydantic import Field, model_validator

from mlops_assets.core.limits.ranges import Range
from mlops_assets.core.member_names import LONGEST_FLEET
from mlops_assets.core.settings import ModelSettings
from mlops_assets.core.settings_defaults import merge
from mlops_assets.core.settings_sections import RowValue

_FLEET_FIELDS = ("per", "values", "overrides", "most")
_POOLED = ("name", "description", "label", "features", "exclude", "task", "metric", "grain", "timezone", *_FLEET_FIELDS)
"""What a member has of its fleet, so that the pooled model and its own can be held against each other."""


class FleetSettings(ModelSettings):
    """A fleet: the fields of `MonitoredModel`, which the pooled model has, and which column its members stand for."""

    per: str = Field(description="Column of the label model; each of its values is a member, with a model of its own.")
    values: list[RowValue] | None = Field(
        default=None, min_length=1, description="The members; without it every value that data bring."
    )
    overrides: dict[RowValue, dict[str, Any]] = Field(
        default_factory=dict, description="Fields of single members, by their value."
    )
    most: Annotated[int, Range(1, 10_000, 200, whole=True)] = Field(
        default=200, description="Members that data may bring; the values beyond stay with the pooled model."
    )

    @model_validator(mode="after")
    def _its_members_can_be_named(self) -> FleetSettings:
        if len(self.name) > LONGEST_FLEET:
            raise ValueError(
                f"name has {len(self.name)} characters, and those of its members begin with it: at most {LONGEST_FLEET}"
            )
        if self.values and (twice := {value for value in self.values if self.values.count(value) > 1}):
            raise ValueError(f"values names {min(twice)!r} twice: name each once.")
        if self.values and (others := self.overrides.keys() - set(self.values)):
            raise ValueError(f"overrides names {min(others)!r}, which values does not: add it there, or remove it.")
        for value, fields in self.overrides.items():
            if pooled := [name for name in fields if name in _POOLED]:
                raise ValueError(
                    f"overrides of {value!r} set {pooled[0]}, which all members share with the pooled model: remove "
                    "it, or declare a MonitoredModel of its own."
                )
        return self


class MemberSettings(ModelSettings):
    """A member of a fleet.

    Attributes:
        pool: the fleet, whose pooled model it begins as.
        value: which rows are its own.
    """

    pool: str
    value: str


def member_fields(fleet: Mapping[Any, Any], value: str, name: str) -> dict[str, Any]:
    """The fields of a member, as YAML would have them.

    Args:
        fleet: those of its fleet, as YAML has them.
        value: the member's.
        name: the member's.
    """
    shared = {field: given for field, given in fleet.items() if field not in _FLEET_FIELDS}
    fields = merge([override_of(fleet, value), shared]).values
    label = fields["label"]
    return fields | {
        "name": name,
        "description": f"{str(fields['description']).rstrip()} Where {fleet['per']} is {value}.",
        "label": {**label, "only": {**label.get("only", {}), fleet["per"]: value}},
        "pool": fleet["name"],
        "value": value,
    }


def override_of(fleet: Mapping[Any, Any], value: str) -> Mapping[Any, Any]:
    """The fields that a fleet gives for one value, which YAML may have as a number."""
    given = fleet.get("overrides")
    fields = {str(key): fields for key, fields in given.items()}.get(value) if isinstance(given, Mapping) else None
    return fields if isinstance(fields, Mapping) else {}


def overridden(fields: Mapping[Any, Any]) -> Iterator[tuple[Any, dict[str, Any]]]:
    """Each key of `overrides` as YAML has it, and the fields of that member: to be validated with the fleet."""
    for key in fields.get("overrides") or {}:
        yield key, member_fields(fields, str(key), str(fields["name"]))
