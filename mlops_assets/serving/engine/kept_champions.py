"""The champions last served, kept beside the log so that a start needs no MLflow.

Here: writing them down, reading them back, verified. Not here: MLflow's registry, which leads whenever it answers.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import NotRequired, TypedDict

from mlops_assets.core.models.model import Model
from mlops_assets.core.performance.against_baseline import Fallback
from mlops_assets.serving.engine.arms import CHAMPION, Arm, Arms, Contract, verified
from mlops_assets.world.atomic import write_bytes, write_text
from mlops_assets.world.files.state_files import read_state
from mlops_assets.world.home import Home


class _Manifest(TypedDict):
    version: int
    sha256: str
    file: NotRequired[str]
    fallback: NotRequired[str]


def keep(home: Home, arms: Arms) -> None:
    """Write the champion down; the model's file first, so that what the note names is there."""
    champion = arms.champion
    note = _note(home, arms.contract.settings.name)
    file = note.with_suffix(".model")
    manifest = {"version": champion.version, "sha256": champion.sha256, "file": file.name}
    if arms.fallback is not None:
        manifest["fallback"] = arms.fallback.to_json()
    write_bytes(file, champion.scorer.model.content)
    write_text(note, json.dumps(manifest))


def kept(home: Home, contract: Contract) -> Arms | None:
    """The champion last served; None when none was kept, or a kill came between its two files."""
    note = _note(home, contract.settings.name)
    manifest = read_state(note, _Manifest, lost="the champion is then served as soon as MLflow answers")
    if manifest is None:
        return None
    content = (note.parent / manifest.get("file", f"{note.stem}.ubj")).read_bytes()  # as all were called once
    if hashlib.sha256(content).hexdigest() != manifest["sha256"]:
        return None
    scorer = verified(Model.from_bytes(content), f"{note.stem} version {manifest['version']}, kept")
    fallback = Fallback.from_json(manifest["fallback"]) if "fallback" in manifest else None
    return Arms(contract, Arm(CHAMPION, manifest["version"], manifest["sha256"], scorer), fallback=fallback)


def _note(home: Home, model: str) -> Path:
    return home.root / "serving" / "kept" / f"{model}.json"
