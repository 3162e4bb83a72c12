"""Arithmetic as people write it, exact where it can be, with bounds on how big a number may become."""

from __future__ import annotations

import ast
import math
import operator
import re
from collections.abc import Callable
from decimal import Decimal, Inexact, localcontext
from fractions import Fraction
from typing import Any

MOST_CHARS = 1000
MOST_BITS = 4096  # of a whole number on the way; about 1,233 digits
MOST_DEPTH = 60

Number = int | float | Fraction

WRITTEN = str.maketrans({"×": "*", "·": "*", "÷": "/", "−": "-", "–": "-", "^": "**"})
BINARY: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}
ONE: dict[str, Callable[[Any], Any]] = {
    **{name: getattr(math, name) for name in ("sqrt", "cbrt", "exp", "log2", "log10", "floor", "ceil", "trunc", "degrees", "radians")},
    **{name: getattr(math, name) for name in ("sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh", "tanh")},
    **{"abs": abs, "ln": math.log},
}
MANY: dict[str, Callable[..., Any]] = {
    "round": round,
    "log": math.log,
    "min": min,
    "max": max,
    "gcd": math.gcd,
    "lcm": math.lcm,
    "hypot": math.hypot,
    "atan2": math.atan2,
    "mean": lambda *given: sum(given) / Fraction(len(given)),
    "sum": lambda *given: sum(given),
}
NAMES = {"pi": math.pi, "e": math.e, "tau": math.tau, "π": math.pi}


class ExpressionError(ValueError):
    """The expression cannot be worked out; the message says why."""


def evaluate(expression: str) -> Number:
    """`2 * (3 + 4)^2`, `sqrt(2)`, `15% of 80`, `1,000 / 3`. Raises ExpressionError."""
    if len(expression) > MOST_CHARS:
        raise ExpressionError(f"An expression has at most {MOST_CHARS:,} characters.")
    if not re.search(r"[a-z]\s*\(", expression, re.IGNORECASE):  # inside a call, commas separate its arguments
        expression = re.sub(r"(?<=\d),(?=\d{3}(?!\d))", "", expression)
    try:
        return _value(ast.parse(_with_percent(expression.strip()).translate(WRITTEN), mode="eval").body, 0)
    except ExpressionError:
        raise
    except SyntaxError:
        raise ExpressionError("That is no arithmetic expression.") from None
    except ZeroDivisionError:
        raise ExpressionError("Division by zero.") from None
    except (OverflowError, RecursionError, MemoryError):
        raise ExpressionError("The numbers become too large.") from None
    except (TypeError, ValueError) as error:
        raise ExpressionError(f"That cannot be worked out: {error}.") from None


def written(value: Number) -> str:
    """The number for reading: whole numbers and short decimals exactly, others to 15 significant digits."""
    if isinstance(value, float):
        return f"{value:.15g}"
    exact = Fraction(value)
    if exact.denominator == 1:
        return str(exact.numerator)
    with localcontext(prec=40) as context:
        quotient = Decimal(exact.numerator) / Decimal(exact.denominator)
        if context.flags[Inexact]:
            context.prec = 15
            quotient = +quotient
        return f"{quotient.normalize():f}" if -7 < quotient.adjusted() < 40 else str(quotient.normalize())


def _with_percent(text: str) -> str:
    """`15% of 80` as `(15/100)*80`; `%` between two numbers stays the remainder."""
    text = re.sub(r"(\d+(?:\.\d+)?)\s*%\s*of\b", r"(\1/100)*", text, flags=re.IGNORECASE)
    return re.sub(r"(\d+(?:\.\d+)?)\s*%(?=\s*(?:$|[-+*/)^]))", r"(\1/100)", text)


def _value(node: ast.expr, depth: int) -> Number:
    if depth > MOST_DEPTH:
        raise ExpressionError("The expression is nested too deeply.")
    match node:
        case ast.Constant(value=bool()):
            raise ExpressionError("Only numbers can be worked with.")
        case ast.Constant(value=int() as whole):
            return _bounded(whole)
        case ast.Constant(value=float() as number):
            return Fraction(repr(number)) if math.isfinite(number) and "e" not in repr(number) else _bounded(number)
        case ast.Name(id=name) if name in NAMES:
            return NAMES[name]
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_value(operand, depth + 1)
        case ast.UnaryOp(op=ast.UAdd(), operand=operand):
            return _value(operand, depth + 1)
        case ast.BinOp(left=left, op=sign, right=right):
            return _bounded(_combined(sign, _value(left, depth + 1), _value(right, depth + 1)))
        case ast.Call(func=ast.Name(id=name), args=given, keywords=[]):
            return _bounded(_called(name, [_value(one, depth + 1) for one in given]))
    raise ExpressionError(f"{ast.unparse(node)[:60]!r} is not part of arithmetic here.")


def _combined(sign: ast.operator, left: Number, right: Number) -> Number:
    match sign:
        case ast.Div():
            return Fraction(left) / Fraction(right) if not isinstance(left, float) and not isinstance(right, float) else left / right
        case ast.Pow():
            return _power(left, right)
    if type(sign) not in BINARY:
        raise ExpressionError("That operator is not part of arithmetic here.")
    result: Number = BINARY[type(sign)](left, right)
    return result


def _power(base: Number, exponent: Number) -> Number:
    if isinstance(exponent, Fraction) and exponent.denominator == 1:
        exponent = exponent.numerator
    if isinstance(base, int | Fraction) and isinstance(exponent, int):
        bits = max(abs(Fraction(base).numerator).bit_length(), Fraction(base).denominator.bit_length())
        if bits * abs(exponent) <= MOST_BITS:
            return Fraction(base) ** exponent
        if Fraction(base).denominator == 1 and exponent > 0:
            raise ExpressionError("The numbers become too large.")
    result: float | complex = float(base) ** float(exponent)
    if isinstance(result, complex):
        raise ExpressionError("The result is not a real number.")
    return result


def _called(name: str, given: list[Number]) -> Number:
    if name == "factorial" and len(given) == 1:
        if given[0] != int(given[0]) or not 0 <= given[0] <= 400:
            raise ExpressionError("factorial takes a whole number up to 400.")
        return math.factorial(int(given[0]))
    plain = [one.numerator if isinstance(one, Fraction) and one.denominator == 1 else one for one in given]
    if name == "round" and len(plain) == 2 and not -50 <= plain[1] <= 50:
        raise ExpressionError("round keeps at most 50 digits.")
    if name in ONE and len(given) == 1:
        result: Number = ONE[name](plain[0])
        return result
    if name in MANY and given:
        result = MANY[name](*plain)
        return result
    raise ExpressionError(
        f"There is no function {name[:40]!r} of {len(given)} numbers; there are {', '.join(sorted(ONE | MANY))}, factorial."
    )


def _bounded(value: Number) -> Number:
    if isinstance(value, float) and not math.isfinite(value):
        raise ExpressionError("The result is not a finite number.")
    if not isinstance(value, float):
        part = Fraction(value)
        if max(abs(part.numerator).bit_length(), part.denominator.bit_length()) > MOST_BITS:
            if part.denominator == 1:
                raise ExpressionError("The numbers become too large.")
            return float(part)
    return value
