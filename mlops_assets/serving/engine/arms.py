"""Who answers: the loaded versions of each model as one value that never changes.

Here: `Arm`, `Arms` of a model, what a model expects of a row, loading with verification and warming.
Not here: noticing that an alias moved (`models.alias_watch`), the choice for one request (`routing`).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property
from weakref import WeakValueDictionary
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from mlops_assets.core.features.catalogue import Catalogue
from mlops_assets.core.models.matrix import CannotTransform, ColumnKind, FeatureColumn
from mlops_assets.core.models.model import Model
from mlops_assets.core.models.row_scoring import RowScorer
from mlops_assets.core.models.sample_rows import sample_rows
from mlops_assets.core.performance.against_baseline import Fallback
from mlops_assets.core.settings import ModelSettings
from mlops_assets.serving.http.forms import Form
from mlops_assets.world.mlflow.registry import ModelVersion, Registry

logger = logging.getLogger("mlops.serving")

CHAMPION, CANARY, SHADOW = "champion", "canary", "shadow"
CANDIDATE = "candidate"
"""Alias of the version that a rollout leads on; its tags say how far."""
WATCH = "watch"
"""State of a champion after its rollout: the version before it goes on scoring in shadow."""
STATE, SHARE = "rollout_state", "rollout_share"
"""Tags of the candidate: `shadow` or `canary`, and the share of entities it answers for, from 0 to 1."""


_scorers: WeakValueDictionary[str, RowScorer] = WeakValueDictionary()
"""Those in memory by the hash of their file: members of a fleet that follow its pooled model have one."""
_OWN_BYTES, _BYTES_A_BYTE = 2**16, 2.5
"""What a model takes in memory, measured with 5 to 400 trees: the file once, the trees 0.5 to 1.2 times as much, and
columns, forms and codes, whose size the file does not tell; rounded up."""


class CannotServe(RuntimeError):
    """A version that can be loaded does not score as it should, or its rollout tags make no sense."""


@dataclass(frozen=True)
class Contract:
    """What the platform knows of a model's rows, whatever version answers.

    Attributes:
        settings: the model's YAML.
        keys: entity keys of a row and their types, as the label model has them.
        views: join keys of each feature view that the model reads.
        kinds: kind of each feature in the catalogue, `<view>__<feature>`.
    """

    settings: ModelSettings
    keys: Mapping[str, str]
    views: Mapping[str, tuple[str, ...]]
    kinds: Mapping[str, ColumnKind]

    @cached_property
    def zone(self) -> ZoneInfo:
        """The zone that the model's days are counted in."""
        return self.settings.zone

    @classmethod
    def of(cls, settings: ModelSettings, catalogue: Catalogue) -> Contract:
        """The contract of a model."""
        views = [catalogue.view(name) for name in settings.features]
        keys = dict(catalogue.label_model(settings.label.model).entities)
        for view in views:
            keys |= {key: dtype for key, dtype in view.entities.items() if key not in keys}
        return cls(
            settings=settings,
            keys=keys,
            views={view.name: tuple(view.entities) for view in views},
            kinds={
                f"{view.name}__{feature.name}": "boolean" if feature.dtype == "bool" else feature.kind
                for view in views
                for feature in view.features
            },
        )


@dataclass(frozen=True)
class Arm:
    """One version that scores.

    Attributes:
        name: `champion`, `canary` or `shadow`.
        version: its number in the registry.
        sha256: of its file, as verified.
        scorer: the model.
        since: when it was loaded.
    """

    name: str
    version: int
    sha256: str
    scorer: RowScorer
    since: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def size(self) -> int:
        """Bytes that it takes in memory, estimated."""
        return _OWN_BYTES + int(_BYTES_A_BYTE * len(self.scorer.model.content))

    @cached_property
    def views(self) -> dict[str, tuple[str, ...]]:
        """Feature view -> the columns of it that the model reads."""
        columns_by_view: dict[str, list[str]] = {}
        for name in self.scorer.columns:
            columns_by_view.setdefault(name.partition("__")[0], []).append(name)
        return {view: tuple(names) for view, names in columns_by_view.items()}


@dataclass(frozen=True)
class Arms:
    """Who answers for one model; swapped whole.

    Attributes:
        contract: of the model.
        champion: the version in production.
        candidate: the version on trial, or in its watch the one before; None without one.
        share: of the entities that the candidate answers for, 0 to 1.
        fallback: what answers in the champion's place while it is worse than guessing; None: it answers itself.
    """

    contract: Contract
    champion: Arm
    candidate: Arm | None = None
    share: float = 0.0
    fallback: Fallback | None = None

    def in_place_of(self, arm: Arm) -> Fallback | None:
        """What answers in an arm's place: a candidate on trial answers itself, and so does whoever scores in shadow."""
        return self.fallback if arm is self.champion else None

    @cached_property
    def columns(self) -> dict[str, FeatureColumn]:
        """Every feature that a request may name: those of both arms, and of the views that neither is trained on.

        A flag is one also for a version that was trained on it as a category.
        """
        served = {name: FeatureColumn(name, kind) for name, kind in self.contract.kinds.items()}
        other = self.candidate.scorer.columns if self.candidate else {}
        flags = {name: column for name, column in served.items() if column.kind == "boolean"}
        return {**served, **other, **self.champion.scorer.columns, **flags}

    def beside(self, answered: Arm) -> Arm | None:
        """Who says beside an answer what it would have said, to nobody: in a canary the other one of the two."""
        if self.candidate is None or self.candidate.name == SHADOW:
            return None if answered is self.candidate else self.candidate
        return replace(self.champion if answered.version == self.candidate.version else self.candidate, name=SHADOW)

    @cached_property
    def read(self) -> frozenset[str]:
        """The features that a row must have, sent or looked up, whichever arm answers."""
        return frozenset(name for arm in self._answering for name in arm.scorer.columns)

    @cached_property
    def form(self) -> Form | None:
        """What a row looks like that brings every feature; None where the arms that answer read different ones."""
        read = [arm.scorer.columns for arm in self._answering]
        alike = all(columns == read[0] for columns in read)
        return Form({name: self.columns[name] for name in read[0]}) if alike else None

    @property
    def _answering(self) -> list[Arm]:
        return [self.champion, *([self.candidate] if self.candidate and self.candidate.name == CANARY else [])]

    @property
    def classes(self) -> int:
        """Classes that the arm with most of them knows; 0 for another task."""
        return max(arm.scorer.model.recipe.classes for arm in self.loaded.values())

    @property
    def loaded(self) -> dict[int, Arm]:
        """The arms by version."""
        arms = [self.champion, *([self.candidate] if self.candidate else [])]
        return {arm.version: arm for arm in arms}


def load_arm(registry: Registry, model_version: ModelVersion, name: str, contract: Contract) -> Arm:
    """Load a version, verified by its hash, and warm it.

    Raises:
        ModelDamaged: its file is gone or is another one.
        CannotServe: it scores a row otherwise than the batch does, or is of another task.
    """
    if (scorer := _scorers.get(model_version.sha256)) is None:
        scorer = verified(registry.read(model_version), model_version.uri)
        _scorers[model_version.sha256] = scorer
    task = scorer.model.recipe.task
    if task != contract.settings.task:
        raise CannotServe(
            f"{model_version.uri} was made for {task}, the model's YAML says {contract.settings.task}. "
            "Point the alias to a version of that task; the arm in service stays."
        )
    return Arm(name, model_version.version, model_version.sha256, scorer)


def verified(model: Model, uri: str) -> RowScorer:
    """What scores a model's rows, after it has scored a sample as the batch does; which also warms it.

    Raises:
        CannotServe: nothing does.
    """
    rows = sample_rows(model.recipe)
    try:
        expected = model.predict(pd.DataFrame(rows, columns=list(model.recipe.names)))
    except CannotTransform as error:
        raise CannotServe(f"{uri} cannot score every row that may be sent: {error}") from error
    why = ""
    for quick in (True, False):
        scorer = RowScorer(model, quick)
        try:
            # One by one, as requests come, and all at once.
            alone, together = np.concatenate([scorer.predict([row]) for row in rows]), scorer.predict(rows)
        except (ValueError, OSError) as error:
            why = str(error)
        else:
            if np.array_equal(alone, expected) and np.array_equal(together, expected):
                model.let_go()  # the scorer has what it needs of it
                return scorer
            why = f"{int(np.sum(alone != expected))} of {len(rows)} rows get another score"
        logger.warning("%s: rows are not scored by %s (%s)", uri, "the quick form" if quick else "the batch's", why)
    raise CannotServe(f"{uri} scores rows otherwise than frames ({why}). Report this; the arm in service stays.")


Load = Callable[[Registry, ModelVersion, str, Contract], Arm]
"""What `load_arm` does."""


def rollout_of(candidate: ModelVersion | None) -> tuple[str | None, float]:
    """The candidate's arm, None for none, and its share of the entities.

    Raises:
        CannotServe: its tags make no sense.
    """
    state = candidate.tags.get(STATE) if candidate else None
    if candidate is None or state not in (SHADOW, CANARY):
        return None, 0.0
    if state == SHADOW:
        return SHADOW, 0.0
    try:
        share = float(candidate.tags.get(SHARE, "0"))
    except ValueError:
        share = -1.0
    if not 0.0 <= share <= 1.0:
        raise CannotServe(
            f"{candidate.uri} has the tag {SHARE} = {candidate.tags.get(SHARE)!r}: write a share from 0 to 1. Until "
            "then the champion answers alone."
        )
    return CANARY, share
