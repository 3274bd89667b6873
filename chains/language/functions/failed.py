"""What the modules of functions share: the type of a function, and the error that it raises."""

from collections.abc import Callable
from typing import Any

from jmespath.exceptions import JMESPathError

Spend = Callable[[int], None]
"""Charges the meter of the expression; raises TooMuch (chains/language/evaluation.py)."""
Run = Callable[..., Any]
"""Takes a Spend, then the arguments, which JMESPath has checked against the signature."""


class FunctionFailed(JMESPathError):
    """Raised by a function if its arguments have the right types and wrong values."""
