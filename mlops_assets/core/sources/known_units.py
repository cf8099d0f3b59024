"""The mistakes of units that are known, and how far a clock can be off.

Here: `UNITS`, `SHIFTS`. Not here: whether a partition shows one (`partition_units`, `partition_faults`).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Unit:
    """A mistake of units: what is read is `factor` times what it was, plus `offset`."""

    factor: float
    offset: float
    name: str


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
