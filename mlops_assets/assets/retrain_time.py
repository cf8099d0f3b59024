"""How long a retraining took, from the evidence to the champion, measured when the champion is there.

Here: the figure and its line on record. Not here: when the evidence was written (`steps.keep.metric_values`).
"""

from datetime import UTC, datetime

import dagster as dg

from mlops_assets.core.record.entries import Decision, only
from mlops_assets.core.settings import ModelSettings
from mlops_assets.steps.keep.metric_values import evidence_written_at
from mlops_assets.world.costs import Costs
from mlops_assets.world.platform import Platform


def time_to_retrain(context: dg.AssetExecutionContext, platform: Platform, model: ModelSettings, version: int) -> float:
    """Seconds from the newest report that the decision rests on until now, put on record.

    A retraining without such a report (the first model, a run by hand) counts from its run's creation.
    """
    decision = context.run.tags.get("mlops/decision", "")
    decisions = only(platform.ledger.entries(model.name), Decision)
    window = next((entry.window for entry in reversed(decisions) if entry.id == decision), None)
    written = evidence_written_at(platform, model.name, window) if window else None
    created = context.instance.get_run_record_by_id(context.run.run_id)
    begun = written or (created.create_timestamp.astimezone(UTC) if created else datetime.now(UTC))
    seconds = round((datetime.now(UTC) - begun).total_seconds(), 1)
    values = {"model": model.name, "version": version, "decision": decision, "run": context.run.run_id}
    Costs(platform.home.root).append("retrain", {**values, "seconds": seconds})
    return seconds
