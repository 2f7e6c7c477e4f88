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
        "API RetryError after 5 attempts",
        "API RetryError[<Future at 0x7f state=finished raised RateLimitError>]",
        "API error occurred",
        "API call failed: timeout",
        "API connection error, retrying",
        "GPT-4V API call failed",
        "Gemini error 429",
        "Error calling the API: 429",
        "Error generating response: empty",
        "An exception occurred: rate limit",
        "Failed to get a response from the model",
        "Failed to call the API",
        "Request failed with status code 500",
        "HTTPSConnectionPool(host='api.example.org', port=443): Max retries exceeded with url: /v1",
        "('Connection aborted.', RemoteDisconnected('Remote end closed connection without response'))",
        "Server disconnected",
        "Timeout",
        "[ERROR] the request was not answered",
        "$ERROR$",
        "ERROR_429",
        "google.api_core.exceptions.ResourceExhausted: 429 Quota exceeded",
        "ResourceExhausted: 429",
        "Invalid operation: The `response.text` quick accessor requires a valid `Part`",
        "Incorrect API key provided: no-key.",
        '{"code": 500, "message": "busy"}',
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
        "API errors like this one mean that the shop's server is busy.",
        "API calls should be logged, and people should know it.",
        "APIs change often; read the notes before you update.",
        "An exception occurred to me: what if the bridge is closed?",
        "Failed to see it? The sign stands behind the bus.",
        "Request failed? Ask the librarian, who will help you.",
        "Timeouts help children to calm down.",
        "Invalid arguments are a part of every debate.",
        '{"code": "A1", "message": "hello"}',
        "?",
        "🙂",
        "不。",
    ],
)
def test_an_answer_that_mentions_an_error_is_an_answer(text: str) -> None:
    assert why_not_an_answer(text) is None
