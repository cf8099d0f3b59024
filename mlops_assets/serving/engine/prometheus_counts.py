"""What the service saw of its requests, for Prometheus.

Here: counting, and the counts as metric families. Not here: names and meaning (`steps.keep.metric_names`), the path
/metrics (`admin_api`).

A request is counted once for each version that answered some of its rows. One that no version answered is the
champion's if it failed by our fault (5xx), and has no version and arm if by the caller's.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from threading import Lock
from typing import TYPE_CHECKING, Protocol

from mlops_assets.serving.engine.arms import Arm, CannotServe
from mlops_assets.steps.keep.metric_names import DEGRADED, FEATURE_AGE, FEATURE_MISSES, REQUEST_SECONDS, REQUESTS

if TYPE_CHECKING:
    from prometheus_client.core import Metric

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
BUCKETS = (0.0005, 0.001, 0.002, 0.003, 0.006, 0.01, 0.025, 0.05, 0.1, 0.2, 0.25, 0.5, 1.0, 2.5, 10.0)
"""Upper ends in seconds. Among them the limits that are held: 3 and 6 ms by the benchmark, 200 and 250 ms by
rollouts and alerts."""

Served = tuple[str, int | str, str]
"""Model, version and arm; the last two are empty where no version answered."""


@dataclass
class _Times:
    """A histogram: how many fell into each bucket, the last for what is beyond all."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(BUCKETS) + 1))
    total: float = 0.0


class AnswersSeen:
    """Counts since the start. Safe between threads."""

    def __init__(self, now: Callable[[str], datetime]) -> None:
        """Begin at nothing.

        Args:
            now: the present moment by a model's clock.
        """
        self._now = now
        self._requests: dict[tuple[Served, int], int] = {}
        self._times: dict[Served, _Times] = {}
        self._misses: dict[tuple[str, str], int] = {}
        self._degraded: dict[str, int] = {}
        self._newest: dict[tuple[str, str], datetime] = {}
        self._lock = Lock()

    def answered(self, model: str, arm: Arm | None, code: int, seconds: float) -> None:
        """Count one request, for one of the arms that answered it."""
        served: Served = (model, arm.version, arm.name) if arm else (model, "", "")
        with self._lock:
            key = (served, code)
            self._requests[key] = self._requests.get(key, 0) + 1
            times = self._times.get(served)
            if times is None:
                times = self._times[served] = _Times()
            times.counts[bisect_left(BUCKETS, seconds)] += 1
            times.total += seconds

    def looked_up(self, model: str, view: str, newest: datetime | None, *, missed: bool) -> None:
        """Count one request's look at a view: the newest event time that it had, and whether a row had nothing."""
        with self._lock:
            key = (model, view)
            self._misses[key] = self._misses.get(key, 0) + missed
            if newest is not None and (key not in self._newest or newest > self._newest[key]):
                self._newest[key] = newest

    def degraded(self, model: str, answers: int) -> None:
        """Count answers that lacked a view."""
        if answers:
            with self._lock:
                self._degraded[model] = self._degraded.get(model, 0) + answers

    def collect(self) -> Iterator[Metric]:
        """The families, as Prometheus' client asks for them."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

        requests = CounterMetricFamily(REQUESTS.name, REQUESTS.help, labels=REQUESTS.labels)
        times = HistogramMetricFamily(REQUEST_SECONDS.name, REQUEST_SECONDS.help, labels=REQUEST_SECONDS.labels)
        age = GaugeMetricFamily(FEATURE_AGE.name, FEATURE_AGE.help, labels=FEATURE_AGE.labels)
        degraded = CounterMetricFamily(DEGRADED.name, DEGRADED.help, labels=DEGRADED.labels)
        misses = CounterMetricFamily(FEATURE_MISSES.name, FEATURE_MISSES.help, labels=FEATURE_MISSES.labels)
        with self._lock:
            for (served, code), count in self._requests.items():
                requests.add_metric([*map(str, served), str(code)], count)
            for served, histogram in self._times.items():
                times.add_metric([*map(str, served)], _cumulated(histogram.counts), histogram.total)
            for key, count in self._misses.items():
                misses.add_metric(key, count)
            for model, count in self._degraded.items():
                degraded.add_metric([model], count)
            newest = dict(self._newest)
        for key, moment in newest.items():
            try:
                age.add_metric(key, (self._now(key[0]) - moment).total_seconds())
            except CannotServe:  # a data clock that stands: nothing has an age by it
                continue
        yield from (requests, times, age, misses, degraded)


class Collects(Protocol):
    """What Prometheus' client asks for families."""

    def collect(self) -> Iterator[Metric]:
        """The families."""


def exposition(*seen: Collects) -> bytes:
    """The families as text, in Prometheus' format."""
    from prometheus_client import CollectorRegistry, generate_latest

    registry = CollectorRegistry(auto_describe=False)
    for each in seen:
        registry.register(each)
    return generate_latest(registry)


def _cumulated(counts: list[int]) -> list[tuple[str, float]]:
    total, buckets = 0, []
    for end, count in zip([*map(str, BUCKETS), "+Inf"], counts, strict=True):
        total += count
        buckets.append((end, float(total)))
    return buckets
