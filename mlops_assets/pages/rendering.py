"""The templates of pages: one set-up of Jinja for all of them.

Here: finding a template, with texts escaped and names that nobody gave refused; JSON that stands inside a `<script>`.
Not here: what a page shows (the module that renders it), colours and charts (`figures`), the SQL and YAML that
`onboarding` writes.
"""

from __future__ import annotations

from typing import Any


def template(name: str, **filters: Any) -> Any:
    """A template of the folder `templates/`, ready to render.

    Args:
        name: its file.
        **filters: further filters by name.

    Raises:
        jinja2.TemplateNotFound: there is no such file.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("mlops_assets.pages", "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    environment.filters |= filters
    return environment.get_template(name)


def inline_json(text: str) -> str:
    """JSON as it may stand inside a `<script>`: no text of it ends the script or begins a tag."""
    return text.replace("<", "\\u003c")
