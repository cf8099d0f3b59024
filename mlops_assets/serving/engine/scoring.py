"""One request, from rows to answers: checked, completed with features, scored, written down.

Here: `Service`, which all of the HTTP surface calls. Not here: HTTP (`app`, `http.short_way` and the `*_api` modules),
the online store (`completing`), what is written (`records`).
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np

from mlops_assets.core.settings import ModelSettings
from mlops_assets.core.settings_fleet import MemberSettings
from mlops_assets.serving.engine.arms import Arm, Arms, CannotServe
from mlops_assets.serving.engine.batching import Together
from mlops_assets.serving.engine.completing import Completed, completed, is_complete
from mlops_assets.serving.engine.health import Health
from mlops_assets.serving.engine.lookup import FeaturesUnavailable, Lookup
from mlops_assets.serving.engine.members import Members
from mlops_assets.serving.engine.prometheus_counts import AnswersSeen
from mlops_assets.serving.engine.request_counts import Tally
from mlops_assets.serving.engine.routing import choose
from mlops_assets.serving.engine.row_checks import check, check_entities, check_may_answer, check_time
from mlops_assets.serving.engine.shadow import Asked, Shadow
from mlops_assets.serving.errors import NoModel, Refused
from mlops_assets.serving.http.forms import WholeRow
from mlops_assets.serving.log.records import Answer, LoggedRow, line, record, whole_line
from mlops_assets.serving.log.spool import Spool
from mlops_assets.serving.models.alias_watch import Watcher
from mlops_assets.serving.models.contracts import Contracts
from mlops_assets.serving.models.loading import Loading

logger = logging.getLogger("mlops.serving")

NAMED = 20
"""So many models a message names."""
INLINE_ROWS = 16
"""So many rows are scored on the event loop; a thread would cost more than it frees."""


@dataclass(frozen=True)
class _Part:
    """The rows of a request that one model answers for, at their places in it, with their arms and all features."""

    arms: Arms
    rows: list[LoggedRow]
    places: list[int]
    chosen: list[Arm]
    whole: list[Completed]


class Service:
    """Answers for all models of a home."""

    def __init__(
        self,
        contracts: Contracts,
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
        self.models = watcher.models
        self._loading = Loading(self.models)
        self.tally = tally
        self.seen = AnswersSeen(lambda model: now(contracts[model].settings))
        self.shadow = Shadow(self._score_shadow)
        self.together = Together()

    def arms(self, model: str) -> Arms:
        """Who answers for a model; what is not in memory is loaded, so this is not for the event loop.

        Raises:
            NoModel: there is no such model.
            CannotServe: it has no champion, or none that can be loaded.
        """
        arms = self.models.at_hand(model)
        if arms is not None:
            return arms
        self._require_champion(model)
        return self.models.arms(model)

    async def arms_loaded(self, model: str) -> Arms:
        """The same for the event loop: what is not in memory is loaded in a thread, once for all who wait for it."""
        arms = self.models.at_hand(model)
        if arms is not None:
            return arms
        self._require_champion(model)
        return await self._loading.arms(model)

    def _require_champion(self, model: str) -> None:
        if model in self.models.appointed:
            return
        if model not in self.contracts:
            named = list(self.contracts)
            more = f" and {len(named) - NAMED:,} more (GET /models)" if len(named) > NAMED else ""
            raise NoModel(f"there is no model {model[:100]!r}; there are: {', '.join(named[:NAMED])}{more}")
        settings = self.contracts[model].settings
        if isinstance(settings, MemberSettings):
            raise CannotServe(
                f"{model} has no champion that can be served. While it is part of the pool, ask {settings.pool} "
                "with the same row; else see /readyz."
            )
        raise CannotServe(f"{model} has no champion that can be served. Materialize {model}/champion, or see /readyz.")

    def is_long(self, arms: Arms, rows: Sequence[LoggedRow]) -> bool:
        """Whether answering is not for the event loop: many rows, a store that is not open, a member to load."""
        if len(rows) > INLINE_ROWS:
            return True
        if (members := self.contracts.members(arms.contract.settings.name)) is not None:
            names = {self._member(members, row) for row in rows} - {None}
            if any(self.models.at_hand(str(name)) is None for name in names):
                return True
        return any(not arms.read <= row.features.keys() for row in rows) and not self.lookup.is_at_hand

    def answer(self, model: str, rows: Sequence[LoggedRow], *, version: int | None = None) -> list[Answer]:
        """Predictions for rows, written down before they are returned.

        Args:
            model: the registered model.
            rows: n rows.
            version: only this version answers; by default the arm that each row's entity belongs to.

        Raises:
            NoModel: no such model, or the version is not in service.
            CannotServe: the model has no champion, or it may not answer (`on_failing: refuse`).
            Refused: a row is not what the model takes; nothing was scored.
            FeaturesUnavailable: features are wanted of an online store that is gone.
            LogUnavailable: the answers could not be written down.
        """
        began = time.perf_counter()
        # Nothing is scored before all rows are known to be right, whoever answers for them.
        parts = [self._completed(*part, version) for part in self._by_model(model, rows, version)]
        answers: dict[int, Answer] = {}
        for part in parts:
            answers |= zip(part.places, self._answers(part, began, version), strict=True)
        return [answers[place] for place in range(len(rows))]

    def _by_model(
        self, model: str, rows: Sequence[LoggedRow], version: int | None
    ) -> Iterator[tuple[Arms, list[LoggedRow], list[int]]]:
        """Who answers, their rows, and where these are in the request: a fleet's members answer for their own rows."""
        members = self.contracts.members(model) if model in self.contracts else None
        if members is None or version is not None:
            yield self.arms(model), list(rows), list(range(len(rows)))
            return
        places: dict[str, list[int]] = {}
        for place, row in enumerate(rows):
            places.setdefault(self._member(members, row) or model, []).append(place)
        by_arms: list[tuple[Arms, list[int]]] = []
        for name, mine in places.items():
            try:
                by_arms.append((self.arms(name), mine))
            except CannotServe:
                if name == model:
                    raise
                # A member that cannot be loaded has its incident; the pooled model knows its rows.
                by_arms.append((self.arms(model), mine))
        for arms, mine in by_arms:
            yield arms, [members.without(rows[place]) for place in mine], mine

    def _member(self, members: Members, row: LoggedRow) -> str | None:
        """The member that answers for a row: one that has a champion, which can be loaded as far as is known."""
        name = members.of(row)
        return name if name and name in self.models.appointed and self.models.is_loadable(name) else None

    def _completed(self, arms: Arms, rows: list[LoggedRow], places: list[int], version: int | None) -> _Part:
        for row, place in zip(rows, places, strict=True):
            check(arms, row, place)
        chosen = [self._arm(arms, row, version) for row in rows]
        for arm in chosen:
            check_may_answer(arms, arm)
        try:
            whole = completed(self.lookup, self.seen, arms, rows, chosen)
        except Refused as refusal:
            raise refusal.at(places) from refusal
        return _Part(arms, rows, places, chosen, whole)

    def _answers(self, part: _Part, began: float, version: int | None) -> list[Answer]:
        """The answers for the rows of one model, written down."""
        arms, rows, chosen = part.arms, part.rows, part.chosen
        answers: list[Answer | None] = [None] * len(rows)
        for arm in {id(arm): arm for arm in chosen}.values():
            mine = [index for index, each in enumerate(chosen) if each is arm]
            instead = None if version is not None or arm is arms.champion else arms.champion
            of_arm = [rows[i] for i in mine], [part.whole[i] for i in mine]
            made = self._counted(arms, arm, *of_arm, began=began, instead=instead)
            for index, answer in zip(mine, made, strict=True):
                answers[index] = answer
        done = [answer for answer in answers if answer is not None]
        lines = b"".join(line(record(arms, row, answer)) for row, answer in zip(rows, done, strict=True))
        self.spool.append(arms.contract.settings.name, lines)
        self.shadow.cast(arms, rows, done)
        return done

    async def answer_whole(self, arms: Arms, names: Sequence[str], row: WholeRow) -> Answer:
        """As `answer`, for one row that brings every feature and was read by the model's form.

        Args:
            arms: of the model.
            names: of the features, in the order of the row's values; those of each of the arms.
            row: as read.
        """
        began = time.perf_counter()
        check_time(row.event_time, 0)
        check_entities(arms.contract, row.entities, 0)
        values = dict(zip(names, row.values, strict=True))
        arm = choose(arms, row.entities)
        check_may_answer(arms, arm)
        if arm is not arms.champion:
            sent = LoggedRow(row.entities, values, row.event_time)
            (answer,) = self._counted(arms, arm, [sent], [(values, {})], began=began, instead=arms.champion)
        else:
            score = await self.together.score(arm.scorer, arm.scorer.encode_values([row.values]))
            answer = self._answer(arms, arm, score, row.event_time, (values, {}))
            self.tally.note(arms.contract.settings.name, arm, time.perf_counter() - began)
        self.spool.append(arms.contract.settings.name, whole_line(arms, row.entities, answer, row.text))
        if arms.candidate is not None:
            self.shadow.cast(arms, [LoggedRow(row.entities, values, row.event_time)], [answer])
        return answer

    def _arm(self, arms: Arms, row: LoggedRow, version: int | None) -> Arm:
        if version is None:
            arm = choose(arms, row.entities)
            return arm if arm is arms.champion or is_complete(arm, arms.contract, row) else arms.champion
        if version not in arms.loaded:
            known = ", ".join(map(str, arms.loaded))
            raise NoModel(f"version {version} of {arms.contract.settings.name} is not in service; {known} is")
        return arms.loaded[version]

    def _counted(
        self,
        arms: Arms,
        arm: Arm,
        rows: Sequence[LoggedRow],
        whole: Sequence[Completed],
        *,
        began: float,
        instead: Arm | None,
    ) -> list[Answer]:
        """Answers of an arm, on its count; where it fails those of another arm, if one may answer instead.

        Args:
            arms: of the model.
            arm: who is asked.
            rows: n rows.
            whole: their features.
            began: when the request did, by `time.perf_counter`.
            instead: who answers when it fails: a version on trial keeps nobody from an answer.
        """
        model = arms.contract.settings.name
        try:
            made = self._scored(arms, arm, [row.event_time for row in rows], whole)
        except Exception:  # whatever a version fails with is its own fault: its rows were checked
            seconds = time.perf_counter() - began
            self.tally.note(model, arm, seconds, failed=True)
            if instead is None:
                raise
            self.seen.answered(model, arm, 500, seconds)
            check_may_answer(arms, instead)
            logger.exception("version %s of %s failed; version %s answers", arm.version, model, instead.version)
            again = completed(self.lookup, None, arms, rows, [instead] * len(rows))
            return self._counted(arms, instead, rows, again, began=began, instead=None)
        self.tally.note(model, arm, time.perf_counter() - began)
        return made

    def _scored(
        self, arms: Arms, arm: Arm, times: Sequence[datetime | None], rows: Sequence[Completed]
    ) -> list[Answer]:
        scores = arm.scorer.predict([values for values, _ in rows])
        return [self._answer(arms, arm, *each) for each in zip(scores, times, rows, strict=True)]

    def _answer(
        self, arms: Arms, arm: Arm, score: np.ndarray | np.floating[Any], time: datetime | None, row: Completed
    ) -> Answer:
        values, feature_times = row
        own = score.astype(float).tolist() if score.ndim == 1 else [float(score)]
        instead, is_told = arms.in_place_of(arm), arms.contract.settings.serving.on_missing != "allow"
        said = own if instead is None else list(instead.guess)
        return Answer(
            id=os.urandom(16).hex(),
            score=max(said),
            scores=said if score.ndim == 1 else (),
            arm=arm,
            event_time=(time or self._now(arms.contract.settings)).astimezone(UTC),
            feature_times=feature_times,
            values=values,
            own=tuple(own) if instead else (),
            reason=instead.reason if instead else "",
            missing=tuple(view for view, time in feature_times.items() if time is None) if is_told else (),
            model=arms.contract.settings.name,
        )

    def _score_shadow(self, arms: Arms, shadow: Arm, asked: Sequence[Asked]) -> int:
        """Score rows at the time and with the features of their answers; the number that failed."""
        model, began = arms.contract.settings.name, time.perf_counter()
        try:
            answers = self._beside(arms, shadow, asked)
        except Exception as error:
            if len(asked) > 1:  # a row that fails takes no other with it
                return sum(self._score_shadow(arms, shadow, [each]) for each in asked)
            if not isinstance(error, (Refused, FeaturesUnavailable)):  # features that aren't there are not its fault
                self.tally.note(model, shadow, time.perf_counter() - began, failed=True)
            logger.exception("a row was not scored by the shadow")
            return 1
        self.tally.note(model, shadow, (time.perf_counter() - began) / len(asked), requests=len(asked))
        lines = [line(record(arms, row, answer)) for (_, row, _), answer in zip(asked, answers, strict=True)]
        self.spool.append(model, b"".join(lines))
        return 0

    def _beside(self, arms: Arms, shadow: Arm, asked: Sequence[Asked]) -> list[Answer]:
        """What the shadow says of rows, all at once: one by one they keep the interpreter from the requests."""
        columns = shadow.scorer.columns
        rows = [
            LoggedRow(
                row.entities, {name: value for name, value in given.values.items() if name in columns}, given.event_time
            )
            for _, row, given in asked
        ]
        filled = completed(self.lookup, None, arms, rows, [shadow] * len(rows))
        whole = [(values, dict(given.feature_times)) for (values, _), (_, _, given) in zip(filled, asked, strict=True)]
        return self._scored(arms, shadow, [row.event_time for row in rows], whole)
