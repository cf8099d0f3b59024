"""One request, from rows to answers: checked, completed with features, scored, written down.

Here: `Service`, which all of the HTTP surface calls, and its values. Not here: HTTP (`app` and the `*_api` modules).
"""

from __future__ import annotations

import logging
import queue
import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from mlops_assets.core.rows import LONGEST_TEXT, why_not
from mlops_assets.core.settings import ModelSettings
from mlops_assets.resources.model_data import EVENT_TIME
from mlops_assets.resources.prediction_steps import ARM, SCORE, VERSION
from mlops_assets.serving.arms import Arm, Arms, CannotServe, Contract
from mlops_assets.serving.health import Health
from mlops_assets.serving.lookup import Lookup
from mlops_assets.serving.routing import choose
from mlops_assets.serving.spool import Spool
from mlops_assets.serving.tally import Tally
from mlops_assets.serving.watch import Watcher

logger = logging.getLogger("mlops.serving")

SHADOW_QUEUE = 10_000
"""Rows that wait for the shadow; more are dropped and counted, for the shadow answers nobody."""
INLINE_ROWS = 16
"""So many rows are scored on the event loop; a thread would cost more than it frees."""
EARLIEST, LATEST = datetime(1970, 1, 2, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)
TYPES: dict[str, str] = {"numeric": "DOUBLE", "categorical": "VARCHAR", "boolean": "BOOLEAN"}


Completed = tuple[Mapping[str, Any], Mapping[str, datetime | None]]
"""Every feature of a row's arm, and the event times of those that were looked up."""


class Refused(ValueError):
    """A row is not what the model takes.

    Attributes:
        place: where in the request, e.g. ("rows", 0, "features", "x").
        why: what is wrong there.
    """

    def __init__(self, place: tuple[str | int, ...], why: str) -> None:
        super().__init__(f"{'.'.join(map(str, place))}: {why}")
        self.place, self.why = place, why


class NoModel(LookupError):
    """No such model, or version of it in service."""


@dataclass(frozen=True)
class Row:
    """One row as sent.

    Attributes:
        entities: entity keys, as far as the caller names them.
        features: values that the caller brings, `<view>__<feature>`.
        event_time: when the event is; None for now.
    """

    entities: Mapping[str, Any] = field(default_factory=dict)
    features: Mapping[str, Any] = field(default_factory=dict)
    event_time: datetime | None = None


@dataclass(frozen=True)
class Answer:
    """One prediction.

    Attributes:
        id: of the prediction, in the log and in the answer.
        score: binary: probability of class 1; regression: value; multiclass: the largest probability.
        scores: multiclass: probability of each class; else empty.
        arm: who answered.
        event_time: of the row.
        feature_times: view -> event time of what the online store had, None where it had nothing; views whose
            features all came with the request are not named.
        values: what was scored.
    """

    id: str
    score: float
    scores: Sequence[float]
    arm: Arm
    event_time: datetime
    feature_times: Mapping[str, datetime | None]
    values: Mapping[str, Any]


class Service:
    """Answers for all models of a home."""

    def __init__(
        self,
        contracts: Mapping[str, Contract],
        watcher: Watcher,
        lookup: Lookup,
        spool: Spool,
        health: Health,
        tally: Tally,
        *,
        now: Callable[[ModelSettings], datetime] = lambda model: datetime.now(UTC),
    ) -> None:
        self._now = now
        self.contracts, self.watcher, self.lookup, self.spool, self.health = contracts, watcher, lookup, spool, health
        self.tally = tally
        self.shadow_dropped = 0
        self._shadow: queue.Queue[tuple[Arms, Row, Answer] | None] = queue.Queue(SHADOW_QUEUE)
        self._thread = threading.Thread(target=self._score_shadows, name="shadow", daemon=True)

    def start(self) -> None:
        """Begin to score shadows."""
        self._thread.start()

    def stop(self) -> None:
        """Score the shadows that wait, and end."""
        if self._thread.is_alive():
            self._shadow.put(None)
            self._thread.join()

    def arms(self, model: str) -> Arms:
        """Who answers for a model.

        Raises:
            NoModel: there is no such model.
            CannotServe: it has no champion yet.
        """
        arms = self.watcher.snapshot.get(model)
        if arms is not None:
            return arms
        if model not in self.contracts:
            raise NoModel(f"there is no model {model[:100]!r}; there are: {', '.join(self.contracts)}")
        raise CannotServe(f"{model} has no champion that can be served. Materialize {model}/champion, or see /readyz.")

    def looks_up(self, model: str, rows: Sequence[Row]) -> bool:
        """Whether answering needs the online store, or is long: then it is not for the event loop."""
        arms = self.arms(model)
        read = {name for arm in arms.loaded.values() for name in arm.scorer.columns}
        return len(rows) > INLINE_ROWS or any(read - row.features.keys() for row in rows)

    def answer(self, model: str, rows: Sequence[Row], *, version: int | None = None) -> list[Answer]:
        """Predictions for rows, written down before they are returned.

        Args:
            model: the registered model.
            rows: n rows.
            version: only this version answers; by default the arm that each row's entity belongs to.

        Raises:
            NoModel: no such model, or the version is not in service.
            CannotServe: the model has no champion.
            Refused: a row is not what the model takes; nothing was scored.
            FeaturesUnavailable: features are wanted of an online store that is gone.
            LogUnavailable: the answers could not be written down.
        """
        arms, began = self.arms(model), time.perf_counter()
        for index, row in enumerate(rows):
            check(arms, row, index)
        chosen = [self._arm(arms, row, version) for row in rows]
        completed = self._completed(arms, rows, chosen)
        looked = time.perf_counter() - began
        answers: list[Answer | None] = [None] * len(rows)
        for arm in {id(arm): arm for arm in chosen}.values():
            mine = [index for index, each in enumerate(chosen) if each is arm]
            instead = None if version is not None or arm is arms.champion else arms.champion
            of_arm = [rows[i] for i in mine], [completed[i] for i in mine]
            made = self._counted(arms, arm, *of_arm, looked=looked, instead=instead)
            for index, answer in zip(mine, made, strict=True):
                answers[index] = answer
        done = [answer for answer in answers if answer is not None]
        self.spool.append(model, [record(arms, r, a) for r, a in zip(rows, done, strict=True)])
        if arms.candidate is not None:
            self._cast_shadows(arms, rows, done)
        return done

    def _arm(self, arms: Arms, row: Row, version: int | None) -> Arm:
        if version is None:
            arm = choose(arms, row.entities)
            return arm if arm is arms.champion or _is_complete(arm, arms.contract, row) else arms.champion
        if version not in arms.loaded:
            known = ", ".join(map(str, arms.loaded))
            raise NoModel(f"version {version} of {arms.contract.settings.name} is not in service; {known} is")
        return arms.loaded[version]

    def _completed(self, arms: Arms, rows: Sequence[Row], chosen: Sequence[Arm]) -> list[Completed]:
        """Every feature of each row's arm, and the event times of those that were looked up."""
        found: list[tuple[dict[str, Any], dict[str, datetime | None]]] = [(dict(row.features), {}) for row in rows]
        wanted: dict[tuple[str, ...], dict[str, list[int]]] = {}
        for index, (row, arm) in enumerate(zip(rows, chosen, strict=True)):
            for view, names in arm.views.items():
                missing = tuple(name for name in names if name not in row.features)
                if missing:
                    keys = _keys(arms.contract, view, row, index, missing)
                    if any(row.entities[key] is None for key in keys):
                        # Nobody has features of no entity; the join offline finds nothing for them either.
                        found[index][0].update(dict.fromkeys(missing))
                        found[index][1][view] = None
                    else:
                        wanted.setdefault(keys, {}).setdefault(view, []).append(index)
        for keys, views in wanted.items():
            for view, indexes in views.items():
                names = tuple(dict.fromkeys(n for i in indexes for n in chosen[i].views[view]))
                values = {key: [rows[i].entities[key] for i in indexes] for key in keys}
                for index, looked in zip(indexes, self.lookup.rows({view: names}, values), strict=True):
                    brought = rows[index].features
                    found[index][0].update({n: v for n, v in looked.values.items() if n not in brought})
                    found[index][1].update(looked.times)
        return list(found)

    def _counted(
        self,
        arms: Arms,
        arm: Arm,
        rows: Sequence[Row],
        completed: Sequence[Completed],
        *,
        looked: float,
        instead: Arm | None,
    ) -> list[Answer]:
        """Answers of an arm, on its count; where it fails those of another arm, if one may answer instead.

        Args:
            arms: of the model.
            arm: who is asked.
            rows: n rows.
            completed: their features.
            looked: seconds that these took.
            instead: who answers when it fails: a version on trial keeps nobody from an answer.
        """
        model, began = arms.contract.settings.name, time.perf_counter()
        try:
            made = self._scored(arms, arm, rows, completed)
        except Exception:  # whatever a version fails with is its own fault: its rows were checked
            self.tally.note(model, arm, looked + time.perf_counter() - began, failed=True)
            if instead is None:
                raise
            logger.exception("version %s of %s failed; version %s answers", arm.version, model, instead.version)
            again = self._completed(arms, rows, [instead] * len(rows))
            waited = looked + time.perf_counter() - began
            return self._counted(arms, instead, rows, again, looked=waited, instead=None)
        self.tally.note(model, arm, looked + time.perf_counter() - began)
        return made

    def _scored(self, arms: Arms, arm: Arm, rows: Sequence[Row], completed: Sequence[Completed]) -> list[Answer]:
        scores = arm.scorer.predict([values for values, _ in completed])
        several = scores.ndim == 2
        now = self._now(arms.contract.settings)
        return [
            Answer(
                id=str(uuid.uuid4()),
                score=float(scores[i].max()) if several else float(scores[i]),
                scores=scores[i].astype(float).tolist() if several else (),
                arm=arm,
                event_time=(row.event_time or now).astimezone(UTC),
                feature_times=times,
                values=values,
            )
            for i, (row, (values, times)) in enumerate(zip(rows, completed, strict=True))
        ]

    # --- shadows -------------------------------------------------------------------------------------------

    def _cast_shadows(self, arms: Arms, rows: Sequence[Row], answers: Sequence[Answer]) -> None:
        for row, answer in zip(rows, answers, strict=True):
            try:
                self._shadow.put_nowait((arms, row, answer))
            except queue.Full:
                self.shadow_dropped += 1

    def _score_shadows(self) -> None:
        while (waiting := self._shadow.get()) is not None:
            arms, row, given = waiting
            shadow = arms.beside(given.arm)
            if shadow is None:
                continue
            try:
                # At the time and with the features of the answer; what only the shadow reads is looked up.
                like = Row(row.entities, {k: v for k, v in given.values.items() if k in shadow.scorer.columns})
                (completed,) = self._completed(arms, [like], [shadow])
                at_the_time = [Row(row.entities, {}, given.event_time)]
                features = [(completed[0], given.feature_times)]
                (made,) = self._counted(arms, shadow, at_the_time, features, looked=0.0, instead=None)
                self.spool.append(arms.contract.settings.name, [record(arms, row, made)])
            except Exception:
                self.shadow_dropped += 1
                logger.exception("a row was not scored by the shadow")


def check(arms: Arms, row: Row, index: int) -> None:
    """Refuse a row whose names or values the model doesn't take.

    Raises:
        Refused: naming the first thing that is wrong.
    """
    if row.event_time is not None and not EARLIEST <= row.event_time < LATEST:
        raise Refused(("rows", index, EVENT_TIME), f"must lie between {EARLIEST:%Y} and {LATEST:%Y}")
    columns = arms.columns
    for name, value in row.features.items():
        column = columns.get(name)
        if column is None:
            raise Refused(("rows", index, "features", name[:100]), "is no feature of this model")
        if (why := why_not(column, value)) is not None:
            raise Refused(("rows", index, "features", name), why)
    for name, value in row.entities.items():
        dtype = arms.contract.keys.get(name)
        if dtype is None:
            raise Refused(("rows", index, "entities", name[:100]), "is no entity key of this model")
        if value is None:
            continue
        if dtype == "string" and not (type(value) is str and len(value) <= LONGEST_TEXT):
            raise Refused(("rows", index, "entities", name), f"must be a text of at most {LONGEST_TEXT:,} characters")
        if dtype != "string" and not (type(value) is int and abs(value) < 2**63):
            raise Refused(("rows", index, "entities", name), "must be a whole number of 64 bits")


def _is_complete(arm: Arm, contract: Contract, row: Row) -> bool:
    """Whether an arm has all it reads: from the row, or by the row's keys."""
    missing = {view for view, names in arm.views.items() if any(name not in row.features for name in names)}
    return all(view in contract.views and set(contract.views[view]) <= row.entities.keys() for view in missing)


def _keys(contract: Contract, view: str, row: Row, index: int, missing: Sequence[str]) -> tuple[str, ...]:
    """The join keys to look a view's features up by."""
    keys = contract.views.get(view)
    absent = [key for key in keys or () if key not in row.entities]
    if keys is None or absent:
        way = f"or its entity key {absent[0]!r}, by which it is looked up" if absent else "it is in no feature view"
        raise Refused(("rows", index, "features", missing[0]), f"is missing: send it (null for no value), {way}")
    return keys


def record(arms: Arms, row: Row, answer: Answer) -> dict[str, Any]:
    """A prediction as one row of the lake."""
    contract = arms.contract
    features = {name: _logged(answer.values.get(name), column.kind) for name, column in arms.columns.items()}
    return {
        "prediction_id": answer.id,
        "predicted_at": datetime.now(UTC),
        "partition": answer.event_time.astimezone(contract.settings.zone).date().isoformat(),
        ARM: answer.arm.name,
        VERSION: answer.arm.version,
        "is_identified": all(key in row.entities for key in contract.keys),
        EVENT_TIME: answer.event_time,
        **{key: row.entities.get(key) for key in contract.keys},
        **features,
        **{f"{view}__{EVENT_TIME}": answer.feature_times.get(view) for view in contract.views},
        SCORE: answer.score,
        **{f"{SCORE}_{i}": score for i, score in enumerate(answer.scores)},
    }


def _logged(value: Any, kind: str) -> Any:
    return value if value is None or kind != "categorical" else str(value)


def record_types(arms: Arms) -> dict[str, str]:
    """SQL types of the columns of `record`."""
    contract = arms.contract
    several = int(arms.champion.scorer.model.recipe.params.get("num_class", 0))
    return {
        "prediction_id": "VARCHAR",
        "predicted_at": "TIMESTAMPTZ",
        "partition": "DATE",
        ARM: "VARCHAR",
        VERSION: "BIGINT",
        "is_identified": "BOOLEAN",
        EVENT_TIME: "TIMESTAMPTZ",
        **{key: "VARCHAR" if dtype == "string" else "BIGINT" for key, dtype in contract.keys.items()},
        **{name: TYPES[column.kind] for name, column in arms.columns.items()},
        **{f"{view}__{EVENT_TIME}": "TIMESTAMPTZ" for view in contract.views},
        SCORE: "DOUBLE",
        **{f"{SCORE}_{i}": "DOUBLE" for i in range(several)},
    }
