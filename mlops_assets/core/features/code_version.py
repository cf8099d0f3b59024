"""What a dbt model's values are computed by, as one hash: its code version.

Here: what counts (SQL of the model and of all above it, macros, dbt vars, its columns) and what does not (comments,
blanks, descriptions), out of dbt's manifest. Not here: features and labels (`catalogue`), what the lake was built by
(`steps.features.code_versions`).
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

_COMMENTS = re.compile(r"'(?:[^']|'')*'|--[^\n]*|/\*.*?\*/|\{#.*?#\}", re.DOTALL)
_VARIABLE = re.compile(r"""\bvar\(\s*(['"])(\w+)\1""")


def code_of(node: Mapping[str, Any], manifest: Mapping[str, Any], variables: Mapping[str, Any]) -> str:
    """Hash of what a model's values are computed by; comments, blanks and descriptions do not count.

    The SQL of the model and of every model above it, the macros they call, the dbt vars that any of these names, and
    names and types of its own columns.

    Args:
        node: a model of the manifest.
        manifest: the content of `target/manifest.json`.
        variables: the values of dbt's vars, by name.
    """
    texts, macros = _texts(node, manifest), _macros(node, manifest)
    columns = [[name, str(column.get("data_type"))] for name, column in node["columns"].items()]
    read = {name: variables.get(name) for name in variables_of(node, manifest)}
    whole = json.dumps([texts, sorted(macros.items()), columns, *([sorted(read.items())] if read else [])], default=str)
    return hashlib.sha256(whole.encode()).hexdigest()[:16]


def variables_of(node: Mapping[str, Any], manifest: Mapping[str, Any]) -> frozenset[str]:
    """Names of the dbt vars that a model, a model above it or a macro of theirs reads.

    A name that is put together while dbt runs is not seen. `start` and `end` are read so: the days that a run is about
    are no code.
    """
    texts = [*_texts(node, manifest), *_macros(node, manifest).values()]
    return frozenset(match[2] for text in texts for match in _VARIABLE.finditer(text))


def above(node: Mapping[str, Any], manifest: Mapping[str, Any]) -> set[str]:
    """The ids of everything that a node is built from, directly or not."""
    to_see, seen = list(node["depends_on"]["nodes"]), set[str]()
    while to_see:
        unique_id = to_see.pop()
        if unique_id not in seen:
            seen.add(unique_id)
            if unique_id in manifest["nodes"]:
                to_see.extend(manifest["nodes"][unique_id]["depends_on"]["nodes"])
    return seen


def _nodes(node: Mapping[str, Any], manifest: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The model, and the models above it in the order of their ids."""
    return [node, *(manifest["nodes"][key] for key in sorted(above(node, manifest)) if key in manifest["nodes"])]


def _texts(node: Mapping[str, Any], manifest: Mapping[str, Any]) -> list[str]:
    return [_bare(str(model.get("raw_code") or model.get("checksum"))) for model in _nodes(node, manifest)]


def _macros(node: Mapping[str, Any], manifest: Mapping[str, Any]) -> dict[str, str]:
    """The macros that these call, directly or not. Those of dbt itself come with its version."""
    own = f"macro.{node.get('package_name')}."
    called = [key for model in _nodes(node, manifest) for key in model["depends_on"].get("macros", [])]
    macros = dict[str, str]()
    while called:
        key = called.pop()
        macro = manifest.get("macros", {}).get(key)
        if key not in macros and macro and macro["package_name"] == node.get("package_name"):
            macros[key] = _bare(macro["macro_sql"])
            called.extend(macro["depends_on"]["macros"])
    # A model that moves to another project is the same code: the first one's name stands for all.
    return {f"macro.mlops.{key.removeprefix(own)}": sql for key, sql in macros.items()}


def _bare(sql: str) -> str:
    """SQL without comments, and with one blank where there are some."""
    return " ".join(_COMMENTS.sub(lambda match: match[0] if match[0].startswith("'") else " ", sql).split())
