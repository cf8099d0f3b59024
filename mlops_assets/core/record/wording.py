"""A decision's answer and its reasons as people read them, each said once.

Here: the answer with its rule, and reasons without what the answer says. Not here: deciding (`decide`), laying it out
(the commands), what is on record, which stays as it was written.
"""

from __future__ import annotations

from collections.abc import Sequence

NO_TRIGGER = "No agreed trigger asks for a training."
"""How the reason begins where none does; what stands with each follows."""
CANNOT_FIRE = "It cannot fire:"
"""How the sentence of a trigger begins that nothing can make ask."""
_CANNOT = "cannot judge, because "


def answer_told(action: str, rule: str = "") -> str:
    """`retrain (rule: drift)`; where nothing asked for one, `no retraining: no rule asked for one`."""
    if (action, rule) == ("wait", "nothing"):
        return "no retraining: no rule asked for one"
    answer = action.replace("_", " ")
    return answer if rule in ("", action) else f"{answer} (rule: {rule})"


def reasons_told(action: str, reasons: Sequence[str]) -> list[str]:
    """The reasons; beside `cannot judge` none begins by saying that again."""
    if action != "cannot_judge":
        return list(reasons)
    short = [reason.removeprefix(_CANNOT) for reason in reasons]
    return [f"{reason[:1].upper()}{reason[1:]}" for reason in short]
