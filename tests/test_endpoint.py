"""Where questions go: what a base URL may be, and what is told to the SDK."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx2
import openai
import pytest

from vlsbench.endpoint import Asker, resolve_endpoint
from vlsbench.errors import JudgeError, UsageError
from vlsbench.provider import is_filter_finish
from vlsbench.transport import guard

ASKER = Asker(JudgeError, "the judge", "(none)", "responses", "verdicts")
AZURE = "https://name.openai.azure.com/openai/deployments/m?api-version=2026-01-01"


def request_to(base_url: str) -> httpx2.Request:
    """The request that the SDK makes for one question to `base_url`."""
    seen: list[httpx2.Request] = []

    def handler(request: httpx2.Request) -> httpx2.Response:
        seen.append(request)
        return httpx2.Response(200, json={})

    async def ask() -> None:
        http_client = guard(httpx2.AsyncClient(transport=httpx2.MockTransport(handler)))
        options: dict[str, Any] = resolve_endpoint(base_url, "sk-secret", ASKER).sdk_options()
        async with openai.AsyncOpenAI(**options, http_client=http_client) as client:
            await client.post("/chat/completions", body={}, cast_to=httpx2.Response)

    asyncio.run(ask())
    return seen[0]


@pytest.mark.parametrize(
    ("base_url", "asked"),
    [
        ("http://127.0.0.1:8000/v1", "http://127.0.0.1:8000/v1/chat/completions"),
        (
            AZURE,
            "https://name.openai.azure.com/openai/deployments/m/chat/completions?api-version=2026-01-01",
        ),
        ("http://h.test/v1/?a=1&b=", "http://h.test/v1/chat/completions?a=1&b="),
    ],
    ids=["plain", "Azure", "a slash and two parameters"],
)
def test_a_query_of_the_base_url_stands_behind_the_path(base_url: str, asked: str) -> None:
    assert str(request_to(base_url).url) == asked


def test_azures_key_goes_by_its_own_name_too_and_elsewhere_it_does_not() -> None:
    assert request_to(AZURE).headers["api-key"] == "sk-secret"
    assert "api-key" not in request_to("http://h.test/v1?tenant=one").headers


def test_what_is_shown_of_an_endpoint_holds_no_query() -> None:
    endpoint = resolve_endpoint(f"{AZURE}&sig=very-secret", None, ASKER)
    assert endpoint.shown == "https://name.openai.azure.com/openai/deployments/m"
    assert endpoint.conceal("at 2026-01-01 with very-secret") == "at 2026-01-01 with [key]"


@pytest.mark.parametrize(
    ("base_url", "sentence"),
    [
        ("http://h.test/v1/chat/completions", "ends with '/chat/completions', which is added"),
        ("http://h.test/v1/completions/?a=1", "ends with '/completions/'"),
        ("http://h.test/v1/responses", "ends with '/responses'"),
        ("http://h.test/v1#there", "behind '#'"),
        ("http://h.test/v1?a=1&a=2", "a parameter twice"),
        ("ftp://h.test/v1", "is not a URL like"),
        ("http://me:pw@h.test/v1", "holds a user or a password"),
    ],
)
def test_a_base_url_that_cannot_work_is_refused_before_anything_is_asked(base_url: str, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        resolve_endpoint(base_url, None, ASKER)


@pytest.mark.parametrize(
    ("finish", "is_filter"),
    [
        ("content_filter", True),
        ("IMAGE_SAFETY", True),  # Gemini, of a picture
        ("refusal", True),  # Anthropic, behind a router
        ("SAFETY", True),
        ("PROHIBITED_CONTENT", True),
        ("guardrail_intervened", True),
        ("stop", False),
        ("length", False),
        ("recitation", False),  # a copyright rule, not what was asked
        (None, False),
        (7, False),
    ],
)
def test_a_finish_reason_is_told_from_a_filters(finish: object, is_filter: bool) -> None:
    assert is_filter_finish(finish) is is_filter
