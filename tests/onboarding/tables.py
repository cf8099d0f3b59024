"""Tables of different shapes, as people bring them, and a project of their own to bring them to.

What lives here: makers of CSV and Parquet files, a copy of the checkout. What does not: assertions.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from tests import forked
from tests.checkout import CHECKOUT

PARTS = ("mlops_assets", "dbt_project", "feature_repo", "pyproject.toml", "workspace.yaml")


@dataclass(frozen=True)
class Project:
    """A checkout of its own with a home in it; commands run in a process of their own, as a person's do."""

    root: Path

    @classmethod
    def at(cls, folder: Path) -> Project:
        for part in PARTS:
            source = CHECKOUT / part
            if source.is_dir():
                # With what Python has compiled: it goes by a file's time and size, which a copy keeps.
                shutil.copytree(source, folder / part, ignore=shutil.ignore_patterns("logs", "dbt_models-*"))
            else:
                folder.mkdir(parents=True, exist_ok=True)
                shutil.copy2(source, folder / part)
        return cls(folder)

    @property
    def home(self) -> Path:
        return self.root / ".mlops"

    def mlops(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run `mlops` here."""
        environment = {
            **os.environ,
            "PYTHONPATH": str(self.root),
            "MLOPS_PROJECT": str(self.root),
            "MLOPS_HOME": str(self.home),
            "COLUMNS": "200",
        }
        run = forked.run(
            "from mlops_assets.cli import app; app()", *arguments, place=self.root, environment=environment
        )
        assert not check or run.returncode == 0, f"{run.stdout}\n{run.stderr}"
        return run


def churn(rows: int = 2_000, *, days: int = 200, seed: int = 13) -> pd.DataFrame:
    """Customers with a time, numbers, texts and an outcome that follows from them."""
    rng = np.random.default_rng(seed)
    seconds = np.sort(rng.integers(0, days * 86_400, rows))
    usage, plan = rng.normal(size=rows), rng.choice(["basic", "pro", "team"], rows)
    age = rng.integers(18, 90, rows)
    z = 1.5 * usage + (plan == "basic") - 0.5 + 0.02 * (age - 50)
    return pd.DataFrame(
        {
            "signed_up": (pd.Timestamp("2023-01-01") + pd.to_timedelta(seconds, unit="s")).strftime(
                "%Y-%m-%d %H:%M:%S"
            ),
            "usage": usage.round(4),
            "plan": plan,
            "age": age,
            "spend": np.where(rng.uniform(size=rows) < 0.2, np.nan, rng.lognormal(3, 1, rows).round(2)),
            "churned": np.where(rng.uniform(size=rows) < 1 / (1 + np.exp(-z)), "yes", "no"),
        }
    )
