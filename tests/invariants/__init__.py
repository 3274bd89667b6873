"""What always holds, numbered, in one place; each can be asked of any running database.

Those without a statement need a plan too (6, 12), or more than the database knows (8, 14, 15: the
messages, the order of things) and are held by their tests alone. A test says by `@holds(number)`
what it holds; another test sees that none is left out.
"""

from tests.invariants.asking import broken, holds, stated
from tests.invariants.rules import INVARIANTS, Broken, Invariant

__all__ = ["INVARIANTS", "Broken", "Invariant", "broken", "holds", "stated"]
