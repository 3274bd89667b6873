"""The text of the schema: one current function a file, and a database that the files describe."""

import ast
import contextlib
import re
from collections.abc import Iterator
from pathlib import Path

import psycopg2
import pytest
from psycopg2 import extensions

from app import db
from app.db.baseline import FUNCTIONS, MIGRATIONS, changed_since, frozen, frozen_now, function_files
from app.settings import Settings

CHECKOUT = Path(__file__).resolve().parents[3]
PRODUCT = ("app", "tasks", "chains", "web", "ops")
HEAD = re.compile(r"(?:--.*\n)+CREATE OR REPLACE FUNCTION (\w+)\(")
ENDED = re.compile(r"\bEND \$\$;\n\Z|^\$\$;\n\Z", re.MULTILINE)


@pytest.mark.parametrize("file", function_files(), ids=lambda file: file.stem)
def test_a_file_holds_one_function_of_its_own_name_under_a_comment(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    head = HEAD.match(text)
    assert head is not None, "a comment, then CREATE OR REPLACE FUNCTION"
    assert head[1] == file.stem
    assert text.count("$$") == 2, "one body"
    assert ENDED.search(text), "nothing follows the body"


def test_every_sql_file_is_in_a_room_or_in_the_migrations() -> None:
    found = set((CHECKOUT / "app").rglob("*.sql"))
    tables = {*MIGRATIONS.glob("baseline/*.sql"), MIGRATIONS / "drop_everything.sql"}
    assert found == {*function_files(), *tables}
    assert len(function_files()) > 50


def test_no_sql_file_leans_on_an_earlier_text() -> None:
    leaning = re.compile(r"--.*\bas before\b", re.IGNORECASE)
    for file in (CHECKOUT / "app").rglob("*.sql"):
        assert not leaning.search(file.read_text(encoding="utf-8")), file


@contextlib.contextmanager
def looking(settings: Settings) -> Iterator[extensions.cursor]:
    """A cursor on the test's database; what it makes is gone at the end."""
    with (
        contextlib.closing(psycopg2.connect(db.dsn(settings.database_url))) as connection,
        connection.cursor() as cursor,
    ):
        yield cursor


def definitions(cursor: extensions.cursor, schema: str) -> dict[str, str]:
    """The functions of a schema by name, without the schema's own name."""
    cursor.execute(
        "SELECT proname, pg_get_functiondef(oid) FROM pg_proc"
        " WHERE pronamespace = %s::regnamespace",
        (schema,),
    )
    return {name: made.replace(f" {schema}.", " ", 1) for name, made in cursor.fetchall()}


def differing(cursor: extensions.cursor) -> set[str]:
    """The functions that the database has otherwise than their files say, or that only one has."""
    found = definitions(cursor, "public")
    cursor.execute("CREATE SCHEMA written; SET LOCAL search_path = written, public")
    cursor.execute("SET LOCAL check_function_bodies = off")
    for file in function_files():
        cursor.execute(file.read_text(encoding="utf-8"))
    written = definitions(cursor, "written")
    cursor.execute("DROP SCHEMA written CASCADE; SET LOCAL search_path = public")
    assert len(written) == len(function_files())
    return {name for name in {*found, *written} if found.get(name) != written.get(name)}


def test_a_migrated_database_has_the_functions_of_the_files(settings: Settings) -> None:
    with looking(settings) as cursor:
        assert differing(cursor) == set()


def test_a_function_that_is_not_what_its_file_says_is_found(settings: Settings) -> None:
    with looking(settings) as cursor:
        cursor.execute(
            "CREATE OR REPLACE FUNCTION seconds(p_seconds double precision) RETURNS interval"
            " LANGUAGE sql IMMUTABLE AS $$ SELECT make_interval(secs => p_seconds + 1) $$"
        )
        cursor.execute("CREATE FUNCTION made_by_hand() RETURNS void LANGUAGE sql AS ''")
        cursor.execute("DROP FUNCTION make_due_v1")
        assert differing(cursor) == {"seconds", "made_by_hand", "make_due_v1"}


def test_every_function_is_called(settings: Settings) -> None:
    with looking(settings) as cursor:
        bodies = dict(_pairs(cursor, "SELECT proname, prosrc FROM pg_proc" + _OURS))
        used = {*bodies} & {name for (name,) in _rows(cursor, _TRIGGERS)}
        defaults = " ".join(text for (text,) in _rows(cursor, _DEFAULTS))
    python = " ".join(
        file.read_text(encoding="utf-8")
        for folder in PRODUCT
        for file in (CHECKOUT / folder).rglob("*.py")
    )
    # One pass over the texts, not one for each function.
    used |= bodies.keys() & {*_calls(python + defaults), *re.findall(r'"(\w+)"', python)}
    reached: set[str] = set()
    while used - reached:
        reached |= used
        texts = [re.sub(r"--.*", "", bodies[name]) for name in reached]
        used = bodies.keys() & {called for text in texts for called in _calls(text)}
    assert set(bodies) - reached == set()


def _calls(text: str) -> list[str]:
    return re.findall(r"\b(\w+)\(", text)


_OURS = " WHERE pronamespace = 'public'::regnamespace"
_TRIGGERS = "SELECT DISTINCT proname FROM pg_trigger JOIN pg_proc ON pg_proc.oid = tgfoid" + _OURS
_DEFAULTS = "SELECT pg_get_expr(adbin, adrelid) FROM pg_attrdef"


def _rows(cursor: extensions.cursor, statement: str) -> list[tuple[str, ...]]:
    cursor.execute(statement)
    return cursor.fetchall()


def _pairs(cursor: extensions.cursor, statement: str) -> list[tuple[str, str]]:
    return [(row[0], row[1]) for row in _rows(cursor, statement)]


def test_frozen_migrations_are_what_they_were() -> None:
    assert changed_since(frozen()) == []


def test_a_frozen_migration_that_changes_or_goes_is_found() -> None:
    made = frozen_now()
    assert changed_since(made) == []
    assert {"versions/0001_baseline.py", "baseline/steps.sql"} <= set(made["files"])
    other = {**made["files"], "baseline/steps.sql": "0" * 64, "versions/0000_gone.py": "0" * 64}
    assert changed_since({**made, "files": other}) == [
        "baseline/steps.sql",
        "versions/0000_gone.py",
    ]


def test_each_function_stands_in_a_room_with_others_of_its_noun() -> None:
    rooms = {file.parent for file in function_files()}
    assert {room.parent for room in rooms} == {FUNCTIONS}
    assert max(len(list(room.glob("*.sql"))) for room in rooms) <= 14


PARAMETERS = {
    "p_turn": "what a step's end does, made by the worker from the definition",
    "p_done": "a list of outcomes, made by the worker, whose payloads are taken whole",
    "p_orphan": "the keys of rows to add, made by the worker",
    "p_data": "an event's data, made by the functions themselves",
    **dict.fromkeys(
        ("p_flow", "flow", "w.flow", "NEW.flow"),
        "the terms of a start, made by chains/flow; SQL enforces them",
    ),
    "event": "an event, made by the functions themselves",
    **dict.fromkeys(
        ("s.external_ids", "e.external_ids"),
        "a platform's ids of the objects of a fact, made by the platform's folder",
    ),
}
DEFINITIONS = {
    "chains/catalogue/versions.py": "a definition is a recipe and no payload of anybody's workflow",
    "chains/catalogue/listing.py": "a definition is a recipe and no payload of anybody's workflow",
    "chains/catalogue/prompts/uses.py": "definitions and prompts are recipes, no payloads",
    "chains/starting/prompts.py": "definitions and prompts are recipes, no payloads",
    "chains/retention/policy.py": "a definition is a recipe and no payload of anybody's workflow",
}
LOOKS = {
    "current_database() NOT LIKE '%test%'": "the name of the database",
    "split_part(p_action, '.', 1)": "the name of an action",
    "starts_with(key, %s)": "a prefix that app/keys has made; nothing is taken apart",
    "func.starts_with(key, prefix)": "a prefix of keys that the caller has made",
}
LOOK = re.compile(
    r"(?P<operand>[\w.]*)\s*(?:->>?|#>>?)\s*['(:%\d]|jsonb_path_\w+|jsonb_each|jsonb_object_keys"
    r"|\bstrpos\b|\bsplit_part\b|\bstarts_with\b|\bsubstring\b|\bLIKE\b|~~|\bSIMILAR TO\b"
    r"|::jsonb? *(?:->|#>)|\w \? '"
)


def looks_inside(text: str) -> list[str]:
    """What an SQL text looks into that is not on the list of what it may."""
    for allowed in LOOKS:
        text = text.replace(allowed, "")
    return [found[0] for found in LOOK.finditer(text) if found["operand"] not in {*PARAMETERS}]


def test_no_sql_looks_inside_a_payload() -> None:
    found = {}
    for file in (CHECKOUT / "app" / "db").rglob("*.sql"):
        text = re.sub(r"--.*", "", file.read_text(encoding="utf-8"))
        found[file.name] = looks_inside(text)
    for folder in ("app", "tasks", "chains", "web", "ops/cli"):
        for file in (CHECKOUT / folder).rglob("*.py"):
            name = str(file.relative_to(CHECKOUT))
            if name not in DEFINITIONS:
                found[name] = looks_inside(" ".join(statements(file)))
    assert {name: looks for name, looks in found.items() if looks} == {}
    python = " ".join((CHECKOUT / name).read_text(encoding="utf-8") for name in DEFINITIONS)
    assert LOOK.search(python), "the exceptions are needed"


def statements(file: Path) -> Iterator[str]:
    """The SQL in a module: its statements, and SQLAlchemy's words for functions that look."""
    text = file.read_text(encoding="utf-8")
    found = (node.value for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Constant))
    statement = re.compile(r"\b(SELECT|UPDATE|INSERT|DELETE|WHERE|FROM|AND)\b")
    yield from (each for each in found if isinstance(each, str) and statement.search(each))
    yield from re.findall(r"\bfunc\.(?:strpos|split_part|starts_with|jsonb\w*)\([^)]*\)", text)


@pytest.mark.parametrize(
    "look",
    [
        "SELECT error ->> 'code' FROM steps",
        "SELECT input -> 'by' FROM steps",
        "SELECT body::jsonb #>> '{data,by}' FROM events",
        "SELECT 1 FROM events WHERE body LIKE '%x%'",
        "SELECT strpos(input::text, 'x') FROM workflows",
        "SELECT 1 FROM steps WHERE error ? 'since'",
        "SELECT jsonb_path_exists(input, '$.a') FROM steps",
    ],
)
def test_a_look_inside_a_payload_is_found(look: str) -> None:
    assert looks_inside(look)
    assert not looks_inside("SELECT p_turn ->> 'join', error_code FROM steps WHERE p_done -> 0")
