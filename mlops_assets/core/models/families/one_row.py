"""XGBoost's scores of a few rows, by its C API.

Here: `FewRows`, equal bit by bit to `Booster.inplace_predict`. Not here: scores of frames (`xgboost`), from a caller's
values to the matrix (`core.models.row_scoring`).

Python's wrapper takes 130 us for a row (100 trees, 75 features), most of it to look at a matrix that we have just made;
this takes 47 us. Source: XGBoosterPredictFromDense in https://xgboost.readthedocs.io/en/stable/c.html.
"""

from __future__ import annotations

import ctypes
import json
import threading
import weakref
from functools import cache
from typing import Any

import numpy as np

from mlops_assets.core.models.matrix import FloatMatrix

HELD_ROWS = 16
"""So many rows are scored without letting other threads run: to get the turn back would take longer."""
_SETTINGS = json.dumps(
    {
        # The value and not the margin, by all rounds.
        "type": 0,
        "training": False,
        "iteration_begin": 0,
        "iteration_end": 0,
        "strict_shape": False,
        "missing": float("nan"),
        "cache_id": 0,
    }
).encode()


class FewRows:
    """A booster for a few rows at a time, on one thread. Safe from several threads at once."""

    def __init__(self, content: bytes) -> None:
        """Read a booster.

        Args:
            content: its file, UBJSON.

        Raises:
            ValueError: XGBoost can't read it.
        """
        self._held, self._free = _library(held=True), _library(held=False)
        self._booster = ctypes.c_void_p()
        _done(self._free.XGBoosterCreate(None, ctypes.c_uint64(0), ctypes.byref(self._booster)), self._free)
        weakref.finalize(self, self._free.XGBoosterFree, self._booster)
        held = (ctypes.c_char * len(content)).from_buffer_copy(content)
        size = ctypes.c_uint64(len(content))
        _done(self._free.XGBoosterLoadModelFromBuffer(self._booster, held, size), self._free)
        # After the file, which would set it back: waking a second thread takes longer than a row.
        _done(self._free.XGBoosterSetParam(self._booster, b"nthread", b"1"), self._free)
        self._threads = threading.local()

    def __call__(self, matrix: FloatMatrix) -> np.ndarray:
        """Scores of n > 0 rows, float32: shape (n,), multiclass (n, classes).

        Args:
            matrix: float32, in C's order, NaN for missing.

        Raises:
            ValueError: XGBoost refuses, for example another number of columns.
        """
        rows, columns = matrix.shape
        spec = b'{"data":[%d,true],"shape":[%d,%d],"typestr":"<f4","version":3}' % (
            matrix.__array_interface__["data"][0],
            rows,
            columns,
        )
        library = self._held if rows <= HELD_ROWS else self._free
        shape, size, scores = _POINTER(), ctypes.c_uint64(), _FLOATS()
        failed = library.XGBoosterPredictFromDense(
            self._booster, spec, _SETTINGS, self._rows(), ctypes.byref(shape), ctypes.byref(size), ctypes.byref(scores)
        )
        if failed:
            _done(failed, library)
        # XGBoost keeps the result until this thread asks again.
        if size.value == 1:
            return np.array(scores[:rows], dtype=np.float32)
        classes = shape[1]
        return np.array(scores[: rows * classes], dtype=np.float32).reshape(rows, classes)

    def _rows(self) -> ctypes.c_void_p:
        """XGBoost's own view of the rows, one a thread; for a new one it reads the machine's limits from files."""
        view: ctypes.c_void_p | None = getattr(self._threads, "view", None)
        if view is None:
            view = self._threads.view = ctypes.c_void_p()
            _done(self._free.XGProxyDMatrixCreate(ctypes.byref(view)), self._free)
            weakref.finalize(view, self._free.XGDMatrixFree, ctypes.c_void_p(view.value))
        return view


_POINTER, _FLOATS = ctypes.POINTER(ctypes.c_uint64), ctypes.POINTER(ctypes.c_float)


@cache
def _library(*, held: bool) -> Any:
    """The library that the package `xgboost` has loaded; `held` keeps Python's lock during a call."""
    from xgboost import libpath

    library = (ctypes.PyDLL if held else ctypes.CDLL)(libpath.find_lib_path()[0])
    library.XGBGetLastError.restype = ctypes.c_char_p
    texts: list[Any] = [ctypes.c_char_p] * 2
    library.XGBoosterPredictFromDense.argtypes = [ctypes.c_void_p, *texts, *[ctypes.c_void_p] * 4]
    return library


def _done(failed: int, library: Any) -> None:
    if failed:
        raise ValueError(f"XGBoost: {library.XGBGetLastError().decode().splitlines()[0]}")
