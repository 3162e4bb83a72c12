"""Units of measure: what one of each is in the base unit of its dimension (exact where the definition is)."""

from __future__ import annotations

from fractions import Fraction

# name and other spellings: how many base units one is. The first unit of a table is its base.
_TABLES: dict[str, dict[str, str]] = {
    "length": {
        "m meter metre meters metres": "1",
        "km kilometer kilometre kilometers kilometres": "1000",
        "cm centimeter centimetre centimeters centimetres": "1/100",
        "mm millimeter millimetre millimeters millimetres": "1/1000",
        "µm um micrometer micrometers micron microns": "1/1000000",
        "nm nanometer nanometers": "1/1000000000",
        "in inch inches": "0.0254",
        "ft foot feet": "0.3048",
        "yd yard yards": "0.9144",
        "mi mile miles": "1609.344",
        "nmi nauticalmile nauticalmiles": "1852",
        "au astronomicalunit": "149597870700",
        "ly lightyear lightyears": "9460730472580800",
    },
    "mass": {
        "kg kilogram kilograms kilo kilos": "1",
        "g gram grams": "1/1000",
        "mg milligram milligrams": "1/1000000",
        "t tonne tonnes": "1000",
        "lb lbs pound pounds": "0.45359237",
        "oz ounce ounces": "0.028349523125",
        "st stone stones": "6.35029318",
        "shortton uston": "907.18474",
    },
    "time": {
        "s sec second seconds": "1",
        "ms millisecond milliseconds": "1/1000",
        "min minute minutes": "60",
        "h hr hour hours": "3600",
        "d day days": "86400",
        "week weeks": "604800",
        "year years yr": "31557600",
    },
    "area": {
        "m2 m² sqm squaremeter squaremeters": "1",
        "km2 km² squarekilometer squarekilometers": "1000000",
        "cm2 cm²": "1/10000",
        "ha hectare hectares": "10000",
        "acre acres ac": "4046.8564224",
        "ft2 ft² sqft squarefoot squarefeet": "0.09290304",
        "in2 in² sqin": "0.00064516",
        "mi2 mi² sqmi squaremile squaremiles": "2589988.110336",
    },
    "volume": {
        "l liter litre liters litres": "1",
        "ml milliliter millilitre milliliters millilitres": "1/1000",
        "cl centiliter centiliters": "1/100",
        "m3 m³ cubicmeter cubicmeters": "1000",
        "gal gallon gallons usgal": "3.785411784",
        "ukgal imperialgallon imperialgallons": "4.54609",
        "qt quart quarts": "0.946352946",
        "pt pint pints": "0.473176473",
        "ukpt imperialpint imperialpints": "0.56826125",
        "cup cups": "0.2365882365",
        "floz fluidounce fluidounces": "0.0295735295625",
        "tbsp tablespoon tablespoons": "0.01478676478125",
        "tsp teaspoon teaspoons": "0.00492892159375",
        "ft3 ft³ cubicfoot cubicfeet": "28.316846592",
        "bbl barrel barrels": "158.987294928",
    },
    "speed": {
        "m/s mps": "1",
        "km/h kmh kph": "5/18",
        "mph mi/h": "0.44704",
        "kn knot knots": "463/900",
        "ft/s fps": "0.3048",
    },
    "energy": {
        "j joule joules": "1",
        "kj kilojoule kilojoules": "1000",
        "cal calorie calories": "4.184",
        "kcal kilocalorie kilocalories": "4184",
        "wh watthour watthours": "3600",
        "kwh kilowatthour kilowatthours": "3600000",
        "btu btus": "1055.05585262",
        "ev electronvolt electronvolts": "1.602176634e-19",
    },
    "power": {
        "w watt watts": "1",
        "kw kilowatt kilowatts": "1000",
        "mw megawatt megawatts": "1000000",
        "hp horsepower": "745.69987158227022",
    },
    "pressure": {
        "pa pascal pascals": "1",
        "hpa hectopascal": "100",
        "kpa kilopascal kilopascals": "1000",
        "bar bars": "100000",
        "mbar millibar millibars": "100",
        "atm atmosphere atmospheres": "101325",
        "psi": "6894.757293168",
        "mmhg torr": "133.322387415",
    },
    "force": {"n newton newtons": "1", "kilonewton kilonewtons": "1000", "lbf poundforce": "4.4482216152605"},
    "angle": {
        "deg degree degrees °": "1",
        "rad radian radians": "57.29577951308232",
        "turn turns": "360",
        "arcmin": "1/60",
        "arcsec": "1/3600",
    },
    "data": {
        "byte bytes": "1",
        "bit bits": "1/8",
        "kb kilobyte kilobytes": "1000",
        "mb megabyte megabytes": "1000000",
        "gb gigabyte gigabytes": "1000000000",
        "tb terabyte terabytes": "1000000000000",
        "kib kibibyte kibibytes": "1024",
        "mib mebibyte mebibytes": "1048576",
        "gib gibibyte gibibytes": "1073741824",
        "tib tebibyte tebibytes": "1099511627776",
    },
    "fuel": {"km/l kmpl": "1", "mpg": "0.425143707430272", "ukmpg": "0.354006189934647"},
}
# Kelvin from a value, and back: scale and offset.
_TEMPERATURES = {
    "c": (Fraction(1), Fraction("273.15")),
    "f": (Fraction(5, 9), Fraction("459.67") * Fraction(5, 9)),
    "k": (Fraction(1), Fraction(0)),
    "r": (Fraction(5, 9), Fraction(0)),
}
_DEGREES = {
    "celsius": "c",
    "centigrade": "c",
    "fahrenheit": "f",
    "kelvin": "k",
    "rankine": "r",
    "degc": "c",
    "degf": "f",
    "°c": "c",
    "°f": "f",
}

UNITS = {
    spelling: (dimension, Fraction(factor))
    for dimension, table in _TABLES.items()
    for names, factor in table.items()
    for spelling in names.split()
}
DIMENSIONS = [*_TABLES, "temperature"]


class UnitError(ValueError):
    """No such unit, or two that do not measure the same; the message says which."""


def convert(value: Fraction, source: str, target: str) -> Fraction:
    """Raises UnitError."""
    source, target = _plain(source), _plain(target)
    if source in _TEMPERATURES and target in _TEMPERATURES:
        (scale, offset), (back, start) = _TEMPERATURES[source], _TEMPERATURES[target]
        return (value * scale + offset - start) / back
    for name in (source, target):
        if name not in UNITS and name not in _TEMPERATURES:
            raise UnitError(f"The unit {name[:40]!r} is not known; there are units of {', '.join(DIMENSIONS)}.")
    (mine, factor), (theirs, divisor) = UNITS.get(source, ("temperature", Fraction(1))), UNITS.get(target, ("temperature", Fraction(1)))
    if mine != theirs:
        raise UnitError(f"{source} measures {mine}, {target} measures {theirs}.")
    return value * factor / divisor


def _plain(name: str) -> str:
    plain = name.strip().lower().replace(" ", "").replace("^", "").rstrip(".")
    return _DEGREES.get(
        plain.removeprefix("degrees"), plain.removeprefix("degrees") if plain.startswith("degrees") and len(plain) > 7 else plain
    )
