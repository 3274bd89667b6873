"""The queues of the broker, and what is lined up for them."""

from datetime import datetime

from pydantic import BaseModel, Field

from app.queries import MOST_LINED_UP


class QueueState(BaseModel):
    """What waits for the workers of a platform, or of `control` (steps without a platform).

    While more is published than the workers keep up with (`is_backed_up`), steps are lined up
    instead: they wait in the lane of their user, and the lanes take turns.
    """

    queue: str
    is_backed_up: bool
    published: int | None = Field(
        description="Messages in the broker now, of all users. Null if the broker does not answer."
    )
    waiting: int = Field(
        description="Steps that are lined up: with an admin key those of all users, otherwise your"
        f" own. At most {MOST_LINED_UP:,} are counted. A step that was cancelled or skipped counts"
        " until its turn comes."
    )
    users: int | None = Field(
        description="How many users have steps lined up. Null without an admin key."
    )
    oldest_waiting_since: datetime | None = Field(
        description="The start of the oldest workflow among those whose turn comes first: 1,000 are"
        " read, equally many of each user. One of a lower priority behind these may be up to eight"
        " minutes older."
    )
    rate: float | None = Field(
        description="Messages that the workers take in a second, a moving average. It is measured"
        " only while the queue is backed up."
    )
    estimate_seconds: int | None = Field(
        description="When a step that you line up now would be published, if the workers keep their"
        " rate. With an admin key: when all that is lined up will be published. 0 if the queue is"
        " not backed up. Null if no worker takes the queue, or if the rate is about 0."
    )
    workers: int | None = Field(
        description="Workers that take the queue. Null if no worker has ever reported."
    )


class QueueList(BaseModel):
    """The queues. `is_broker_reached` is false if the broker (Redis) does not answer."""

    items: list[QueueState]
    is_broker_reached: bool
