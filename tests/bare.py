"""A Python that has only what a bare installation of the library has: no extra, no developers' tool.

Here: which modules that leaves out, and a folder that leaves them out of each Python that has it on its path, children
too. Not here: what is tested with it.
"""

from __future__ import annotations

from importlib.metadata import distributions, packages_distributions
from pathlib import Path

from packaging.utils import canonicalize_name

from benchmarks.install import ROOT, closure, own

_LEAVES_OUT = '''"""Written by a test: this Python has no module and no package of these names."""
import sys
from importlib.machinery import PathFinder

MODULES = {modules!r}
PACKAGES = {packages!r}


class Bare(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name.partition(".")[0] in MODULES else super().find_spec(name, path, target)

    @classmethod
    def find_distributions(cls, *arguments, **options):
        for found in super().find_distributions(*arguments, **options):
            if found.metadata["Name"] not in PACKAGES:
                yield found


sys.meta_path[sys.meta_path.index(PathFinder)] = Bare
'''


def absent() -> tuple[set[str], set[str]]:
    """Modules and packages that are installed here, and not by `pip install mlops-assets`."""
    there, _ = closure(own((ROOT / "pyproject.toml").read_text(encoding="utf-8"))[""])
    # Of XGBoost's two distributions, with one module, either may be here.
    there |= {"mlops-assets", "xgboost", "xgboost-cpu"}
    packages = {found.metadata["Name"] for found in distributions()}
    left_out = {name for name in packages if canonicalize_name(name) not in there}
    return {module for module, of in packages_distributions().items() if {*of} <= left_out}, left_out


def bare_path(folder: Path) -> Path:
    """The folder, made one that goes first on PYTHONPATH."""
    modules, packages = absent()
    (folder / "sitecustomize.py").write_text(_LEAVES_OUT.format(modules=modules, packages=packages), encoding="utf-8")
    return folder
