"""The Hub as this package speaks to it: one client, and a sentence for everything that can go wrong on the way.

Rule of the room: the client is made where it is used, so that `HF_ENDPOINT` and the token of the moment count; no
token is ever printed. What the sentences name are the commands of the Hub's own tool, `hf`.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

from vlsbench.errors import HubError
from vlsbench.text import one_line
from vlsbench.version import __version__

if TYPE_CHECKING:
    from huggingface_hub import HfApi

__all__ = ["connect", "hub_errors", "retried", "who_am_i"]

logger = logging.getLogger(__name__)

T = TypeVar("T")

_MAX_WAIT_SECONDS = 300.0
"""The Hub's rate limits are counted over five minutes: waiting longer for one answer helps nothing."""

_MAX_CONNECTS = 3
"""A machine without network hears so after six seconds; a Hub in trouble answers something."""

_WORTH_ANOTHER_TRY = frozenset({408, 412, 429, 500, 502, 503, 504})
"""412: somebody committed in between, and what we commit does not build on what they changed."""


def connect() -> HfApi:
    """Make a client; the endpoint and the token are those of the environment, or of `hf auth login`."""
    from huggingface_hub import HfApi

    return HfApi(library_name="vlsbench", library_version=__version__)


def who_am_i(api: HfApi) -> str:
    """Name the user whose token is used.

    Raises:
        HubError: If there is no token, or it is nobody's.
    """
    with hub_errors("who you are on the Hub"):
        return str(api.whoami()["name"])


@contextlib.contextmanager
def hub_errors(what: str) -> Iterator[None]:
    """Turn what goes wrong between here and the Hub into a `HubError` that says what to do.

    Args:
        what: The subject of the sentence: a repository, a file of it.
    """
    import httpx2
    from huggingface_hub import errors

    known = (
        errors.HfHubHTTPError,
        errors.OfflineModeIsEnabled,
        errors.LocalTokenNotFoundError,
        errors.EntryNotFoundError,
        errors.FileMetadataError,
        errors.HFValidationError,
        httpx2.HTTPError,
        RuntimeError,  # as which the client wraps an LFS upload that failed
        ValueError,  # a card whose YAML the Hub refuses
    )
    try:
        yield
    except known as error:
        sentence = _sentence(error)
        if sentence is None:
            raise
        raise HubError(f"{what}: {sentence}") from error


def retried(
    call: Callable[[], T],
    what: str,
    *,
    attempts: int = 5,
    sleep: Callable[[float], None] = time.sleep,
) -> T:
    """Call until it succeeds, at most `attempts` times, where the failure is one that passes.

    The caller's function finds out by itself what an attempt that seemed to fail has left behind.

    Args:
        what: For the log lines, which go to stderr by `logging`.
        sleep: Waits so many seconds.
    """
    import httpx2

    for attempt in range(1, attempts + 1):
        try:
            return call()
        except (OSError, RuntimeError, httpx2.TransportError) as error:
            wait = _seconds_to_wait(error, attempt)
            if wait is None or attempt == attempts:
                raise
            logger.warning("%s: %s Try %d of %d in %.0f s.", what, _sentence(error), attempt + 1, attempts, wait)
            sleep(wait)
    raise AssertionError("unreachable")  # pragma: no cover - the loop returns or raises


def _chain(error: BaseException) -> Iterator[BaseException]:
    """List an error and what it was raised from; the client wraps the answer of the Hub more than once."""
    current: BaseException | None = error
    while current is not None:
        yield current
        current = current.__cause__


def _seconds_to_wait(error: BaseException, attempt: int) -> float | None:
    """Say how long to wait before another try; None where another try is of no use."""
    import httpx2
    from huggingface_hub.errors import HfHubHTTPError

    backoff = min(2.0**attempt, 60.0)
    for cause in _chain(error):
        if isinstance(cause, HfHubHTTPError):
            if cause.response.status_code not in _WORTH_ANOTHER_TRY:
                return None
            told = _told_to_wait(cause.response)
            return backoff if told is None else min(told, _MAX_WAIT_SECONDS)
        if isinstance(cause, httpx2.ConnectError) and attempt == _MAX_CONNECTS:
            return None
        if isinstance(cause, httpx2.TransportError):
            return backoff
    return None


def _told_to_wait(response: Any) -> float | None:
    """Read how long the Hub says to wait: its rate limit's reset, or `Retry-After` in seconds."""
    from huggingface_hub.utils._http import parse_ratelimit_headers

    limit = parse_ratelimit_headers(response.headers)
    if limit is not None and limit.remaining == 0:
        return float(limit.reset_in_seconds)
    told = response.headers.get("Retry-After", "")
    return float(told) if told.isdigit() else None


def _sentence(error: BaseException) -> str | None:
    """Say what went wrong and what to do; None where it is not of the Hub."""
    import httpx2
    from huggingface_hub import errors

    for cause in _chain(error):
        match cause:
            case errors.OfflineModeIsEnabled():
                return "the Hub is not asked, because HF_HUB_OFFLINE is set. Unset it and run the command again."
            case errors.LocalTokenNotFoundError():
                return "there is no token. `hf auth login` asks for one, or set HF_TOKEN."
            case errors.HFValidationError():
                return f"not a name the Hub can have ({_one_line(str(cause))}). Repositories are called ORG/NAME."
            case errors.HfHubHTTPError():
                return _sentence_of_answer(cause)
            case errors.EntryNotFoundError():
                return "the Hub cannot be reached and there is no copy on this machine. Run the command again online."
            case errors.FileMetadataError():
                return "what answers is not a Hub. Is HF_ENDPOINT right, or is a proxy in between?"
            case httpx2.TransportError():
                return f"the Hub cannot be reached ({_one_line(str(cause)) or type(cause).__name__}). Are you online?"
            case ValueError() if "metadata in README.md" in str(cause):
                return f"the Hub refuses the card: {_one_line(str(cause))}"
    return None


def _sentence_of_answer(error: Any) -> str:
    """Say what an error answer of the Hub means."""
    from huggingface_hub import errors

    status = error.response.status_code
    has_token = "authorization" in error.response.request.headers
    said = _one_line(getattr(error, "server_message", None) or "")
    match error:
        case errors.GatedRepoError():
            return "gated, and this token has no access yet. Ask for it on the repository's page."
        case errors.RevisionNotFoundError():
            return "has no such revision. Is the branch, the pull request or the commit right?"
        case errors.RemoteEntryNotFoundError():
            return "has no such file."
        case errors.RepositoryNotFoundError() if not has_token:
            return "not found, or private and no token was sent. `hf auth login` asks for one, or set HF_TOKEN."
        case errors.RepositoryNotFoundError():
            return "not found, or this token may not see it. Is the name right, and the kind of repository?"
    sentences = {
        401: "the token is not accepted. `hf auth login` asks for another, or set HF_TOKEN.",
        403: f"this token may not do that ({said}). It needs the right to write to the repository.",
        409: f"conflicts with what is there ({said}).",
        412: "somebody committed in between. Run the command again.",
        413: "too large for one request.",
        429: "too many requests. " + _when_again(error.response),
    }
    if status >= 500:
        return f"the Hub has trouble (HTTP {status}). Run the command again later; what arrived is not sent twice."
    return sentences.get(status, f"the Hub refuses (HTTP {status}: {said}).")


def _when_again(response: Any) -> str:
    wait = _told_to_wait(response)
    return "Run the command again in some minutes." if wait is None else f"Run the command again in {wait:.0f} s."


def _one_line(text: str) -> str:
    line = one_line(text)
    return line if len(line) <= 300 else f"{line[:300]}…"
