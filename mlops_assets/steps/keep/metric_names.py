"""Every metric of the platform: its name, kind, labels and meaning, in one place.

Here: the names, for the exporter (`metrics`), the online service, the rules and the dashboard. Not here: their values.
Times are in seconds, sizes in bytes, shares from 0 to 1, as Prometheus has it; a moment is in seconds since 1970, UTC.
No label is called `job` or `instance`: those are Prometheus' own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Spec:
    """One metric.

    Attributes:
        name: as it is exposed; counters end in `_total`.
        kind: of metric.
        labels: in order.
        help: what it says.
        by: who exposes it.
    """

    name: str
    kind: Literal["gauge", "counter", "histogram"]
    labels: tuple[str, ...]
    help: str
    by: Literal["exporter", "service"] = "exporter"

    @property
    def series(self) -> tuple[str, ...]:
        """The names that a query may use."""
        if self.kind == "histogram":
            return tuple(f"{self.name}_{end}" for end in ("bucket", "sum", "count"))
        return (self.name,)


def _gauge(name: str, labels: str, text: str) -> Spec:
    return Spec(f"mlops_{name}", "gauge", tuple(labels.split()), text)


def _counter(name: str, labels: str, text: str) -> Spec:
    return Spec(f"mlops_{name}_total", "counter", tuple(labels.split()), text)


SERVED = "model version arm"
REQUESTS = Spec("mlops_requests_total", "counter", (*SERVED.split(), "code"), "Requests answered.", "service")
REQUEST_SECONDS = Spec(
    "mlops_request_seconds", "histogram", tuple(SERVED.split()), "From a request's arrival to its answer.", "service"
)
FEATURE_AGE = Spec(
    "mlops_feature_age_seconds",
    "gauge",
    ("model", "view"),
    "Age of the newest value of a view that was served.",
    "service",
)
FEATURE_MISSES = Spec(
    "mlops_feature_misses_total", "counter", ("model", "view"), "Requests for which a view had no value.", "service"
)
DEGRADED = Spec(
    "mlops_degraded_answers_total", "counter", ("model",), "Answers for which some view had no value.", "service"
)
PROFILE_CHECKS = Spec(
    "mlops_drift_profile_checks_total",
    "counter",
    ("profile", "result"),
    "Batches held against a drift profile: drift, no_drift or unjudged.",
    "service",
)
PROFILE_DRIFTING = Spec(
    "mlops_drift_profile_drifting", "gauge", ("profile",), "1 while its batches have drifted, else 0.", "service"
)
PROFILE_SHARE = Spec(
    "mlops_drift_profile_share",
    "gauge",
    ("profile",),
    "Share of the judged features that have drifted in its newest batch.",
    "service",
)
PROFILE_CHECKED = Spec(
    "mlops_drift_profile_checked_timestamp_seconds",
    "gauge",
    ("profile",),
    "When a batch was last held against it.",
    "service",
)

METRICS: tuple[Spec, ...] = (
    # --- models
    _gauge("model_declared", "model task", "1 for each model declared in YAML."),
    _gauge("model_paused", "model", "Whether a person has paused retraining."),
    _gauge("record_readable", "model", "Whether the model's record can be read; nothing is decided while it cannot."),
    _gauge("model_clock_timestamp_seconds", "model", "The present moment by the model's clock."),
    _gauge("champion_version", "model", "Version in production; absent without a champion."),
    _gauge("champion_age_seconds", "model", "Model's clock less the moment until which the champion knew labels."),
    _gauge("champion_age_limit_seconds", "model", "Age that starts a candidate (retrain.max_age); absent if never."),
    # --- reports
    _gauge("window_end_timestamp_seconds", "model report", "End of the newest window that was judged."),
    _gauge("window_rows", "model", "Predictions in the newest window of the performance report."),
    _gauge("labels_missing_share", "model", "Share of them without a label yet."),
    _gauge(
        "model_worse_than_baseline", "model", "1 if the champion is surely worse than guessing; absent if never judged."
    ),
    _gauge("check_passed", "model check", "A monitor's newest answer: 1 passed, 0 failed; absent if it cannot judge."),
    _gauge("check_value", "model check", "The number that it held against its limit."),
    _gauge("check_limit", "model check", "That limit."),
    _gauge("drift_share", "model", "Share of features over their level in the newest window."),
    _gauge(
        "serving_skew_share", "model feature", "Share of online answers in which a feature differs from training's."
    ),
    _gauge("feature_psi", "model feature", "Population stability index of the most drifted features."),
    _gauge("performance", "model metric", "Measured on the labels of the newest window that has any."),
    _gauge("performance_lower", "model metric", "Lower end of its interval by days."),
    _gauge("performance_upper", "model metric", "Upper end of its interval by days."),
    _gauge("estimated_performance", "model metric", "Estimated without labels, newest window."),
    _gauge("estimated_performance_lower", "model metric", "Lower end of the estimate's interval."),
    _gauge("estimated_performance_upper", "model metric", "Upper end of the estimate's interval."),
    _gauge(
        "performance_decay_per_week",
        "model metric",
        "What a champion loses a week, pooled over all; positive is worse.",
    ),
    _gauge("performance_decay_per_week_error", "model metric", "Standard error of that."),
    # --- record
    _counter("decisions", "model action rule", "Decisions on record."),
    _counter("outcomes", "model result", "Promotions, rejections, rollbacks; what promotions turned out as."),
    _gauge("time_to_retrain_seconds", "model", "The last promotion: from the report it rests on to the alias moved."),
    # --- sources
    _gauge("source_fresh", "source", "Whether its newest good partition is as new as agreed."),
    _gauge("source_newest_timestamp_seconds", "source", "End of its newest good partition."),
    _gauge("source_lag_seconds", "source", "Age of that end, by the home's clock."),
    _gauge("source_missed_seconds", "source", "By how much that is more than agreed; 0 where it is not."),
    _gauge("view_lag_seconds", "view", "How much of its required sources' time a feature view lacks."),
    _gauge("source_partitions", "source state", "Partitions that are good, pending or quarantined."),
    # --- streams
    _gauge("stream_unread_messages", "source partition", "Messages of the topic that were not read yet."),
    _gauge("stream_lag_seconds", "source", "Age of what is read next; 0 where all is read, absent if unknown."),
    _gauge("stream_read_timestamp_seconds", "source", "When its reader last told how far it is."),
    _gauge("stream_poison_messages", "source", "Messages in quarantine."),
    # --- runs
    _gauge("runs", "job_name status", "Runs in the instance."),
    _gauge("run_queue", "", "Runs that wait to be started."),
    _gauge("run_seconds", "job_name", "Duration of the job's last finished run."),
    _gauge(
        "run_failed",
        "job_name",
        "Whether the job's last finished run failed; of retrain, whether that of any model did.",
    ),
    _gauge("run_end_timestamp_seconds", "job_name", "End of it."),
    _gauge("daemon_heartbeat_timestamp_seconds", "daemon", "Last sign of life of each of Dagster's daemons."),
    # --- steps
    _gauge("asset_seconds", "asset", "Duration of its last step."),
    _gauge("asset_cpu_seconds", "asset", "CPU of its last step, children included."),
    _gauge("asset_peak_memory_bytes", "asset", "Most memory its last step held at once."),
    _counter("asset_cpu_seconds", "asset", "CPU of all its steps on record."),
    _counter("asset_steps", "asset outcome", "Its steps on record."),
    # --- alerts
    _gauge("incidents_open", "severity", "Incidents that last."),
    _gauge("alerts_waiting", "", "Messages that wait to be sent."),
    _counter("alerts_undelivered", "", "Messages that no channel took for a day."),
    # --- the exporter itself
    _gauge("collector_up", "collector", "Whether this part of the exporter could read what it reports."),
    _gauge("collector_seconds", "collector", "What reading it took."),
    # --- service
    REQUESTS,
    REQUEST_SECONDS,
    FEATURE_AGE,
    FEATURE_MISSES,
    DEGRADED,
    PROFILE_CHECKS,
    PROFILE_DRIFTING,
    PROFILE_SHARE,
    PROFILE_CHECKED,
)
BY_NAME = {spec.name: spec for spec in METRICS}
