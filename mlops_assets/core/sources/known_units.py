"""The mistakes of units that are known, and how far a clock can be off.

Here: `UNITS`, `SHIFTS`. Not here: whether a partition shows one (`partition_units`, `partition_faults`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

DIGITS = range(2, 8)
"""Significant digits to which people round a factor: 2.2, 2.205, 2.20462."""
AS_GOOD = 0.0125
"""Share by which a rounded factor is off at most: an ounce of 28 g."""
SAME = 1.2e-7
"""Relative difference of two factors that are one in 32 bits."""


@dataclass(frozen=True)
class Unit:
    """A mistake of units: what is read is `factor` times what it was, plus `offset`."""

    factor: float
    offset: float
    name: str

    @cached_property
    def spellings(self) -> tuple[tuple[float, float], ...]:
        """Factor and offset as they are, and as they are with a factor that was rounded, or divided by such a one."""
        rounded = [float(f"{self.factor:.{n}g}") for n in DIGITS]
        divided = [1.0 / float(f"{1.0 / self.factor:.{n}g}") for n in DIGITS]
        factors = [self.factor]
        for factor in (*rounded, *divided):
            is_new = all(abs(factor / other - 1.0) > SAME for other in factors)
            if is_new and abs(factor / self.factor - 1.0) <= AS_GOOD:
                factors.append(factor)
        # The 32 of Fahrenheit are taken off before the rest is multiplied.
        return tuple((factor, self.offset * factor / self.factor) for factor in factors)


def _units() -> tuple[Unit, ...]:
    factors = (
        (10.0, ""), (25.4, "inches and millimetres"), (60.0, "minutes and seconds"), (100.0, "cents, or per cent"),
        (1000.0, "thousands"), (3600.0, "hours and seconds"), (1e6, "millions"),
        (1.609344, "miles and kilometres"), (2.2046226, "kilograms and pounds"),
        (2.54, "inches and centimetres"),
        (28.349523, "ounces and grams"), (3.6, "kWh and MJ, or m/s and km/h"),
        (3.2808399, "metres and feet"), (3.785412, "US gallons and litres"), (4.184, "calories and joules"),
    )  # fmt: skip
    units = []
    for factor, what in factors:
        note = f" ({what})" if what else ""
        units.append(Unit(factor, 0.0, f"by a factor of {factor:.6g}{note}"))
        small = f"{1 / factor:.4g}" if 1 / factor >= 1e-3 else f"1/{factor:g}"
        units.append(Unit(1 / factor, 0.0, f"by a factor of {small}{note}"))
    units.append(Unit(1.8, 32.0, "times 1.8 plus 32 (Fahrenheit where it was Celsius)"))
    units.append(Unit(1 / 1.8, -32.0 / 1.8, "less 32, by 1.8 (Celsius where it was Fahrenheit)"))
    units.append(Unit(1.0, 273.15, "plus 273.15 (kelvin where it was Celsius)"))
    units.append(Unit(1.0, -273.15, "less 273.15 (Celsius where it was kelvin)"))
    units.append(Unit(-1.0, 0.0, "with the other sign"))
    return tuple(units)


UNITS = _units()
HOURS = tuple(hours for h in range(1, 15) for hours in (h, -h))
"""How far a clock can be off: time zones go from -12 to +14."""
SHIFTS = tuple(Unit(1.0, float(hours), f"{hours:+d} hours") for hours in HOURS)
