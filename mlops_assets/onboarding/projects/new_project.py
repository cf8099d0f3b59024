"""A project of a person's own, beside the installed library: `mlops init`.

Here: its files, from `project/`, written all or none. Not here: finding it later (`world.project`), what is put into it
(`files`).
"""

from __future__ import annotations

import keyword
import re
import shlex
import shutil
import sys
from importlib.metadata import version
from pathlib import Path

import jinja2

from mlops_assets.core.settings_changes import SETTINGS
from mlops_assets.onboarding.files import DELIMITERS, NothingOverwritten
from mlops_assets.world.atomic import write_text
from mlops_assets.world.catalogue import link_library
from mlops_assets.world.project import Project

TEMPLATES = Path(__file__).parent / "project"
FOLDERS = ("staging", "intermediate", "features", "labels")
"""Of dbt's models, in the order of the data."""
TAKEN = {"mlops", "mlops_assets", "tests", "dbt_project", "feature_repo", "dagster", "dbt", "feast", "mlflow", "pandas"}
"""Names that stand for something else here, beside those of Python's own modules and words."""


def make(name: str, parent: Path) -> Path:
    """Write a new project.

    Args:
        name: of its folder and package: letters, digits, `-` and `_`, a letter first.
        parent: where the folder is made.

    Returns:
        The folder.

    Raises:
        ValueError: the name cannot be one, or the folder is in a project.
        NothingOverwritten: the folder has something in it.
    """
    module = name.replace("-", "_").lower()
    is_taken = module in TAKEN or module in sys.stdlib_module_names or keyword.iskeyword(module)
    if is_taken or not re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]{0,63}", name):
        raise ValueError(
            f"A project cannot be called {name!r}: take letters, digits, - and _, a letter first, no word or module of "
            f"Python, and none of {', '.join(sorted(TAKEN))}. Nothing was written."
        )
    if (outer := Project.find(parent)).module:
        raise ValueError(
            f"{parent} is in the project {outer.root} already, and a project stands in no other. For a model of that "
            "one: `mlops new-model NAME --from TABLE.csv`. For a project of its own, name a folder outside: "
            f"`mlops init {name} --in {shlex.quote(str(outer.root.parent))}`. Nothing was written."
        )
    root = parent / name
    if root.exists() and (not root.is_dir() or any(root.iterdir())):
        raise NothingOverwritten(
            f"{root} exists and is not empty. Choose another name, or empty it. Nothing was written."
        )
    parent.mkdir(parents=True, exist_ok=True)
    scratch = parent / f".{name}.partial"
    shutil.rmtree(scratch, ignore_errors=True)
    try:
        for path, text in files(name, module).items():
            write_text(scratch / path, text)
        for folder in FOLDERS:
            (scratch / "dbt_project" / "models" / folder).mkdir(parents=True, exist_ok=True)
            write_text(scratch / "dbt_project" / "models" / folder / ".gitkeep", "")
        link_library(scratch / "dbt_project")
        if root.exists():
            root.rmdir()
        scratch.rename(root)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return root


def files(name: str, module: str, *, templates: Path = TEMPLATES) -> dict[Path, str]:
    """Each file of a new project by its path in it; of other templates than today's where they are named."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(templates), undefined=jinja2.StrictUndefined, autoescape=False, **DELIMITERS
    )
    values = {"name": name, "module": module, "version": version("mlops-assets"), "settings": SETTINGS}
    contents = {}
    for template in environment.list_templates(extensions=["j2"]):
        path = Path(template.removesuffix(".j2"))
        place = Path(module, *path.parts[1:]) if path.parts[0] == "package" else path
        contents[place] = environment.get_template(template).render(values)
    return contents
