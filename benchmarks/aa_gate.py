"""How often the gate promotes a challenger that is no better: `python benchmarks/aa_gate.py [--quick]`.

Two equal models on uneven days. On each day each model is better or worse by 2 % of the metric (standard deviation), as
weather and strikes have it, a share `rho` of which is left on the next day, and the two share most of a row's noise. A
promotion is lucky. The two-sided 95 % rule allows 2.5 %; the bar is 3.5 %, for rho from 0 to 0.7. Beside it: the same
rule with days taken as independent, with rows taken as independent, and what share of true gains is still found that
is found by the former in 50 and in 80 % where days are independent. Then the same on 3 to 7 days that are judged by
stretches of 6 hours, with effects of hours. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.equal_models import WORLDS, lucky

BAR = 0.035
RHO = (0.0, 0.3, 0.5, 0.7)
ENDS = (0.0, 0.7)
SEEDS = {1_000: 2_000, 10_000: 2_000, 100_000: 1_000}


def cells(*, quick: bool) -> Iterator[tuple[str, int, int, float, bool]]:
    """Metric, rows, days, rho, and whether rho is of hours: RMSE everywhere, the others on 28 days and 7."""
    sizes = (1_000, 10_000) if quick else (1_000, 10_000, 100_000)
    yield from (("rmse", n, days, rho, False) for days in (8, 14, 28, 60) for n in sizes for rho in RHO)
    yield from (("rmse", n, days, rho, True) for days in (3, 5, 7) for n in sizes for rho in RHO)
    for days, hours in ((28, False), (7, True)):
        yield from ((name, n, days, rho, hours) for name in WORLDS if name != "rmse" for n in sizes for rho in ENDS)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="200 seeds, and not 100,000 rows")
    quick = parser.parse_args().quick
    results = []
    for name, n, days, rho, hours in cells(quick=quick):
        seeds = 200 if quick else SEEDS[n]
        luck = lucky(name, n, seeds, rho=rho, days=days, hours=hours)
        world = {"metric": name, "rows": n, "days": days, "rho": rho, "hours": hours, "seeds": seeds}
        results.append({**world, **asdict(luck)})
        print(json.dumps(results[-1]), file=sys.stderr, flush=True)
    summary = {
        "benchmark": "aa_gate",
        "target": f"at most {BAR:.1%} lucky promotions",
        "met": max(result["by_day"] for result in results) <= BAR,
        "results": results,
    }
    print(json.dumps(summary))


if __name__ == "__main__":
    main()
