"""The version of a library is that of the distribution that has it."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

import pytest

from mlops_assets.core.values import libraries


@pytest.mark.parametrize("there", ["xgboost", "xgboost-cpu"])
def test_either_distribution_of_xgboost_is_xgboost(there: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def installed(name: str) -> str:
        if name != there:
            raise PackageNotFoundError(name)
        return "3.2.0"

    monkeypatch.setattr(libraries, "version", installed)
    assert libraries.installed("xgboost") == (there, "3.2.0")
    with pytest.raises(PackageNotFoundError, match="numpy"):
        libraries.installed("numpy")


def test_two_distributions_of_one_library_are_both_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(libraries, "version", lambda name: {"xgboost": "3.2.0", "xgboost-cpu": "3.2.1"}[name])
    assert libraries.all_installed("xgboost") == [("xgboost-cpu", "3.2.1"), ("xgboost", "3.2.0")]
    from mlops_assets.steps.keep.doctor import _installation

    (found,) = (finding for finding in _installation() if finding.about == "XGBoost")
    assert found.state == "warning"
    assert "xgboost-cpu 3.2.1 and xgboost 3.2.0 are both installed" in found.what
    assert "then pip install 'xgboost-cpu==3.2.1'" in found.fix


def test_others_go_by_their_name() -> None:
    assert libraries.installed("numpy") == ("numpy", version("numpy"))
