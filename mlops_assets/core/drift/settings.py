"""What `monitoring.drift` of a model's YAML holds: limits, or the preset they are taken from, levels and reference.

Here: the fields and their checks. Not here: the limits themselves (`policy`), the rest of the YAML (`settings`),
reading the reference (`steps.watch.windows.references`).
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict
from pydantic.dataclasses import dataclass

from mlops_assets.core.drift.policy import DriftPolicy, DriftPreset


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class DriftSpec(DriftPolicy):
    """When a window's inputs or predictions no longer look like the reference: the fields of `DriftPolicy`.

    Attributes:
        preset: what the limits that are left out are: `default`, `high_stakes` (PSI 0.1), `low_stakes` (0.3), `ks` (p
            below 0.05 on 1,000 rows), `kl` (0.15), or `any_feature` (one that drifted is enough).
        levels: `preset` (default): these limits; `calibrated`: each feature's own, from how much the reference moves
            by itself; `auto`: calibrated where the reference holds at least 52 windows.
        reference: what inputs are compared with. `promotion` (default): the rows that the champion was trained on;
            `season`: the same window a year ago; `2013-01-01/2013-03-31`: these days, both included.
    """

    preset: DriftPreset = "default"
    levels: Literal["preset", "calibrated", "auto"] = "preset"
    reference: str = "promotion"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.reference not in ("promotion", "season"):
            pinned_days(self.reference)
        if self.reference == "season" and self.levels != "preset":
            raise ValueError(
                f"drift.levels is {self.levels} and drift.reference season, which is one window: levels are calibrated "
                "on how far those of a reference differ. Pin its days, set it to promotion, or drift.levels to preset."
            )


def pinned_days(days: str) -> tuple[date, date]:
    """The first day of a pinned reference, and the first day after it.

    Raises:
        ValueError: the text names no days.
    """
    first, _, last = days.partition("/")
    try:
        start, end = date.fromisoformat(first), date.fromisoformat(last) + timedelta(days=1)
    except ValueError as error:
        raise ValueError(
            f"drift.reference is {days!r}: write promotion, season, or two days such as 2013-01-01/2013-03-31."
        ) from error
    if end <= start:
        raise ValueError(f"drift.reference is {days!r} and ends before it begins: write the earlier day first.")
    return start, end


def _with_preset(value: Any) -> Any:
    """Limits from their YAML: the preset's where others are not given."""
    if not isinstance(value, dict):
        return value
    return {**DriftPolicy.of_preset(str(value.get("preset", "default"))).to_dict(), **value}


Drift = Annotated[DriftSpec, BeforeValidator(_with_preset)]
