"""Named groups of the people who decide approvals. A group belongs to a user.

Approvals of the user's workflows name it as `group:<name>`. Who is a member is looked at when a
decision is made.
"""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import text

from app import db
from app.errors import InvalidInput, NotFound
from app.platform import Json
from chains.plans.asking import EMAIL

MOST_GROUPS = 1000
MOST_MEMBERS = 500


def put(user_id: UUID, name: str, members: Sequence[str]) -> Json:
    """Create a group, or give it these members instead of those it has, and return it.

    Raise InvalidInput if an address is wrong, or there are too many groups.
    """
    for number, member in enumerate(members):
        if not EMAIL.fullmatch(member.strip()):
            raise InvalidInput("is not an e-mail address", field=f"/members/{number}")
    given = {"user": user_id, "name": name, "most": MOST_GROUPS, "members": list(members)}
    with db.begin() as connection:
        made = connection.execute(text(_PUT), given).mappings().one_or_none()
        if made is None:
            raise InvalidInput(f"you have {MOST_GROUPS} groups, which is the most", field="/name")
        connection.execute(text(_LOOK), {"user": user_id, "name": name})
    return dict(made)


_SHOWN = "name, members, created_at, changed_at"
_PUT = f"""
INSERT INTO approver_groups (user_id, name, members)
SELECT :user, :name, ARRAY(SELECT DISTINCT casefold(btrim(m) COLLATE pg_unicode_fast) AS member
                             FROM unnest(cast(:members AS text[])) AS m ORDER BY member)
 WHERE :most > (SELECT count(*) FROM approver_groups WHERE user_id = :user AND name <> :name)
ON CONFLICT (user_id, name) DO UPDATE
   SET members = excluded.members, changed_at = clock_timestamp()
RETURNING {_SHOWN}
"""
_LOOK = "SELECT look_at_group_v1(:user, :name)"


def delete(user_id: UUID, name: str) -> None:
    """Delete a group; approvals that name it ask no one by it. Raise NotFound."""
    given = {"user": user_id, "name": name}
    with db.begin() as connection:
        statement = "DELETE FROM approver_groups WHERE user_id = :user AND name = :name RETURNING 1"
        if connection.execute(text(statement), given).one_or_none() is None:
            raise _absent(name)
        connection.execute(text(_LOOK), given)


def show(user_id: UUID, name: str) -> Json:
    """A group. Raise NotFound if the user has none of this name."""
    row = db.row(
        f"SELECT {_SHOWN} FROM approver_groups WHERE user_id = %s AND name = %s", (user_id, name)
    )
    if row is None:
        raise _absent(name)
    return row


def listing(user_id: UUID) -> list[Json]:
    """The user's groups, by name."""
    return db.rows(
        f"SELECT {_SHOWN} FROM approver_groups WHERE user_id = %s ORDER BY name", (user_id,)
    )


def _absent(name: str) -> NotFound:
    return NotFound(f"you have no group of approvers {name!r}")


def approvers(owner: UUID, asked: Sequence[str] | None) -> frozenset[str]:
    """The addresses of those whom an approval asks now: its groups have these members now."""
    if not asked:
        return frozenset()
    row = db.call("SELECT approvers_v1(%s, %s) AS found", (owner, [*asked]))
    assert row is not None
    return frozenset(row["found"])


def groups_of(owner: UUID, email: str) -> list[str]:
    """The groups of a user, each as approvals name it, of which the address is a member."""
    rows: list[dict[str, Any]] = db.patiently(
        lambda: db.rows(
            "SELECT 'group:' || name AS name FROM approver_groups"
            " WHERE user_id = %s AND casefold(%s COLLATE pg_unicode_fast) = ANY (members)"
            " ORDER BY name",
            (owner, email),
        )
    )
    return [row["name"] for row in rows]
