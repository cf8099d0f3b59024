"""The house colours and font of everything people look at.

Here: names and values. Not here: what is drawn with them (`svg`, `figures`, the pages).
"""

from __future__ import annotations

from collections.abc import Mapping

FONT = (
    '-apple-system, "Segoe UI", Roboto, "Helvetica Neue", "Noto Sans", "Liberation Sans", Arial, system-ui, sans-serif'
)
"""What the reader's machine has; nothing is fetched."""

LIGHT: Mapping[str, str] = {
    "paper": "#ffffff",
    "ink": "#1b1f24",
    "muted": "#5b6570",
    "faint": "#8a939d",
    "rule": "#e3e6ea",
    "auto": "#0b62b8",
    "always": "#8a5a00",
    "newest": "#7a3e8e",
    "static": "#747c85",
    "bad": "#b3261e",
    "fill": "#c9d9ea",
}
"""House colours on white. The lives differ in lightness, width and dash too, not in hue alone."""

DARK: Mapping[str, str] = {
    "paper": "#14171a",
    "ink": "#e6e9ec",
    "muted": "#a3acb5",
    "faint": "#79828c",
    "rule": "#2b3036",
    "auto": "#6cb2ff",
    "always": "#e0a83c",
    "newest": "#c58bd8",
    "static": "#9aa3ad",
    "bad": "#ff8a80",
    "fill": "#2c4460",
}
"""The same roles on near black."""

PSI_LEVELS = (0.1, 0.2)
"""The field's customary readings of the population stability index: below 0.1 little, above 0.2 much."""
