"""One incident of a broken source in place of one for each model that is held back by it.

Here: putting the alarms of such models together under the incident of their source, which names them. Not here: the
alarms (`model_alarms`), the source's own one (`assets.platform.failed_runs`), sending.

A thousand models may read one source. Whoever mends it helps all of them, so a thousand pages say no more than one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from mlops_assets.core.record.plain_values import counted
from mlops_assets.core.settings import ModelSettings
from mlops_assets.steps.keep.model_alarms import WAITS_FOR_DATA, Alarm
from mlops_assets.steps.land.source_alarms import IN_QUARANTINE, newest_bad
from mlops_assets.world.platform import Platform

MOST_NAMED = 10
"""Models behind a source, as many are named; `mlops status` has all of them."""


def by_source(platform: Platform, alarms: Iterable[Alarm], models: Mapping[str, ModelSettings]) -> list[Alarm]:
    """The alarms to send: of models that wait for data in quarantine one a source, all others as they are.

    Args:
        platform: the home.
        alarms: of the models that were looked at: of a source that breaks all at once, since it is news to each.
        models: by name.
    """
    sent: list[Alarm] = []
    behind: dict[tuple[str, str], list[str]] = {}
    reasons: dict[tuple[str, str], Any] = {}
    for alarm in alarms:
        model = models.get(alarm.get(WAITS_FOR_DATA, ""))
        bad = newest_bad(platform, model) if model is not None else {}
        if model is None or not bad:
            sent.append({name: value for name, value in alarm.items() if name != WAITS_FOR_DATA})
            continue
        for partition, entry in bad.items():
            behind.setdefault(partition, []).append(model.name)
            reasons[partition] = entry
    return [*sent, *(_of_source(key, reasons[key], names) for key, names in sorted(behind.items()))]


def _of_source(key: tuple[str, str], entry: Any, models: list[str]) -> Alarm:
    """The alarm of a source, told once a partition: who waits for it later stands in `mlops status`."""
    source, partition = key
    names = sorted({*models})
    more = f" and {len(names) - MOST_NAMED:,} more" if len(names) > MOST_NAMED else ""
    named = f"{', '.join(names[:MOST_NAMED])}{more}"
    waits, holds = ("waits", "its") if len(names) == 1 else ("wait", "their")
    return {
        "key": f"quarantine/{source}",
        "incident": f"quarantine-{source}-{partition}-models",
        "severity": "page",
        "happened": f"{source}/{partition} {IN_QUARANTINE}: {entry.reason} {counted(len(names), 'model')} below "
        f"{holds} agreed performance {waits} for it: {named}."[:2000],
        "did": "It trains none of them on what is in quarantine; their champions stay and predict.",
        "do": entry.remedy(source, partition),
        "runbook": "quarantine",
    }
