"""What is wrong with the sources and feature views right now: stale, misnamed, behind.

Here: what can be seen of it, and the alerts told of it. Not here: how far behind they are (`lags`), sending (`alerts`),
ticking (`assets.platform`), what is wrong with models (`model_alarms`). Imports nothing of Dagster's graph, so that
`mlops status` may ask too.
"""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime, timedelta

from mlops_assets.core.record.incidents import Alert
from mlops_assets.core.settings import ModelSettings
from mlops_assets.core.sources.stream_settings import StreamSettings
from mlops_assets.core.time.spans import Span
from mlops_assets.core.time.windows import parse_duration
from mlops_assets.steps.land.lags import SourceLag, source_lags, view_lags
from mlops_assets.steps.land.stream_lag import pace, read_lag
from mlops_assets.world.landed.landed_files import unclaimed
from mlops_assets.world.landed.partitions import Taken
from mlops_assets.world.platform import Platform

SETTLING = timedelta(minutes=10)
STALE_VIEWS = "stale-feature-view/views"
STATES = ("quarantine/", "stale-source/", "stream-behind/", "misnamed-file/", STALE_VIEWS)
"""How the keys of these incidents begin: each lasts as long as it can be seen."""
IN_QUARANTINE = "is in quarantine"
"""What a decision's reason says of a partition that it waits for."""


def lasting(platform: Platform) -> set[str]:
    """The keys of what lasts now."""
    keys = {f"stale-source/{name}" for name in stale_sources(platform)}
    keys |= {str(alert["key"]) for alert in (*late_streams(platform), *misnamed_files(platform))}
    keys |= {f"quarantine/{n}" for n, intake in platform.sources.whole().items() if intake.record.quarantined()}
    return keys | ({STALE_VIEWS} if stale_views(platform) else set())


def stale_sources(platform: Platform) -> dict[str, SourceLag]:
    """Sources whose newest good partition ended too long ago, by this home's clock."""
    return {name: lag for name, lag in source_lags(platform).items() if lag.is_stale}


def newest_bad(platform: Platform, model: ModelSettings) -> dict[tuple[str, str], Taken]:
    """Required sources of a model whose newest partition is in quarantine, by source and partition.

    What is decided now would stand on a hole.
    """
    quarantined = {}
    for source in platform.sources_of(model):
        intake = platform.sources.intakes()[source.name]
        # A replay takes in all at once, and knows at each moment of what had ended by then.
        until = platform.home.settings.until
        taken = {key: entry for key, entry in intake.taken().items() if intake.is_visible(key, until)}
        if source.required and taken and taken[max(taken)].status == "quarantined":
            quarantined[source.name, max(taken)] = taken[max(taken)]
    return quarantined


def misnamed_files(platform: Platform) -> list[Alert]:
    """An alert for each landing folder with files that no partition claims, or links: nothing comes of them.

    Files younger than `SETTLING` may still be on their way to their final name.
    """
    if platform.home.settings.landing:
        return []  # A replay reads its parent's landing folder; the parent tells.
    before = (datetime.now(UTC) - SETTLING).timestamp()
    alerts = list[Alert]()
    for name, intake in platform.sources.intakes().items():
        files = [file for file in intake.unmatched() if (intake.folder / file).lstat().st_mtime < before]
        if not files:
            continue
        reasons = unclaimed(intake.source, intake.folder, files)
        identity = hashlib.sha256(json.dumps(files).encode()).hexdigest()[:16]
        alerts.append(
            {
                "incident": f"misnamed-{name}-{identity}",
                "key": f"misnamed-file/{name}",
                "severity": "digest",
                "happened": f"In {intake.folder}: {'; '.join(reason.problem for reason in reasons)}.",
                "did": "It left them where they are; nothing was taken in from them.",
                "do": " ".join(reason.remedy for reason in reasons),
                "runbook": "misnamed-file",
            }
        )
    return alerts


def late_streams(platform: Platform) -> list[Alert]:
    """An alert for each stream whose reader is behind, or away; none for one that was never read."""
    is_wall = platform.home.settings.clock == "wall"
    if platform.home.settings.landing:
        return []  # A replay reads its parent's landing folder; the parent tells.
    alerts = list[Alert]()
    for name, source in platform.sources.settings().items():
        lag = read_lag(platform.home, name) if isinstance(source, StreamSettings) else None
        if lag is None or not isinstance(source, StreamSettings):
            continue
        state = pace(lag, max_lag=parse_duration(source.stream.max_lag), is_wall=is_wall)
        if not state.keeps_up:
            alerts.append(
                {
                    "incident": f"stream-{name}-{lag.at:%Y-%m-%d}",
                    "key": f"stream-behind/{name}",
                    "happened": f"Stream {name}: {state.sentence}",
                    "did": "It goes on with what has landed; no message is lost while the broker keeps it.",
                    "do": f"See logs/stream_{name}.log, and whether a reader runs: mlops stream list.",
                    "runbook": "stream-behind",
                }
            )
    return alerts


def stale_views(platform: Platform) -> dict[str, Span]:
    """Feature views that lack days which their required sources have."""
    return {view: span for view, span in view_lags(platform).items() if span}
