"""What was held against references, for Prometheus.

Here: the families. Not here: names and meaning (`steps.keep.metric_names`), the path /metrics (`http.admin_api`).

They are read from the home, so that a process that has just started says what the one before it knew. There are as many
series as references, and of those no more than `profiles.MOST_PROFILES`.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from threading import Lock
from typing import TYPE_CHECKING

from mlops_assets.serving.drift.checks import RESULTS, Checks
from mlops_assets.serving.drift.profiles import Profiles
from mlops_assets.steps.keep.metric_names import PROFILE_CHECKED, PROFILE_CHECKS, PROFILE_DRIFTING, PROFILE_SHARE

if TYPE_CHECKING:
    from prometheus_client.core import Metric

logger = logging.getLogger("mlops.serving")


class DriftSeen:
    """The checks of a home's references. Safe between threads."""

    def __init__(self, profiles: Profiles) -> None:
        self._profiles = profiles
        self._known: dict[str, tuple[tuple[int, int], Checks]] = {}
        self._lock = Lock()

    def collect(self) -> Iterator[Metric]:
        """The families, as Prometheus' client asks for them."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        counts = CounterMetricFamily(PROFILE_CHECKS.name, PROFILE_CHECKS.help, labels=PROFILE_CHECKS.labels)
        drifting = GaugeMetricFamily(PROFILE_DRIFTING.name, PROFILE_DRIFTING.help, labels=PROFILE_DRIFTING.labels)
        share = GaugeMetricFamily(PROFILE_SHARE.name, PROFILE_SHARE.help, labels=PROFILE_SHARE.labels)
        at = GaugeMetricFamily(PROFILE_CHECKED.name, PROFILE_CHECKED.help, labels=PROFILE_CHECKED.labels)
        for name, checks in self._checks().items():
            for result in RESULTS.values():
                counts.add_metric([name, result], checks.counts.get(result, 0))
            if checks.drifting or checks.counts.get("no_drift"):
                drifting.add_metric([name], float(checks.drifting is not None))
            newest = checks.checks[-1] if checks.checks else None
            if newest:
                at.add_metric([name], newest.at.timestamp())
            if newest and newest.share is not None:
                share.add_metric([name], newest.share)
        yield from (counts, drifting, share, at)

    def _checks(self) -> dict[str, Checks]:
        """Those of each reference; read again only where a check was added."""
        with self._lock:
            names, known = set(self._profiles.names()), self._known
            self._known = {}
            for name, stamp in self._profiles.stamps().items():
                if name not in names:
                    continue
                if name in known and known[name][0] == stamp:
                    self._known[name] = known[name]
                    continue
                try:
                    self._known[name] = (stamp, self._profiles.checks(name))
                except ValueError:
                    # The others are told all the same; whoever holds a batch against it reads what is wrong.
                    logger.exception("the checks of the drift profile %s cannot be read", name)
            return {name: checks for name, (_, checks) in self._known.items()}
