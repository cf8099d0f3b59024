"""Registered models: versions, aliases, and the one function that changes what is in production.

Here: `Registry` over MLflow's client with explicit run ids, loading verified by hash. Not here: the run a
model was trained in (`tracking`), its files (`logged_models`), who decides on a promotion (`core.decide.policy`,
`core.promote.gate`), the store (`store`).

A version is one file (UBJSON for trees, skops for scikit-learn) beside MLflow's own description of it
(`model_folder`). Nothing is ever deleted here: every version stays loadable, so the last three do.
"""

from __future__ import annotations

import hashlib
import json
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from mlops_assets.core.record.plain_values import as_plain, from_plain
from mlops_assets.world.home import Home
from mlops_assets.world.mlflow.logged_models import log_model, read_model_file
from mlops_assets.world.mlflow.store import embedded_store, ensure_registered, is_absent, locked, open_client
from mlops_assets.world.mlflow.versions import (
    OWN_TAGS,
    ModelVersion,
    is_same,
    own_tags,
    read_aliases,
    read_version,
    read_versions,
    tag_texts,
    version_of,
)

if TYPE_CHECKING:
    import pandas as pd
    from mlflow import MlflowClient

    from mlops_assets.core.models.model import Model
    from mlops_assets.core.performance.against_baseline import Fallback
    from mlops_assets.core.rollout.moves import Rollout

__all__ = ["ModelDamaged", "ModelVersion", "NoSuchVersion", "Registry"]

CHAMPION = "champion"
PREVIOUS = "previous"
CANDIDATE = "candidate"
"""Alias of the version that a rollout is trying out, until it is champion or has been stopped."""

DECISION = "decision"
REASON = "reason"
PROMOTED_AT = "promoted_at"
REPLACED_BY = "replaced_by"
_ROLLOUT = "rollout"
"""Tag of a version: where its rollout stands, as JSON (`core.rollout.moves.Rollout`)."""
ROLLOUT_STATE, ROLLOUT_SHARE = "rollout_state", "rollout_share"
"""Tags of a version, for whoever serves it: the state, and the share of the entities that it answers, 0 to 1."""
FALLBACK = "fallback"
"""Tag of a version that is worse than guessing: what answers in its place, as JSON
(`core.performance.against_baseline.Fallback`)."""

_CACHED_MODELS = 8

_cache: OrderedDict[str, Model] = OrderedDict()
_cache_lock = Lock()


class ModelDamaged(RuntimeError):
    """A version's file is gone or is not the one that was registered."""


class NoSuchVersion(LookupError):
    """The model, version or alias does not exist."""


@dataclass(frozen=True, kw_only=True)
class Registry:
    """Model versions and aliases in MLflow's registry. Safe to share between threads.

    Attributes:
        tracking_uri: MLflow's store; default: $MLFLOW_TRACKING_URI, else SQLite in the home.
        home: root of the home; default: $MLOPS_HOME.
    """

    tracking_uri: str | None = None
    home: str | None = None

    @property
    def client(self) -> MlflowClient:
        """MLflow's client of the store.

        Raises:
            MlflowUnavailable: the store is gone, damaged or silent.
        """
        return open_client(self._home, self.tracking_uri)

    def register(
        self,
        name: str,
        model: Model,
        *,
        run_id: str,
        tags: Mapping[str, Any] | None = None,
        signature_frame: pd.DataFrame | None = None,
        description: str | None = None,
    ) -> ModelVersion:
        """Keep a model as a new version of `name`; the same model of the same run or decision once only.

        Args:
            name: the registered model; made when new.
            model: what to keep.
            run_id: the MLflow run it was made in.
            tags: further tags, e.g. training_set, refit_set, judged_sha256, window, decision, code_version,
                metric values; all become texts. Hash, seed, family and rounds are tagged anyway.
            signature_frame: rows with the model's columns, for the signature.
            description: Markdown for the UI.
        """
        client = self.client
        with locked(self._home, "registry"):
            ensure_registered(client, name)
            for known in self.versions(name):
                if known.sha256 == model.sha256 and is_same(known, run_id, tags or {}):
                    self.tag(name, known.version, tags or {})
                    return self.version(name, known.version)
            source, model_id = log_model(client, name, model, run_id=run_id, signature_frame=signature_frame)
            created = client.create_model_version(
                name,
                source,
                run_id=run_id,
                tags={**own_tags(model), **tag_texts(tags or {})},
                description=description,
                model_id=model_id,
            )
        return self.version(name, int(created.version))

    def share(self, name: str, of: ModelVersion, *, tags: Mapping[str, Any]) -> ModelVersion:
        """Register a version of another model under `name` too: both have the same file. Once for the same tags.

        Args:
            name: the registered model; made when new.
            of: the version whose model it is.
            tags: what is said of it beside what says which model it is.

        Raises:
            ModelDamaged: the file is gone or has changed.
        """
        self._content(of)
        client, texts = self.client, tag_texts(tags)
        with locked(self._home, "registry"):
            ensure_registered(client, name)
            for known in self.versions(name):
                if known.sha256 == of.sha256 and texts.items() <= known.tags.items():
                    return known
            own = {tag: of.tags[tag] for tag in OWN_TAGS if tag in of.tags}
            created = client.create_model_version(name, of.source, run_id=of.run_id, tags={**own, **texts})
        return self.version(name, int(created.version))

    def load(self, name: str, version: int | str = CHAMPION) -> Model:
        """The model of a version or alias, verified by its hash; cached by hash in the process.

        Raises:
            NoSuchVersion: there is none.
            ModelDamaged: its file is gone or has changed.
        """
        entry = self.version(name, version)
        with _cache_lock:
            if entry.sha256 in _cache:
                _cache.move_to_end(entry.sha256)
                return _cache[entry.sha256]
        model = self.read(entry)
        with _cache_lock:
            _cache[entry.sha256] = model
            while len(_cache) > _CACHED_MODELS:
                _cache.popitem(last=False)
        return model

    def version(self, name: str, version: int | str) -> ModelVersion:
        """A version by number or alias.

        Raises:
            NoSuchVersion: there is none.
        """
        entry = self.find(name, version)
        if entry is None:
            raise NoSuchVersion(
                f"{name} has no version or alias {version!r}. `mlops status` lists what it has; a first "
                f"champion comes from materializing {name}/champion."
            )
        return entry

    def find(self, name: str, version: int | str) -> ModelVersion | None:
        """A version by number or alias, None when there is none.

        Raises:
            MlflowUnavailable: the store is gone, damaged or silent.
        """
        if (path := self.embedded) is not None:
            return read_version(path, name, version) if path.exists() else None
        from mlflow.exceptions import MlflowException

        client = self.client
        try:
            if isinstance(version, int) or version.isdigit():
                entry = client.get_model_version(name, str(version))
            else:
                entry = client.get_model_version_by_alias(name, version)
            return version_of(entry, client.get_registered_model(name).aliases)
        except MlflowException as error:
            if is_absent(error):
                return None
            raise

    def aliases(self) -> dict[str, dict[str, int]]:
        """The aliases of every registered model, read at once.

        Raises:
            MlflowUnavailable: the store is gone, damaged or silent.
        """
        if (path := self.embedded) is not None:
            return read_aliases(path) if path.exists() else {}
        aliases: dict[str, dict[str, int]] = {}
        token: str | None = None
        while True:
            batch = self.client.search_registered_models(max_results=1000, page_token=token)
            aliases |= {each.name: {alias: int(of) for alias, of in sorted(each.aliases.items())} for each in batch}
            token = batch.token
            if not token:
                return aliases

    def champion(self, name: str) -> ModelVersion | None:
        """The version in production, None before the first."""
        return self.find(name, CHAMPION)

    def previous(self, name: str) -> ModelVersion | None:
        """The version to go back to, None before the second champion."""
        return self.find(name, PREVIOUS)

    def versions(self, name: str) -> list[ModelVersion]:
        """All versions, the newest first; empty when the model is unknown.

        Raises:
            MlflowUnavailable: the store is gone, damaged or silent.
        """
        if (path := self.embedded) is not None:
            return read_versions(path, name) if path.exists() else []
        from mlflow.exceptions import MlflowException

        client = self.client
        try:
            aliases = client.get_registered_model(name).aliases
        except MlflowException as error:
            if is_absent(error):
                return []
            raise
        versions: list[ModelVersion] = []
        token: str | None = None
        while True:
            batch = client.search_model_versions(f"name = '{name}'", max_results=1000, page_token=token)
            versions += [version_of(entry, aliases) for entry in batch]
            token = batch.token
            if not token:
                return sorted(versions, key=lambda entry: -entry.version)

    def alias(self, name: str, alias: str, version: int | None) -> None:
        """Point an alias (e.g. `challenger`) to a version; None removes it.

        Raises:
            ValueError: for `champion` and `previous`, which only `promote` moves.
        """
        if alias in (CHAMPION, PREVIOUS):
            raise ValueError(f"only promote() moves {alias!r}: it keeps `previous` and the record in step. Call that.")
        if version is None:
            self.client.delete_registered_model_alias(name, alias)
        else:
            self.client.set_registered_model_alias(name, alias, str(version))

    def tag(self, name: str, version: int, tags: Mapping[str, Any]) -> None:
        """Set tags on a version; values become texts."""
        client = self.client
        for key, value in tag_texts(tags).items():
            client.set_model_version_tag(name, str(version), key, value)

    def promote(
        self, name: str, version: int, *, decision_id: str, reason: str, at: datetime | None = None
    ) -> ModelVersion:
        """Make a version champion and the champion `previous`. The only place that does.

        `previous` moves first: killed between the two moves, the old champion still serves and is known, and
        the same call again finishes the work. A second call changes nothing. Going back is the same call
        with the previous version.

        Args:
            name: the registered model.
            version: who becomes champion; its file is loaded and verified before anything moves.
            decision_id: the decision in the ledger.
            reason: why, for people.
            at: when, by the home's clock; default now.

        Raises:
            NoSuchVersion: there is no such version.
            ModelDamaged: its file is gone or has changed; the champion stays.
        """
        self.verify(name, version)
        client = self.client
        with locked(self._home, "registry"):
            champion = self.champion(name)
            if champion is None or champion.version != version:
                if champion is not None:
                    client.set_registered_model_alias(name, PREVIOUS, str(champion.version))
                client.set_registered_model_alias(name, CHAMPION, str(version))
            promoted = self.version(name, version)
            if promoted.tags.get(DECISION) != decision_id or PROMOTED_AT not in promoted.tags:
                moment = (at or datetime.now(UTC)).astimezone(UTC).isoformat()
                # The time is written last: it says that the record is complete.
                self.tag(name, version, {REASON: reason, DECISION: decision_id, PROMOTED_AT: moment})
            previous = self.previous(name)
            if previous is not None and previous.tags.get(REPLACED_BY) != str(version):
                self.tag(name, previous.version, {REPLACED_BY: version})
        return self.version(name, version)

    def roll(self, name: str, rollout: Rollout, *, share: float, reason: str, at: datetime) -> None:
        """Make aliases and tags say where a rollout stands. The only place that does; a second call changes nothing.

        In shadow and canary the version is `candidate`; in the watch and after it, champion. Going back from the watch
        is a `promote` of the version before. The tags are there before the alias is: whoever sees a candidate sees how
        far it is.

        Args:
            name: the registered model.
            rollout: where it stands.
            share: of the entities that it answers, 0 to 1.
            reason: of the move, for people.
            at: when, by the home's clock.

        Raises:
            NoSuchVersion: there is no such version.
            ModelDamaged: the file of a version that is to answer is gone or has changed; nothing was moved.
        """
        if rollout.answers:
            self.promote(name, rollout.version, decision_id=rollout.decision, reason=reason, at=at)
        elif rollout.is_open:
            self.verify(name, rollout.version)
        client = self.client
        with locked(self._home, "registry"):
            state = json.dumps(as_plain(rollout), sort_keys=True)
            self.tag(name, rollout.version, {ROLLOUT_SHARE: share, ROLLOUT_STATE: rollout.state, _ROLLOUT: state})
            candidate = self.find(name, CANDIDATE)
            if rollout.state in ("shadow", "canary"):
                if candidate is None or candidate.version != rollout.version:
                    client.set_registered_model_alias(name, CANDIDATE, str(rollout.version))
            elif candidate is not None and candidate.version == rollout.version:
                client.delete_registered_model_alias(name, CANDIDATE)

    def fall_back(self, name: str, version: int, fallback: Fallback | None) -> None:
        """Say on a version what answers in its place; None: it answers itself. A second call changes nothing."""
        client = self.client
        with locked(self._home, "registry"):
            known = self.version(name, version).tags.get(FALLBACK)
            if fallback is None and known is not None:
                client.delete_model_version_tag(name, str(version), FALLBACK)
            elif fallback is not None and known != fallback.to_json():
                self.tag(name, version, {FALLBACK: fallback.to_json()})

    def rollout(self, name: str) -> Rollout | None:
        """The open rollout of a model: of its candidate, of a champion that is still watched, or of one just left."""
        from mlops_assets.core.rollout.moves import Rollout

        for alias in (CANDIDATE, CHAMPION, PREVIOUS):
            entry = self.find(name, alias)
            if entry is not None and _ROLLOUT in entry.tags:
                rollout = from_plain(Rollout, json.loads(entry.tags[_ROLLOUT]))
                if rollout.is_open:
                    return rollout
        return None

    @property
    def embedded(self) -> Path | None:
        """The SQLite file of the home's store, for reading; it may not be there yet. None where a server stands for it.

        Raises:
            MlflowUnavailable: the file is gone though artifacts exist.
        """
        return embedded_store(self._home, self.tracking_uri)

    @property
    def _home(self) -> Home:
        return Home(Path(self.home)) if self.home else Home.from_environment()

    def verify(self, name: str, version: int | str) -> None:
        """Read a version's file and compare its hash; cheaper than loading it.

        Raises:
            NoSuchVersion: there is none.
            ModelDamaged: its file is gone or has changed.
        """
        self._content(self.version(name, version))

    def read(self, entry: ModelVersion) -> Model:
        """The model of a version, verified by its hash; for whoever keeps it himself.

        Raises:
            ModelDamaged: its file is gone or has changed.
        """
        from mlops_assets.core.models.model import Model

        return Model.from_bytes(self._content(entry))

    def _content(self, entry: ModelVersion) -> bytes:
        family = entry.tags.get("family", "xgboost")
        content = read_model_file(entry.source, family, lambda: self.client.tracking_uri)
        if content is None:
            raise ModelDamaged(
                f"the file of {entry.uri} in {entry.source} is gone. Restore it from a backup, or point "
                f"the alias {CHAMPION!r} of {entry.name} to another version in MLflow; no alias was moved."
            )
        digest = hashlib.sha256(content).hexdigest()
        if digest != entry.sha256:
            raise ModelDamaged(
                f"{entry.uri} was registered with sha256 {entry.sha256[:12] or 'none'}, but its file in "
                f"{entry.source} has {digest[:12]}. It was changed or is damaged: restore it from a backup, "
                f"or point the alias {CHAMPION!r} of {entry.name} to another version in MLflow; no alias was moved."
            )
        return content
