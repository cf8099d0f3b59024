"""How often the gate promotes a challenger that is no better: `python benchmarks/aa_gate.py [--quick]`.

Two equal models, 28 uneven days. On each day each model is better or worse by 2 % of the metric (standard deviation),
as weather and strikes have it, and the two share most of a row's noise. A promotion is lucky. The two-sided 95 % rule
allows 2.5 %; the bar is 3.5 %. Beside it: the same rule with rows taken as independent. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.equal_models import WORLDS, lucky

BAR = 0.035


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="200 seeds, and not 100,000 rows")
    quick = parser.parse_args().quick
    seeds, sizes = (200, (1_000, 10_000)) if quick else (2_000, (1_000, 10_000, 100_000))
    results = []
    for name in WORLDS:
        for n in sizes:
            by_day, by_row = lucky(name, n, seeds)
            results.append({"metric": name, "rows": n, "by_day": by_day, "by_row": by_row})
            print(json.dumps(results[-1]), file=sys.stderr, flush=True)
    summary = {
        "benchmark": "aa_gate",
        "target": f"at most {BAR:.1%} lucky promotions",
        "met": max(result["by_day"] for result in results) <= BAR,
        "seeds": seeds,
        "results": results,
    }
    print(json.dumps(summary))


if __name__ == "__main__":
    main()
