"""Typed calls to OpenAI; every failure is raised as one of app.errors.

Invariant: the SDK's own retries are off, and app.outbound.http sends its requests. A call that is
billed and whose answer is lost ends as Unknown, and so does one that is answered by a failure which
does not say that nothing was made. Every other call may be repeated.
https://platform.openai.com/docs/api-reference
"""

from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeVar

from app.errors import Outcome, Permanent, Retryable
from app.outbound import http
from app.outbound.spare import spare
from app.outbound.stated_waits import retry_after
from app.platform import Json
from app.settings import needed
from tasks.openai import limits
from tasks.openai.settings import OpenAISettings, Tier

if TYPE_CHECKING:
    import openai

T = TypeVar("T")

SETTING = "OPENAI_API_KEY"
_READ_SECONDS = 45.0
_WRITING_SECONDS = 30.0
"""A model that writes an answer for longer counts as slow."""
_PATIENT_SECONDS = 900.0
"""OpenAI's advice for `flex`, whose requests wait for room.
https://developers.openai.com/api/docs/guides/flex-processing"""
PATIENT = frozenset({"flex", "auto"})
"""The levels of service that wait so long; `auto` may be that one."""
_NOTHING_MADE = frozenset(("server_is_overloaded", "service_unavailable_error", "slow_down"))
"""The codes and types of a 503 that says that the model was not asked.
https://platform.openai.com/docs/guides/error-codes"""


class OpenAIApi:
    """The calls to OpenAI that the actions make."""

    def __init__(self, settings: OpenAISettings) -> None:
        self._sdk = _sdk(settings)
        self._spare = spare(SETTING, settings.api_key, settings.api_key_old)

    def moderate(self, model: str, text: str | None, picture: str | None = None) -> Json:
        """Check a text, a picture at an address or both, free of charge: {flagged, categories: the
        flagged ones, model}."""
        parts: list[Any] = [] if text is None else [{"type": "text", "text": text}]
        if picture is not None:
            parts.append({"type": "image_url", "image_url": {"url": picture}})
        given = parts if text is None or picture is not None else text
        return self._call(
            "moderations.create",
            lambda: _moderation(self._sdk.moderations.create(model=model, input=given)),
            limits.demand(model),
        )

    def complete(
        self, model: str, messages: list[Any], max_tokens: int, key: str, *, tier: Tier
    ) -> Json:
        """Let the model write an answer of at most `max_tokens`, at this level of service.

        Each of the `messages` is {role, content}.

        Returns {text, refusal, finish_reason, model, tier, is_counted, input_tokens, cached_tokens,
        cache_write_tokens, output_tokens}. `tier` is the one that was used, or the one that was
        asked for if OpenAI does not say it; `finish_reason` is empty if OpenAI does not say it. If
        not `is_counted`, OpenAI has not told the tokens.
        """
        return self._call(
            "chat.completions.create",
            lambda: _completion(
                self._sdk.chat.completions.create(
                    model=model,
                    messages=messages,
                    max_completion_tokens=max_tokens,
                    service_tier=tier,
                    extra_headers={"Idempotency-Key": key},
                ),
                model,
                tier,
            ),
            limits.demand(model, "".join(each["content"] for each in messages), max_tokens),
            read_seconds=writing_seconds(tier),
            is_billed=True,
        )

    def probe(self) -> None:
        """Make one cheap authenticated read."""
        self._call("probe", self._sdk.models.list)

    def perform(
        self,
        name: str,
        ask: Callable[[Any], Any],
        read: Callable[[Any], T],
        demand: http.Demand | None = None,
        *,
        is_billed: bool = False,
        read_seconds: float = _READ_SECONDS,
        max_bytes: int = http.MAX_BODY_BYTES,
        has_json: bool = True,
        part: str = "",
    ) -> T:
        """Make a call of the SDK, and return what `read` makes of the JSON of its answer, or of its
        bytes if it has no JSON.

        `ask` gets the SDK and gives its raw response: the SDK's own types would keep values of any
        type, and warn of those that they do not know. `read` may raise what `http.reading` knows.
        A call that `is_billed` and has no answer, or fails at OpenAI, ends as Unknown, any other as
        Retryable.
        `part` is the model, if a model that does not work says nothing of others.
        """

        def perform() -> T:
            reply = ask(self._sdk).http_response
            return read(http.bounded(reply.json()) if has_json else reply.content)

        return self._call(
            name,
            perform,
            demand,
            read_seconds=read_seconds,
            max_bytes=max_bytes,
            is_billed=is_billed,
            part=part,
        )

    def _call(
        self,
        name: str,
        perform: Callable[[], T],
        demand: http.Demand | None = None,
        *,
        read_seconds: float = _READ_SECONDS,
        max_bytes: int = http.MAX_BODY_BYTES,
        is_billed: bool = False,
        part: str = "",
    ) -> T:
        import openai

        with http.operation(
            "openai",
            name,
            repeatable=not is_billed,
            read_seconds=read_seconds,
            max_bytes=max_bytes,
            slow_seconds=_slow_seconds(read_seconds) if is_billed else http.SLOW_SECONDS,
            spare=self._spare,
            demand=demand,
            part=part,
        ):
            try:
                with http.reading():
                    return perform()
            except openai.OpenAIError as err:
                raise _outcome(err) from err


def writing_seconds(tier: str) -> float:
    """The time in which a completion must be there, at this level of service."""
    return _PATIENT_SECONDS if tier in PATIENT else _READ_SECONDS


def _slow_seconds(read_seconds: float) -> float:
    """After how long a completion counts as slow. One that waits for room never does."""
    return _WRITING_SECONDS if read_seconds <= _READ_SECONDS else read_seconds


def _moderation(made: Any) -> Json:
    result = made.results[0]
    # By the names that the API uses, for example `harassment/threatening`. The SDK keeps values of
    # any type, and would only warn of them.
    categories = result.categories.to_dict(warnings=False)
    if not isinstance(result.flagged, bool):
        raise TypeError("flagged is neither true nor false")
    if not all(value is None or isinstance(value, bool) for value in categories.values()):
        raise TypeError("a category is neither true nor false")
    return {
        "flagged": result.flagged,
        "categories": sorted(http.quoted(name) for name, is_set in categories.items() if is_set),
        "model": http.text_at(made.model),
    }


def _completion(made: Any, model: str, tier: str) -> Json:
    # What is paid for is refused only if what is used of it cannot be read.
    choice, usage = made.choices[0], made.usage
    details = usage.prompt_tokens_details if usage else None
    return {
        "text": optional(choice.message.content) or "",
        "refusal": http.quoted(optional(choice.message.refusal) or "") or None,
        "finish_reason": optional(choice.finish_reason) or "",
        "model": optional(made.model) or model,
        "tier": optional(made.service_tier) or tier,
        "is_counted": bool(usage) and None not in (usage.prompt_tokens, usage.completion_tokens),
        "input_tokens": count(usage.prompt_tokens) if usage else 0,
        "cached_tokens": count(details.cached_tokens) if details else 0,
        "cache_write_tokens": count(details.cache_write_tokens) if details else 0,
        "output_tokens": count(usage.completion_tokens) if usage else 0,
    }


def optional(value: object) -> str | None:
    """A text in an answer, or None. Raises TypeError if it is neither."""
    if value is not None and not isinstance(value, str):
        raise TypeError("not a text")
    return value


_MOST_TOKENS = 10**9


def count(value: object) -> int:
    """A count of tokens in an answer, 0 if there is none. Raises ValueError if it is no count."""
    if value is None:
        return 0
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _MOST_TOKENS:
        raise ValueError("not a count of tokens")
    return value


def api() -> OpenAIApi:
    """The client with this process's settings. app.outbound owns its connections.

    Raises NotConfigured if the credential is not set.
    """
    return _api(OpenAISettings.current())


@lru_cache(maxsize=4)
def _api(settings: OpenAISettings) -> OpenAIApi:
    return OpenAIApi(settings)


def probe() -> None:
    """Raise an Outcome if OpenAI does not answer or refuses the key."""
    api().probe()


def warm() -> None:
    """Import the SDK, which takes 2 to 4 s."""
    import openai  # noqa: F401 - the import is the point


def _sdk(settings: OpenAISettings) -> "openai.OpenAI":
    # Imported late: it takes 2 to 4 s, and the web process imports this module but never calls
    # OpenAI.
    import httpx2
    import openai

    class Transport(httpx2.BaseTransport):
        def handle_request(self, request: httpx2.Request) -> httpx2.Response:
            reply = http.send(
                request.method, str(request.url), headers=request.headers, body=request.read()
            )
            return httpx2.Response(
                reply.status, headers=http.decoded_headers(reply), content=reply.body
            )

    return openai.OpenAI(
        api_key=needed(settings.api_key, SETTING),
        base_url=settings.base_url,
        max_retries=0,
        http_client=httpx2.Client(transport=Transport(), trust_env=False),
    )


def _outcome(err: "openai.OpenAIError") -> Outcome:
    """The outcome of an error of the SDK. https://platform.openai.com/docs/guides/error-codes"""
    import openai

    if not isinstance(err, openai.APIStatusError):
        # The transport raises an outcome. All other errors are those of an answer that came.
        if isinstance(err.__cause__, Outcome):
            return err.__cause__
        return http.unreadable(err)
    body: Any = err.body
    message = body.get("message") if isinstance(body, dict) else None
    code = err.code if isinstance(err.code, str) else None
    if err.status_code == 429 and limits.is_too_large(message):
        return Permanent(
            "the request needs more tokens than OpenAI allows of this model in a minute: give it"
            " less to read, lower `max_output_tokens`, or choose another model:"
            f" {http.quoted(str(message))}",
            code="request_too_large",
        )
    headers = dict(err.response.headers)
    found = http.refusal(
        "openai",
        err.status_code,
        str(message or "no message"),
        setting=SETTING,
        headers=headers,
        code=code or ("not_found" if err.status_code == 404 else None),
        detail={"param": err.param} if isinstance(err.param, str) else None,
        is_exhausted=limits.is_exhausted(code) or limits.is_exhausted(err.type),
    )
    if err.status_code == 503 and not _NOTHING_MADE.isdisjoint({code, err.type}):
        return Retryable(found.message, code=found.code, after=retry_after(headers))
    return found
