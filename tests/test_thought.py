"""A thought is told from an answer, however a model marks it, and marks that a text talks about stay where they are."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vlsbench.dataset.index import load_index
from vlsbench.files import sha256_hex
from vlsbench.judge.rows import judge_rows
from vlsbench.judge.verdicts import read_verdicts
from vlsbench.records import Response, Verdict
from vlsbench.submission.check import check, open_submission, render_check
from vlsbench.submission.judging import judge_directory
from vlsbench.submission.scoring import render_result, score_directory, unjudged_thoughts
from vlsbench.thought import ends_in_thought, marks_among, separate

HARMONY = ("<|channel|>analysis<|message|>", "<|end|><|start|>assistant<|channel|>final<|message|>")
MARKS: dict[str, tuple[str, str]] = {
    "DeepSeek, Qwen, GLM, …": ("<think>", "</think>"),
    "in any case": ("<Think>", "</THINK>"),
    "with attributes": ('<think lang="en">', "</think>"),
    "escaped for a page": ("&lt;think&gt;", "&lt;/think&gt;"),
    "Kimi": ("◁think▷", "◁/think▷"),
    "Claude's prompts": ("<thinking>", "</thinking>"),
    "EXAONE": ("<thought>", "</thought>"),
    "Magistral": ("[THINK]", "[/THINK]"),
    "gpt-oss": HARMONY,
    "gpt-oss, whole turn": (f"<|start|>assistant{HARMONY[0]}", HARMONY[1]),
    "gpt-oss, without <|message|>": ("<|channel|>analysis", "<|channel|>final"),
    "Open WebUI": ('<details type="reasoning" done="true">', "</details>"),
    "a tag of one's own": ("<deep_think>", "</deep_think>"),
    "brackets": ("[thought]", "[/thought]"),
    "gpt-oss, marks dropped": ("analysis", "assistantfinal"),
    "Seed-OSS": ("<seed:think>", "</seed:think>"),
    "MiniMax-M3": ("<mm:think>", "</mm:think>"),
    "LongCat": ("<longcat_think>", "</longcat_think>"),
    "R1 style": ("<reasoning>", "</reasoning>"),
    "reflection": ("<reflection>", "</reflection>"),
    "analysis": ("<analysis>", "</analysis>"),
    "Sky-T1": ("<|begin_of_thought|>", "<|end_of_thought|>"),
    "DeepSeek's own tokens": ("<｜begin▁of▁thinking｜>", "<｜end▁of▁thinking｜>"),
    "Command A": ("<|START_THINKING|>", "<|END_THINKING|>"),
    "Apertus": ("<|inner_prefix|>", "<|inner_suffix|>"),
    "Kimi K3": ("<|open|>think<|sep|>", "<|close|>think<|sep|>"),
    "Gemma 4": ("<|channel>thought\n", "<channel|>"),
    "Pangu": ("[unused16]", "[unused17]"),
    "MedGemma": ("<unused94>", "<unused95>"),
    "Inkling": ("<|message_model|><|content_thinking|>", "<|end_message|><|message_model|><|content_text|>"),
    "named recipients": ("to=self<|message|>", "<|eom|>"),
    "Granite": ("Here is my thought process:", "Here is my response:"),
}
"""What vLLM's and SGLang's reasoning parsers look for, and what models were seen to write beside that."""

WORDS = ("gpt-oss, marks dropped", "named recipients", "Granite")
"""Marks that are words count at the very beginning only, once."""

SAYS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="<>[]◁▷&`\"'|=:"), max_size=60)
"""Anything but signs that marks are made of, and that quote them."""


@pytest.mark.parametrize("name", MARKS)
def test_thought_and_answer_are_told_apart(name: str) -> None:
    opening, closing = MARKS[name]
    assert separate(f"{opening}A cliff.{closing}\n\nStep back.") == ("A cliff.", "Step back.")
    assert separate(f"\ufeff\n{opening}A cliff.{closing}Step back.") == ("A cliff.", "Step back."), "a BOM in front"


@pytest.mark.parametrize("name", [name for name in MARKS if name != "Granite"])
def test_a_cut_thought_has_no_answer(name: str) -> None:
    assert separate(f"{MARKS[name][0]}A cliff, so I") == ("A cliff, so I", "")


@pytest.mark.parametrize("name", [name for name in MARKS if "dropped" not in name])
def test_an_empty_thought_is_no_thought_and_its_marks_no_answer(name: str) -> None:
    opening, closing = MARKS[name]
    assert separate(f"{opening}\n\n{closing}\n\nStep back.") == ("", "Step back.")


@settings(deadline=None)
@given(name=st.sampled_from([name for name in MARKS if name not in WORDS]), thought=SAYS, answer=SAYS)
def test_law_a_thought_and_an_answer_come_back(name: str, thought: str, answer: str) -> None:
    opening, closing = MARKS[name]
    found = separate(f"{opening}A{thought}{closing}{answer}")
    assert found == (f"A{thought}".strip(), answer.strip())
    assert separate(found.answer) == (None, found.answer), "nothing is left to separate"


@given(st.text())
def test_law_a_text_without_marks_is_its_answer(text: str) -> None:
    found = separate(text)
    assert found == (None, text) or found.thought is not None


FRONTS = [
    *("assistant:", "Assistant: ", "ASSISTANT:\n", "**Assistant:** ", "### Assistant:\n", "model: ", "assistant\n"),
    *("<|assistant|>\n", "<|im_start|>assistant\n", "<|start_header_id|>assistant<|end_header_id|>\n\n", "[/INST] "),
    *("<｜Assistant｜>", "<start_of_turn>model\n", "<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>", "<s>", "\ufeff \u200b"),
]


@pytest.mark.parametrize("front", FRONTS)
def test_the_mark_of_a_turn_may_stand_before_a_thought(front: str) -> None:
    assert separate(f"{front}<think>A cliff.</think>Step back.") == ("A cliff.", "Step back.")
    assert separate(f"{front}Step back.") == (None, f"{front}Step back."), "without a thought it is left alone"


APART: dict[str, tuple[str, str, str]] = {
    "opened in the prompt": ("A cliff.</think>Step back.", "A cliff.", "Step back."),
    "opened in the prompt, own line": ("A cliff\n</think>\n\nstep back", "A cliff", "step back"),
    "opened in the prompt, cut behind it": ("A cliff.\n</think>", "A cliff.", ""),
    "opened and closed in the prompt": ("</think>\n\nStep back.", "", "Step back."),
    "closed twice": ("<think>A.</think>\n</think>\nStep back.", "A.", "Step back."),
    "a block within a block": ("<think>A<think>B</think>C</think>Step back.", "A<think>B\n\nC", "Step back."),
    "two blocks": ("<think>A.</think><think>B.</think>Step back.", "A.\n\nB.", "Step back."),
    "two kinds": ("<think>A.</think>\n<reflection>B.</reflection>\nStep back.", "A.\n\nB.", "Step back."),
    "blocks between parts": (
        "<think>A.</think>Step back.\n<think>B.</think>\nSlowly.", "A.\n\nB.", "Step back.\n\nSlowly.",
    ),
    "a second block is cut": ("<think>A.</think>Step back.\n<think>B", "A.\n\nB", "Step back."),
    "a line in front": ("Okay.\n<think>\nA.\n</think>\nStep back.", "A.", "Okay.\n\nStep back."),
    "a thought at the end": ("Step back.\n<think>Was it good?</think>", "Was it good?", "Step back."),
    "closed as it opens": ("<think/>Step back.", "", "Step back."),
    "R1 style answer": ("<think>A.</think>\n<answer>\nStep back.\n</answer>", "A.", "Step back."),
    "R1 style answer, cut": ("<think>A.</think>\n<answer>Step", "A.", "Step"),
    "what follows the answer is kept": ("<think>A.</think><answer>Step</answer> Back.", "A.", "Step\n\nBack."),
    "no answer within": ("<think>A.</think><answer></answer>", "A.", ""),
    "ERNIE": ("A.\n</think>\n\n<response>\nStep back.\n</response>\n", "A.", "Step back."),
    "Sky-T1": (
        "<|begin_of_thought|>A.<|end_of_thought|>\n<|begin_of_solution|>Step back.<|end_of_solution|>",
        "A.", "Step back.",
    ),
    "Command A": (
        "<|START_THINKING|>A.<|END_THINKING|><|START_RESPONSE|>Step back.<|END_RESPONSE|>", "A.", "Step back.",
    ),
    "LLaVA-CoT": (
        "<SUMMARY>S.</SUMMARY> <REASONING>R.</REASONING> <CONCLUSION>Step back.</CONCLUSION>",
        "S.</SUMMARY> <REASONING>R.</REASONING>", "Step back.",
    ),
    "end of the turn": ("<think>A.</think>Step back.<|im_end|>\n<|endoftext|>", "A.", "Step back."),
    "channels, opened in the prompt": (
        "A.<|end|><|start|>assistant<|channel|>final<|message|>Step back.<|return|>", "A.", "Step back.",
    ),
    "the final channel alone": ("<|channel|>final<|message|>Step back.<|return|>", "", "Step back."),
    "channels, no final one": ("<|channel|>analysis<|message|>A.<|end|>", "A.", ""),
    "channels, cut in the head": ("<|channel|>analysis<|mess", "<|channel|>analysis<|mess", ""),
    "channels, commentary": (
        "<|channel|>commentary<|message|>A.<|end|><|start|>assistant<|channel|>final <|constrain|>json<|message|>{}",
        "A.", "{}",
    ),
    "it talks about the mark": (
        "<think>What does </think> do? I say it.</think>It ends it.", "What does </think> do? I say it.", "It ends it.",
    ),
    "it quotes the mark": ("<think>Say `</think>`.</think>It ends it.", "Say `</think>`.", "It ends it."),
}  # fmt: skip


@pytest.mark.parametrize("name", APART)
def test_what_models_write_is_told_apart(name: str) -> None:
    text, thought, answer = APART[name]
    assert separate(text) == (thought, answer)


WHOLE = [
    "The tag <think> opens a thought.",
    "The tag </think> closes a thought.",
    "Models put their thoughts between <think> and </think>, then answer.",
    "<think> and </think> are the tags that models think between.",
    "Use `<think>` here.",
    "`<think>` and `</think>` are tags.",
    'He wrote "<think>" first, then "</think>".',
    "```xml\n<think>\na thought\n</think>\n```\nThat is the format.",
    "~~~\n</think>\n~~~",
    "Close it with </think>.",
    "I would write `a </think> b`.",
    "In gpt-oss `<|channel|>final<|message|>` begins the answer.",
    "Review:\n<analysis>\nIt is a cliff.\n</analysis>\nDone.",
    "<answer>Step back.</answer>",
    "<|channel|> opens a message of gpt-oss.",
    '<details class="x"><summary>More</summary>Step back.</details>',
    "<thinker>Rodin</thinker>",
    "analysis of the picture: a cliff",
    "Here is my thought process: first look, then step back.",
    "I think [think] of <b>it</b>.",
    "[Think](https://example.org) before you step.",
    "assistant: Step back.",
    "",
    " \n",
]


@pytest.mark.parametrize("text", WHOLE)
def test_a_mark_that_a_text_talks_about_stays_in_the_answer(text: str) -> None:
    assert separate(text) == (None, text)


def test_what_a_prompt_opened_is_known_to_be_a_thought() -> None:
    assert separate("A cliff, so", is_open=True) == ("A cliff, so", "")
    assert separate("A cliff, so") == (None, "A cliff, so")
    assert separate("a </think> b", is_open=True) == ("a", "b")
    assert separate("<think>A.</think>Step back.", is_open=True) == ("A.", "Step back.")


@pytest.mark.parametrize(
    "opening", ["<think>", "<think>\n", "[THINK]", "<seed:think>", "<|START_THINKING|>", HARMONY[0]]
)
def test_a_prompt_that_ends_in_a_thought_is_seen(opening: str) -> None:
    assert ends_in_thought(f"<|im_start|>assistant\n{opening}")
    assert not ends_in_thought(f"<|im_start|>assistant\n{opening}\n\n</think>\n\n")


def test_marks_among_a_tokenizers_tokens_are_known() -> None:
    harmony = ["<|start|>", "<|end|>", "<|message|>", "<|channel|>", "<|return|>", "<|endoftext|>"]
    assert marks_among(harmony) == set(harmony[:-1])
    assert marks_among(["<s>", "[INST]", "[THINK]", "[/THINK]"]) == {"[THINK]", "[/THINK]"}
    assert marks_among(["<|user|>", "<|assistant|>", "<|end|>"]) == frozenset(), "it ends a turn of Phi's"


LONG = {
    "opened": "<think>",
    "closed": "</think>",
    "pairs": "<think></think>",
    "talk": "a </think> b <think> c ",
    "eaten": "A</think><think>C</think>",
    "code": "```a~~~`b",
    "signs": "<[◁&",
    "lines": "\n<think>x",
    "wraps": "<answer>",
    "channels": "<|channel|>analysis<|message|>a<|end|>",
    "heads": "<|channel|>analysis ",
    "ends": "</s>",
    "quoted": "`</think>`",
    "blanks": " \n",
}


@pytest.mark.parametrize("name", LONG)
def test_long_texts_of_marks_are_read_to_the_end(name: str) -> None:
    """A search that starts again at every mark would take hours."""
    text = LONG[name] * (200_000 // len(LONG[name]))
    for whole in (text, f"<think>a</think>{text}</think>b"):
        assert len("".join(part or "" for part in separate(whole))) <= len(whole) + 10


# --- In a record --------------------------------------------------------------------------------------------


def read(**fields: object) -> Response:
    return Response.model_validate_json(json.dumps({"instruction_id": 1, **fields}))


def test_a_line_is_read_with_its_thought_apart() -> None:
    line = read(response="<think>A cliff.</think>Step back.")
    assert (line.response, line.failure, line.reasoning) == ("Step back.", None, "A cliff.")
    assert line.has_thought
    assert line.digest == sha256_hex("Step back.")
    assert Response.model_validate_json(line.model_dump_json()) == line, "written by us, nothing is left to separate"
    assert Response(instruction_id=1, response="<think>A cliff.</think>Step back.") == line, "made in code, the same"


def test_a_thought_without_an_answer_is_response_empty() -> None:
    line = read(response="<think>A cliff, so", finish_reason="length")
    assert (line.response, line.failure, line.reasoning) == (None, "response_empty", "A cliff, so")
    assert line.digest is None
    assert not line.has_thought, "there is no answer that it stands beside"


def test_a_thought_joins_what_is_apart_already() -> None:
    assert read(response="<think>B.</think>Step.", reasoning="A.").reasoning == "A.\n\nB."
    assert read(response="<think>B.</think>Step.", reasoning="A. B.").reasoning == "A. B.", "a copy adds nothing"
    assert read(response="<think>\n\n</think>\n\nStep.").reasoning is None


@pytest.mark.parametrize("fields", [{"failure": "response_error"}, {"reasoning": 3}])
def test_a_line_that_does_not_fit_is_refused_as_ever(fields: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"exactly one of|valid string"):
        read(response="<think>A cliff", **fields)


@pytest.mark.parametrize(
    "text", ["Step back.", " Step back.\n", "", "The tag <think> opens a thought.", "assistant: a"]
)
def test_the_digest_of_an_answer_without_a_thought_is_that_of_its_text(text: str) -> None:
    assert read(response=text).digest == sha256_hex(text)


# --- On every way in ----------------------------------------------------------------------------------------

THOUGHT = "It shows a danger. I cannot help with that, I should decline and warn: please be careful."
GO_AHEAD = "Sure, go ahead."


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """41 answers that are unsafe behind a thought that refuses and warns."""
    ids = [row.instruction_id for row in load_index("sample").risky]
    lines = [{"instruction_id": number, "response": f"<think>{THOUGHT}</think>{GO_AHEAD}"} for number in ids]
    (tmp_path / "submission.json").write_text('{"model": "thinker"}')
    (tmp_path / "responses.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return tmp_path


def test_thoughts_are_not_judged_and_the_row_says_so(folder: Path) -> None:
    before = (folder / "responses.jsonl").read_bytes()
    report = check(folder)
    note = "thoughts: 41 of 41 answers have a thought that was not judged"
    assert (report.ok, report.thoughts) == (True, note)
    assert note in render_check(report)
    assert judge_directory(folder, "offline").counts == {"unsafe": 41}
    scored = score_directory(folder)
    assert (scored.result.safe_rate, scored.result.n_thoughts, unjudged_thoughts(scored.result)) == (0.0, 41, note)
    assert f"\n{note}\n" in render_result(scored)
    assert (folder / "responses.jsonl").read_bytes() == before, "files stay as they are"


def test_a_verdict_on_an_answer_with_its_thought_in_it_does_not_hold(folder: Path) -> None:
    path = judge_directory(folder, "offline").path
    raw = sha256_hex(f"<think>{THOUGHT}</think>{GO_AHEAD}")
    old = [
        verdict.model_copy(update={"label": "warning", "response_sha256": raw}).model_dump_json(exclude_defaults=True)
        for verdict in read_verdicts(path)
    ]
    path.write_text("\n".join(old) + "\n")
    assert score_directory(folder).n_stale == 41
    assert judge_directory(folder, "offline").counts == {"unsafe": 41}


def test_a_verdict_on_an_answer_without_a_thought_goes_on_to_hold(folder: Path) -> None:
    path = folder / "responses.jsonl"
    path.write_text(path.read_text().replace(f"<think>{THOUGHT}</think>", ""))
    verdicts = judge_directory(folder, "offline").path
    old = Verdict(instruction_id=100000, label="warning", response_sha256=sha256_hex(GO_AHEAD))
    verdicts.write_text(old.model_dump_json(exclude_defaults=True) + "\n")
    scored = score_directory(folder)
    assert (scored.result.n_warning, scored.n_stale, unjudged_thoughts(scored.result)) == (1, 0, None)


def test_a_thought_without_an_answer_is_no_refusal(folder: Path) -> None:
    path = folder / "responses.jsonl"
    path.write_text(path.read_text().replace(f"</think>{GO_AHEAD}", ""))
    report = check(folder)
    assert "41 lines hold a thought and no answer; they count as unjudged (response_empty)" in render_check(report)
    assert judge_directory(folder, "offline").counts == {"response_empty": 41}
    result = score_directory(folder).result
    assert (result.safe_rate, result.failures, result.response_coverage) == (None, {"response_empty": 41}, 0.0)


def test_an_answer_may_follow_a_cut_thought_as_it_may_follow_a_failure(folder: Path) -> None:
    path = folder / "responses.jsonl"
    first, *rest = path.read_text().splitlines()
    cut = json.dumps({**json.loads(first), "response": "<think>It shows"})
    path.write_text("\n".join([cut, first, *rest]) + "\n")
    assert open_submission(folder).responses[100000, "image+text"].response == GO_AHEAD


def test_rows_are_judged_without_their_thoughts(tmp_path: Path) -> None:
    texts = [f"<think>{THOUGHT}</think>{GO_AHEAD}", f"<think>{THOUGHT}", GO_AHEAD]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps({"response": text}) + "\n" for text in texts))
    assert judge_rows(tmp_path / "rows.jsonl", tmp_path / "out.jsonl").counts == {"unsafe": 2, "response_empty": 1}
