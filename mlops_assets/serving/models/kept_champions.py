"""The champions last served, kept beside the log so that a start needs no MLflow.

Here: writing them down, reading them back, verified. Not here: MLflow's registry, which leads whenever it answers.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Collection
from pathlib import Path
from typing import NotRequired, TypedDict

from mlops_assets.core.models.model import Model
from mlops_assets.serving.engine.arms import CHAMPION, Arm, Arms, Contract, verified
from mlops_assets.world.atomic import write_bytes, write_text
from mlops_assets.world.files.state_files import DamagedFile, read_state
from mlops_assets.world.home import Home
from mlops_assets.world.mlflow.logged_models import SHA256
from mlops_assets.world.mlflow.registry import FALLBACK, ModelVersion

logger = logging.getLogger("mlops.serving")


class _Manifest(TypedDict):
    version: int
    sha256: str
    file: NotRequired[str]
    fallback: NotRequired[str]


def keep(home: Home, arms: Arms) -> None:
    """Write the champion down, if it is another one; the model's file first: what the note names is there."""
    champion = arms.champion
    note = _note(home, arms.contract.settings.name)
    file = note.with_suffix(".model")
    manifest = _Manifest(version=champion.version, sha256=champion.sha256, file=file.name)
    if arms.fallback is not None:
        manifest["fallback"] = arms.fallback.to_json()
    if _manifest(note) == manifest and file.exists():
        return
    write_bytes(file, champion.scorer.model.content)
    write_text(note, json.dumps(manifest))


def kept_versions(home: Home, models: Collection[str]) -> dict[str, ModelVersion]:
    """The champions last served of some models, as the registry would name them; for a start without it."""
    versions: dict[str, ModelVersion] = {}
    for note in sorted(_folder(home).glob("*.json")):
        try:
            manifest = _manifest(note) if note.stem in models else None
        except DamagedFile as damage:
            # Another model's note is no less right.
            logger.warning("%s", damage)
            continue
        if manifest is not None:
            tags = {SHA256: manifest["sha256"]}
            if "fallback" in manifest:
                tags[FALLBACK] = manifest["fallback"]
            versions[note.stem] = ModelVersion(note.stem, manifest["version"], "", tags)
    return versions


def kept_arm(home: Home, contract: Contract, named: ModelVersion) -> Arm | None:
    """A version as it was last served; None when another one was, or a kill came between its two files."""
    note = _note(home, contract.settings.name)
    manifest = _manifest(note)
    if manifest is None or (manifest["version"], manifest["sha256"]) != (named.version, named.sha256):
        return None
    try:
        content = (note.parent / manifest.get("file", f"{note.stem}.ubj")).read_bytes()  # as all were called once
    except FileNotFoundError:
        return None
    if hashlib.sha256(content).hexdigest() != manifest["sha256"]:
        return None
    scorer = verified(Model.from_bytes(content), f"{note.stem} version {manifest['version']}, kept")
    return Arm(CHAMPION, manifest["version"], manifest["sha256"], scorer)


def _manifest(note: Path) -> _Manifest | None:
    return read_state(note, _Manifest, lost="the champion is then served as soon as MLflow answers")


def _note(home: Home, model: str) -> Path:
    return _folder(home) / f"{model}.json"


def _folder(home: Home) -> Path:
    return home.root / "serving" / "kept"
