"""What a stream looks like in YAML: a source's own fields, and those of `stream`.

Here: the settings as strict pydantic models. Not here: a source that lands as files (`core.sources.settings`), reading
messages (`steps.land.stream_consumer`), judging them (`core.sources.stream_rows`).
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from mlops_assets.core.limits.ranges import ANY_SHARE, Length, Range
from mlops_assets.core.sources.settings import Settings, SourceSettings

_WAIT = Length("0s", "366d", "10min", above=True)


class StreamSpec(Settings):
    """A topic, and how its messages become files."""

    topic: str = Field(min_length=1, description="The topic that is read, all its partitions.")
    servers_env: str = Field(
        default="MLOPS_KAFKA_SERVERS", description="Environment variable with the brokers, such as kafka-1:9092."
    )
    options_env: str = Field(
        default="MLOPS_KAFKA_OPTIONS", description="Environment variable with further settings of librdkafka, as JSON."
    )
    format: Literal["json", "registry"] = Field(
        default="json", description="json: an object a message; registry: Avro or JSON by a schema registry."
    )
    registry_env: str = Field(
        default="MLOPS_SCHEMA_REGISTRY_URL", description="Environment variable with the registry's address."
    )
    renamed: dict[str, list[str]] = Field(
        default_factory=dict, description="Column -> other names that the field has had in messages."
    )
    batch_rows: Annotated[int, Range(1, 1e9, 50_000, whole=True)] = Field(
        default=50_000, description="Messages after which a batch becomes a file."
    )
    batch_wait: Annotated[str, _WAIT] = Field(default="60s", description="... or the time after which it does.")
    files_by: Literal["partition", "hour"] = Field(
        default="partition", description="What a file that lands holds: a partition, or an hour of its day."
    )
    lateness: Annotated[str, Length("0s", "366d", "10min")] = Field(
        default="10min", description="How long after its end a partition, or hour, is waited for."
    )
    max_lag: Annotated[str, _WAIT] = Field(default="15min", description="Largest age of what is not read yet.")
    max_poison_share: Annotated[float, ANY_SHARE] = Field(
        default=0.001, description="Largest share of unreadable messages."
    )


class StreamSettings(SourceSettings):
    """A raw table that comes as messages, and lands as files by event time."""

    files: str = Field(default="", description="Set by the platform: <name>_{partition}.parquet, or an hour each.")
    stream: StreamSpec

    @model_validator(mode="before")
    @classmethod
    def _files_follow_the_name(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        if values.get("files"):
            raise ValueError("the reader of a stream names the files: remove `files`.")
        stream = values.get("stream")
        by = stream.get("files_by") if isinstance(stream, dict) else getattr(stream, "files_by", None)
        part = "{partition}T{hour}" if by == "hour" else "{partition}"
        return {**values, "files": f"{values.get('name')}_{part}.parquet"}

    @model_validator(mode="after")
    def _messages_can_be_placed(self) -> StreamSettings:
        if self.grain == "none":
            raise ValueError(f"source {self.name}: a stream has partitions: set grain to day, week or month.")
        if self.pull is not None:
            raise ValueError(f"source {self.name}: a stream is read, not fetched: remove `pull`.")
        if unknown := sorted(self.stream.renamed.keys() - self.contract.columns.keys()):
            raise ValueError(
                f"source {self.name}: stream.renamed names {unknown[0]!r}, which is not in contract.columns; "
                "write the column's declared name first, then its other names."
            )
        return self

    @property
    def is_sent(self) -> bool:
        """The reader of the stream writes the files, each with all rows that have come."""
        return False

    @property
    def other_names(self) -> dict[str, str]:
        """Other name of a field -> its column."""
        return {other: column for column, others in self.stream.renamed.items() for other in others}
