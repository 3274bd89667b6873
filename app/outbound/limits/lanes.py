"""The turns of users that wait for the same limit: pure, and in limits.lua too.

A call that is refused is told when to ask again. The waiting calls of a user are told times behind
each other, and the times of another user are not behind them. While another user waits, a user gets
no more than an equal part of the limit, so that the calls which begin anew do not take what those
that wait were told. Rates, places in flight and repeated calls have lanes of their own. Times and
spacings are milliseconds.
"""

from dataclasses import dataclass, field

GRACE_MS = 5_000
"""A call asks again so much later than it was told, because its step must be published first."""
MOST_AHEAD_MS = 120_000
"""No call is told to wait for longer because of its user's other calls: the limit may rise."""
MOST_LANES = 500
"""Of so many users it is known that they wait. The calls of others wait as if they were alone."""


@dataclass
class Lanes:
    """For each user, until when the calls that were made use up its part, and the last time that a
    waiting call was told. Calls of no user, whose name is empty, have no turns."""

    of: dict[str, tuple[float, float]] = field(default_factory=dict)

    def wait(self, user: str, now: float) -> float:
        """The milliseconds until a user's part allows a call."""
        self.of = {
            each: (made, told)
            for each, (made, told) in self.of.items()
            if max(made, told + GRACE_MS) > now
        }
        if not user or user not in self.of or self.waiting(user, now) == 0:
            return 0.0
        return max(0.0, self.of[user][0] - now)

    def make(self, user: str, spacing: float, now: float) -> None:
        """Count a call that a user makes. The limit allows one in each `spacing`."""
        others = self.waiting(user, now)
        if user and others > 0 and (user in self.of or len(self.of) < MOST_LANES):
            made, told = self.of.get(user, (0.0, 0.0))
            made = max(made, now) + spacing * (others + 1)
            self.of[user] = min(made, now + MOST_AHEAD_MS), told

    def tell(
        self, user: str, spacing: float, now: float, wait: float, *, is_guess: bool = False
    ) -> float:
        """The milliseconds after which a call asks again, which alone would wait for `wait`.

        `is_guess`: it is not known that there is room then.
        """
        if not user or (user not in self.of and len(self.of) >= MOST_LANES):
            return wait
        made, told = self.of.get(user, (0.0, 0.0))
        at = now + wait
        if told > now:
            at = max(told + spacing * (self.waiting(user, now) + 1), at)
        elif is_guess or told + GRACE_MS <= now:
            # The user begins to wait, behind one call of each user that is still to come: else all
            # who begin together come together, most of them in vain, and are told times much later.
            # (For a guess, so does a user that has come in vain, or it would soon come again.) Not
            # behind the first: the two would come in turn with it for ever, and always late.
            at += spacing * max(0, sum(other > now for _, other in self.of.values()) - 1)
        at = min(at, now + wait + MOST_AHEAD_MS)
        self.of[user] = made, max(told, at)
        return at - now

    def move(self, back: float) -> None:
        """Set all times back."""
        self.of = {each: (made - back, told - back) for each, (made, told) in self.of.items()}

    def waiting(self, user: str, now: float) -> int:
        """How many other users wait."""
        return sum(told + GRACE_MS > now for each, (_, told) in self.of.items() if each != user)
