"""A small landing source of its own in a temporary home: files in, the real asset in process, the lake out.

What lives here: builders shared by the tests of ingestion. What does not: fixtures and assertions.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd
import yaml

from mlops_assets.assets.landing_source import CONTRACT_CHECK, build_raw_asset
from mlops_assets.assets.partitions import span_tags
from mlops_assets.core.sources.settings import SourceSettings
from mlops_assets.core.time.spans import Span
from mlops_assets.world.home import Home
from mlops_assets.world.lake import Lake
from mlops_assets.world.landed.intake import Intake
from mlops_assets.world.landed.sources import Sources
from tests.support import keep_dagster_engines

keep_dagster_engines()

DAY = date(2024, 3, 1)
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
LIMIT = 2**20
"""Bytes that a file may have where a test sets a limit."""
HEADER = "id,at,shop,price"
ORDERS: Mapping[str, Any] = {
    "name": "orders",
    "description": "One row per order.",
    "files": "orders_{partition}*.csv",
    "event_time": "at",
    "start": "2024-03-01",
    "contract": {
        "unique": ["id"],
        "rows": {"min": 2, "max": 6},
        "columns": {
            "id": {"type": "integer"},
            "at": {"type": "timestamp"},
            "shop": {"type": "string", "allowed": ["north", "south"]},
            "price": {"type": "number", "min": 0, "max_null_share": 0.5},
        },
    },
}


def source(**changes: Any) -> SourceSettings:
    """The source `orders` with other settings; `columns` adds to or changes the contract's columns."""
    columns = {**ORDERS["contract"]["columns"], **changes.pop("columns", {})}
    return SourceSettings.model_validate({**ORDERS, "contract": {**ORDERS["contract"], "columns": columns}, **changes})


def rows(day: date, *, n: int = 3, price: float = 1.5) -> str:
    """A good CSV file of a day: n orders, an hour apart; their ids are those of no other day."""
    first = 100 * (day - DAY).days
    lines = [f"{first + i},{day}T{i:02}:30:00Z,{'north' if i % 2 else 'south'},{price + i}" for i in range(n)]
    return "\n".join([HEADER, *lines]) + "\n"


@dataclass
class LandingHome:
    """One home with its sources; each landed file is a second younger than the one before."""

    home: Home
    sources: list[SourceSettings] = field(default_factory=lambda: [source()])
    clock: datetime = datetime(2024, 6, 1)

    @classmethod
    def at(cls, folder: Path, *sources: SourceSettings) -> LandingHome:
        return cls(Home(folder).prepare(), list(sources) or [source()])

    @property
    def lake(self) -> Lake:
        return Lake(root=str(self.home.root))

    def intake(self, name: str = "orders") -> Intake:
        return Intake(lake=self.lake, source=next(s for s in self.sources if s.name == name))

    def all_sources(self) -> Sources:
        """The sources as the platform reads them, from YAML."""
        folder = self.home.root / "defs"
        for one in self.sources:
            file = folder / one.name / "defs.yaml"
            file.parent.mkdir(parents=True, exist_ok=True)
            attributes = one.model_dump(mode="json", exclude_unset=True)
            for column, spec in one.contract.columns.items():
                attributes["contract"]["columns"][column] = {
                    k: list(v) if isinstance(v, tuple) else v for k, v in vars(spec).items() if not k.startswith("_")
                }
            file.write_text(yaml.safe_dump({"type": "mlops_assets.components.LandingSource", "attributes": attributes}))
        return Sources(lake=self.lake, folder=str(folder))

    def land(self, content: str | bytes, name: str = f"orders_{DAY}.csv", *, source: str = "orders") -> Path:
        """Put a file into the landing folder."""
        path = self.home.landing / source / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        self.clock += timedelta(seconds=1)
        os.utime(path, (self.clock.timestamp(), self.clock.timestamp()))
        return path

    def land_days(self, days: Sequence[date], *, source: str = "orders", **values: Any) -> None:
        for day in days:
            self.land(rows(day, **values), f"{source}_{day}.csv", source=source)

    def run(
        self,
        first: date | None = DAY,
        last: date | None = None,
        *,
        take_in: Sequence[str] | None = None,
        more: Sequence[dg.AssetsDefinition] = (),
        instance: dg.DagsterInstance | None = None,
    ) -> dg.ExecuteInProcessResult:
        """The real assets in process, over the partitions from first to last."""
        chosen = [s for s in self.sources if take_in is None or s.name in take_in]
        assets = [build_raw_asset(s) for s in chosen]
        job = dg.define_asset_job("landing", selection="*", executor_def=dg.in_process_executor)
        defs = dg.Definitions(assets=[*assets, *more], jobs=[job], resources={"lake": self.lake})
        tags = span_tags(Span(first, chosen[0].end_of(last or first))) if first else {}
        with nullcontext(instance) if instance else dg.DagsterInstance.ephemeral() as where:
            return defs.resolve_job_def("landing").execute_in_process(
                instance=where, tags=tags, run_config=QUIET, raise_on_error=False
            )

    def carry(self, sources: Sources) -> None:
        """What the landing sensor's runs do to landing, lake and record; features are taken as built."""
        for period in sources.pending():
            span = None
            for name in period.take_in:
                one = next(s for s in self.sources if s.name == name)
                self.run(period.first if one.grain != "none" else None, period.last, take_in=[name])
            if period.first and period.last:
                grain = next(s for s in self.sources if s.grain == period.grain)
                span = Span(period.first, grain.end_of(period.last))
            sources.mark_built(sources.good(), span)

    def frame(self, partition: date = DAY, *, source: str = "orders") -> pd.DataFrame:
        """Rows of a partition in the lake."""
        return pd.read_parquet(self.intake(source).raw_file(str(partition)))

    def files(self) -> dict[str, bytes]:
        """Every Parquet file of the lake and its bytes."""
        root = self.home.lake / "raw"
        return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*.parquet"))}


def verdict(result: dg.ExecuteInProcessResult) -> tuple[bool, str]:
    """Whether the contract check of a run passed, and what it says."""
    (check,) = [c for c in result.get_asset_check_evaluations() if c.check_name == CONTRACT_CHECK]
    return check.passed, check.description or ""
