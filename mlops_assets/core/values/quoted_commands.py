"""Commands of `mlops` as sentences quote them: typed as they stand, they work in the reader's home.

Here: the names of the commands, putting `--home` into a sentence, and an option set apart from the words around it. Not
here: which home it is (`world.home`, `commands.console`). Sentences are written without a home, also on record, and
get it where a person reads them.
"""

from __future__ import annotations

import re
import shlex

COMMANDS = (
    "adopt", "alerts", "api-key", "approve", "backtest", "backup", "champion-at", "clean", "dbt-ci", "decide",
    "decisions", "demo", "doctor", "drift", "drill", "evidently", "explain", "feature-report", "freeze", "golden",
    "init", "land", "ledger", "look-ahead", "metrics", "migrate", "new-model", "pause", "power", "pull",
    "quarantine", "queue", "record", "reject", "replay", "reproduce", "resume", "retrain", "rollback", "rollout",
    "serve", "settings", "snooze", "status", "stream", "traffic", "unfreeze", "up", "upgrade", "wake", "why",
)  # fmt: skip
"""Whatever may follow `mlops` in a sentence; a test holds them against the commands that there are."""
_QUOTED = re.compile(rf"(?<![\w./-])mlops (?=(?:{'|'.join(COMMANDS)})(?![\w-]))")


def typed(option: str, value: str) -> str:
    """An option as it is to be typed, in backticks: a full stop behind a bare one would be copied with its value.

    Args:
        option: such as `--missing`.
        value: as it is meant; it is put into quotes where a shell needs them.
    """
    return f"`{option} {shlex.quote(value)}`"


def in_home(text: str, home: str) -> str:
    """A sentence with `--home` in each command that it quotes; one that names a home keeps it.

    Args:
        text: the sentence.
        home: the path as it is to be typed; empty leaves the sentence as it is.
    """
    return _QUOTED.sub(lambda _: f"mlops --home {shlex.quote(home)} ", text) if home else text
