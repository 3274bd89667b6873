"""A face-swap campaign: authorize a payment, make pictures, capture the payment, publish a page.

The notification is the pivot. It cannot be undone, so it is the last step.
"""

_CODES = """
aed afn all amd ang aoa ars aud awg azn bam bbd bdt bgn bhd bif bmd bnd bob brl bsd bwp
byn bzd cad cdf chf clp cny cop crc cve czk djf dkk dop dzd egp etb eur fjd fkp gbp gel
gip gmd gnf gtq gyd hkd hnl hrk htg huf idr ils inr isk jmd jod jpy kes kgs khr kmf krw
kwd kyd kzt lak lbp lkr lrd lsl mad mdl mga mkd mmk mnt mop mur mvr mwk mxn myr mzn nad
ngn nio nok npr nzd omr pab pen pgk php pkr pln pyg qar ron rsd rub rwf sar sbd scr sek
sgd shp sle sos srd std szl thb tjs tnd top try ttd twd tzs uah ugx usd uyu uzs vnd vuv
wst xaf xcd xof xpf yer zar zmw
"""
CURRENCIES = _CODES.split()
"""The currencies in which Stripe charges (https://docs.stripe.com/currencies)."""

_WORDS = "some words, not blanks alone"
_TEXT = {"type": "string", "minLength": 1}
_ARTIFACT = {
    "type": "string",
    "artifact": True,
    "description": "the id of an artifact, from POST /v1/artifacts",
}

INPUT_SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "required": [
        "customer_email",
        "payment_method",
        "price",
        "source",
        "targets",
        "brief",
        "consent",
    ],
    "properties": {
        "customer_email": {
            "type": "string",
            "maxLength": 254,
            "pattern": r"^[^@\s]+@[^@\s.]+(\.[^@\s.]+)+$",
            "x-hint": "an e-mail address such as ada@example.com",
        },
        "payment_method": {
            "type": "string",
            "pattern": r"^[A-Za-z0-9_]{1,255}$",
            "x-hint": "a Stripe payment method such as pm_card_visa",
        },
        "price": {
            "type": "object",
            "additionalProperties": False,
            "required": ["amount", "currency"],
            "properties": {
                "amount": {
                    "type": "integer",
                    "minimum": 1,
                    "maximum": 99_999_999,
                    "description": "in the currency's minor unit",
                },
                "currency": {
                    "type": "string",
                    "enum": CURRENCIES,
                    "x-hint": "a three-letter code in lower case, such as usd or eur",
                },
            },
        },
        "source": {**_ARTIFACT, "x-hint": "the photograph whose face is used"},
        "targets": {"type": "array", "minItems": 1, "maxItems": 50, "items": _ARTIFACT},
        "brief": {**_TEXT, "maxLength": 4000, "pattern": r"\S", "x-hint": _WORDS},
        "consent": {
            "type": "object",
            "additionalProperties": False,
            "required": ["by", "at", "text"],
            "properties": {
                "by": {**_TEXT, "maxLength": 200, "pattern": r"\S", "x-hint": _WORDS},
                "at": {
                    "type": "string",
                    "maxLength": 40,
                    "past": True,
                },
                "text": {**_TEXT, "maxLength": 4000, "pattern": r"\S", "x-hint": _WORDS},
            },
            "description": "who allowed the use of the face, when, and in which words",
        },
    },
}

BODY = {
    "name": "face_swap_campaign",
    "input_schema": INPUT_SCHEMA,
    "do": {
        "sequence": [
            {
                "step": "authorize",
                "action": "stripe.authorize",
                "with": {
                    "customer_email": {"$": "input.customer_email"},
                    "payment_method": {"$": "input.payment_method"},
                    "amount": {"$": "input.price.amount"},
                    "currency": {"$": "input.price.currency"},
                },
            },
            {
                "parallel": "words",
                "branches": [
                    {
                        "step": "moderate",
                        "action": "openai.moderate",
                        "with": {"brief": {"$": "input.brief"}},
                    },
                    {
                        "step": "caption",
                        "action": "openai.caption",
                        "with": {"brief": {"$": "input.brief"}},
                    },
                ],
            },
            {
                "map": "swap",
                "over": {"$": "input.targets"},
                "max_concurrency": 8,
                "do": {
                    "step": "render",
                    "action": "replicate.predict",
                    "with": {"source": {"$": "input.source"}, "target": {"$": "item"}},
                    "timeout": "30m",
                },
            },
            {
                "step": "capture",
                "action": "stripe.capture",
                "with": {"payment_intent": {"$": "steps.authorize.output.payment_intent"}},
            },
            {
                "step": "deploy",
                "action": "vercel.deploy",
                "with": {
                    "title": "Campaign",
                    "caption": {"$": "steps.caption.output.caption"},
                    "pictures": {"$": "steps.swap.output[].picture"},
                },
                "timeout": "30m",
            },
            {
                "step": "open_channel",
                "action": "agora.open_channel",
                "with": {"title": "Premiere"},
            },
            {
                "step": "notify",
                "action": "n8n.notify",
                "with": {
                    "event": "campaign.published",
                    "data": {
                        "page": {"$": "steps.deploy.output.url"},
                        "caption": {"$": "steps.caption.output.caption"},
                        "customer_email": {"$": "input.customer_email"},
                        "channel": {"$": "steps.open_channel.output.channel"},
                    },
                },
                "timeout": "30m",
                "pivot": True,
            },
        ]
    },
    "output": {
        "page": {"$": "steps.deploy.output.url"},
        "pictures": {"$": "steps.swap.output[].picture"},
        "caption": {"$": "steps.caption.output.caption"},
        "receipt": {"$": "steps.capture.output"},
        "channel": {"$": "steps.open_channel.output"},
    },
    "timeout": "24h",
}
