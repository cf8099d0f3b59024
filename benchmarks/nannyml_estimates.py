"""NannyML's estimates on the rows of tests/core/performance/test_estimation.py, beside those that the test holds.

    python benchmarks/nannyml_estimates.py PYTHON

Its pins do not resolve with ours, so the test holds its figures; this computes them again. PYTHON is the interpreter of
an environment that has it (`python -m venv there && there/bin/pip install nannyml`). It ends with 1 where a figure is
another one. What isn't here: how long an estimate takes, and drift (`drift.py`).
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

CHUNK = 6_000
OURS = {"average_precision": "pr_auc"}
PROBLEMS = {"binary": "classification_binary", "multiclass": "classification_multiclass"}


def write(folder: Path) -> None:
    """The reference and the window of each case, as NannyML reads them."""
    import numpy as np
    import pandas as pd

    from tests.core.performance.test_estimation import NANNYML, binary, classes, regression

    for task, shift in NANNYML:
        for name, seed, days, moved in (("reference", 0, 28, 0.0), ("window", 1, 30, shift)):
            if task == "regression":
                y, s, _, rows = regression(5 + seed, days, 200, shift=moved)
                rows = rows.assign(y=y, call=s)
            elif task == "binary":
                y, s, _ = binary(1 + seed, days, 200, shift=moved)
                rows = pd.DataFrame({"y": y.astype(int), "p": s, "call": (s >= 0.5).astype(int)})
            else:
                y, s, _ = classes(3 + seed, days, 200, shift=moved)
                rows = pd.DataFrame({f"p{k}": s[:, k] for k in range(s.shape[1])})
                rows = rows.assign(y=y.astype(int), call=np.argmax(s, axis=1))
            rows.to_parquet(folder / f"{task}_{shift}_{name}.parquet")


def theirs(folder: Path) -> Iterator[tuple[str, dict[str, float]]]:
    """In an environment that has it: the case and the values of its window."""
    os.environ["NML_DISABLE_USAGE_LOGGING"] = "1"  # else it sends what is run to its makers
    import nannyml
    import pandas as pd

    for path in sorted(folder.glob("*_reference.parquet")):
        case = path.name.removesuffix("_reference.parquet")
        task = case.partition("_")[0]
        shared: dict[str, Any] = {"y_true": "y", "y_pred": "call", "chunk_size": CHUNK}
        if task == "regression":
            metrics = ["mae", "rmse"]
            estimator = nannyml.DLE(feature_column_names=["a", "b"], metrics=metrics, **shared)
        else:
            metrics = ["roc_auc", "accuracy", "precision", "recall", "f1"]
            metrics += ["average_precision"] if task == "binary" else []
            chances = "p" if task == "binary" else {k: f"p{k}" for k in range(3)}
            estimator = nannyml.CBPE(y_pred_proba=chances, problem_type=PROBLEMS[task], metrics=metrics, **shared)
        estimator.fit(pd.read_parquet(path))
        found = estimator.estimate(pd.read_parquet(folder / f"{case}_window.parquet")).filter(period="analysis").to_df()
        yield case, {OURS.get(name, name): float(found[(name, "value")].iloc[0]) for name in metrics}


def main() -> int:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("python", help="interpreter of an environment that has NannyML")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        warnings.simplefilter("ignore")
        print("\n" + json.dumps(dict(theirs(Path(options.python)))))
        return 0
    from tests.core.performance.test_estimation import NANNYML

    with tempfile.TemporaryDirectory() as temporary:
        write(Path(temporary))
        command = [options.python, __file__, "--one", temporary]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True)
    found = json.loads(done.stdout.strip().splitlines()[-1])
    others = 0
    for (task, shift), kept in NANNYML.items():
        for name, value in kept.items():
            now = found[f"{task}_{shift}"][name]
            others += abs(now - value) > 1e-6
            print(f"{task:10} {shift} {name:9} NannyML {now:.6f}  in the test {value:.6f}")
    print("All figures agree." if not others else f"{others} figures are others: correct NANNYML in the test.")
    return int(others > 0)


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent.parent))
    sys.exit(main())
