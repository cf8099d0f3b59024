"""What fields of the YAML were called before, and how an older text becomes one that today's library reads.

Here: the version of settings, the changes in their order, finding and making them in a text whose comments stay. Not
here: today's fields (`core.settings`), which version a project has (`world.project`), its files
(`onboarding.projects.upgrade`).

A change is found by its field, so making one twice is making it once: an upgrade that was killed is called again.
Policies to try are written in the fields of a model (`retrain`, `probe`, `gate`), so its changes are theirs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import yaml

POLICY_FIELDS = ("retrain", "probe", "gate")
"""The fields of a model that a file of policies has."""
SETTINGS = 2
"""The version of settings that this library reads. A project that says none has 1: all that was before versions."""
_BEFORE_VALUE = re.compile(r"\s*:\s+")


@dataclass(frozen=True)
class Change:
    """A field that is called otherwise, or is no more, from a version on.

    Attributes:
        since: the version.
        kind: of component.
        field: its former place under `attributes`; `*` stands for any name.
        now: its place today, in the same mapping or one below it, with `[]` behind it where it is a list today; empty
            where a person has to say what is meant.
        do: what to do by hand.
    """

    since: int
    kind: str
    field: str
    now: str = ""
    do: str = ""

    @property
    def hint(self) -> str:
        """What became of the field."""
        form = ", a list," if self.now.endswith("[]") else ""
        place = self.now.removesuffix("[]")
        return f"it is called {place}{form} since settings {self.since}" if self.now else self.do


CHANGES: tuple[Change, ...] = (
    Change(2, "MonitoredModel", "training.family", "training.families[]"),
    Change(2, "MonitoredModel", "monitoring.drift.share", "monitoring.drift.max_share"),
    Change(2, "MonitoredModel", "monitoring.max_drop", "monitoring.performance.max_drop"),
    Change(
        2,
        "MonitoredModel",
        "monitoring.drift.prediction_psi",
        do="predictions have the limits of inputs since settings 2: remove it",
    ),
    Change(
        2,
        "MonitoredModel",
        "gate.twin_tolerance",
        do="twins agree by correlation since settings 2: remove it, or set gate.twin_correlation (0.5 by default)",
    ),
    Change(
        2,
        "MonitoredModel",
        "rollout.max_calibration_error",
        do="the error is compared with the other version's since settings 2: remove it, or set "
        "rollout.max_calibration_rise (0.05 by default)",
    ),
)
"""In the order of their versions."""


@dataclass(frozen=True)
class Outdated:
    """A field of a text that a change is about.

    Attributes:
        line: counted from 1, as `column` is.
        change: what it is about.
        place: of the field in its document.
        edits: start, end and new text of the parts to replace; none where it is to be changed by hand.
        obstacle: why it is not changed without a person, where the change itself could be.
    """

    line: int
    column: int
    change: Change
    place: str
    edits: tuple[tuple[int, int, str], ...] = ()
    obstacle: str = ""

    @property
    def sentence(self) -> str:
        """Where it stands, and what is to be done."""
        place, hint = self.place, self.change.hint
        if self.edits:
            return f"{self.line}:{self.column}: {place}: {hint}. mlops upgrade changes it."
        by_hand = f"{self.obstacle}, so change it by hand" if self.obstacle else "Change it by hand"
        return f"{self.line}:{self.column}: {place}: {hint}. {by_hand[0].upper()}{by_hand[1:]}, then: mlops upgrade."


def outdated_fields(text: str, version: int, changes: Sequence[Change] = CHANGES) -> list[Outdated]:
    """The fields of a `defs.yaml`, or of a file of policies, that today's library would refuse or misread.

    Args:
        text: the file, several documents or one.
        version: of the settings that it was written for.
        changes: that there are.

    Raises:
        yaml.YAMLError: it is no YAML.
    """
    by_place: dict[int, Outdated] = {}
    for document in yaml.compose_all(text, Loader=yaml.SafeLoader):
        for kind, above, settings in _settings(document):
            for change in changes:
                if change.since > version and kind == change.kind:
                    for mapping, key, value in _matches(settings, change.field.split(".")):
                        outdated = _outdated(text, change, above, mapping, key, value)
                        by_place.setdefault(key.start_mark.index, outdated)
    return [by_place[place] for place in sorted(by_place)]


def migrated(text: str, version: int, changes: Sequence[Change] = CHANGES) -> str:
    """The text with all changes made that need no person; comments and all else stay as they are.

    Raises:
        yaml.YAMLError: it is no YAML.
    """
    for since in sorted({change.since for change in changes}):
        due = [change for change in changes if change.since == since]
        edits = [edit for outdated in outdated_fields(text, version, due) for edit in outdated.edits]
        for start, end, new in sorted(edits, reverse=True):
            text = text[:start] + new + text[end:]
    return text


def hint_of(kind: str, fields: Sequence[str | int], changes: Sequence[Change] = CHANGES) -> str:
    """What became of a field that there is not any more; empty for one that there never was."""
    for change in changes:
        parts = change.field.split(".")
        if change.kind == kind and len(parts) == len(fields) and _is_like(parts, [str(field) for field in fields]):
            return change.hint
    return ""


def _is_like(pattern: Sequence[str], fields: Sequence[str]) -> bool:
    return all(part in ("*", field) for part, field in zip(pattern, fields, strict=True))


def is_policies(text: str) -> bool:
    """Whether a text is a file of policies: a list of them, or fields of one.

    Raises:
        yaml.YAMLError: it is no YAML.
    """
    documents = [document for document in yaml.compose_all(text, Loader=yaml.SafeLoader) if document is not None]
    names = [{key.value for key, _ in _entries(policy)} for each in documents for policy in _policies(each)]
    return bool(names) and all(each & {*POLICY_FIELDS} and each <= {"name", *POLICY_FIELDS} for each in names)


def _policies(document: yaml.Node) -> Sequence[yaml.Node]:
    return document.value if isinstance(document, yaml.SequenceNode) else [document]


def _settings(document: yaml.Node | None) -> Iterator[tuple[str, str, yaml.Node]]:
    """Kind, what stands above and settings: the attributes of a component, or each of some policies."""
    entries = {key.value: value for key, value in _entries(document)}
    if "type" in entries:
        if "attributes" in entries:
            yield str(entries["type"].value).rsplit(".", 1)[-1], "attributes.", entries["attributes"]
    elif document is not None:
        for policy in _policies(document):
            yield "MonitoredModel", "", policy


def _entries(node: yaml.Node | None) -> Iterator[tuple[yaml.ScalarNode, yaml.Node]]:
    """Keys and values of a mapping, those that `<<` brings in too; none of anything else."""
    for key, value in node.value if isinstance(node, yaml.MappingNode) else ():
        if key.tag == "tag:yaml.org,2002:merge":
            for merged in value.value if isinstance(value, yaml.SequenceNode) else [value]:
                yield from _entries(merged)
        elif isinstance(key, yaml.ScalarNode):
            yield key, value


def _matches(node: yaml.Node | None, path: Sequence[str]) -> Iterator[tuple[yaml.Node, yaml.ScalarNode, yaml.Node]]:
    """The mapping, key and value of each field at a path."""
    for key, value in _entries(node):
        if path[0] in ("*", key.value):
            if len(path) == 1 and node is not None:
                yield node, key, value
            else:
                yield from _matches(value, path[1:])


def _outdated(
    text: str, change: Change, above: str, mapping: yaml.Node, key: yaml.ScalarNode, value: yaml.Node
) -> Outdated:
    """What is to be done about one field."""
    place = key.start_mark
    edits, obstacle = _renamed(text, change, mapping, key, value) if change.now else ((), "")
    return Outdated(place.line + 1, place.column + 1, change, f"{above}{change.field}", edits, obstacle)


def _renamed(
    text: str, change: Change, mapping: yaml.Node, key: yaml.ScalarNode, value: yaml.Node
) -> tuple[tuple[tuple[int, int, str], ...], str]:
    """The edits that give a field its new name, or why there are none."""
    name, *below = change.now.removesuffix("[]").split(".")[change.field.count(".") :]
    if any(other.value == name for other, _ in _entries(mapping)):
        return (), f"there is {name} beside it"
    start, end = key.start_mark.index, key.end_mark.index
    quote = key.style if key.style in ("'", '"') else ""
    renamed = (start, end, f"{quote}{name}{quote}")
    is_list = change.now.endswith("[]")
    if not below and not is_list:
        return (renamed,), ""
    first, last = value.start_mark.index, value.end_mark.index
    is_plain = isinstance(value, yaml.ScalarNode) and value.style not in ("|", ">")
    if not is_plain or first < end or not _BEFORE_VALUE.fullmatch(text[end:first]):
        return (), "its value is not a plain one"
    opening, closing = "".join(f"{{{part}: " for part in below) + "[" * is_list, "]" * is_list + "}" * len(below)
    return (renamed, (first, first, opening), (last, last, closing)), ""
