"""Who is to answer for a model, as the registry names it, whether or not it is loaded.

Here: from aliases and tags to versions and shares; pure. Not here: reading them (`world.mlflow.named_versions`),
loading (`served_models`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from mlops_assets.core.performance.against_baseline import Fallback
from mlops_assets.serving.engine.arms import (
    CANDIDATE,
    CHAMPION,
    SHADOW,
    STATE,
    WATCH,
    CannotServe,
    rollout_of,
)
from mlops_assets.steps.predict.scoring_versions import fallback_of
from mlops_assets.world.mlflow.registry import FALLBACK, PREVIOUS, PROMOTED_AT, ModelVersion


@dataclass(frozen=True)
class Appointed:
    """The versions that are to answer for one model.

    Attributes:
        champion: the version in production.
        candidate: the version on trial, or in a watch the one before; None without one.
        state: the candidate's arm, `canary` or `shadow`; empty without one.
        share: of the entities that the candidate answers for, 0 to 1.
        fallback: what answers in the champion's place while it is worse than guessing.
        fault: what is wrong with the candidate's tags; empty if nothing is.
    """

    champion: ModelVersion
    candidate: ModelVersion | None = None
    state: str = ""
    share: float = 0.0
    fallback: Fallback | None = None
    fault: str = ""

    @classmethod
    def of(cls, by_alias: Mapping[str, ModelVersion]) -> Appointed | None:
        """What the aliases of a model name; None without a champion.

        Raises:
            CannotServe: the champion's tag `fallback` cannot be read.
        """
        champion = by_alias.get(CHAMPION)
        if champion is None:
            return None
        try:
            fallback, named = fallback_of(champion), by_alias.get(CANDIDATE)
        except (ValueError, LookupError, TypeError) as error:
            raise CannotServe(
                f"the tag {FALLBACK} of {champion.uri} cannot be read ({error!r}): remove it in MLflow. Until then "
                "nothing of this model changes."
            ) from error
        try:
            state, share = rollout_of(named)
        except CannotServe as error:
            return cls(champion, fallback=fallback, fault=str(error))
        if named is None and champion.tags.get(STATE) == WATCH:
            named, state = by_alias.get(PREVIOUS), SHADOW
        if state is None or named is None or named.version == champion.version:
            return cls(champion, fallback=fallback)
        return cls(champion, named, state, share, fallback)

    @property
    def versions(self) -> dict[str, int]:
        """Version by arm."""
        candidate = {self.state: self.candidate.version} if self.candidate else {}
        return {CHAMPION: self.champion.version, **candidate}

    @property
    def shares(self) -> dict[str, float]:
        """Share of the entities by arm."""
        return {CHAMPION: 1.0 - self.share, **({self.state: self.share} if self.candidate else {})}

    @property
    def promoted_at(self) -> datetime:
        """When the champion was made it; long ago where nothing says so."""
        text = self.champion.tags.get(PROMOTED_AT)
        try:
            moment = datetime.fromisoformat(text) if text else self.champion.created_at
        except ValueError:
            moment = self.champion.created_at
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)

    def is_like(self, other: Appointed | None) -> bool:
        """Whether nothing that is served differs: tags that say other things do not count."""
        return other is not None and self._served == other._served

    @property
    def _served(self) -> tuple[object, ...]:
        both = [(each.version, each.sha256) for each in (self.champion, self.candidate) if each is not None]
        return both, self.state, self.share, self.fallback, self.fault
