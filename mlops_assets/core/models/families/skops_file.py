"""The file of a scikit-learn model: skops, made to depend on its content alone, with the recipe in it.

Here: writing and reading that file. Not here: the models (`linear`, `incremental`).

skops names its parts by their addresses in memory and its entries have the time of writing; both are replaced, so that
equal models are equal bytes. `skops.io.load` and MLflow read the file as any other. Nothing in it can run code: types
beyond scikit-learn's and numpy's are refused.
"""

from __future__ import annotations

import io
import json
import zlib
from collections.abc import Iterator, Mapping
from typing import Any
from zipfile import BadZipFile, ZipFile, ZipInfo

from mlops_assets.core.models.recipe import Recipe

TRUSTED = ("numpy.dtype",)
"""Types that skops does not trust by itself, and that a model holds: the type of a number."""
_OF_TRANSFORMERS = (
    *(
        f"sklearn.feature_selection._univariate_selection.{name}"
        for name in ("chi2", "f_classif", "f_regression", "r_regression")
    ),
    *(f"sklearn.impute._iterative.{name}" for name in ("IterativeImputer", "_ImputerTriplet")),
    "scipy.interpolate._bsplines.BSpline",
    "scipy._lib.array_api_compat.numpy._aliases.asarray",
)
"""What transformers of scikit-learn hold besides: scores of features (SelectKBest), the IterativeImputer and
its named tuples, fitted splines (SplineTransformer) and the function that a spline makes arrays with. None of them runs
what is in the file. scipy may move its own under another name: such a transformer is then refused, since each fitted
one is read back before a model rests on it. Mutual information is not among them: without a seed of its own it draws
from numpy's, and no fit could be made again."""
_UNREADABLE = (
    *(BadZipFile, zlib.error, EOFError),
    *(ValueError, TypeError, LookupError, AttributeError, ImportError, RuntimeError),
)
"""What the ZIP archive, its JSON, its arrays and skops raise of a damaged file."""
RECIPE = "recipe.json"
_SCHEMA = "schema.json"
_STATE = "state.json"
_BASE = "base.skops"


def is_skops(content: bytes) -> bool:
    """Whether these bytes are such a file: a ZIP archive, which no other family writes."""
    return content[:4] == b"PK\x03\x04"


def dumps(model: Any, recipe: Recipe, *, state: Any = None, base: bytes | None = None) -> bytes:
    """The file of a fitted scikit-learn model.

    Args:
        model: the pipeline.
        recipe: what it was made by.
        state: what it takes besides to go on learning, as JSON has it; None where the model says it all.
        base: the file of the model that it went on from, itself without one.
    """
    entries: dict[str, str | bytes] = {RECIPE: recipe.to_json()}
    if state is not None:
        entries[_STATE] = json.dumps(state, sort_keys=True)
    if base is not None:
        entries[_BASE] = base
    return packed(model, entries)


def packed(model: Any, entries: Mapping[str, str | bytes]) -> bytes:
    """A skops file of anything that skops can write, with further entries; equal content gives equal bytes."""
    import skops.io

    with ZipFile(io.BytesIO(skops.io.dumps(model))) as archive:
        schema = json.loads(archive.read(_SCHEMA))
        arrays = _renamed(schema)
        target = io.BytesIO()
        with ZipFile(target, "w") as written:
            for name, was in arrays.items():
                written.writestr(_entry(name), archive.read(was))
            for name, content in entries.items():
                written.writestr(_entry(name), content)
            written.writestr(_entry(_SCHEMA), json.dumps(schema, sort_keys=True))
    return target.getvalue()


def with_entries(content: bytes, entries: Mapping[str, str | bytes]) -> bytes:
    """The same file with other entries, or more of them."""
    target = io.BytesIO()
    with ZipFile(io.BytesIO(content)) as archive, ZipFile(target, "w") as written:
        for name in archive.namelist():
            if name not in entries:
                written.writestr(_entry(name), archive.read(name))
        for name, value in entries.items():
            written.writestr(_entry(name), value)
    return target.getvalue()


def load_trusted(content: bytes, place: str) -> Any:
    """What a skops file holds, whoever wrote it.

    Args:
        content: the file.
        place: of it, for messages.

    Raises:
        ValueError: it is no such file, or holds types that are neither scikit-learn's nor numpy's.
    """
    import skops.io
    from skops.io.exceptions import UntrustedTypesFoundException

    known = [*TRUSTED, *_OF_TRANSFORMERS]
    try:
        return skops.io.loads(content, trusted=known)
    except UntrustedTypesFoundException as error:
        # The sentence of skops goes on with how to trust them all the same.
        named = ", ".join(sorted({*skops.io.get_untrusted_types(data=content)} - {*known}))
        raise ValueError(
            f"{place} holds types that are not loaded, since they could run any code ({named}): use transformers of "
            "scikit-learn, its scores f_classif, f_regression, r_regression and chi2, and functions of numpy"
        ) from error
    except _UNREADABLE as error:
        raise ValueError(
            f"{place} is not a file of skops ({error}): write it with skops.io.dump(pipeline, {place!r})"
        ) from error


def loads(content: bytes) -> tuple[Any, Recipe]:
    """The model and its recipe.

    Raises:
        ValueError: the bytes are no such file, or hold a type that a model has no use for.
    """
    import skops.io
    from skops.io.exceptions import UntrustedTypesFoundException

    try:
        with ZipFile(io.BytesIO(content)) as archive:
            recipe = archive.read(RECIPE).decode("utf-8")
        return skops.io.loads(content, trusted=list(TRUSTED)), Recipe.from_json(recipe)
    except (BadZipFile, KeyError, UntrustedTypesFoundException) as error:
        raise ValueError(
            f"these bytes are no scikit-learn model of this platform ({error}); the file is damaged or another one. "
            "Restore it from a backup, or promote the previous version."
        ) from error


def kept_state(content: bytes) -> Any:
    """What such a file holds besides to go on learning from; None where that is nothing."""
    held = held_entry(content, _STATE)
    return None if held is None else json.loads(held)


def base_of(content: bytes) -> bytes | None:
    """The file of the model that one went on from."""
    return held_entry(content, _BASE)


def without_base(content: bytes) -> bytes:
    """The same file without the model that it went on from: what the next one holds of it, so that none grows."""
    with ZipFile(io.BytesIO(content)) as archive:
        if _BASE not in archive.namelist():
            return content
        target = io.BytesIO()
        with ZipFile(target, "w") as written:
            for name in archive.namelist():
                if name != _BASE:
                    written.writestr(_entry(name), archive.read(name))
    return target.getvalue()


def held_entry(content: bytes, name: str) -> bytes | None:
    """One entry of such a file; None where there is none of this name."""
    with ZipFile(io.BytesIO(content)) as archive:
        return archive.read(name) if name in archive.namelist() else None


def _renamed(schema: dict[str, Any]) -> dict[str, str]:
    """Number the parts and arrays of a schema by their place in it; gives new name -> old name."""
    arrays: dict[str, str] = {}
    for number, node in enumerate(_nodes(schema)):
        if "__id__" in node:
            node["__id__"] = number
        if node.get("type") == "numpy":
            name = f"{number}.npy"
            arrays[name] = node["file"]
            node["file"] = name
    return arrays


def _nodes(node: Any) -> Iterator[dict[str, Any]]:
    """All parts, in order."""
    if isinstance(node, dict):
        yield node
    for child in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from _nodes(child)


def _entry(name: str) -> ZipInfo:
    return ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
