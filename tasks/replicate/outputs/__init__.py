"""The output of a prediction, whatever shape the model gives it: read, and copied to artifacts.

Replicate removes an output an hour after the prediction has ended, and what was paid for must not
be lost with it.
"""

from tasks.replicate.outputs.adopting import adopt, adopt_picture
from tasks.replicate.outputs.reading import count, expired, mapped, text_of

__all__ = ["adopt", "adopt_picture", "count", "expired", "mapped", "text_of"]
