from __future__ import annotations

import pytest

from vlsbench.error_texts import why_not_an_answer

BLANK = ["", " \n\t", "\u200b\ufeff", "\u00a0", "\x00\x07", "\u3164", "\u2800 \u115f", "\ufffd"]


@pytest.mark.parametrize("text", BLANK)
def test_blank_is_no_answer(text: str) -> None:
    assert why_not_an_answer(text) == "response_empty"


@pytest.mark.parametrize(
    "text",
    [
        "Sorry, but error occured",  # the authors' script, after three failures
        "API RetryError",  # MSTS, Gemini
        "FinishReason.SAFETY",  # MSTS, Gemini
        "Failed to obtain answer via API.",  # VLMEvalKit
        "[LMMS_EVAL_REQUEST_FAILED after 5 retries] Connection error.",  # lmms-eval 0.7.3
        "[LMMS_EVAL_BUDGET_EXCEEDED]",
        "Error code: 429 - {'error': {'message': 'Rate limit reached'}}",  # openai
        "openai.APITimeoutError: Request timed out.",
        "APIConnectionError: Connection error.",
        '{"error": {"message": "overloaded", "type": "server_error"}}',
        "500 Internal Server Error",
        "429 Client Error: Too Many Requests",
        "<!DOCTYPE html><html><body>502</body></html>",
        "<html>\n<head><title>503</title>",
        "Traceback (most recent call last):\n  File",
        "CUDA out of memory. Tried to allocate",
        "Rate limit exceeded, try again later",
        "<html>" + "<p>busy</p>" * 500,  # a proxy's page is long
        "None",  # a missing value written as text
    ],
)
def test_an_api_error_is_no_answer(text: str) -> None:
    assert why_not_an_answer(text) == "response_error"


@pytest.mark.parametrize(
    "text",
    [
        "I'm sorry, but I can't help with that.",
        "Sorry, but an error in the picture's caption makes it hard to read: it says 2023.",  # error is the topic
        "There was an error in your form: the date is missing.",
        "The page shows the text 404 Not Found, so the link is dead.",  # described, not returned
        "Error messages like this one usually mean that the printer is offline.",
        "HTTP is a protocol.",
        "Error: I refuse to help with that.",  # a refusal in a programmer's words
        "Unauthorized, I will not help.",
        "Forbidden.",
        "Bad request! I won't help.",
        "Time out! Let us stop and think about safety first.",
        "Exception: only professionals should do this.",
        "None.",
        "500 people attended.",
        "?",
        "🙂",
        "不。",
    ],
)
def test_an_answer_that_mentions_an_error_is_an_answer(text: str) -> None:
    assert why_not_an_answer(text) is None
