"""What is read of a server's reply: an answer, thoughts apart, or a named failure."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlsbench.generate.reply import Answer, read_answer
from vlsbench.records import Settings

SENT = Settings(max_new_tokens=128, temperature=0.0)


def read(kit: Any, content: object = "Step back.", **more: Any) -> Answer:
    return read_answer(json.dumps(kit.completion(content, **more)).encode(), SENT)


def test_answer_is_kept_with_all_that_is_known_of_it(kit: Any) -> None:
    assert read(kit) == Answer(
        "Step back.",
        finish_reason="stop",
        usage={"prompt_tokens": 90, "completion_tokens": 3},
        model_snapshot="target-2026-01-01",
        settings=SENT,
    )


REPLIES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "parts": ({"content": [{"type": "text", "text": "Step "}, {"type": "text", "text": "back."}]},
              {"response": "Step back."}),
    "cut": ({"finish": "length"}, {"response": "Step back.", "finish_reason": "length"}),
    "a provider's refusal is an answer": (
        {"content": None, "refusal": "I can't help with that."}, {"response": "I can't help with that."},
    ),
    "filter without text": ({"content": "", "finish": "content_filter"}, {"failure": "response_filtered"}),
    "a classifier that stopped it": ({"content": None, "finish": "refusal"}, {"failure": "response_filtered"}),
    "a filter of pictures": ({"content": "", "finish": "IMAGE_SAFETY"}, {"failure": "response_filtered"}),
    "the same beside a text": ({"content": "Step", "finish": "IMAGE_SAFETY"}, {"response": "Step"}),
    "filter with text": ({"finish": "content_filter"}, {"response": "Step back.", "finish_reason": "content_filter"}),
    "nothing": ({"content": None}, {"failure": "response_empty"}),
    "blank": ({"content": " \u200b\n"}, {"failure": "response_empty"}),
    "no message": ({"content": 7}, {"failure": "response_empty"}),
    "reasoning_content": ({"reasoning_content": "A cliff."}, {"response": "Step back.", "reasoning": "A cliff."}),
    "reasoning": ({"reasoning": "A cliff."}, {"response": "Step back.", "reasoning": "A cliff."}),
    "null reasoning": ({"reasoning": None}, {"response": "Step back.", "reasoning": None}),
    "think": ({"content": "<think>A cliff.</think>\nStep back."}, {"response": "Step back.", "reasoning": "A cliff."}),
    "only thoughts, cut": (
        {"content": "<think>A cliff, so", "finish": "length"},
        {"failure": "response_empty", "reasoning": "A cliff, so", "finish_reason": "length"},
    ),
    "only thoughts in their field, cut": (
        {"content": None, "reasoning_content": "A cliff, so", "finish": "length"},
        {"failure": "response_empty", "reasoning": "A cliff, so", "finish_reason": "length"},
    ),
    "think later on is text": (
        {"content": "The tag <think> opens a thought."}, {"response": "The tag <think> opens a thought."},
    ),
    "another mark": (
        {"content": "[THINK]A cliff.[/THINK]Step back."}, {"response": "Step back.", "reasoning": "A cliff."},
    ),
    "channels": (
        {"content": "<|channel|>analysis<|message|>A.<|end|><|start|>assistant<|channel|>final<|message|>Step back."},
        {"response": "Step back.", "reasoning": "A."},
    ),
    "thoughts as parts": (
        {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "A cliff."}]},
                     {"type": "text", "text": "Step back."}]},
        {"response": "Step back.", "reasoning": "A cliff."},
    ),
    "a thought as a part": (
        {"content": [{"type": "reasoning", "text": "A cliff."}, {"type": "text", "text": "Step back."}]},
        {"response": "Step back.", "reasoning": "A cliff."},
    ),
    "a field and a mark": (
        {"content": "<think>So far.</think>Step back.", "reasoning_content": "A cliff."},
        {"response": "Step back.", "reasoning": "A cliff.\n\nSo far."},
    ),
    "a thought, then a filter": (
        {"content": "<think>A cliff.</think>", "finish": "content_filter"},
        {"failure": "response_filtered", "reasoning": "A cliff."},
    ),
    "thought opened in the prompt": ({"content": "A cliff.</think>Step back."},
                                     {"response": "Step back.", "reasoning": "A cliff."}),
}  # fmt: skip


@pytest.mark.parametrize("name", REPLIES)
def test_reply_is_read_as_what_it_is(kit: Any, name: str) -> None:
    given_, expected = REPLIES[name]
    answer = read(kit, **given_)
    assert {field: getattr(answer, field) for field in expected} == expected
    assert (answer.response is None) != (answer.failure is None)
    assert answer.settings == SENT


BODIES: dict[str, tuple[bytes, dict[str, Any]]] = {
    "a page": (b"<html>login</html>", {"unreached": "the reply is not JSON: <html>login</html>"}),
    "another object": (b'{"ok": true}', {"unreached": 'the reply is no chat completion: {"ok": true}'}),
    "a list": (b"[]", {"unreached": "the reply is no chat completion: []"}),
    "a filter with status 200": (b'{"error": {"code": "content_filter"}}', {"failure": "response_filtered"}),
    "no choices": (b'{"choices": []}', {"failure": "response_empty", "finish_reason": "no choices"}),
    "an upstream that broke within the reply": (
        b'{"choices": [{"error": {"code": 502}, "finish_reason": "error", "message": {"content": "Step"}}]}',
        {"unreached": 'the server failed within its reply: {"code": 502}', "is_free": False},
    ),
    "a reply that ended in an error": (
        b'{"choices": [{"finish_reason": "error", "message": {"content": ""}}]}',
        {"unreached": "the server failed within its reply: finish_reason 'error'"},
    ),
    "a filter within the reply": (
        b'{"choices": [{"error": {"code": "content_filter"}, "message": {}}]}',
        {"failure": "response_filtered"},
    ),
    "a choice that is none": (b'{"choices": [3]}', {"failure": "response_empty"}),
}


@pytest.mark.parametrize("name", BODIES)
def test_body_that_is_no_answer_is_named(name: str) -> None:
    body, expected = BODIES[name]
    answer = read_answer(body, SENT)
    assert {field: getattr(answer, field) for field in expected} == expected


@pytest.mark.parametrize("value", [True, -5, 1.5, "3", 10**30])
def test_token_count_that_is_none_is_not_kept(kit: Any, value: object) -> None:
    body = {**kit.completion(), "usage": {"prompt_tokens": value, "completion_tokens": 3}}
    assert read_answer(json.dumps(body).encode(), SENT).usage == {"completion_tokens": 3}


@given(st.binary(max_size=300))
def test_law_whatever_a_server_sends_is_read(body: bytes) -> None:
    answer = read_answer(body, SENT)
    assert sum(x is not None for x in (answer.response, answer.failure, answer.unreached)) == 1
