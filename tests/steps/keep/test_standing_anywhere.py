"""A command works the same wherever it is called from, even where the folder has gone away meanwhile."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlops_assets.world.home import Home, working_in
from mlops_assets.world.platform import Platform


@pytest.mark.parametrize("is_gone", [False, True])
def test_feast_is_opened_from_any_folder(is_gone: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    before = Path().stat().st_ino
    if is_gone:
        elsewhere.rmdir()
    with working_in(Home(tmp_path / "home").prepare()) as home:
        store = Platform.of(home).features.store()
        assert {view.name for view in store.list_feature_views()} == {v.name for v in Platform.of(home).catalogue.views}
    assert Path().stat().st_ino == before
