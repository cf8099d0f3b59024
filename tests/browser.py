"""A page in a real browser: what it held after its scripts have run.

What lives here: starting Chromium without a window, and the texts that would do harm. What does not: assertions.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)
needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium: apt-get install chromium")

DONE = "document.documentElement.setAttribute('data-owned', 1)"
"""What each hostile text would run."""
HOSTILE = (
    f"</script><script>{DONE}</script>",
    f"</title></style></textarea><script>{DONE}</script>",
    f'<img src=x onerror="{DONE}">',
    f"<svg onload={DONE.replace(' ', '')}>",
    f'"onmouseover="{DONE}" autofocus onfocus="{DONE}" x="',
    f'\'><iframe srcdoc="<script>parent.{DONE}</script>">',
    f"<!--<script>{DONE}//-->",
    f"[x](javascript:{DONE})",
    f'`a` | b\n\n<details open ontoggle="{DONE}">',
    f"]]><script>{DONE}</script>",
    "\u2028${" + DONE + "}",
)


def opened(page: str, folder: Path) -> str:
    """The document of a page after it has run, as HTML."""
    file = folder / "page.html"
    file.write_text(page, encoding="utf-8")
    assert CHROMIUM is not None
    run = subprocess.run(
        [
            *(CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder / 'browser'}"),
            *("--virtual-time-budget=5000", "--dump-dom", file.as_uri()),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return run.stdout


def is_owned(document: str) -> bool:
    """Whether a hostile text was run."""
    return "data-owned=" in document[: document.index(">", document.lower().index("<html"))]
