"""Arithmetic on decimals, as JSON writes numbers: 0.1 plus 0.2 is 0.3.

Invariant: a result differs from the exact one by less than a millionth, or the function fails. An
amount of money with up to six decimals is therefore exact.
"""

from decimal import ROUND_FLOOR, ROUND_HALF_UP, Context, Decimal, localcontext
from math import isfinite

from chains.language.bounds import MAX_INTEGER
from chains.language.functions.failed import FunctionFailed, Spend

Number = int | float

MOST_DECIMALS = 15
_DIGITS = 15
"""A float keeps every decimal number of so many digits."""
_EXACT = Context(prec=60)
_LOSS = Decimal("0.000001")


def add(spend: Spend, *given: Number) -> Number:
    """The sum of the numbers."""
    return _total("add", given)


def sum_of(spend: Spend, given: list[Number]) -> Number:
    """The sum of a list; 0 if it is empty."""
    return _total("sum", given)


def average(spend: Spend, given: list[Number]) -> Number | None:
    """The sum of a list divided by its length; null if it is empty."""
    return divide(spend, _total("avg", given), len(given)) if given else None


def subtract(spend: Spend, first: Number, second: Number) -> Number:
    """`first` minus `second`."""
    with localcontext(_EXACT):
        return _result("subtract", _decimal("subtract", first) - _decimal("subtract", second))


def multiply(spend: Spend, *given: Number) -> Number:
    """The product of the numbers."""
    product = Decimal(1)
    with localcontext(_EXACT):
        for each in given:
            product *= _decimal("multiply", each)
    return _result("multiply", product)


def divide(spend: Spend, first: Number, second: Number) -> Number:
    """`first` divided by `second`."""
    divisor = _divisor("divide", second)
    with localcontext(_EXACT):
        return _result("divide", _decimal("divide", first) / divisor)


def modulo(spend: Spend, first: Number, second: Number) -> Number:
    """What is left of `first` after division by `second`; it has the sign of `second`."""
    divisor = _divisor("modulo", second)
    with localcontext(_EXACT):
        value = _decimal("modulo", first)
        times = (value / divisor).to_integral_value(rounding=ROUND_FLOOR)
        if abs(times) > MAX_INTEGER:
            raise FunctionFailed("modulo: the numbers differ too much in size")
        return _result("modulo", value - times * divisor)


def rounded(spend: Spend, value: Number, decimals: Number) -> Number:
    """The number rounded to so many decimals; a half is rounded away from zero."""
    return _result("round", _to_decimals("round", value, decimals))


def fixed(spend: Spend, value: Number, decimals: Number) -> str:
    """The rounded number as a text with exactly so many decimals, such as `19.90`."""
    return format(_to_decimals("fixed", value, decimals), "f")


def as_text(name: str, value: Number) -> str:
    """The number as a text without an exponent; `name` is the function that asks.

    >>> as_text("concat", 2.0), as_text("concat", 0.0000001)
    ('2', '0.0000001')
    """
    found = _decimal(name, value)
    return str(int(value)) if found == found.to_integral_value() else format(found, "f")


def _total(name: str, given: tuple[Number, ...] | list[Number]) -> Number:
    total = Decimal(0)
    with localcontext(_EXACT):
        for each in given:
            total += _decimal(name, each)
    return _result(name, total)


def _decimal(name: str, value: Number) -> Decimal:
    """The decimal number as which JSON writes the value."""
    if isinstance(value, float) and not isfinite(value):
        raise FunctionFailed(f"{name}: {value} is not a number of JSON")
    return Decimal(repr(value))


def _divisor(name: str, value: Number) -> Decimal:
    found = _decimal(name, value)
    if not found:
        raise FunctionFailed(f"{name}: the divisor is 0")
    return found


def _to_decimals(name: str, value: Number, decimals: Number) -> Decimal:
    if decimals not in range(MOST_DECIMALS + 1):
        raise FunctionFailed(
            f"{name}: the decimals must be a whole number from 0 to {MOST_DECIMALS}, not {decimals}"
        )
    found = _decimal(name, value)
    if abs(found) > MAX_INTEGER:
        raise FunctionFailed(f"{name}: the number is too large: at most {MAX_INTEGER}")
    # Adding 0 turns -0.00 into 0.00.
    with localcontext(_EXACT):
        return found.quantize(Decimal(1).scaleb(-int(decimals)), rounding=ROUND_HALF_UP) + 0


def _result(name: str, value: Decimal) -> Number:
    if abs(value) > MAX_INTEGER:
        raise FunctionFailed(f"{name}: the result is too large: at most {MAX_INTEGER}")
    if value == value.to_integral_value():
        return int(value)
    kept = float(value)
    if Decimal(repr(kept)) != value:
        short = Context(prec=_DIGITS).plus(value)
        if abs(short - value) >= _LOSS:
            words = "has more digits than a number of JSON keeps; count in minor units, as in cents"
            raise FunctionFailed(f"{name}: the result {words}")
        kept = float(short)
    return int(kept) if kept.is_integer() else kept
