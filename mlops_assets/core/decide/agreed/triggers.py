"""The triggers that people agree on for a model: the entries of the list under `retrain.on` of its YAML.

Here: each trigger's fields and limits, and its name. Not here: presets, and reading the list (`reading`), what has
become of a trigger in a window (`steps.decide.trigger_results`), what follows where one asks (`decide.triggers`).

A trigger starts a candidate, never a promotion: that is for the gate.
"""

from __future__ import annotations

from dataclasses import fields as fields_of
from datetime import datetime, timedelta
from typing import Annotated, Any, ClassVar
from zoneinfo import ZoneInfo

import msgspec
from cronsim import CronSim, CronSimError
from msgspec import Meta, Struct
from pydantic_core import core_schema

from mlops_assets.core.decide.evidence import CheckKind, CheckResult
from mlops_assets.core.drift.policy import JS, KL, NDCG_LIMIT, P_VALUE, PSI, WASSERSTEIN, DriftPolicy
from mlops_assets.core.limits.ranges import COUNT, PART, SOME_TIME, Length, Range
from mlops_assets.core.stats.metric_limits import DROP, LIMIT
from mlops_assets.core.time.windows import parse_duration

_LEVEL = Range(0, 1, 0.9, above=True, below=True)
_LAG = Length("0d", "3650d", "3d", above=True)


def _shown(value: Any) -> str:
    if isinstance(value, list | tuple):
        return " ".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


class Trigger(Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """One entry of the list."""

    word: ClassVar[str]
    kind: ClassVar[CheckKind]

    @property
    def name(self) -> str:
        """What a decision calls it: `drift (psi 0.2, windows 2)`."""
        limits = ", ".join(f"{field} {_shown(value)}" for field, value in self._given().items())
        return f"{self.word} ({limits})" if limits else self.word

    @property
    def is_checked(self) -> bool:
        """Whether it has limits of its own; without, it goes by what the monitors of its kind answer."""
        return True

    @property
    def in_a_row(self) -> int:
        """Windows in a row that must be beyond the limit."""
        return 1

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        """Settings hold triggers that `read_triggers` has made."""
        return core_schema.is_instance_schema(cls)

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: Any, handler: Any) -> dict[str, Any]:
        """As it is written in YAML: a name, or a name with limits."""
        return {"anyOf": [{"type": "string"}, {"type": "object"}]}

    def _given(self) -> dict[str, Any]:
        given = dict(msgspec.to_builtins(self))
        # Limits first, in how many windows last.
        return given | {"windows": given.pop("windows")} if "windows" in given else given

    def to_plain(self) -> Any:
        """As it stands in YAML."""
        given = self._given()
        return {self.word: given} if given else self.word

    def result(
        self,
        window: str,
        end: datetime,
        *,
        passed: bool | None,
        value: float | None = None,
        limit: float | None = None,
        sentence: str = "",
    ) -> CheckResult:
        """What became of it in one window, or at one moment."""
        return CheckResult(self.name, self.kind, window, end, passed, value, limit, sentence)


class _Windowed(Trigger, frozen=True, kw_only=True):
    """A trigger that looks at monitoring windows; see `in_a_row`."""

    windows: Annotated[int, COUNT] = 1

    @property
    def in_a_row(self) -> int:
        """Windows in a row that must be beyond the limit."""
        return self.windows


class OnGain(Trigger, frozen=True, kw_only=True):
    """A refit, or a kept version, would have been better by more than its price: what the probe measures."""

    word = kind = "gain"

    @property
    def is_checked(self) -> bool:
        """Never: the probe has measured it."""
        return False


class OnDrift(_Windowed, frozen=True, kw_only=True):
    """Inputs or scores have moved. Without limits: what `monitoring.drift` calls drift, `drift_breaches` in a row.

    Attributes:
        of: `inputs` (default), or `scores`.
        features: which inputs, by name; all by default.
        psi: limits as in `DriftPolicy`; one that is left out is off.
        ks_p: see `psi`.
        chi2_p: see `psi`.
        kl: see `psi`.
        js: see `psi`.
        wasserstein: see `psi`.
        new_category_share: see `psi`.
        missing_change: see `psi`.
        outside_share: see `psi`.
        max_share: largest share of drifted features, 0 by default: one is enough.
        windows: windows in a row, 1 by default.
    """

    word = kind = "drift"
    of: Annotated[str, Meta(pattern="^(inputs|scores)$")] = "inputs"
    features: tuple[str, ...] = ()
    psi: Annotated[float | None, PSI] = None
    ks_p: Annotated[float | None, P_VALUE] = None
    chi2_p: Annotated[float | None, P_VALUE] = None
    kl: Annotated[float | None, KL] = None
    js: Annotated[float | None, JS] = None
    wasserstein: Annotated[float | None, WASSERSTEIN] = None
    new_category_share: Annotated[float | None, PART] = None
    missing_change: Annotated[float | None, PART] = None
    outside_share: Annotated[float | None, PART] = None
    max_share: Annotated[float, PART] = 0.0

    def __post_init__(self) -> None:
        if self._given() and not self.is_checked:
            limits = ", ".join(name for name in _LIMITS if name != "max_share")
            raise ValueError(f"it has no limit: set one of {limits}, or write drift alone for monitoring.drift's")
        if self.of == "scores" and self.features:
            raise ValueError("scores have no features: remove one of the two")

    @property
    def is_checked(self) -> bool:
        """Whether any limit is set."""
        return any(getattr(self, name) is not None for name in _LIMITS if name != "max_share")

    @property
    def limits(self) -> DriftPolicy:
        """Its limits, as the monitor takes them."""
        return DriftPolicy(**{name: getattr(self, name) for name in _LIMITS})


_LIMITS = tuple(field.name for field in fields_of(DriftPolicy))


class OnPerformance(_Windowed, frozen=True, kw_only=True):
    """A metric on matured windows is too low. Without limits: what `monitoring.performance` says.

    Attributes:
        metric: which; the model's own by default.
        floor: an absolute limit in the metric's unit; a ceiling where less is better.
        max_drop: largest relative worsening against what the gate saw.
        sure: whether the whole interval has to be beyond the limit; false by default: the value decides.
        windows: windows in a row, 1 by default.
    """

    word = kind = "performance"
    metric: str | None = None
    floor: Annotated[float | None, LIMIT] = None
    max_drop: Annotated[float | None, DROP] = None
    sure: bool = False

    def __post_init__(self) -> None:
        if self._given() and not self.is_checked:
            alone = "write performance alone for monitoring.performance's"
            raise ValueError(f"it has no limit: set floor or max_drop, or {alone}")

    @property
    def is_checked(self) -> bool:
        """Whether any limit is set."""
        return self.floor is not None or self.max_drop is not None


class OnImportance(_Windowed, frozen=True, kw_only=True):
    """The features weigh otherwise in the scores than in the reference.

    Attributes:
        ndcg: of the order of their weights, 0.9 by default; below it is too far.
        windows: windows in a row, 1 by default.
    """

    word = kind = "importance"
    ndcg: Annotated[float, _LEVEL] = NDCG_LIMIT


class OnNovelty(_Windowed, frozen=True, kw_only=True):
    """Rows are unlike those that the champion was trained on.

    Attributes:
        share: of a window's rows outside the joint support of the reference; 0.01 is usual.
        windows: windows in a row, 1 by default.
    """

    word = kind = "novelty"
    share: Annotated[float, Range(0, 1, 0.01, above=True, below=True)]


class OnData(Trigger, frozen=True, kw_only=True):
    """So much has come since the last training, promoted or not. Exactly one of the two.

    Attributes:
        rows: rows whose label is known.
        files: partitions of the model's sources that were taken in.
    """

    word, kind = "data", "new_data"
    rows: Annotated[int | None, Range(1, 1e9, 500, whole=True)] = None
    files: Annotated[int | None, COUNT] = None

    def __post_init__(self) -> None:
        if (self.rows is None) == (self.files is None):
            raise ValueError("it counts one thing: set rows or files")


class OnFreshness(Trigger, frozen=True, kw_only=True):
    """The newest rows are so much newer than those of the last training.

    Attributes:
        lag: such as `3d` or `36h`.
    """

    word = kind = "freshness"
    lag: Annotated[str, _LAG]


class OnSchedule(Trigger, frozen=True, kw_only=True):
    """A time has come. Neither cooldown nor budget holds it back. Exactly one of the first two.

    Attributes:
        every: so long after the last training, promoted or not, such as `7d` or `6h`.
        cron: five fields, as `0 2 * * sun`.
        timezone: of the cron; the model's by default.
    """

    word = kind = "schedule"
    every: Annotated[str | None, SOME_TIME] = None
    cron: str | None = None
    timezone: str | None = None

    def __post_init__(self) -> None:
        if (self.every is None) == (self.cron is None):
            raise ValueError("it has one rhythm: set every or cron")
        if self.every is not None:
            if self.timezone is not None:
                raise ValueError("a timezone is for a cron: remove it")
            return
        try:
            ZoneInfo(self.timezone or "UTC")
        except (KeyError, ValueError, OSError) as error:
            raise ValueError(f"{self.timezone!r} is no time zone: write one such as Europe/Berlin") from error
        self._fires(datetime(2000, 1, 1, tzinfo=ZoneInfo("UTC")), reverse=False)

    def _fires(self, moment: datetime, *, reverse: bool) -> datetime:
        """The next time of the cron after a moment, or the newest before it."""
        cron = self.cron or ""
        if len(cron.split()) != 5:
            raise ValueError(f"cron {cron!r} has not five fields: write minute, hour, day, month, weekday: 0 2 * * sun")
        try:
            return next(CronSim(cron, moment, reverse=reverse))
        except CronSimError as error:
            raise ValueError(
                f"cron {cron!r} cannot be read, or never fires ({error}): write it as 0 2 * * sun"
            ) from error
        except StopIteration:
            raise ValueError(f"cron {cron!r} never fires: correct day or month") from None

    def due(self, since: datetime, now: datetime, timezone: str) -> tuple[datetime, bool]:
        """The time that asks for a training, and whether it has come.

        Args:
            since: when a model was last trained, promoted or not.
            now: the model's clock.
            timezone: of the model.
        """
        if self.every is not None:
            at = since + parse_duration(self.every)
            return at, at <= now
        zone = ZoneInfo(self.timezone or timezone)
        # A time that falls on the moment itself has come: `reverse` asks for what lies strictly before.
        newest = self._fires(now.astimezone(zone) + timedelta(minutes=1), reverse=True)
        if newest > since and newest <= now:
            return newest, True
        return self._fires(max(now, since).astimezone(zone), reverse=False), False
