"""One tick of a sensor over all models of a location: who has news, what came of each look, what is kept for the next.

Here: looking at those alone of which something was written since, one model's mistake stopping no other. Not here: what
a look does (`retrain_sensor`, `rollout_assets`), whether something was written (`steps.decide.revisions`).
"""

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property

import dagster as dg

from mlops_assets.assets.jobs import is_loaded
from mlops_assets.core.record.plain_values import counted
from mlops_assets.core.settings import ModelSettings
from mlops_assets.steps.decide.revisions import Rested, Revisions, is_due
from mlops_assets.world.alerts.alerts import Alerts
from mlops_assets.world.declared_files import looked_at_once
from mlops_assets.world.platform import Platform
from mlops_assets.world.record.chain import DamagedRecord
from mlops_assets.world.record.kept_looks import KeptLooks

DeclaredModels = Callable[[Platform], Mapping[str, ModelSettings]]
Safely = Callable[[ModelSettings, "Callable[[], Look]"], "Look"]
"""Calls a look at a model: what goes wrong with it is told, and is its look."""
_TOLD = 20
"""Of how many models a tick says what became of them."""
_UNDECIDED = "undecided"
"""How the key of an incident begins of a model that could not be looked at."""
MOST_SECONDS = 20.0
"""After which a tick looks at no other model: Dagster gives up one of 60 s, and all that it has found with it."""


@dataclass(frozen=True)
class Look:
    """What came of a look at a model.

    Attributes:
        sentence: what is done and why.
        request: the run that is asked for, if any.
        rests: whether nothing else can come of it before something is written, or `again_at`.
        again_at: when time alone can change it.
    """

    sentence: str
    request: dg.RunRequest | None = None
    rests: bool = False
    again_at: datetime | None = None


_RESTS = Look("Nothing was written that its decision may stand on.")
"""Of a model that is not looked at."""


@dataclass(frozen=True)
class Round:
    """What came of one tick.

    Attributes:
        looks: at the models with news.
        left: the models that it had no time for.
        seen: of those that rest, for the next tick.
    """

    looks: Mapping[str, Look]
    left: tuple[str, ...]
    seen: Mapping[str, Rested]


@dataclass(frozen=True)
class Tick:
    """Looks at the models of a home, by one sensor.

    Attributes:
        platform: the home.
        alerts: where a model is told of that could not be looked at.
        look: at one model.
        asset: of a model, that what is asked for begins with.
        together: further looks, at models that those at all have made news of: by all that are loaded.
        most_seconds: after which no other model is looked at.
    """

    platform: Platform
    alerts: Alerts
    look: Callable[[ModelSettings], Look]
    asset: str
    together: Callable[[Mapping[str, ModelSettings], Safely], Mapping[str, Look]] | None = None
    most_seconds: float | None = None

    @looked_at_once()
    def over(self, context: dg.SensorEvaluationContext, declared: DeclaredModels) -> dg.SensorResult:
        """Look at each of the declared models that is loaded and has news."""
        loaded = {
            name: model
            for name, model in declared(self.platform).items()
            if is_loaded(context, dg.AssetKey([name, self.asset]))
        }
        kept = KeptLooks(self.platform.home, self.asset)
        done = self.round(loaded, kept.read(context.cursor), Revisions(self.platform).of)
        requests = [look.request for look in done.looks.values() if look.request is not None]
        said = None if requests else self.platform.home.said("\n".join(_in_short(done, of=len(loaded))))
        cursor = kept.write(done.seen, context.cursor)
        return dg.SensorResult(run_requests=requests, skip_reason=said, cursor=cursor)

    def round(
        self, models: Mapping[str, ModelSettings], before: Mapping[str, Rested], stamp: Callable[[ModelSettings], str]
    ) -> Round:
        """Look at each of these models that has news.

        Args:
            models: by name.
            before: what was seen of them, by name.
            stamp: changes whenever something does that a look stands on.
        """
        looks, seen, left = dict[str, Look](), dict[str, Rested](), list[str]()
        until = time.monotonic() + (MOST_SECONDS if self.most_seconds is None else self.most_seconds)
        for name, model in models.items():
            if looks and time.monotonic() > until:
                # What is known of it stays, so that it is still due: the next tick goes on.
                seen |= {name: before[name]} if name in before else {}
                left.append(name)
                continue
            look, at_first = self._with_news(model, stamp, before.get(name))
            if look is None:
                seen[name] = before[name]
                continue
            looks[name] = look
            if look.rests:
                seen[name] = at_first, look.again_at.isoformat() if look.again_at else None
        for name, look in self.together(models, self._safely).items() if self.together else ():
            # What it has written is news at the next tick.
            looks[name] = look
            seen.pop(name, None)
        return Round(looks, tuple(left), seen)

    def _with_news(
        self, model: ModelSettings, stamp: Callable[[ModelSettings], str], before: Rested | None
    ) -> tuple[Look | None, str]:
        """Look at a model with news, None without; with the stamp of what it was looked at by."""
        at_first = ""

        def look() -> Look:
            nonlocal at_first
            # Before the look: what is written while it lasts is news at the next tick.
            at_first = stamp(model)
            return self.look(model) if is_due(before, at_first, datetime.now(UTC)) else _RESTS

        seen = self._safely(model, look)
        return (None if seen is _RESTS else seen), at_first

    def _safely(self, model: ModelSettings, look: Callable[[], Look]) -> Look:
        """A look at a model; what goes wrong is told and keeps nobody from the others."""
        key = f"{_UNDECIDED}/{model.name}/{self.asset}"
        try:
            seen = look()
        except DamagedRecord as error:
            # The alert sensor has it as an incident of its own.
            return Look(str(error))
        except Exception as error:  # one of them has what nobody thought of: the others are looked at
            logging.getLogger("mlops_assets").exception("%s could not be looked at.", model.name)
            why = f"{type(error).__name__}: {error}"
            self.alerts.send(
                incident=f"{key}/{why}"[:200],
                happened=f"Nothing could be decided on {model.name} ({self.asset}): {why}"[:2000],
                did="Its champion stays and predicts; all other models are looked at.",
                do="Correct what the error names; the model is looked at again every 30 seconds.",
                runbook="nothing-decided",
                key=key,
            )
            return Look(f"Nothing could be decided: {why}")
        if seen is not _RESTS and key in self._open_incidents:
            self.alerts.end(key, "it could be looked at again.")
        return seen

    @cached_property
    def _open_incidents(self) -> set[str]:
        return {incident.key for incident in self.alerts.incidents.state().open}


def undecided_model(key: str) -> str:
    """The model of an incident of one that could not be looked at; empty for the key of something else."""
    kind, _, subject = key.partition("/")
    name, _, asset = subject.partition("/")
    return name if kind == _UNDECIDED and asset else ""


def _in_short(done: Round, *, of: int) -> Iterator[str]:
    """What a tick says that starts nothing."""
    if not done.looks:
        yield f"Nothing new for {counted(of, 'model')}; mlops status says what each waits for."
    for name, look in list(done.looks.items())[:_TOLD]:
        yield look.sentence if of == 1 else f"{name}: {look.sentence}"
    if len(done.looks) > _TOLD:
        yield f"And {len(done.looks) - _TOLD:,} more."
    if done.left:
        yield f"The next tick goes on with {counted(len(done.left), 'model')}."
