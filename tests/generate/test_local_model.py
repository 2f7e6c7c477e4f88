"""A target on this machine: what it is asked, what is kept, and that batches change nothing.

Most of it runs through an engine in memory; tiny models of random weights where transformers itself is tested.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from pydantic import JsonValue

from vlsbench.dataset.pictures import open_picture
from vlsbench.errors import DataError, ModelError, UsageError
from vlsbench.generate.local_model import LocalModel, open_local_model
from vlsbench.generate.transformers_engine import Chat, Generated, OutOfMemoryError, TransformersEngine
from vlsbench.records import Response


class FakeEngine:
    """A model that says what `reply` makes of a question; a batch above `fits` is too large for it."""

    name = "tiny"
    snapshot = "tiny@0123"
    has_vision = True
    weights_sha256: str | None = "0" * 64

    def __init__(
        self,
        reply: Callable[[Chat], Generated] | str = "Step back.",
        *,
        fits: int = 99,
        model_type: str = "qwen2_vl",
        begins_thinking: bool = False,
    ) -> None:
        self.reply = reply
        self.fits = fits
        self.model_type = model_type
        self.begins_thinking = begins_thinking
        self.settings: dict[str, JsonValue] = {"max_new_tokens": 128, "dtype": "float32", "do_sample": False}
        self.batches: list[list[Chat]] = []

    def generate(self, chats: Sequence[Chat]) -> list[Generated]:
        if len(chats) > self.fits:
            raise OutOfMemoryError
        self.batches.append(list(chats))
        return [Generated(self.reply, n_in=9, n_out=3) if isinstance(self.reply, str) else self.reply(c) for c in chats]

    def free_memory(self) -> None:
        pass


def ask(kit: Any, engine: FakeEngine, n: int = 1, condition: str = "image+text", **settings: Any) -> list[Response]:
    written: list[Response] = []
    target = LocalModel(engine, **{"source": kit.FakeSource(), **settings})
    target.answer(kit.make_questions(n, condition), written.extend)
    return sorted(written, key=lambda line: line.instruction_id)


@pytest.mark.parametrize(
    ("family", "kinds"), [("llava", [str, Image.Image]), ("qwen2_vl", [Image.Image, str]), ("new", [Image.Image, str])]
)
def test_order_is_the_authors_for_the_families_they_ran(kit: Any, family: str, kinds: list[type]) -> None:
    engine = FakeEngine(model_type=family)
    (line,) = ask(kit, engine)
    ((chat,),) = engine.batches
    assert all(isinstance(part, kind) for part, kind in zip(chat.user, kinds, strict=True))
    assert (chat.rules, chat.assistant) == ("", None)
    assert line.settings is not None
    assert line.settings.model_dump()["order"] == ("text, image" if family == "llava" else "image, text")


def test_line_holds_all_that_is_known_of_an_answer(kit: Any) -> None:
    (line,) = ask(kit, FakeEngine())
    assert line.model_dump(exclude_none=True) == {
        "instruction_id": 0,
        "condition": "image+text",
        "response": "Step back.",
        "finish_reason": "stop",
        "settings": {
            "max_new_tokens": 128,
            "temperature": 0.0,
            "top_p": 1.0,
            "dtype": "float32",
            "engine": "transformers",
            "order": "image, text",
        },
        "usage": {"prompt_tokens": 9, "completion_tokens": 3},
        "model_snapshot": "tiny@0123",
    }


REPLIES: dict[str, tuple[Generated, bool, dict[str, Any]]] = {
    "cut": (Generated("Step", True), False, {"response": "Step", "finish_reason": "length"}),
    "blank": (Generated(" "), False, {"failure": "response_empty", "finish_reason": "stop"}),
    "thought": (Generated("<think>A cliff.</think>Stop."), False, {"response": "Stop.", "reasoning": "A cliff."}),
    "cut in a thought that the template opened": (
        Generated("A cliff, so", True), True,
        {"failure": "response_empty", "reasoning": "A cliff, so", "finish_reason": "length"},
    ),
    "too long": (
        Generated("", problem="the window is too short"), False,
        {"failure": "response_error", "finish_reason": "the window is too short"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REPLIES)
def test_reply_is_kept_as_what_it_is(kit: Any, name: str) -> None:
    reply, begins_thinking, expected = REPLIES[name]
    (line,) = ask(kit, FakeEngine(lambda _: reply, begins_thinking=begins_thinking))
    assert {field: getattr(line, field) for field in expected} == expected


def test_batches_hold_pictures_or_none_and_the_longest_first(kit: Any) -> None:
    engine = FakeEngine()
    target = LocalModel(engine, source=kit.FakeSource(), batch_size=3)
    target.answer(kit.make_questions(4, "text-only") + kit.make_questions(4), lambda _: None)
    shown = [[any(isinstance(part, Image.Image) for part in chat.user) for chat in batch] for batch in engine.batches]
    assert shown == [[True] * 3, [True], [False] * 3, [False]]
    lengths = [
        len(part) for batch in engine.batches[2:] for chat in batch for part in chat.user if isinstance(part, str)
    ]
    assert lengths == sorted(lengths, reverse=True)


def test_batch_that_does_not_fit_is_halved_and_the_run_goes_on(kit: Any) -> None:
    engine = FakeEngine(fits=2)
    lines = ask(kit, engine, 9, batch_size=9)
    assert [line.instruction_id for line in lines] == list(range(9))
    assert max(len(batch) for batch in engine.batches) == 2


def test_model_that_fits_no_question_is_one_sentence(kit: Any) -> None:
    with pytest.raises(ModelError, match="transformers:tiny: not even one question fits into memory"):
        ask(kit, FakeEngine(fits=0), 2)


def test_question_that_does_not_fit_alone_leaves_no_line_and_is_counted(kit: Any) -> None:
    def reply(chat: Chat) -> Generated:
        if any(isinstance(part, str) and part.count("And then?") == 1 for part in chat.user):
            raise OutOfMemoryError
        return Generated("Step back.")

    written: list[Response] = []
    target = LocalModel(FakeEngine(reply), source=kit.FakeSource(), batch_size=1)
    assert target.answer(kit.make_questions(4), written.extend) == 1
    assert sorted(line.instruction_id for line in written) == [0, 2, 3]


def test_broken_picture_is_named_after_the_others_are_answered(kit: Any) -> None:
    written: list[Response] = []
    target = LocalModel(FakeEngine(), source=kit.FakeSource(broken=[1]), batch_size=2)
    with pytest.raises(DataError, match=r"1 pictures cannot be used.*instruction_id 1"):
        target.answer(kit.make_questions(3), written.extend)
    assert sorted(line.instruction_id for line in written) == [0, 2]


@pytest.mark.parametrize("settings", [{"batch_size": 0}, {"max_side": 0}])
def test_wrong_argument_is_a_sentence(kit: Any, settings: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="at least 1"):
        ask(kit, FakeEngine(), **settings)


# With transformers


@pytest.mark.parametrize("family", ["llava", "qwen2_vl", "gemma3"])
@pytest.mark.parametrize("condition", ["image+text", "text-only", "blank-image"])
def test_batched_greedy_answers_equal_unbatched_ones(
    kit: Any, tiny_model: Callable[[str], Path], family: str, condition: str
) -> None:
    target = open_local_model(str(tiny_model(family)), source=kit.FakeSource(), shows_image=True, max_new_tokens=16)
    questions = [q._replace(text="word " * (7 * q.instruction_id + 1)) for q in kit.make_questions(6, condition)]

    def answers(batch_size: int) -> list[Response]:
        written: list[Response] = []
        target.batch_size = batch_size
        target.answer(questions, written.extend)
        return sorted(written, key=lambda line: line.instruction_id)

    one_by_one = answers(1)
    assert answers(6) == answers(4) == one_by_one
    assert len({line.response for line in one_by_one}) > 1, "random weights, but they read the question"
    assert {line.usage["completion_tokens"] for line in one_by_one if line.usage} == {16}


@pytest.mark.parametrize("family", ["llava", "qwen2_vl"])
def test_image_is_seen(kit: Any, tiny_model: Callable[[str], Path], family: str) -> None:
    target = open_local_model(str(tiny_model(family)), source=kit.FakeSource(), shows_image=True, max_new_tokens=16)
    shown = [q._replace(text="Where?", instruction_id=i) for i in range(5) for q in kit.make_questions(1)]
    written: list[Response] = []
    target.answer(shown, written.extend)
    assert len({line.response for line in written}) > 1


def test_answers_are_those_of_the_authors_loop(kit: Any, tiny_model: Callable[[str], Path]) -> None:
    """`apply_chat_template` and `model.generate`, one sample after the other, as anybody would write it."""
    import torch
    import transformers

    folder, source = tiny_model("llava"), kit.FakeSource()
    target = open_local_model(str(folder), source=source, shows_image=True, max_new_tokens=16)
    written: list[Response] = []
    target.answer(kit.make_questions(5), written.extend)
    processor = transformers.AutoProcessor.from_pretrained(folder)
    model = transformers.AutoModelForImageTextToText.from_pretrained(folder)
    for line in written:
        image = open_picture(source.picture(line.instruction_id))
        text = source.sample(line.instruction_id).instruction
        content = [{"type": "text", "text": text}, {"type": "image", "image": image}]
        inputs = processor.apply_chat_template(
            [{"role": "user", "content": content}],
            add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="pt",
        )  # fmt: skip
        with torch.inference_mode():
            output = model.generate(**inputs, do_sample=False, max_new_tokens=16)
        assert processor.decode(output[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True) == line.response


def test_first_token_that_a_chat_template_leaves_out_is_added_as_transformers_does(tiny: Any, tmp_path: Path) -> None:
    folder = tiny.make_llava(tmp_path / "m", first="<|vs|>")

    def n_tokens(text: str, *, adds_missing_bos: bool) -> int:
        engine = TransformersEngine(str(folder), max_new_tokens=4, adds_missing_bos=adds_missing_bos)
        return int(engine._encode([Chat("", (text,))])["input_ids"].shape[1])

    assert n_tokens("hello", adds_missing_bos=True) == n_tokens("hello", adds_missing_bos=False) + 1


def test_marks_of_thoughts_that_are_special_tokens_stay_in_the_text(tiny: Any, tmp_path: Path) -> None:
    import transformers

    folder = tiny.make_llm(tmp_path / "m", template=f"{tiny.CHAT_TEMPLATE}[THINK]")
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    before = TransformersEngine(str(folder), max_new_tokens=4, shows_image=False)
    tokenizer.add_tokens(["[THINK]", "[/THINK]"], special_tokens=True)
    tokenizer.save_pretrained(folder)
    engine = TransformersEngine(str(folder), max_new_tokens=4, shows_image=False)
    ids = tokenizer.encode("[THINK]I can[/THINK]Step<|im_start|> back.", add_special_tokens=False)
    assert engine._read_row(ids, 9).text == "[THINK]I can[/THINK]Step back."
    ids = tokenizer.encode("Step<|im_start|> back.", add_special_tokens=False)
    assert engine._read_row(ids, 9).text == before._read_row(ids, 9).text == "Step back."
    assert engine.begins_thinking, "the template ends with the mark"


BAD_MODELS: dict[str, tuple[str, dict[str, Any], str]] = {
    "no vision for an image": ("llm", {"shows_image": True}, r"reads text only and a condition shows an image; use "
                               r"--condition text-only or caption, or a model with vision"),
    "no bitsandbytes": ("llm", {"shows_image": False, "quantization": "bnb-4bit"},
                        "--quantization bnb-4bit needs bitsandbytes"),
    "unknown quantisation": ("llm", {"shows_image": False, "quantization": "int3"}, "'int3' is not known; known: bnb"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD_MODELS)
def test_model_that_cannot_serve_is_one_sentence(kit: Any, tiny_model: Any, name: str) -> None:
    family, settings, message = BAD_MODELS[name]
    with pytest.raises(ModelError, match=message) as caught:
        open_local_model(str(tiny_model(family)), source=kit.FakeSource(), **settings)
    assert "\n" not in str(caught.value)


def test_model_without_vision_answers_text(kit: Any, tiny_model: Any) -> None:
    target = open_local_model(str(tiny_model("llm")), source=kit.FakeSource(), shows_image=False, max_new_tokens=4)
    written: list[Response] = []
    target.answer(kit.make_questions(3, "text-only"), written.extend)
    assert len(written) == 3


def test_device_map_is_passed_through(kit: Any, tiny_model: Any) -> None:
    folder, source = str(tiny_model("llm")), kit.FakeSource()
    target = open_local_model(folder, source=source, shows_image=False, max_new_tokens=4, device_map="cpu")
    assert target.answer(kit.make_questions(1, "text-only"), lambda _: None) == 0
    with pytest.raises(ModelError, match=r"cannot be loaded: .*nowhere"):
        open_local_model(folder, source=source, shows_image=False, device_map="nowhere")


def test_question_beyond_the_window_is_that_samples_failure(kit: Any, tiny: Any, tmp_path: Path) -> None:
    folder = tiny.make_llm(tmp_path / "short", size=tiny.Size(window=64))
    target = open_local_model(str(folder), source=kit.FakeSource(), shows_image=False, max_new_tokens=8)
    short, long = kit.make_questions(2, "text-only")
    written: list[Response] = []
    target.answer([short._replace(text="hi"), long._replace(text="word " * 80)], written.extend)
    lines = {line.instruction_id: line for line in written}
    assert lines[0].response is not None
    assert lines[1].failure == "response_error"
    assert "with 8 for the reply the model's window of 64" in (lines[1].finish_reason or "")


def test_missing_extra_is_one_sentence(kit: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ModelError, match=r"needs the extra 'local' .* pip install 'vlsbench\[local\]'"):
        open_local_model("org/model", source=kit.FakeSource(), shows_image=False)
