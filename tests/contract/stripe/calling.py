"""A process that calls Stripe as fast as it may, and prints what became of each call.

`python -m tests.contract.stripe.calling BEGAN SECONDS THREADS`: a line of JSON, [[seconds since
BEGAN, "ok" or "refused"], ...]. A call that was held back is not in it.
"""

import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor

from app.errors import NotServed
from app.outbound import limits
from app.settings import current
from tasks.stripe.client import api, warm

Call = tuple[float, str]


def calls(began: float, until: float) -> list[Call]:
    """Call until the time is over. A call that must wait for long comes again when it may."""
    made: list[Call] = []
    while time.time() < until:
        sent = time.time()
        try:
            api().refunds_of("pi_none")
            made.append((time.time() - began, "ok"))
        except NotServed as err:
            if "answered 429" in err.message:
                made.append((time.time() - began, "refused"))
            elif err.after is not None:
                time.sleep(min(err.after, max(0.0, until - sent)))
    return made


def main(began: float, seconds: float, threads: int) -> None:
    """Call with so many threads, and print the calls."""
    limits.share(current().redis_url)
    warm()
    time.sleep(max(0.0, began - time.time()))
    with ThreadPoolExecutor(threads) as pool:
        running = [pool.submit(calls, began, began + seconds) for _ in range(threads)]
        print(json.dumps([each for one in running for each in one.result()]))
    limits.forget()


if __name__ == "__main__":
    main(float(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3]))
