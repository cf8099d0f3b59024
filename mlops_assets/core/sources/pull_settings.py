"""Where a source's files come from, if nobody sends them: a table of a database, or an object store.

Here: the settings as strict pydantic models, and which partitions of a table are to be read. Not here: reading
(`steps.land.pull_sql`, `steps.land.pull_objects`), sources that are sent (`core.sources.settings`).
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from mlops_assets.core.limits.ranges import Length

_WAIT = Length("0s", "366d", "1h")


class PullSpec(BaseModel):
    """What is fetched, from where and how often."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["sql", "objects"] = Field(
        description="sql: a table of a database; objects: files of an object store."
    )
    url_env: str = Field(
        description="Environment variable with the address, such as postgresql://… or s3://bucket/feed."
    )
    options_env: str | None = Field(default=None, description="Environment variable with options, as JSON.")
    table: str | None = Field(default=None, description="sql: the table or view, also schema.table.")
    watermark: str | None = Field(default=None, description="sql: a column that grows with each change of a row.")
    overlap: Annotated[str, _WAIT] = Field(
        default="1h", description="sql: how far behind the watermark is looked again."
    )
    lateness: Annotated[str, _WAIT] = Field(
        default="10min", description="sql: how long after its end a partition is waited for."
    )
    schedule: str = Field(default="*/15 * * * *", description="When it is fetched, as cron has it, UTC.")

    @model_validator(mode="after")
    def _has_what_its_kind_needs(self) -> PullSpec:
        if self.kind == "sql" and not (self.table and self.watermark):
            raise ValueError(
                "pull from sql needs `table`, and `watermark`: a column that grows with each new or changed row, "
                "such as updated_at or a serial number."
            )
        if self.kind == "objects" and (self.table or self.watermark):
            raise ValueError("pull from objects has no `table` and no `watermark`: what is new, the store says.")
        return self
