"""The text of benchmarks/decisions.md: bars and scenarios as tables.

What lives here: words and layout. What does not: the bars (`decision_bars`), running (`decisions`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from benchmarks import decision_bars as bars
from benchmarks.decision_bars import GRADUAL, STEPS, Run, Runs
from mlops_assets.pages.markdown import markdown_table
from tests.scenarios.figures import regret
from tests.scenarios.lives import ALWAYS, PEERS, PLATFORM

INTRODUCTION = f"""# Decisions in worlds with a known truth

Written by `python benchmarks/decisions.py` (`make bench BENCH=decisions`). Every scenario of tests/scenarios, for a
regression (RMSE, ridge), a binary label and three classes (log loss, logistic regression), with the defaults of a
fresh YAML and no tuning per scenario. Six windows are fitted on first, {bars.WINDOWS} are lived through, and what
changes does so in the ninth of these. Losses are the truth's: expectations over 10,000 fresh rows of features of each
window, with less chance in them than 100,000 labels have.

## How to read it

- *Rivals* are never, and by the calendar: on all history and on the newest four windows, each at every and at every
  second window. *Regret* is the loss over that of the rival that is best in the end, which nobody knows beforehand.
- The *paired interval* is the 95 % interval of that difference over the windows of a life, which are its blocks. Over
  the seeds of a scenario, a mean whose 95 % interval reaches zero may be chance.
- *In time*: a champion that has trained on changed rows serves from the end of the second window of changed rows
  whose labels have matured, or before. A step counts where the first model's loss rises by a fifth or more.
- *False*: a training that began for a gain (age and growth of the labels start candidates and promise none), and
  whose true gain at that moment is under 1 % of the loss, let through by the gate or not.
- *Updates*: models that came into production, going back included; always brings one at each window.
- *Rows fitted*: rows times fits of looks, gates and trainings. A training counts as the default search, 20 trials on
  80 % of the rows and the final fit. Linear models of eight columns fit in no time, so seconds would say nothing.
- Peers: any feature's PSI over 0.2 (ten bins), any feature's KS test with p < 0.05, every fourth window, and a
  training at every window behind a gate of +2 % by the point estimate. The bars are the platform's; beside them
  stands what each peer would have had.
- Worlds of one seed are one world until something changes, so that one unlucky promotion before that counts in most
  scenarios: shares of promotions rest on fewer chances than they have promotions.
- A *data fault* is quarantined in its own window. What begins after it begins in the world without the fault, too, one
  window sooner or later: it is the rate of false retrainings, and no bar of none can hold for that.
- *Surely worse* with the shock counted cannot be at most 5 % where a change is to be answered at its first close: until
  then a shock is the same world, its answer is surely worse in the next window, and it is one of some 20 promotions in
  all scenarios of a seed. What it costs to wait: [breaks.md](breaks.md#to-answer-a-change-is-to-answer-a-shock).
- Lucky promotions of equal models: [README.md](README.md#equal-models-in-the-gate).
- Worlds whose relation breaks, with the calendars and a small policy of fifteen lines beside the platform:
  [breaks.md](breaks.md).
"""


def document(found: Mapping[tuple[int, str], Runs]) -> str:
    """The whole text.

    Args:
        found: by labels a window and task.
    """
    parts = [INTRODUCTION]
    for (labels, task), runs in found.items():
        seeds = min(len(some) for some in runs.values())
        parts.append(f"## {task}, {labels:,} labels a window, {seeds} seeds\n")
        parts.append(markdown_table(bars.rows(runs), header=bars.HEADER) + "\n")
        parts.append(markdown_table([_row(name, some) for name, some in runs.items()], header=HEADER) + "\n")
    return "\n".join(parts)


HEADER = (
    "scenario", "updates", "trainings", "for a gain", "regret", "worst seed", "never loses", "gap closed", "in time",
    "false per 100 windows", *(f"regret: {name}" for name in (*PEERS, ALWAYS)),
)  # fmt: skip


def _row(name: str, some: Sequence[Run]) -> tuple[str, ...]:
    def regrets(strategy: str) -> np.ndarray:
        return np.array([regret(run.losses, strategy) for run in some])

    gap = bars.never_loses(some)
    in_time = ""
    if name in STEPS or name.startswith("sudden"):
        in_time = f"{(bars.of(some, PLATFORM, 'answered') <= 2).mean():.0%}"
    elif name == GRADUAL:
        in_time = f"{(bars.of(some, PLATFORM, 'answered_shown') <= 3).mean():.0%}"
    return (
        name,
        f"{bars.of(some, PLATFORM, 'updates').mean():.1f}",
        f"{bars.of(some, PLATFORM, 'trainings').mean():.1f}",
        f"{np.mean([len(run.facts[PLATFORM]['trained_for_a_gain']) for run in some]):.1f}",
        f"{regrets(PLATFORM).mean():+.1%}",
        f"{regrets(PLATFORM).max():+.1%}",
        f"{gap:+.0%}",
        f"{bars.closed(some):.0%}" if gap >= bars.PAYS else "",
        in_time,
        f"{100 * bars.of(some, PLATFORM, 'false').mean() / bars.WINDOWS:.2f}",
        *(f"{regrets(peer).mean():+.1%}" for peer in (*PEERS, ALWAYS)),
    )
