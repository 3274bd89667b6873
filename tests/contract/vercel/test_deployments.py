"""What only Vercel does: the page that is served, copies made by people, and failed builds."""

import io
import re
import time
from collections.abc import Callable
from dataclasses import replace

import pytest
import requests
from PIL import Image

from app.errors import NotServed, Outcome, Permanent, Retryable, Suspend
from app.outbound.http import exchange_scope
from app.platform import Found
from app.settings import Settings
from tasks.vercel.actions import find_deployment
from tasks.vercel.client import api
from tasks.vercel.gallery import Shown, page
from tasks.vercel.served import MOST_TRIES, mark_of, require_served
from tests import photographs
from tests.contract.cases import Claim
from tests.contract.pictures import small, upload, wait
from tests.contract.seam.servers import HEAD, answering, port_of, to
from tests.contract.vendors import Vendors
from tests.contract.vercel.cases import DEPLOY, deploy


def test_a_doubled_deployment_is_removed_and_the_page_stays(step: Claim, vendors: Vendors) -> None:
    prepared = deploy(step)
    own = DEPLOY.begin(prepared)
    (request,) = prepared.intents
    with exchange_scope(time.monotonic() + 5, []):
        double = api().create_deployment(request.request)["id"]
    results = [prepared.take_back(double, status="waiting")["result"] for _ in range(2)]
    assert results == ["removed", "already"]
    assert requests.get(wait(prepared, own)["url"], timeout=5).status_code == 200


@pytest.mark.parametrize(
    ("operation", "status", "code", "kind"),
    [
        ("files.create", 400, "invalid_digest", Retryable),
        ("deployments.create", 400, "missing_files", Retryable),
        ("deployments.get", 404, "not_found", Suspend),
    ],
)
def test_a_passing_refusal_does_not_undo_what_was_paid_for(
    step: Claim, vendors: Vendors, operation: str, status: int, code: str, kind: type[Outcome]
) -> None:
    vendors.fault("vercel", operation, "status", status=status, code=code)
    prepared = deploy(step)
    with pytest.raises(kind):
        prepared.run()
    assert requests.get(wait(prepared, DEPLOY.begin(prepared))["url"], timeout=5).ok
    assert vendors.count("deployments") == 1


def test_a_deployment_that_a_person_promoted_from_ours_is_not_taken_for_ours(
    step: Claim,
) -> None:
    prepared = deploy(step)
    own = DEPLOY.begin(prepared)
    (intent,) = prepared.intents
    for mark in ({"action": "promote"}, {"originalDeploymentId": own}):
        copy = {**intent.request, "meta": {**intent.request["meta"], **mark}}
        with exchange_scope(time.monotonic() + 5, []):
            api().create_deployment(copy)
    with exchange_scope(time.monotonic() + 5, []):
        answer = find_deployment(prepared.call(None), intent)
    assert isinstance(answer, Found)
    assert answer.response["id"] == own


def test_the_page_is_served_with_picture_and_caption(step: Claim, vendors: Vendors) -> None:
    prepared = deploy(step)
    deployment = DEPLOY.begin(prepared)
    made = wait(prepared, deployment)
    url = made["url"].rstrip("/") + "/"
    html = requests.get(url, timeout=5)
    assert html.status_code == 200
    assert "A &lt;gallery&gt;" in html.text
    assert "Look &amp; see" in html.text
    shown = requests.get(url + "pictures/01.png", timeout=5)
    assert shown.content == small("astronaut.png")


@pytest.mark.parametrize("orientation", [photographs.UPRIGHT, photographs.TURNED])
def test_the_pictures_of_the_published_page_tell_no_place_or_person(
    step: Claim, orientation: int
) -> None:
    prepared = deploy(step)
    sent = [photographs.photograph(form, orientation) for form in photographs.FORMATS]
    ids = [upload(prepared, data) for data in sent]
    for number, data in enumerate(sent):
        given = prepared.call().artifacts.write(f"result-{number}", data, "image/jpeg")
        ids.append(given["id"])
    title = {"title": "Gallery", "pictures": [{"id": each} for each in ids]}
    prepared = replace(prepared, given=title)
    url = wait(prepared, DEPLOY.begin(prepared))["url"].rstrip("/") + "/"
    addresses = re.findall(r'<img src="([^"]+)"', requests.get(url, timeout=5).text)
    shown = [requests.get(url + each, timeout=5).content for each in addresses]
    assert len(shown) == len(ids)
    for published, data in zip(shown, [*sent, *sent], strict=True):
        assert photographs.told(published) == []
        assert photographs.profile(published) == photographs.PROFILE
        with Image.open(io.BytesIO(published)) as image:
            assert image.size == photographs.upright(data).size


@pytest.mark.parametrize("protection", ["unauthorized", "login"])
def test_a_page_that_asks_strangers_to_log_in_is_not_published(
    step: Claim,
    vendors: Vendors,
    configure: Callable[..., Settings],
    fresh_database: str,
    protection: str,
) -> None:
    vendors.change(vercel__protection=protection, vercel__protection_bypass="the way in")
    prepared = deploy(step)
    own = DEPLOY.begin(prepared)
    with pytest.raises(NotServed, match="Turn Deployment Protection off") as caught:
        wait(prepared, own)
    assert caught.value.code == "page_protected"
    assert "VERCEL_PROTECTION_BYPASS" in caught.value.message
    configure(DATABASE_URL=fresh_database, VERCEL_PROTECTION_BYPASS="the way in")
    assert prepared.run(own)["deployment"] == own
    configure(DATABASE_URL=fresh_database)
    vendors.change(vercel__protection="off")
    assert requests.get(prepared.run(own)["url"], timeout=5).ok


def test_a_page_that_is_not_served_yet_is_waited_for_but_not_for_ever(
    step: Claim, vendors: Vendors
) -> None:
    vendors.change(vercel__alias_seconds=60.0)
    prepared = deploy(step)
    own = DEPLOY.begin(prepared)
    with pytest.raises(Retryable, match="the answer is 404") as caught:
        wait(prepared, own)
    assert caught.value.code == "page_not_served"
    late = replace(prepared, claim=replace(prepared.claim, tries=MOST_TRIES))
    with pytest.raises(Permanent, match="is not served"):
        late.run(own)
    vendors.change(vercel__alias_seconds=0.0)
    # A page is served, but it is another one.
    vendors.fault("*", "pages.get", "status", status=200)
    with pytest.raises(Retryable, match="another page"):
        prepared.run(own)
    assert requests.get(prepared.run(own)["url"], timeout=5).ok


def test_a_late_read_does_not_fail_a_deployment_whose_page_is_waited_for(
    step: Claim, vendors: Vendors
) -> None:
    vendors.change(vercel__alias_seconds=60.0)
    prepared = deploy(step)
    own = DEPLOY.begin(prepared)
    vendors.fault("vercel", "deployments.get", "status", status=404, code="not_found", count=2)
    for tries, kind in ((MOST_TRIES - 1, Retryable), (MOST_TRIES, Permanent)):
        with pytest.raises(kind):
            replace(prepared, claim=replace(prepared.claim, tries=tries)).run(own)


@pytest.mark.parametrize("status", [404, 503])
def test_a_deployment_that_is_served_is_published_whatever_vercels_interface_answers(
    step: Claim, vendors: Vendors, status: int
) -> None:
    prepared = deploy(step)
    own = DEPLOY.begin(prepared)
    made = wait(prepared, own)
    vendors.fault("vercel", "deployments.get", "status", status=status, code="not_found")
    last = replace(prepared, claim=replace(prepared.claim, tries=MOST_TRIES))
    assert last.run(own) == made


def test_only_the_page_itself_sees_the_secret_of_its_bypass(
    step: Claim, configure: Callable[..., Settings], fresh_database: str
) -> None:
    call = deploy(step).call()
    body = mark_of(call).encode()
    done = HEAD + b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
    # `answering` does not note the first request of a connection: redirect twice.
    with (
        answering(to("/again"), done) as (domain, seen_there),
        answering(to("/own"), to(domain)) as (url, seen_here),
    ):
        allowed = ",".join(f"127.0.0.1:{port_of(each)}" for each in (url, domain))
        more = {"VERCEL_PROTECTION_BYPASS": "the way in", "OUTBOUND_ALLOWED": allowed}
        configure(DATABASE_URL=fresh_database, **more)
        require_served(call, url)
        configure(DATABASE_URL=fresh_database, OUTBOUND_ALLOWED=f"127.0.0.1:{port_of(url)}")
    assert (b"the way in" in seen_here[0], b"the way in" in seen_there[0]) == (True, False)
    with pytest.raises(Retryable, match="no public address") as caught:
        require_served(call, domain)
    assert caught.value.code == "page_not_served"


@pytest.mark.parametrize("status", [403, 429])
def test_a_firewall_that_keeps_the_check_out_is_not_called_a_login(
    step: Claim, configure: Callable[..., Settings], fresh_database: str, status: int
) -> None:
    call = deploy(step).call()
    told = b"HTTP/1.1 %d No\r\nx-vercel-mitigated: challenge\r\nContent-Length: 0\r\n\r\n" % status
    with answering(told) as (url, _):
        configure(DATABASE_URL=fresh_database, OUTBOUND_ALLOWED=f"127.0.0.1:{port_of(url)}")
        with pytest.raises(NotServed, match=f"a firewall answers {status}"):
            require_served(call, url)


def test_a_failed_build_is_permanent_and_still_removed(step: Claim, vendors: Vendors) -> None:
    vendors.fault("vercel", "deployments.create", "fail", error="out of memory")
    prepared = deploy(step)
    deployment = DEPLOY.begin(prepared)
    with pytest.raises(Permanent) as caught:
        wait(prepared, deployment)
    assert "out of memory" in caught.value.message
    assert prepared.undo(external_id=deployment)["result"] == "removed"


def test_the_page_escapes_what_others_wrote() -> None:
    html = page("<script>1</script>", 'a "quoted" & <b>bold</b> caption', [Shown("p/01.png", 4, 3)])
    assert "<script>" not in html
    assert "<b>" not in html
    assert "a &quot;quoted&quot; &amp; &lt;b&gt;bold&lt;/b&gt; caption" in html


def test_the_page_asks_nobody_else() -> None:
    html = page("Title", "Caption", [Shown(f"p/{n}.png", None, None) for n in range(3)])
    assert "http:" not in html
    assert "https:" not in html
    assert "//" not in html.replace("data:,", "")
    assert html.count("<figure>") == html.count("alt=") == 3
