"""Which of several models that can do the same a step asks, and why it has not asked the others.

A platform's action uses it for its own models: `inputs.py` is what a step says, `route.py` the
decision, `refusals.py` says after which refusals the next model is asked, and `made.py` reads the
decision from the record of the last call.
"""
