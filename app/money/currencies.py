"""The currencies as Stripe counts them: how many minor units a major unit has, and which amounts
may be charged.

Invariant: an amount is an integer of minor units in the sense of this module. ISO 4217 differs for
some currencies: ISK and UGX have no minor unit there, but Stripe counts hundredths of them.
https://docs.stripe.com/currencies#zero-decimal, #special-cases and #three-decimal
"""

from decimal import Decimal

ZERO_DECIMAL = frozenset(
    ("BIF", "CLP", "DJF", "GNF", "JPY", "KMF", "KRW", "MGA", "PYG", "RWF", "VND", "VUV", "XAF",
     "XOF", "XPF")
)  # fmt: skip
THREE_DECIMAL = frozenset(("BHD", "JOD", "KWD", "OMR", "TND"))
WHOLE_HUNDREDS = frozenset(("ISK", "UGX"))
"""Counted in hundredths, of which only whole hundreds may be charged."""


def code_of(currency: str) -> str:
    """The code as the ledger writes it, in upper case. Raises ValueError if it is no code.

    >>> code_of("eur")
    'EUR'
    """
    code = currency.upper()
    if len(code) != 3 or not (code.isascii() and code.isalpha()):
        raise ValueError(f"{currency!r} is no code of a currency: three letters are needed")
    return code


def decimals_of(currency: str) -> int:
    """The decimals of a major unit that a minor unit is.

    >>> decimals_of("eur"), decimals_of("jpy"), decimals_of("kwd"), decimals_of("isk")
    (2, 0, 3, 2)
    """
    code = code_of(currency)
    if code in ZERO_DECIMAL:
        return 0
    return 3 if code in THREE_DECIMAL else 2


def fault_of(amount: int, currency: str) -> str | None:
    """Why the amount, in minor units, cannot be charged in the currency; None if it can.

    >>> fault_of(4900, "eur"), fault_of(1005, "kwd")
    (None, 'the last digit of an amount in KWD must be 0')
    >>> fault_of(550, "isk")
    'an amount in ISK must end in 00: it is counted in hundredths, but only whole ISK are charged'
    """
    code = code_of(currency)
    if code in THREE_DECIMAL and amount % 10:
        return f"the last digit of an amount in {code} must be 0"
    if code in WHOLE_HUNDREDS and amount % 100:
        return (
            f"an amount in {code} must end in 00: it is counted in hundredths, but only whole"
            f" {code} are charged"
        )
    return None


def major(amount: int, currency: str) -> Decimal:
    """An amount of minor units in major units, with all the currency's decimals.

    >>> str(major(4900, "eur")), str(major(-500, "jpy")), str(major(1230, "kwd"))
    ('49.00', '-500', '1.230')
    """
    return Decimal(amount).scaleb(-decimals_of(currency))


def shown(amount: int, currency: str) -> str:
    """An amount for people.

    >>> shown(123456789, "eur"), shown(500, "JPY")
    ('1,234,567.89 EUR', '500 JPY')
    """
    return f"{major(amount, currency):,} {code_of(currency)}"
