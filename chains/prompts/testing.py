"""Runs the tests of a version of a prompt. A version that fails one of them is not stored."""

from collections.abc import Iterator
from itertools import islice

from app.errors import InvalidInput
from app.platform import Json
from chains.language.faults import MAX_FAULTS, Fault, pointer
from chains.language.patterns.keywords import matches, pattern_fault
from chains.language.patterns.time_limits import TakesTooLong, check_time, time_limit
from chains.prompts.rendering import render, whole_text

_MOST_SECONDS = 2.0
_BYTES_OF_A_TOKEN = 4
_CHECKS = ("contains", "lacks", "equals", "matches", "most_characters", "most_tokens")


def run_tests(body: Json) -> None:
    """Run the tests of a stored body; raise InvalidInput, with the faults, if one fails."""
    try:
        with time_limit(_MOST_SECONDS):
            faults = [*islice(_all_faults(body), MAX_FAULTS)]
    except TakesTooLong as err:
        faults = [("/tests", f"take too long: {err.message}")]
    if faults:
        raise InvalidInput(
            f"{faults[0][0]}: {faults[0][1]}",
            field=faults[0][0],
            code="prompt_tests_failed",
            errors=tuple(faults),
        )


def tokens_of(text: str) -> int:
    """An estimate of the tokens of a text: one for each four bytes of UTF-8, rounded up.

    >>> tokens_of("A circus in the rain")
    5
    """
    return -(-len(text.encode("utf-8", "surrogatepass")) // _BYTES_OF_A_TOKEN)


def _all_faults(body: Json) -> Iterator[Fault]:
    for number, case in enumerate(body["tests"]):
        check_time()
        at = f"/tests/{number}"
        name = f"test {case['name']!r}: " if "name" in case else ""
        for place, words in _faults(body, case, at):
            yield place, name + words


def _faults(body: Json, case: Json, at: str) -> Iterator[Fault]:
    if all(case.get(check) in (None, []) for check in _CHECKS):
        yield at, f"checks nothing; it needs one of {', '.join(_CHECKS)}"
        return
    try:
        messages = render(body, case.get("variables", {}), f"{at}/variables")
    except InvalidInput as err:
        yield from ((place, words) for place, words in err.errors)
        return
    number = case.get("message")
    if number is not None and number >= len(messages):
        yield f"{at}/message", f"there is no message {number}: the prompt has {len(messages)}"
        return
    text = whole_text(messages) if number is None else messages[number]["content"]
    for position, wanted in enumerate(case.get("contains", ())):
        if wanted not in text:
            yield f"{at}/contains/{position}", f"the text does not contain {_shown(wanted)}"
    for position, unwanted in enumerate(case.get("lacks", ())):
        if unwanted in text:
            yield f"{at}/lacks/{position}", f"the text contains {_shown(unwanted)}"
    if "equals" in case and text != case["equals"]:
        yield f"{at}/equals", f"the text is another: {_shown(text)}"
    if "matches" in case:
        yield from ((f"{at}/matches", words) for words in _unmatched(case["matches"], text))
    yield from _sizes(case, text, at)


def _unmatched(pattern: str, text: str) -> Iterator[str]:
    fault = pattern_fault(pattern)
    if fault is not None:
        yield f"is not a regular expression that can be used: {fault}"
        return
    try:
        is_found = matches(pattern, text)
    except TakesTooLong as err:
        yield err.message
        return
    if not is_found:
        yield f"the text does not match: {_shown(text)}"


def _sizes(case: Json, text: str, at: str) -> Iterator[Fault]:
    for check, has in (("most_characters", len(text)), ("most_tokens", tokens_of(text))):
        if check in case and has > case[check]:
            unit = check.removeprefix("most_")
            yield at + pointer([check]), f"the text has {has} {unit}, more than {case[check]}"


def _shown(text: str) -> str:
    return repr(text if len(text) <= 200 else f"{text[:200]}...")
