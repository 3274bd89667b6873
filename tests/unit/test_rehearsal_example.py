"""The example of the README's section on tests of one's own definitions, as it stands there."""

from datetime import timedelta

from chains.rehearsal import Permanent, rehearse

BODY = {
    "name": "shop_order",
    "do": {
        "sequence": [
            {"approval": "review", "timeout": "7d"},
            {"step": "room", "action": "agora.open_channel", "with": {"title": "Premiere"}},
            {"step": "mail", "action": "n8n.notify", "with": {"event": "open", "data": {}}},
        ]
    },
}


def test_a_failed_mail_closes_the_room() -> None:
    run = rehearse(
        BODY,
        actions={"agora.open_channel": {"channel": "c1"}, "n8n.notify": Permanent("down")},
        signals=[("review", {"approved": True}, "3d")],
    )
    assert run.status == "compensated"
    assert run.ran == ["review", "room", "mail"]
    assert run.undone == ["room"]
    assert run.elapsed == timedelta(days=3)
    assert run.calls("agora.open_channel") == [{"title": "Premiere"}]
