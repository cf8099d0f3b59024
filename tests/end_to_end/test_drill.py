"""`mlops drill rollback` on real flights: it goes back, nobody notices, and production is as it was."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.real_slice import World


@pytest.mark.slow
def test_a_rehearsal_prints_its_seconds_and_leaves_nothing_behind(drifting: World, mlops: Any) -> None:
    def content() -> dict[str, float]:
        kept = ("lake", "mlflow", "ledger")
        files = [path for name in kept for path in (drifting.home.root / name).rglob("*") if path.is_file()]
        return {str(path): path.stat().st_mtime for path in files if path.suffix != ".lock"}

    before = content()
    done = mlops("drill", "rollback", drifting.model.name, "--kind", "bad-data", "--json")
    assert done.exit_code == 0, done.output
    (rehearsal,) = json.loads(done.stdout)
    assert (rehearsal["stage"], rehearsal["guardrails"], rehearsal["failed"]) == ("watch", ["scores"], 0)
    assert rehearsal["requests"] > 10
    assert 0.0 < rehearsal["alias_seconds"] < rehearsal["look_seconds"]
    assert content() == before
    assert list((drifting.home.root / "drills").iterdir()) == []
    assert drifting.aliases() == {"champion": 1}
