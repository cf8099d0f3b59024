"""`mlops doctor` and `mlops clean` as a person calls them: what they say, what they change, how they end."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from typer.testing import Result

from mlops_assets.steps.keep import doctor
from mlops_assets.world.home import Home

Mlops = Callable[..., Result]


def test_doctor_on_a_new_home(mlops: Mlops) -> None:
    sound = mlops("doctor")
    assert sound.exit_code == 0, sound.stdout
    assert "4 models" in sound.stdout
    assert "0 broken" in sound.stdout
    assert "mlops up carries on" in " ".join(sound.stdout.split()), "what to look at ends in what to do"


def test_doctor_on_one_model_for_programs_and_on_a_full_disk(mlops: Mlops, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "LEAST_FREE", 2**80)
    found = mlops("doctor", "flight_delay", "--json")
    assert found.exit_code == 1
    findings = json.loads(found.stdout)
    assert {finding["about"] for finding in findings} >= {"disk", "YAML", "dbt", "flight_delay"}
    assert "arrival_delay" not in {finding["about"] for finding in findings}
    (disk,) = [finding for finding in findings if finding["state"] == "broken"]
    assert disk["fix"] == "Make room: mlops clean --dry-run says what may go."
    told = mlops("doctor", "train_delay")
    assert told.exit_code != 0
    known = "arrival_delay, card_fraud, carrier_delay, flight_delay"
    assert f"There is no model 'train_delay'. Known: {known}" in told.stderr


def test_clean_says_first_and_removes_then(mlops: Mlops, home: Home) -> None:
    home.prepare()
    old = home.replays / "flight_delay-20200101T000000"
    (old / "lake").mkdir(parents=True)
    (old / "lake" / "x.parquet").write_bytes(b"0" * 2_000_000)
    long_ago = (datetime.now(UTC) - timedelta(days=40)).timestamp()
    os.utime(old, (long_ago, long_ago))
    assert "is older than 90d and needed by nobody" in mlops("clean", "--dry-run").stdout
    said = mlops("clean", "--older-than", "30d", "--dry-run").stdout
    assert "Would be removed" in said
    assert "replays" in said
    assert "2.0" in said, "MB"
    assert old.exists()
    assert "Removed" in mlops("clean", "--older-than", "30d").stdout
    assert not old.exists()
    assert "needed by nobody" in mlops("clean", "--older-than", "30d").stdout
    assert mlops("clean", "--older-than", "soon").exit_code != 0
