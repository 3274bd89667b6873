"""CloudEvents 1.0 in their three modes."""

import base64
import json
from typing import Any

from tests.web.incoming.conftest import Sender, workflows

CLOUD: dict[str, Any] = {
    "specversion": "1.0",
    "type": "com.example.someevent",
    "source": "/mycontext/4",
    "id": "B234-1234-1234",
    "time": "2018-04-05T17:31:00Z",
    "comexampleextension1": "value",
    "datacontenttype": "application/json",
    "data": {"order": 1},
}
STRUCTURED = "application/cloudevents+json; charset=utf-8"
BATCH = "application/cloudevents-batch+json"


def posted(sender: Sender, body: bytes, kind: str, **headers: str) -> Any:
    """The answer to a request with this body."""
    return sender.ask("POST", "/v1/events", data=body, headers={"Content-Type": kind, **headers})


def stored(sender: Sender, answer: Any) -> Any:
    """The event of an answer, as it is shown."""
    assert answer.status_code == 202, answer.text
    assert answer.json()["accepted"] == 1, answer.text
    return sender.shown(answer.json())


def binary(**others: str) -> dict[str, str]:
    """The headers of an event in binary mode; its subject needs quoting."""
    names = ("type", "source", "id", "time", "comexampleextension1", "specversion")
    return {f"ce-{name}": CLOUD[name] for name in names} | others


def test_an_event_is_the_same_in_all_modes(sender: Sender) -> None:
    sender.trigger(event_type="com.example.*")
    one = stored(sender, posted(sender, json.dumps(CLOUD).encode(), STRUCTURED))
    assert (one["source"], one["source_id"]) == ("/mycontext/4", "B234-1234-1234")
    assert one["type"] == "com.example.someevent"
    assert one["time"] == "2018-04-05T17:31:00.000Z"
    assert one["data"] == {"order": 1}
    assert one["attributes"] == {
        "comexampleextension1": "value",
        "datacontenttype": "application/json",
    }
    other = [{**CLOUD, "id": "other"}, CLOUD, {**CLOUD, "id": "old", "specversion": "0.3"}]
    answer = posted(sender, json.dumps(other).encode(), BATCH).json()
    assert [each["result"] for each in answer["items"]] == ["accepted", "duplicate", "refused"]
    assert answer["items"][2]["pointer"] == "/specversion"
    headers = binary() | {"ce-id": "third", "ce-subject": "Euro%20%E2%82%AC%20%F0%9F%98%80"}
    two = stored(sender, posted(sender, b'{"order": 1}', "application/json", **headers))
    assert (two["subject"], two["data"]) == ("Euro € 😀", {"order": 1})
    assert two["attributes"] == one["attributes"]
    again = posted(sender, b'{"order": 2}', "application/json", **binary()).json()
    assert again["duplicate"] == 1
    assert workflows() == 3


def test_data_may_be_text_or_base64(sender: Sender) -> None:
    encoded = base64.b64encode(b'{"order": 3}').decode()
    bare = {name: value for name, value in CLOUD.items() if name != "data"}
    cloud = json.dumps(bare | {"data_base64": encoded}).encode()
    assert stored(sender, posted(sender, cloud, STRUCTURED))["data"] == {"order": 3}
    headers = binary() | {"ce-id": "text"}
    assert stored(sender, posted(sender, b"hello", "text/plain", **headers))["data"] == "hello"


WRONG: list[tuple[bytes, str, dict[str, str], int]] = [
    (b"\x00\x01", "application/octet-stream", binary(), 415),
    (b"{}", "application/json", binary() | {"ce-specversion": "0.3"}, 422),
    (b"{}", "application/json", binary() | {"ce-subject": "%ff"}, 400),
    (b'"\\ud800"', "application/json", binary(), 422),
    (b"{}", STRUCTURED, {}, 422),
    (b"{}", BATCH, {}, 422),
    (json.dumps(CLOUD | {"Upper": "x"}).encode(), STRUCTURED, {}, 422),
    (json.dumps(CLOUD | {"data_base64": "AA=="}).encode(), STRUCTURED, {}, 422),
]


def test_a_wrong_cloudevent_is_refused(sender: Sender) -> None:
    for body, kind, headers, status in WRONG:
        assert posted(sender, body, kind, **headers).status_code == status
