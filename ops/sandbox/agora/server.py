"""An imitation of Agora: its channel management REST API, and an edge that verifies tokens.

`POST /sandbox/join` and `/sandbox/leave` replace the proprietary protocol of the RTC SDK.
https://docs.agora.io/en/video-calling/channel-management-api/overview
"""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Sequence
from typing import Any

from werkzeug.wrappers import Response

from ops.sandbox.agora.token import TokenRefused, current_privileges, verify
from ops.sandbox.box import iso, token36
from ops.sandbox.faults import Fault
from ops.sandbox.store import Json
from ops.sandbox.wire import Call, Refusal, Route, Vendor, json_object, reply

PRIVILEGES = ("join_channel", "publish_audio", "publish_video")
KICKED = "the user or channel is banned by rule {id}"
JOINED, LEFT = 103, 104


class Agora(Vendor):
    """The WSGI application on Agora's port."""

    name = "agora"

    def routes(self) -> Sequence[Route]:
        """Return the endpoints."""
        rule = "/dev/v1/kicking-rule"
        return [
            ("POST", rule, "kicking_rules.create", self._create),
            ("GET", rule, "kicking_rules.list", self._list),
            ("PUT", rule, "kicking_rules.update", self._update),
            ("DELETE", rule, "kicking_rules.delete", self._delete),
            ("GET", "/dev/v1/channel/<app>", "channels.list", self._channels),
            ("GET", "/dev/v1/channel/user/<app>/<channel>", "channels.users", self._users),
            ("GET", "/dev/v1/projects", "projects.list", self._projects),
            ("POST", "/sandbox/join", "edge.join", self._join),
            ("POST", "/sandbox/leave", "edge.leave", self._leave),
        ]

    def authenticate(self, call: Call) -> None:
        """Raise Agora's 401 if customer id or secret is wrong; the edge checks tokens instead."""
        if call.operation.startswith("edge."):
            return
        keys = self.box.credentials
        expected = f"{keys.AGORA_CUSTOMER_ID}:{keys.AGORA_CUSTOMER_SECRET}".encode()
        scheme, _, given = call.request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "basic" or given.strip() != base64.b64encode(expected).decode():
            raise Refusal(401, {"message": "Unauthorized"})

    def failure(self, status: int, fault: Fault) -> Response:
        """Return an error in Agora's format."""
        default = "API rate limit exceeded" if status == 429 else "Internal server error"
        return reply({"message": fault.parameters.get("message", default)}, status)

    def finish(self, call: Call, response: Response) -> Response:
        """Add the request ids that Agora adds for its support."""
        response.headers["X-Request-ID"] = call.request.headers.get("X-Request-ID", token36(32))
        response.headers["X-Resource-ID"] = token36(32)
        return response

    def _create(self, call: Call) -> Response:
        body = self._body(call)
        rule = _new_rule(body)
        now = time.time()
        with self.box.store.transaction():
            rule["id"] = 1952 + self.box.store.next_number()
            rule["active_from"] = now + self.box.settings.number("agora.rule_delay_seconds")
            self.box.store.put("kicking_rule", str(rule["id"]), rule)
            if "join_channel" in rule["privileges"]:
                self._kick(rule)
            self.box.store.journal(
                "agora", call.operation, "kicking_rules", str(rule["id"]), None, _shown(rule)
            )
        return reply({"status": "success", "id": rule["id"]})

    def _list(self, call: Call) -> Response:
        self._check_app(call.request.args.get("appid"))
        return reply({"status": "success", "rules": [_shown(rule) for rule in self._rules()]})

    def _update(self, call: Call) -> Response:
        body = self._body(call)
        with self.box.store.transaction():
            rule = self._rule(body)
            now = time.time()
            rule |= {"expires": now + _seconds(body), "updateAt": iso(now)}
            rule["ts"] = iso(rule["expires"])
            self.box.store.put("kicking_rule", str(rule["id"]), rule)
            self.box.store.journal(
                "agora", call.operation, "kicking_rules_updated", str(rule["id"]), None,
                _shown(rule),
            )  # fmt: skip
        return reply({"status": "success", "result": {"id": rule["id"], "ts": rule["ts"]}})

    def _delete(self, call: Call) -> Response:
        body = self._body(call)
        with self.box.store.transaction():
            rule = self._rule(body)
            self.box.store.delete("kicking_rule", str(rule["id"]))
            self.box.store.journal(
                "agora", call.operation, "kicking_rules_deleted", str(rule["id"]), None,
                _shown(rule),
            )  # fmt: skip
        return reply({"status": "success", "id": rule["id"]})

    def _channels(self, call: Call, app: str) -> Response:
        self._check_app(app)
        counts: dict[str, int] = {}
        for member in self._members():
            counts[member["channel"]] = counts.get(member["channel"], 0) + 1
        channels = [{"channel_name": name, "user_count": n} for name, n in sorted(counts.items())]
        data = {"channels": channels, "total_size": len(channels)}
        return reply({"success": True, "data": data})

    def _users(self, call: Call, app: str, channel: str) -> Response:
        self._check_app(app)
        users = [_number(each["uid"]) for each in self._members() if each["channel"] == channel]
        data: Json = {"channel_exist": bool(users)}
        if users:
            data |= {"mode": 1, "total": len(users), "users": users}
        return reply({"success": True, "data": data})

    def _projects(self, call: Call) -> Response:
        keys = self.box.credentials
        project = {
            "id": "playalter0sandbox",
            "name": "playalter-sandbox",
            "vendor_key": keys.AGORA_APP_ID,
            "sign_key": keys.AGORA_APP_CERTIFICATE,
            "recording_server": None,
            "status": 1,
            "created": 1767600000000,
        }
        return reply({"success": True, "projects": [project]})

    def _join(self, call: Call) -> Response:
        body = json_object(call.request) or {}
        token, channel = str(body.get("token", "")), str(body.get("channel", ""))
        uid, now, keys = str(body.get("uid", "")), time.time(), self.box.credentials
        try:
            app, certificate = keys.AGORA_APP_ID, keys.AGORA_APP_CERTIFICATE
            grant = verify(token, app, certificate, channel, uid, now)
        except TokenRefused as refused:
            return _refused(refused.reason, str(refused))
        held = current_privileges(token, grant, now)
        for rule in self._rules():
            if _applies(rule, channel, uid, call.request.remote_addr or ""):
                if "join_channel" in rule["privileges"]:
                    return _refused("kicked", KICKED.format(id=rule["id"]), rule["id"])
                held = [name for name in held if name not in rule["privileges"]]
        with self.box.store.transaction():
            member = {"channel": channel, "uid": uid, "privileges": held}
            self.box.store.put("member", f"{channel}\n{uid}", member)
            self.box.store.journal("agora", call.operation, "joins", channel, None, member)
            self._notice(JOINED, channel, uid)
        return reply({"result": "joined", "channel": channel, "uid": uid, "privileges": held})

    def _leave(self, call: Call) -> Response:
        body = json_object(call.request) or {}
        channel, uid = str(body.get("channel", "")), str(body.get("uid", ""))
        with self.box.store.transaction():
            self._remove(channel, uid)
        return reply({"result": "left"})

    def _kick(self, rule: Json) -> None:
        for member in self._members():
            if _applies(rule, member["channel"], member["uid"], ""):
                self._remove(member["channel"], member["uid"])

    def _remove(self, channel: str, uid: str) -> None:
        if self.box.store.get("member", f"{channel}\n{uid}"):
            self.box.store.delete("member", f"{channel}\n{uid}")
            self._notice(LEFT, channel, uid)

    def _members(self) -> list[Json]:
        return [row.body for row in self.box.store.query("member", order="ASC")]

    def _rules(self) -> list[Json]:
        now = time.time()
        rules = [row.body for row in self.box.store.query("kicking_rule", order="ASC")]
        return [rule for rule in rules if rule["active_from"] <= now < rule["expires"]]

    def _rule(self, body: Json) -> Json:
        row = self.box.store.get("kicking_rule", str(body.get("id")))
        if row is None:
            raise Refusal(404, {"message": "rule not found"})
        return row.body

    def _body(self, call: Call) -> Json:
        body = json_object(call.request)
        if body is None:
            raise Refusal(400, {"message": "invalid json"})
        self._check_app(body.get("appid"))
        return body

    def _check_app(self, app: Any) -> None:
        if not app:
            raise Refusal(400, {"message": "appid is required"})
        if app != self.box.credentials.AGORA_APP_ID:
            raise Refusal(403, {"message": "invalid appid"})

    def _notice(self, event: int, channel: str, uid: str) -> None:
        hook = self.box.settings.text("hook_base")
        if not hook:
            return
        notice_id, now = token36(32), time.time()
        payload = {
            "channelName": channel, "uid": _number(uid), "platform": 7, "ts": int(now),
            "clientSeq": int(now * 1000),
        }  # fmt: skip
        body = {
            "noticeId": notice_id, "productId": 1, "eventType": event,
            "notifyMs": int(now * 1000), "payload": payload,
        }  # fmt: skip
        self.box.outbox.post(
            "agora", str(event), f"{hook}/hooks/agora", notice_id, channel,
            json.dumps(body).encode(), "agora",
        )  # fmt: skip


def _number(uid: str) -> int | str:
    return int(uid) if uid.isdigit() else uid


def _refused(reason: str, message: str, rule: int | None = None) -> Response:
    body: Json = {"result": "refused", "reason": reason, "message": message}
    return reply(body if rule is None else body | {"rule": rule}, 403)


def _seconds(body: Json) -> float:
    """Return the duration of a rule in seconds; 0 means that it only removes present users once."""
    if body.get("time_in_seconds") is not None:
        seconds = body["time_in_seconds"]
        if not isinstance(seconds, int) or not 10 <= seconds <= 86430:
            raise Refusal(400, {"message": "time_in_seconds should be between 10 and 86430"})
        return float(seconds)
    minutes = body.get("time", 60)
    if not isinstance(minutes, int) or not 0 <= minutes <= 1440:
        raise Refusal(400, {"message": "time should be between 0 and 1440"})
    return minutes * 60.0


def _new_rule(body: Json) -> Json:
    privileges = body.get("privileges")
    if not isinstance(privileges, list) or any(each not in PRIVILEGES for each in privileges):
        raise Refusal(400, {"message": f"privileges should be among {', '.join(PRIVILEGES)}"})
    cname, uid, ip = body.get("cname") or "", body.get("uid") or "", body.get("ip") or ""
    if "uid" in body and body["uid"] in (0, "0"):
        raise Refusal(400, {"message": "uid can not be 0"})
    if not (cname or uid or ip):
        raise Refusal(400, {"message": "one of cname, uid and ip is required"})
    now = time.time()
    expires = now + _seconds(body)
    return {
        "appid": body["appid"], "uid": uid, "opid": int(now * 1000), "cname": cname, "ip": ip,
        "ts": iso(expires), "privileges": privileges, "createAt": iso(now), "updateAt": iso(now),
        "expires": expires,
    }  # fmt: skip


def _shown(rule: Json) -> Json:
    return {name: rule[name] for name in rule if name not in ("expires", "active_from")}


def _applies(rule: Json, channel: str, uid: str, ip: str) -> bool:
    return (
        (not rule["cname"] or rule["cname"] == channel)
        and (not rule["uid"] or str(rule["uid"]) == uid)
        and (not rule["ip"] or rule["ip"] == ip)
    )
