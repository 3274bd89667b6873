"""Authentication by API keys."""

import pytest
from flask.testing import FlaskClient

from app.db import begin
from app.db.models import ApiKey
from app.errors import InvalidInput, NotFound, Unauthorized
from app.identity import keys
from app.settings import Settings
from app.settings import forget as forget_settings
from tests.web.conftest import Caller, change
from web.server.lanes import lane_of


def test_only_a_key_made_for_an_admin_is_an_admins(settings: Settings) -> None:
    usual = keys.create_key("ada@example.com")[1]
    admins = keys.create_key("ada@example.com", is_admin=True)[1]
    assert keys.authenticate(usual).is_admin is False
    assert keys.authenticate(admins).is_admin is True
    assert [facts.is_admin for facts in keys.list_keys()] == [False, True]


@pytest.mark.parametrize("header", ["Authorization", "X-API-Key"])
def test_a_key_opens_in_either_header(client: FlaskClient, caller: Caller, header: str) -> None:
    value = f"Bearer {caller.key}" if header == "Authorization" else caller.key
    assert client.get("/v1/workflows", headers={header: value}).status_code == 200


def test_two_keys_are_refused_unless_they_are_equal(
    client: FlaskClient, caller: Caller, stranger: Caller
) -> None:
    answer = client.get("/v1/workflows", headers=caller.headers | {"X-API-Key": stranger.key})
    assert answer.json is not None
    assert (answer.status_code, answer.json["code"]) == (400, "two_keys")
    answer = client.get("/v1/workflows", headers=caller.headers | {"X-API-Key": caller.key})
    assert answer.status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer"},
        {"Authorization": "Basic YTpi"},
        {"Authorization": "Bearer pa_000000000000_" + "A" * 43},
        {"Authorization": "Bearer nonsense"},
        {"X-API-Key": "pa_x_y\x80"},
    ],
)
def test_without_a_known_key_the_answer_is_401(
    client: FlaskClient, headers: dict[str, str]
) -> None:
    answer = client.get("/v1/workflows", headers=headers)
    assert answer.status_code == 401
    assert answer.content_type == "application/problem+json"
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert answer.json is not None
    assert answer.json["code"] == "unauthorized"


@pytest.mark.parametrize("blank", ["\xa0", "\x85", "\x1f"])
def test_a_key_among_blanks_that_http_does_not_know_is_refused(
    client: FlaskClient, caller: Caller, blank: str
) -> None:
    for header, value in {"Authorization": f"Bearer {caller.key}", "X-API-Key": caller.key}.items():
        for around, status in {blank: 401, "\t ": 200}.items():
            answer = client.get("/v1/workflows", headers={header: value + around})
            assert answer.status_code == status, (header, around)
        assert lane_of(f"GET / HTTP/1.1\r\n{header}: {value}\t \r\n\r\n".encode()) == lane_of(
            f"GET / HTTP/1.1\r\nX-API-Key: {caller.key}\r\n\r\n".encode()
        )


def test_a_right_prefix_with_a_wrong_secret_is_refused(caller: Caller) -> None:
    wrong = caller.key[:-1] + ("A" if caller.key[-1] != "A" else "B")
    with pytest.raises(Unauthorized):
        keys.authenticate(wrong)


def test_keys_of_the_old_pepper_stay_valid_while_it_is_set_and_new_ones_use_the_new(
    caller: Caller, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def answers(*made: str) -> list[int]:
        paths = [client.get("/v1/workflows", headers={"X-API-Key": key}) for key in made]
        return [each.status_code for each in paths]

    monkeypatch.setenv("KEY_PEPPER_OLD", "the pepper of tests")
    monkeypatch.setenv("KEY_PEPPER", "a newer pepper of tests")
    forget_settings()
    newer = keys.create_key("ada@example.com")[1]
    assert answers(caller.key, newer) == [200, 200]
    monkeypatch.delenv("KEY_PEPPER_OLD")
    forget_settings()
    assert answers(caller.key, newer) == [401, 200]
    monkeypatch.setenv("KEY_PEPPER", "a third pepper of tests")
    monkeypatch.setenv("KEY_PEPPER_OLD", "the pepper of tests")
    forget_settings()
    assert answers(caller.key, newer) == [200, 401]


def test_the_database_holds_no_key(caller: Caller) -> None:
    with begin() as connection:
        row = connection.execute(ApiKey.__table__.select()).mappings().one()
    secret = caller.key.split("_", 2)[2]
    assert secret not in repr(dict(row))


def test_a_revoked_key_is_refused_at_once_where_it_was_revoked(caller: Caller) -> None:
    prefix = caller.key.split("_")[1]
    assert keys.authenticate(caller.key).user_id == caller.user_id
    keys.revoke_key(prefix)
    with pytest.raises(Unauthorized):
        keys.authenticate(caller.key)
    with pytest.raises(NotFound):
        keys.revoke_key(prefix)


def test_a_key_that_another_process_revokes_is_refused_at_once(
    client: FlaskClient, caller: Caller
) -> None:
    assert client.get("/v1/workflows", headers=caller.headers).status_code == 200
    change(
        "UPDATE api_keys SET revoked_at = clock_timestamp() WHERE user_id = :u", u=caller.user_id
    )
    for method in (client.get, client.post):
        assert method("/v1/workflows", json={}, headers=caller.headers).status_code == 401


def test_a_key_is_known_again_on_connections_from_before_a_restart(
    client: FlaskClient, caller: Caller
) -> None:
    assert client.get("/v1/workflows", headers=caller.headers).status_code == 200
    change(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        " AND usename = current_user"
    )
    assert client.get("/v1/workflows", headers=caller.headers).status_code == 200


def test_a_second_key_belongs_to_the_same_user(caller: Caller) -> None:
    user_id, key = keys.create_key("ada@example.com")
    assert user_id == caller.user_id
    assert key != caller.key
    assert [facts.email for facts in keys.list_keys("ada@example.com")] == [
        "ada@example.com",
        "ada@example.com",
    ]


@pytest.mark.parametrize("email", ["", "ada", "a b@example.com", "ada@\x00", "@example.com"])
def test_a_key_needs_an_address(settings: object, email: str) -> None:
    with pytest.raises(InvalidInput):
        keys.create_key(email)
