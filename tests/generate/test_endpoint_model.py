"""A target behind an endpoint: what goes out, what is kept, and what a broken endpoint does to a run.

Requests and replies are tested through a transport in memory; a real server on loopback where the connection counts.
"""

from __future__ import annotations

import asyncio
import base64
import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx2
import pytest
from aiohttp import web

from vlsbench.cost import Meter, Prices
from vlsbench.dataset.pictures import blank_picture
from vlsbench.errors import DataError, ModelError, UsageError
from vlsbench.generate.endpoint_model import EndpointModel
from vlsbench.records import Response

Handler = Callable[[httpx2.Request], httpx2.Response]


def ok(body: object) -> httpx2.Response:
    return httpx2.Response(200, json=body)


def refusal(message: str, status: int = 400, **fields: Any) -> httpx2.Response:
    return httpx2.Response(status, json={"error": {"message": message, **fields}})


def ask(kit: Any, handler: Handler, n: int = 1, condition: str = "image+text", **settings: Any) -> list[Response]:
    written: list[Response] = []
    kit.open_endpoint(handler, **settings).answer(kit.make_questions(n, condition), written.extend)
    return sorted(written, key=lambda line: line.instruction_id)


def recorder(kit: Any) -> tuple[Handler, list[dict[str, Any]]]:
    seen: list[dict[str, Any]] = []

    def handler(request: httpx2.Request) -> httpx2.Response:
        seen.append(json.loads(request.content))
        return ok(kit.completion())

    return handler, seen


# What goes out


def test_text_goes_out_before_the_image_with_the_papers_settings(kit: Any) -> None:
    handler, seen = recorder(kit)
    (line,) = ask(kit, handler)
    url = "data:image/png;base64," + base64.b64encode(kit.FakeSource().picture(0).data).decode()
    assert seen == [
        {
            "model": "m",
            "messages": [
                {
                    "role": "user",
                    "content": [
                        {"type": "text", "text": "What should I do here?"},
                        {"type": "image_url", "image_url": {"url": url}},
                    ],
                }
            ],
            "temperature": 0.0,
            "top_p": 1.0,
            "max_tokens": 128,
        }
    ]
    assert line.settings is not None
    assert line.settings.model_dump() == {
        "max_new_tokens": 128,
        "temperature": 0.0,
        "top_p": 1.0,
        "engine": "openai",
        "order": "text, image",
    }


def test_text_alone_goes_out_as_one_string_and_opens_no_picture(kit: Any) -> None:
    handler, seen = recorder(kit)
    ask(kit, handler, condition="text-only", source=kit.FakeSource(broken=[0]))
    assert seen[0]["messages"] == [{"role": "user", "content": "What should I do here?"}]


def test_blank_image_goes_out_in_place_of_the_image(kit: Any) -> None:
    handler, seen = recorder(kit)
    ask(kit, handler, condition="blank-image")
    blank = blank_picture(kit.FakeSource().picture(0)).data
    assert seen[0]["messages"][0]["content"][1]["image_url"]["url"].endswith(base64.b64encode(blank).decode())


def test_empty_text_is_no_part_of_its_own(kit: Any) -> None:
    handler, seen = recorder(kit)
    (question,) = kit.make_questions(1)
    kit.open_endpoint(handler).answer([question._replace(text="")], lambda _: None)
    assert [part["type"] for part in seen[0]["messages"][0]["content"]] == ["image_url"]


def test_image_that_samples_share_is_read_once(kit: Any) -> None:
    handler, _ = recorder(kit)
    source = kit.FakeSource(images={i: i // 3 for i in range(30)})
    written: list[Response] = []
    target = kit.open_endpoint(handler, source=source, concurrency=4)
    target.answer(kit.make_questions(30, source=source), written.extend)
    assert len(written) == 30
    assert len(source.read) == 10


# What an endpoint does not take

NOT_TAKEN: dict[str, tuple[str, dict[str, Any], set[str]]] = {
    "temperature of a reasoning model": (
        "Unsupported value: 'temperature' does not support 0 with this model. Only the default (1) is supported.",
        {"param": "temperature", "code": "unsupported_value"},
        {"temperature"},
    ),
    "temperature and top_p together": (
        "`temperature` and `top_p` cannot both be specified for this model.",
        {"type": "invalid_request_error"},
        {"top_p"},
    ),
    "top_p deprecated": ("`top_p` is deprecated for this model.", {}, {"top_p"}),
}


@pytest.mark.parametrize("name", NOT_TAKEN)
def test_parameter_that_is_not_taken_is_left_out_and_the_line_says_what_was_sent(kit: Any, name: str) -> None:
    message, fields, dropped = NOT_TAKEN[name]
    n_asked = Counter[bool]()

    def handler(request: httpx2.Request) -> httpx2.Response:
        is_refused = dropped <= json.loads(request.content).keys()
        n_asked[is_refused] += 1
        return refusal(message, **fields) if is_refused else ok(kit.completion())

    lines = ask(kit, handler, 4, concurrency=1)
    assert [line.response for line in lines] == ["Step back."] * 4
    for line in lines:
        sent = line.settings.model_dump(exclude_none=True)
        assert {"temperature", "top_p"} - sent.keys() == dropped
    assert n_asked == {True: 1, False: 4}


def test_budget_goes_out_under_its_newer_name_where_only_that_is_taken(kit: Any) -> None:
    def handler(request: httpx2.Request) -> httpx2.Response:
        body = json.loads(request.content)
        if "max_tokens" in body:
            return refusal("Use 'max_completion_tokens' instead.", param="max_tokens", code="unsupported_parameter")
        assert body["max_completion_tokens"] == 77
        return ok(kit.completion())

    (line,) = ask(kit, handler, max_new_tokens=77)
    assert line.settings is not None
    assert line.settings.max_new_tokens == 77


def test_parameter_that_cannot_be_left_out_stops_the_run(kit: Any) -> None:
    with pytest.raises(ModelError, match="does not take what is sent"):
        ask(kit, lambda _: refusal("no 'model' of that kind", code="unsupported_parameter"), 3)


# Refusals of one request


def refuses(kit: Any, *, ids: set[int], message: str = "too many tokens: {i}", **fields: Any) -> Handler:
    def handler(request: httpx2.Request) -> httpx2.Response:
        text = kit.text_of(json.loads(request.content))
        i = text.count("And then?")
        return refusal(message.format(i=i), **fields) if i in ids else ok(kit.completion())

    return handler


def test_request_that_is_refused_is_that_samples_failure_and_the_run_goes_on(kit: Any) -> None:
    message = "This model's maximum context length is 4096 tokens, however you requested {i}999."
    lines = ask(kit, refuses(kit, ids={2}, message=message), 4)
    assert [line.failure for line in lines] == [None, None, "response_error", None]
    assert lines[2].finish_reason == f"HTTP 400: {message.format(i=2)}"[:100]
    assert lines[2].settings is not None
    assert lines[2].settings.max_new_tokens == 128


def test_long_sentence_of_a_provider_is_cut_in_the_line(kit: Any) -> None:
    lines = ask(kit, refuses(kit, ids={1}, message="image not taken " * 30), 2)
    assert lines[1].finish_reason is not None
    assert len(lines[1].finish_reason) == 100
    assert lines[1].finish_reason.endswith("…")


@pytest.mark.parametrize("n", [1, 3, 40])
def test_first_requests_that_are_all_refused_alike_stop_the_run_and_nothing_is_kept(kit: Any, n: int) -> None:
    written: list[Response] = []
    n_asked = Counter[str]()

    def handler(_: httpx2.Request) -> httpx2.Response:
        n_asked["all"] += 1
        return refusal(f"request {n_asked['all']}: this model takes no images")

    target = kit.open_endpoint(handler, concurrency=2)
    with pytest.raises(ModelError, match=r"takes no images .*none was answered; none is kept"):
        target.answer(kit.make_questions(n), written.extend)
    assert written == []
    assert n_asked["all"] <= 10


def test_refusals_before_the_first_answer_are_kept_once_there_is_one(kit: Any) -> None:
    lines = ask(kit, refuses(kit, ids={0}), 2, concurrency=1)
    assert [line.failure for line in lines] == ["response_error", None]


def test_refusals_for_different_reasons_are_the_samples_own(kit: Any) -> None:
    lines = ask(kit, lambda r: refusal(f"no: {'ab' * kit.text_of(json.loads(r.content)).count('And')}"), 4)
    assert {line.failure for line in lines} == {"response_error"}


def test_one_refused_sample_of_a_run_that_goes_on_is_kept(kit: Any) -> None:
    written: list[Response] = []
    target = kit.open_endpoint(lambda _: refusal("too long"))
    target.answer(kit.make_questions(1), written.extend, has_answered=True)
    assert [line.failure for line in written] == ["response_error"]


@pytest.mark.parametrize("status", [400, 403])
def test_content_filter_with_an_error_status_is_one(kit: Any, status: int) -> None:
    (line,) = ask(kit, lambda _: refusal("flagged", status, code="content_filter"))
    assert (line.response, line.failure, line.finish_reason) == (None, "response_filtered", f"HTTP {status}: flagged")


# What no sample can change

STOPS: dict[str, tuple[httpx2.Response, str]] = {
    "wrong key": (refusal("Incorrect API key", 401, code="invalid_api_key"), "is MY_KEY right for this endpoint"),
    "unknown model": (refusal("The model 'm' does not exist", 404, code="model_not_found"), "name of the model right"),
    "unknown model, without a code": (refusal("no such model", 404), "name of the model right, and does the URL end"),
    "wrong URL": (httpx2.Response(404, text="<html>"), "does the URL end as the server wants"),
    "no credit": (refusal("pay", 429, code="insufficient_quota"), "no credit"),
    "down": (httpx2.Response(503, text="starting"), "none of 3 questions got a reply: HTTP 503: starting"),
}


@pytest.mark.parametrize("name", STOPS)
def test_what_no_sample_can_change_stops_the_run_with_one_sentence(kit: Any, name: str) -> None:
    response, message = STOPS[name]
    written: list[Response] = []
    target = kit.open_endpoint(lambda _: response, key_variable="MY_KEY", api_key="secret-key-0123")
    with pytest.raises(ModelError, match=message) as caught:
        target.answer(kit.make_questions(3), written.extend)
    assert written == []
    assert "\n" not in str(caught.value)
    assert "secret-key" not in str(caught.value)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirect_to_another_host_stops_the_run_and_nothing_is_sent_there(kit: Any, status: int) -> None:
    hosts: list[str] = []

    def handler(request: httpx2.Request) -> httpx2.Response:
        hosts.append(request.url.host)
        if len(hosts) == 1:
            return ok(kit.completion())
        return httpx2.Response(status, headers={"location": "https://elsewhere.test/v1/chat/completions"})

    written: list[Response] = []
    target = kit.open_endpoint(handler, concurrency=1)
    with pytest.raises(
        ModelError, match=r"redirects to https://elsewhere\.test:443 .*no other host.*goes on from there"
    ):
        target.answer(kit.make_questions(4), written.extend)
    assert set(hosts) == {"target.test"}
    assert [line.response for line in written] == ["Step back."]


def test_question_without_a_reply_leaves_no_line_and_is_counted(kit: Any) -> None:
    def handler(request: httpx2.Request) -> httpx2.Response:
        is_lost = "And then?" in kit.text_of(json.loads(request.content))
        return httpx2.Response(500, text="later") if is_lost else ok(kit.completion())

    written: list[Response] = []
    n_unanswered = kit.open_endpoint(handler).answer(kit.make_questions(4), written.extend)
    assert (n_unanswered, [line.instruction_id for line in written]) == (3, [0])


def test_broken_picture_is_named_after_the_others_are_answered(kit: Any) -> None:
    handler, _ = recorder(kit)
    written: list[Response] = []
    target = kit.open_endpoint(handler, source=kit.FakeSource(broken=[1, 3]))
    with pytest.raises(DataError, match=r"2 pictures cannot be used.*1, 3"):
        target.answer(kit.make_questions(5), written.extend)
    assert sorted(line.instruction_id for line in written) == [0, 2, 4]


def test_key_that_a_server_repeats_is_in_no_line(kit: Any) -> None:
    echo = kit.completion("You sent secret-key-0123.", reasoning="It is secret-key-0123")
    (line,) = ask(kit, lambda _: ok(echo), api_key="secret-key-0123")
    assert "secret-key" not in line.model_dump_json()


def test_run_stops_before_it_would_cost_too_much(kit: Any) -> None:
    written: list[Response] = []
    meter = Meter(Prices(1000.0, 1000.0), 1.0)  # an answer may cost up to 0.5
    handler, _ = recorder(kit)
    target = kit.open_endpoint(handler, meter=meter, concurrency=1)
    with pytest.raises(ModelError, match="stopped before --max-cost 1"):
        target.answer(kit.make_questions(30), written.extend)
    assert 2 <= len(written) < 12
    assert meter.spent <= 1.0


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"concurrency": 0}, "at least 1"), ({"max_new_tokens": 0}, "at least 1"), ({"base_url": "target"}, "not a URL")],
)
def test_wrong_argument_is_a_sentence(kit: Any, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        kit.open_endpoint(lambda _: ok({}), **settings)


def test_openai_needs_a_key_and_says_of_which_variable(kit: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ModelError, match=r"the model needs a key: set MY_KEY, or name another endpoint"):
        EndpointModel("gpt", source=kit.FakeSource(), key_variable="MY_KEY")
    monkeypatch.setenv("MY_KEY", "sk-0123456789")
    assert (
        EndpointModel("gpt", source=kit.FakeSource(), key_variable="MY_KEY").connection.endpoint.key == "sk-0123456789"
    )


# A real server


@contextmanager
def server(handle: Callable[[web.Request], Any]) -> Iterator[str]:
    """Serve chat completions on loopback, from a thread of its own."""
    started, loop = threading.Event(), asyncio.new_event_loop()
    address: list[str] = []

    async def start() -> web.AppRunner:
        app = web.Application(client_max_size=64 << 20)
        app.router.add_post("/v1/chat/completions", handle)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        address.append(f"http://127.0.0.1:{runner.addresses[0][1]}/v1")
        return runner

    def run() -> None:
        asyncio.set_event_loop(loop)
        runner = loop.run_until_complete(start())
        started.set()
        loop.run_forever()
        loop.run_until_complete(runner.cleanup())
        loop.close()

    thread = threading.Thread(target=run)
    thread.start()
    started.wait()
    try:
        yield address[0]
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()


def test_many_questions_are_under_way_but_never_more_than_allowed(kit: Any) -> None:
    under_way, most = 0, 0

    async def chat(request: web.Request) -> web.Response:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await request.read()
        await asyncio.sleep(0.02)
        under_way -= 1
        return web.json_response(kit.completion())

    written: list[Response] = []
    with server(chat) as url:
        target = EndpointModel("m", source=kit.FakeSource(), base_url=url, concurrency=5)
        assert target.answer(kit.make_questions(40), written.extend) == 0
    assert len(written) == 40
    assert most == 5


def test_connection_that_breaks_is_tried_again(kit: Any) -> None:
    n_asked = Counter[str]()

    async def chat(request: web.Request) -> web.StreamResponse:
        text = kit.text_of(json.loads(await request.read()))
        n_asked[text] += 1
        if n_asked[text] == 1:
            assert request.transport is not None
            request.transport.close()
        return web.json_response(kit.completion())

    written: list[Response] = []
    with server(chat) as url:
        target = EndpointModel("m", source=kit.FakeSource(), base_url=url, max_retries=2)
        target.answer(kit.make_questions(3), written.extend)
    assert [line.response for line in written] == ["Step back."] * 3
    assert set(n_asked.values()) == {2}


def test_endpoint_that_is_not_there_is_one_sentence(kit: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vlsbench.endpoint._KNOCKS", ())
    target = EndpointModel("m", source=kit.FakeSource(), base_url="http://127.0.0.1:9/v1", max_retries=0)
    with pytest.raises(ModelError, match=r"openai:m at http://127\.0\.0\.1:9/v1: Connection refused \(is it running"):
        target.answer(kit.make_questions(2), lambda _: None)
