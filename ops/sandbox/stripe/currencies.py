"""Stripe's currencies: how many decimals an amount has, which amounts are refused.

ISO 4217 is no help here: Stripe takes ISK and UGX with two decimals that must be 00, and MGA with
none. https://docs.stripe.com/currencies
"""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal

_NAMES = """
usd aed afn all amd ang aoa ars aud awg azn bam bbd bdt bgn bhd bif bmd bnd bob brl bsd bwp
byn bzd cad cdf chf clp cny cop crc cve czk djf dkk dop dzd egp etb eur fjd fkp gbp gel gip
gmd gnf gtq gyd hkd hnl hrk htg huf idr ils inr isk jmd jod jpy kes kgs khr kmf krw kwd kyd
kzt lak lbp lkr lrd lsl mad mdl mga mkd mmk mnt mop mur mvr mwk mxn myr mzn nad ngn nio nok
npr nzd omr pab pen pgk php pkr pln pyg qar ron rsd rub rwf sar sbd scr sek sgd shp sle sos
srd std szl thb tjs tnd top try ttd twd tzs uah ugx uyu uzs vnd vuv wst xaf xcd xof xpf yer
zar zmw usdc btn ghs eek lvl svc vef ltl sll mro
"""
NAMES = _NAMES.split()
"""The currencies of payments, in the order of Stripe's error message."""
MINIMUM = {
    "usd": 50, "aed": 200, "aud": 50, "brl": 50, "cad": 50, "chf": 50, "czk": 1500, "dkk": 250,
    "eur": 50, "gbp": 30, "hkd": 400, "huf": 17500, "inr": 50, "jpy": 50, "mxn": 1000, "myr": 200,
    "nok": 300, "nzd": 50, "pln": 200, "ron": 200, "sek": 300, "sgd": 50, "thb": 1000,
}  # fmt: skip
"""The least amount of a payment, in minor units; other currencies have no documented one."""
_ZERO_DECIMAL = {
    "bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga", "pyg", "rwf", "vnd", "vuv", "xaf",
    "xof", "xpf",
}  # fmt: skip
_THREE_DECIMAL = {"bhd", "jod", "kwd", "omr", "tnd"}
_WHOLE = {"isk": 100, "ugx": 100} | dict.fromkeys(_THREE_DECIMAL, 10)
_WHOLE_PAYOUTS = {"huf": 100, "twd": 100}
_SYMBOLS = {"usd": "$", "eur": "€", "gbp": "£", "jpy": "¥"}
MOST_AMOUNT = 999_999_999_999
"""Twelve digits, as for most cards (https://docs.stripe.com/currencies#minimum-and-maximum)."""


def decimals(currency: str) -> int:
    """Return how many decimals an amount has: 0, 2 or 3."""
    return 0 if currency in _ZERO_DECIMAL else 3 if currency in _THREE_DECIMAL else 2


def step(currency: str) -> int:
    """Return the number of minor units of which the amount of a payment is a multiple."""
    return _WHOLE.get(currency, 1)


def payout_step(currency: str) -> int:
    """Return the number of minor units of which the amount of a payout is a multiple."""
    return _WHOLE_PAYOUTS.get(currency, step(currency))


def money(amount: int, currency: str) -> str:
    """Return an amount of minor units as text in the style of Stripe's messages."""
    places = decimals(currency)
    return f"{_SYMBOLS.get(currency, '')}{Decimal(amount).scaleb(-places):,.{places}f}"


def converted(amount: int, currency: str, into: str, rate: Decimal) -> int:
    """Return an amount in minor units of another currency, rounded half up to its `step`.

    `rate` is the price of one unit of `currency` in units of `into`.
    """
    exact = Decimal(amount) * rate * Decimal(10) ** (decimals(into) - decimals(currency))
    whole = step(into)
    return int((exact / whole).quantize(Decimal(1), ROUND_HALF_UP)) * whole
