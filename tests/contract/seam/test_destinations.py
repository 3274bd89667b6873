"""Addresses that a vendor or a user names: nothing is sent to one that is not public or allowed."""

import socket
import ssl
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest

from app.errors import Outcome, Permanent, Retryable
from app.outbound import http
from app.outbound.destinations import is_public
from app.outbound.fetching import MOST_REDIRECTS, fetch
from app.settings import Settings
from tasks.replicate.client import api
from tests.contract.seam.servers import HEAD, answering, port_of, to

PUBLIC = ["8.8.8.8", "93.184.215.14", "198.17.255.255", "2606:4700::1111", "2a00:1450:4001::1"]
INNER = [
    *("0.0.0.0", "10.1.2.3", "100.64.0.1", "100.100.100.200", "127.0.0.1", "127.255.0.1"),
    *("168.63.129.16", "169.254.169.254", "169.254.170.2", "172.16.0.1", "172.31.255.255"),
    *("192.0.0.192", "192.0.2.1", "192.88.99.1", "192.168.1.1", "198.18.0.1", "198.51.100.1"),
    *("203.0.113.1", "224.0.0.1", "240.0.0.1", "255.255.255.255"),
    *("::", "::1", "::7f00:1", "::ffff:127.0.0.1", "::ffff:8.8.8.8", "64:ff9b::7f00:1"),
    *("64:ff9b:1::1", "100::1", "2001::1", "2001:db8::1", "2002:7f00:1::", "3fff::1"),
    *("fc00::1", "fd00:ec2::254", "fe80::1", "fec0::1", "ff02::1", "4000::1", "8000::1"),
]
SPELLINGS = [
    *("127.0.0.1", "127.1", "2130706433", "0x7f000001", "0177.0.0.1", "0.0.0.0", "localhost"),
    *("LOCALHOST", "localhost.", "[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::]"),
    *("①②⑦.⓪.⓪.①", "public.example@127.0.0.1", "127.0.0.1\\@public.example"),
    *("169.254.169.254", "[fe80::1%251]", "10.0.0.1", "[64:ff9b::7f00:1]"),
]
Configure = Callable[..., Settings]


def nothing(url: str) -> dict[str, str]:
    """The headers for each address: none."""
    return {}


def test_what_is_public_is_told_from_what_is_not() -> None:
    assert [address for address in PUBLIC if not is_public(address)] == []
    assert [address for address in INNER if is_public(address)] == []


def test_no_spelling_of_an_inner_address_is_sent_to(configure: Configure) -> None:
    configure(OUTBOUND_ALLOWED="")
    calls: list[http.HttpCall] = []
    codes = {}
    with (
        socket.create_server(("127.0.0.1", 0)) as listening,
        http.exchange_scope(time.monotonic() + 60, calls),
        http.operation("n8n", "run", repeatable=True),
    ):
        for host in SPELLINGS:
            with pytest.raises(Outcome) as caught:
                fetch(f"http://{host}:{listening.getsockname()[1]}/", nothing)
            codes[host] = caught.value.code
        listening.setblocking(False)
        with pytest.raises(BlockingIOError):  # nobody has connected
            listening.accept()
    # Some of these are no addresses for urllib3, or no names for the system. Those with `@` are
    # refused unread.
    odd = {"①②⑦.⓪.⓪.①", "[fe80::1%251]", "localhost."} | {each for each in SPELLINGS if "@" in each}
    assert {host for host, code in codes.items() if code != "destination_refused"} <= odd, codes


def test_an_inner_address_is_reached_if_a_setting_names_it(configure: Configure) -> None:
    with answering(HEAD + b"Content-Length: 2\r\n\r\n{}") as (url, _):
        configure(OUTBOUND_ALLOWED=f"10.0.0.1:80, 127.0.0.1:{port_of(url)}")
        with http.operation("n8n", "run", repeatable=True):
            assert fetch(url, nothing).json() == {}
            with pytest.raises(Permanent, match="add localhost:"):
                fetch(url.replace("127.0.0.1", "localhost"), nothing)


def test_the_certificate_is_still_checked_against_the_name(configure: Configure) -> None:
    """The connection is made to an address, but the name is told, and nothing is sent."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(Path(__file__).parent / "nobody_vouches.pem")
    told: list[str | None] = []
    context.sni_callback = lambda _socket, name, _context: told.append(name)

    def shake(listening: socket.socket) -> None:
        for _ in range(2):
            with suppress(OSError), context.wrap_socket(listening.accept()[0], True) as secure:
                told.append(secure.recv(65536).decode())

    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(5)
        thread = threading.Thread(target=shake, args=(listening,))
        thread.start()
        address = f"localhost:{listening.getsockname()[1]}"
        configure(OUTBOUND_ALLOWED=address)
        with http.operation("n8n", "run", repeatable=True), pytest.raises(Retryable) as caught:
            fetch(f"https://{address}/", nothing)
        thread.join(10)
    assert caught.value.code == "not_reached"
    assert told == ["localhost"] * 2


def test_a_redirect_is_checked_like_the_first_address(configure: Configure) -> None:
    with (
        answering() as (inner, reached),
        answering(to(inner)) as (url, _),
        http.operation("n8n", "run", repeatable=True),
    ):
        configure(OUTBOUND_ALLOWED=f"127.0.0.1:{port_of(url)}")
        with pytest.raises(Permanent) as caught:
            fetch(url, nothing)
    assert caught.value.code == "destination_refused"
    assert reached == []


def test_redirects_are_followed_and_counted_and_see_only_their_own_headers(
    configure: Configure,
) -> None:
    done = HEAD + b"Content-Length: 2\r\n\r\n{}"
    with (
        answering(done) as (there, _),
        answering(to("/b?c"), to(there)) as (url, _),
        answering(*[to("/again")] * (MOST_REDIRECTS + 1)) as (round_about, _),
        http.operation("n8n", "run", repeatable=True),
    ):
        ports = map(port_of, (url, there, round_about))
        configure(OUTBOUND_ALLOWED=",".join(f"127.0.0.1:{port}" for port in ports))
        asked: list[str] = []

        def noted(each: str) -> dict[str, str]:
            asked.append(each)
            return {}

        assert fetch(url, noted, params={"q": 1}).json() == {}
        assert asked == [url, f"{url}b?c", there]
        with pytest.raises(Permanent) as caught:
            fetch(round_about, nothing)
    assert caught.value.code == "too_many_redirects"


@pytest.mark.parametrize(
    "target",
    [
        *("ftp://127.0.0.1/", "file:///etc/passwd", "http://[x", "//:1/", "http://a@127.0.0.1/"),
        *("//127.0.0.1\\@public.example/", "//127.0.0.1\t@public.example/", "//127.0.0.1 .a/"),
    ],
)
def test_a_redirect_to_what_is_no_address_of_the_web_is_refused(
    configure: Configure, target: str
) -> None:
    with answering(to(target)) as (url, _), http.operation("n8n", "run", repeatable=True):
        configure(OUTBOUND_ALLOWED=f"127.0.0.1:{port_of(url)}")
        with pytest.raises(Permanent) as caught:
            fetch(url, nothing)
    assert caught.value.code == "cannot_be_sent"


def test_a_prediction_whose_output_is_at_an_inner_address_waits(configure: Configure) -> None:
    """It is paid for: the vendor may still correct the address."""
    with answering() as (inner, reached):
        configure(OUTBOUND_ALLOWED="")
        with pytest.raises(Retryable) as caught:
            api().download(inner)
    assert caught.value.code == "destination_refused"
    assert reached == []


@pytest.mark.parametrize(("status", "kind"), [(400, Permanent), (500, Retryable)])
def test_the_answer_of_an_outputs_host_is_not_quoted(
    configure: Configure, status: int, kind: type[Outcome]
) -> None:
    body = b'{"detail": "a private word"}'
    head = b"HTTP/1.1 %d No\r\nContent-Length: %d\r\n\r\n" % (status, len(body))
    with answering(head + body) as (url, _):
        configure(OUTBOUND_ALLOWED=f"127.0.0.1:{port_of(url)}")
        with pytest.raises(kind) as caught:
            api().download(url)
    assert caught.value.message == f"the host of the result answered {status}: no result"


def test_our_token_is_not_sent_to_the_host_that_a_list_goes_on_at(configure: Configure) -> None:
    with answering() as (elsewhere, reached):
        page = b'{"results": [], "next": "%b"}' % elsewhere.encode()
        first = HEAD + b"Content-Length: %d\r\n\r\n%b" % (len(page), page)
        with answering(first) as (url, _):
            configure(REPLICATE_BASE_URL=url)
            with pytest.raises(Retryable) as caught:
                api().files_with({}, datetime(2026, 1, 1, tzinfo=UTC))
    assert caught.value.code == "list_elsewhere"
    assert reached == []
