"""The YAML and SQL of a plan: rendered from `templates/`, checked, and written all or none.

Here: which file goes where, what stands in it, the refusal to overwrite. Not here: what was decided (`plan`), the rows
(`landing`).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
import yaml

from mlops_assets.core.settings_kinds import COMPONENTS
from mlops_assets.core.values.column_names import TEMPLATE_MARKS, has_template
from mlops_assets.core.values.display import shown
from mlops_assets.onboarding.identity import Declared
from mlops_assets.onboarding.plan import Plan
from mlops_assets.onboarding.values import plain_yaml, values_of
from mlops_assets.world.atomic import write_text
from mlops_assets.world.catalogue import editing, load_catalogue
from mlops_assets.world.project import PROJECT

DELIMITERS: dict[str, Any] = {
    "variable_start_string": "<<",
    "variable_end_string": ">>",
    "block_start_string": "<%",
    "block_end_string": "%>",
    "trim_blocks": True,
    "lstrip_blocks": True,
    "keep_trailing_newline": True,
}
"""Of our templates: the text around is dbt's, whose braces must stay."""
PLACES = {
    "defs.yaml": "{module}/defs/{name}/defs.yaml",
    "stg.sql": "dbt_project/models/staging/stg_{name}.sql",
    "stg.yml": "dbt_project/models/staging/stg_{name}.yml",
    "feat.sql": "dbt_project/models/features/feat_{name}.sql",
    "feat.yml": "dbt_project/models/features/feat_{name}.yml",
    "hist.sql": "dbt_project/models/features/feat_{name}_{entity}.sql",
    "lbl.sql": "dbt_project/models/labels/lbl_{name}.sql",
    "lbl.yml": "dbt_project/models/labels/lbl_{name}.yml",
}


class NothingOverwritten(ValueError):
    """Files of that name exist; the message says how to go on."""


def entities_beside(name: str, root: Path) -> dict[str, Declared]:
    """The entities of the project's feature views, but for those that a model of this name would write.

    Raises:
        CatalogueError: the views that are there contradict each other.
        DbtParseError: dbt cannot read the project.
    """
    views = load_catalogue(root / "dbt_project").views
    return {
        key: Declared(dtype, view.name)
        for view in views
        for key, dtype in view.entities.items()
        if view.name not in (f"feat_{name}", f"feat_{name}_{key}")
    }


def render(plan: Plan) -> dict[Path, str]:
    """Every file of a plan by its path in the project."""
    values, environment = values_of(plan), _environment()
    entity = plan.entity.name if plan.entity else ""
    named = {"module": PROJECT.module, "name": plan.name, "entity": entity}
    return {
        Path(place.format_map(named)): environment.get_template(f"{template}.j2").render(values)
        for template, place in PLACES.items()
        if entity or "{entity}" not in place
    }


@cache
def _environment() -> jinja2.Environment:
    """Of our templates, each compiled once a process."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        **DELIMITERS,
        undefined=jinja2.StrictUndefined,
        autoescape=False,
        finalize=_refuse_template,
    )
    environment.filters["yaml"] = plain_yaml
    return environment


def _refuse_template(value: object) -> object:
    """What is filled in is data or follows from it; dbt and Dagster would run a template in it.

    Raises:
        ValueError: it has one. Names are refused and values written otherwise before, so this names a gap in that.
    """
    if has_template(str(value)):
        raise ValueError(
            f"The table has a text that dbt or Dagster would run as a template: {shown(str(value))}. Change it in the "
            f"file, so that it has none of {' '.join(TEMPLATE_MARKS)}. Nothing was written."
        )
    return value


def refuse_written(name: str, root: Path) -> None:
    """Refuse a name of which files are there, before a table is looked at; a history's name waits for its entity.

    Raises:
        NothingOverwritten: naming them.
    """
    places = [
        Path(place.format(module=PROJECT.module, name=name)) for place in PLACES.values() if "{entity}" not in place
    ]
    if there := [path for path in places if (root / path).exists()]:
        raise _written_already(there)


def _written_already(there: Sequence[Path]) -> NothingOverwritten:
    return NothingOverwritten(
        f"{', '.join(map(str, there))} {'exist' if len(there) > 1 else 'exists'} already. Choose another name, or "
        "write anew with --force (what was changed by hand is lost). Nothing was written."
    )


def write(files: dict[Path, str], *, force: bool = False, root: Path = PROJECT.root) -> list[Path]:
    """Write the files all or none, and have dbt read them.

    Raises:
        NothingOverwritten: one of them exists, and `force` was not given.
        ValueError: settings or dbt refuse what was rendered; the files that were there are back.
    """
    there = {path: (root / path).read_text(encoding="utf-8") for path in files if (root / path).exists()}
    if there and not force:
        raise _written_already([*there])
    for path, text in files.items():
        if path.name == "defs.yaml":
            for document in yaml.safe_load_all(text):
                COMPONENTS[document["type"].rsplit(".", 1)[-1]].model_validate(document["attributes"])
    with editing(root / "dbt_project") as read:
        try:
            for path, text in files.items():
                write_text(root / path, text)
            read()
        except BaseException:
            for path in files:
                if path in there:
                    write_text(root / path, there[path])
                else:
                    (root / path).unlink(missing_ok=True)
            raise
    return [root / path for path in files]


def lines_beyond_columns(files: dict[Path, str]) -> int:
    """Lines of YAML and SQL without blank ones, comments, and the lists of columns."""
    count = 0
    for path, text in files.items():
        count += _sql_lines(text) if path.suffix == ".sql" else _yaml_lines(text)
    return count


def _sql_lines(text: str) -> int:
    """All lines but those between `select` and `from`."""
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("--")]
    inside, count = False, 0
    for line in lines:
        if line.startswith("from"):
            inside = False
        count += not inside
        if line.startswith("select"):
            inside = True
    return count


def _yaml_lines(text: str) -> int:
    """All lines but the lists of columns with their headings."""
    count, depth = 0, None
    for line in text.splitlines():
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        indent = len(line) - len(line.lstrip())
        if depth is not None and indent > depth:
            continue
        depth = indent if line.strip() == "columns:" else None
        count += depth is None
    return count
