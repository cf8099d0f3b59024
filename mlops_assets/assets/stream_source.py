"""`StreamSource`: a topic declared in YAML becomes the asset raw/<source>, as if its messages had come as files.

Here: the component, and what is asked of its reader. Not here: reading (`steps.land.stream_consumer`, run by `mlops
stream`), the asset itself, which is that of every landed source (`landing_source`).
"""

from __future__ import annotations

import dagster as dg
from pydantic import BaseModel

from mlops_assets.assets.landing_source import build_raw_asset
from mlops_assets.assets.partitions import declared_calendar
from mlops_assets.assets.scaffolds import StreamYaml
from mlops_assets.core.sources.stream_settings import StreamSettings
from mlops_assets.core.time.windows import parse_duration
from mlops_assets.core.values.display import breakable
from mlops_assets.world.files.environment_values import reading_environment
from mlops_assets.world.lake import Lake
from mlops_assets.world.runs.own_run import executes


@dg.scaffold_with(StreamYaml)
class StreamSource(dg.Component):
    """A raw table that comes as messages of Kafka and lands as files, one a partition."""

    def __init__(self, settings: StreamSettings):
        self.settings = settings

    @classmethod
    def get_model_cls(cls) -> type[BaseModel]:
        """The YAML's fields."""
        return reading_environment(StreamSettings)

    @classmethod
    def load(cls, attributes: BaseModel | None, context: dg.ComponentLoadContext) -> StreamSource:
        """From validated YAML."""
        if not isinstance(attributes, StreamSettings):
            raise dg.DagsterInvalidDefinitionError("StreamSource needs `attributes:`; see docs/streams.md.")
        return cls(attributes)

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """The asset of a source, and two checks of its messages."""
        source = self.settings
        if not executes("raw", [source.name]):
            return dg.Definitions()
        return dg.Definitions(
            assets=[build_raw_asset(source, declared_calendar(source.grain))], asset_checks=build_stream_checks(source)
        )


def build_stream_checks(source: StreamSettings) -> list[dg.AssetChecksDefinition]:
    """That the reader keeps up, and that nearly all messages could be read; both warn and stop nothing."""
    key = dg.AssetKey(["raw", source.name])

    @dg.asset_check(
        asset=key,
        name="reader_keeps_up",
        description=f"What is not read yet is at most {source.stream.max_lag} old, and somebody reads.",
    )
    def reader_keeps_up(lake: dg.ResourceParam[Lake]) -> dg.AssetCheckResult:
        from mlops_assets.steps.land.stream_lag import pace, read_lag

        lag = read_lag(lake.home, source.name)
        state = pace(
            lag,
            max_lag=parse_duration(source.stream.max_lag),
            is_wall=lake.home.settings.clock == "wall",
        )
        return dg.AssetCheckResult(
            passed=state.keeps_up,
            severity=dg.AssetCheckSeverity.WARN,
            description=breakable(state.sentence),
            metadata={"unread": lag.messages if lag else 0},
        )

    @dg.asset_check(
        asset=key,
        name="messages_are_sound",
        description=f"At most {source.stream.max_poison_share:.2%} of the messages are in quarantine.",
    )
    def messages_are_sound(lake: dg.ResourceParam[Lake]) -> dg.AssetCheckResult:
        from mlops_assets.steps.land.stream_poison import poison_count

        poison = poison_count(lake.home, source.name)
        share = poison.messages / max(poison.of, 1)
        return dg.AssetCheckResult(
            passed=share <= source.stream.max_poison_share,
            severity=dg.AssetCheckSeverity.WARN,
            description=breakable(poison.sentence(source.name)),
            metadata={"messages": poison.messages, "share": share, "reasons": dg.MetadataValue.json(poison.reasons)},
        )

    return [reader_keeps_up, messages_are_sound]
