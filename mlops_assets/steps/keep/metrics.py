"""Prometheus metrics of a home over HTTP, read when they are asked for.

Here: the collector and its server. Not here: the names (`metric_names`), the values (`metric_values`, `run_metrics`).

What was read is kept for some seconds, so that many scrapes cost one reading. A part that cannot be read is left out,
and `mlops_collector_up` says which and the log says why: the others go on.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING, Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from mlops_assets.steps.keep import metric_values
from mlops_assets.steps.keep.metric_names import BY_NAME
from mlops_assets.steps.keep.metric_values import Sample
from mlops_assets.steps.keep.run_metrics import runs
from mlops_assets.steps.keep.stream_metrics import streams
from mlops_assets.world.declared_files import looked_at_once
from mlops_assets.world.platform import Platform

if TYPE_CHECKING:
    from prometheus_client.core import Metric

logger = logging.getLogger("mlops.metrics")

MetricsPart = Callable[[Platform], Iterable[Sample]]
PARTS: Mapping[str, MetricsPart] = {
    "registry": metric_values.models,
    "record": metric_values.record,
    "reports": metric_values.reports,
    "sources": metric_values.sources,
    "streams": streams,
    "runs": runs,
    "costs": metric_values.costs,
    "alerts": metric_values.alerts,
}
KEEP_SECONDS = 10.0


@dataclass(eq=False)
class Collector:
    """What Prometheus' client asks at each scrape.

    Attributes:
        platform: the home.
        keep_seconds: how long a reading is good for.
        parts: what is read.
    """

    platform: Platform
    keep_seconds: float = KEEP_SECONDS
    parts: Mapping[str, MetricsPart] = field(default_factory=lambda: dict(PARTS))
    _samples: list[Sample] = field(default_factory=list)
    _read_at: float | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def collect(self) -> Iterator[Metric]:
        """All metrics that have a value now."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        families: dict[str, Any] = {}
        for name, labels, value in self.samples():
            spec = BY_NAME[f"mlops_{name}"]
            if spec.name not in families:
                family = CounterMetricFamily if spec.kind == "counter" else GaugeMetricFamily
                families[spec.name] = family(spec.name, spec.help, labels=spec.labels)
            families[spec.name].add_metric(labels, float(value))
        yield from families.values()

    @looked_at_once()
    def samples(self) -> list[Sample]:
        """All values, read anew if the last reading is too old."""
        with self._lock:
            if self._read_at is None or time.monotonic() - self._read_at > self.keep_seconds:
                self._samples = [sample for name, part in self.parts.items() for sample in self._read(name, part)]
                self._read_at = time.monotonic()
            return self._samples

    def _read(self, name: str, part: MetricsPart) -> list[Sample]:
        begun = time.perf_counter()
        try:
            samples = list(part(self.platform))
        except Exception:  # one part that cannot be read must not hide the others; it is told and counted
            logger.exception("The metrics of %s cannot be read; the others are. See docs/runbook.md#no-metrics.", name)
            return [Sample("collector_up", (name,), 0)]
        seconds = time.perf_counter() - begun
        return [*samples, Sample("collector_up", (name,), 1), Sample("collector_seconds", (name,), seconds)]


class _Server(ThreadingMixIn, WSGIServer):
    """A slow reading does not keep the next request out."""

    daemon_threads = True


class _Silent(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """A scrape every few seconds is no news."""


def make_metrics_server(platform: Platform, *, host: str, port: int) -> WSGIServer:
    """A server of /metrics, and of /health, which reads nothing. `serve_forever` runs it.

    Raises:
        OSError: the port cannot be had.
    """
    from prometheus_client import CollectorRegistry, make_wsgi_app

    registry = CollectorRegistry()
    registry.register(Collector(platform, keep_seconds=KEEP_SECONDS))
    metrics = make_wsgi_app(registry)

    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/health":
            start_response("200 OK", [("Content-Type", "text/plain")])
            return [b"ok\n"]
        return metrics(environ, start_response)

    return make_server(host, port, app, server_class=_Server, handler_class=_Silent)
