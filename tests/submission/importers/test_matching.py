"""Ids are believed only as far as the file's other evidence agrees.

The files answer an invented dataset with the release's faults (`benchmarks/wrong_samples.py`), whose sentences may be
written here; one test at the end holds the same against the release itself, where it is at hand.
"""

from __future__ import annotations

import json
import random
import sys
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[3] / "benchmarks"))

from wrong_samples import Pair, invented_dataset, invented_pairs, said  # type: ignore[import-not-found]

from vlsbench.dataset.index import load_index
from vlsbench.dataset.source import open_source
from vlsbench.errors import UsageError
from vlsbench.submission.importers import texts
from vlsbench.submission.importers.cells import cells_of
from vlsbench.submission.importers.formats import ImportReport, render_import
from vlsbench.submission.importers.matching import Asked, match_one
from vlsbench.submission.importers.rows import Row, Said

Import = Callable[..., ImportReport]
Lines = Callable[[], list[dict[str, Any]]]


@pytest.fixture(scope="module")
def pairs() -> Iterator[Sequence[Pair]]:
    found = invented_pairs(700)
    with invented_dataset(found):
        yield found


@pytest.fixture
def first(pairs: Sequence[Pair]) -> list[Pair]:
    """The first hundred, none of which shares its text with another sample."""
    counts = [pair.text for pair in pairs]
    return [pair for pair in pairs[:130] if counts.count(pair.text) == 1][:100]


@pytest.fixture
def release(pairs: Sequence[Pair], tmp_path: Path) -> Path:
    """The invented dataset on disk, as `--data` takes it."""
    folder = tmp_path / "release"
    (folder / "imgs").mkdir(parents=True)
    records = [
        {
            "instruction_id": p.number,
            "instruction": p.text,
            "image_path": f"imgs/{p.image}.png",
            "category": p.category,
            "sub_category": p.sub_category,
            "source": "invented",
            "image_description": "x",
            "safety_reason": "x",
        }
        for p in pairs
    ]
    for record in records:
        (folder / str(record["image_path"])).touch()
    (folder / "data.json").write_text(json.dumps(records), encoding="utf-8")
    return folder


def right(lines: list[dict[str, Any]], chosen: Sequence[Pair]) -> bool:
    """Say whether every answer is there, under its own sample."""
    return {line["instruction_id"]: line["response"] for line in lines} == {p.number: said(p) for p in chosen}


def shuffled(items: Sequence[Any]) -> list[Any]:
    return random.Random(3).sample(list(items), len(items))


# --- What was filed under the wrong sample --------------------------------------------------------------------------


@pytest.mark.parametrize("column", ["prompt", "question", "query", "Some Column"])
@pytest.mark.parametrize("wrapper", ["{}", "Question: {}", "USER: <image>\n{} ASSISTANT:"])
def test_ids_that_count_from_one_are_told_by_the_prompts(
    bring: Import, written: Lines, pairs: Sequence[Pair], column: str, wrapper: str
) -> None:
    rows = [{"id": p.number + 1, column: wrapper.format(p.text), "response": said(p)} for p in pairs[:300]]
    report = bring(rows)
    assert (report.problems, report.n_compared) == ((), 300)
    assert "'id' counts the rows of the release from 1, as the texts say" in report.notes
    assert right(written(), pairs[:300])


def test_shuffled_rows_are_found_by_their_prompts(bring: Import, written: Lines, first: list[Pair]) -> None:
    chosen = shuffled(first)
    report = bring([{"id": n, "prompt": p.text, "response": said(p)} for n, p in enumerate(chosen)])
    assert (report.problems, report.n_by_text) == ((), 100)
    assert "100 rows found by the text in 'prompt'; no instruction_id: 'id', which looks like row numbers (0..99)" in (
        report.notes
    )
    assert right(written(), chosen)


def test_a_shuffled_file_with_images_and_categories_is_refused_by_them(bring: Import, pairs: Sequence[Pair]) -> None:
    rows = [
        {"id": n, "image_path": f"imgs/{p.image}.png", "category": p.category, "response": said(p)}
        for n, p in enumerate(shuffled(pairs))
    ]
    (problem,) = bring(rows).problems
    assert "'id', which looks like row numbers (0..699), is not the instruction_id: 69" in problem
    assert "'image_path' says image" in problem
    assert "A column with the prompts would find the samples" in problem


@pytest.mark.parametrize("base", [0, 1])
@pytest.mark.parametrize("name", ["id", "index", "question_id", "idx", "qid", "sample_id", "Question ID"])
def test_an_id_with_nothing_to_compare_is_refused_with_the_ways_out(
    bring: Import, first: list[Pair], name: str, base: int
) -> None:
    (problem,) = bring([{name: n + base, "response": said(p)} for n, p in enumerate(first)]).problems
    assert f"nothing tells that '{name}', which looks like row numbers ({base}..{base + 99})" in problem
    assert "--data" in problem
    assert "--trust-ids" in problem


def test_a_row_number_beside_the_true_id_is_not_taken_for_it(bring: Import, written: Lines, first: list[Pair]) -> None:
    rows = [{"index": n, "question_id": p.number, "response": said(p)} for n, p in enumerate(shuffled(first))]
    (problem,) = bring(rows).problems
    assert "'index', which looks like row numbers (0..99), or 'question_id' is the instruction_id" in problem
    (problem,) = bring(rows, asked=Asked(trusts_ids=True)).problems
    assert "--trust-ids: 'index', 'question_id' hold different numbers; --id-column names" in problem
    (problem,) = bring(rows, asked=Asked(id_column="question_id")).problems
    assert "--trust-ids" in problem, "to name a column is not to vouch for it"
    assert bring(rows, asked=Asked(id_column="question_id", trusts_ids=True)).ok
    assert right(written(), first)
    told = [row | {"prompt": p.text} for row, p in zip(rows, shuffled(first), strict=True)]
    report = bring(told, out="told")
    assert (report.ok, report.n_by_text) == (True, 0), "the prompts tell which of the two it is"


REFERENCES = [
    ({"answer": "GOLD", "model_output": "said"}, "said"),
    ({"answer": "GOLD", "pred": "it said"}, "it said"),
    ({"answer": "GOLD", "prediction": "it said"}, "it said"),
    ({"answer": "GOLD", "prediction": "No"}, None),  # one word: what a classifier made of the answer, as likely
    ({"answer": "GOLD", "pred": "1"}, None),
    ({"answer": "GOLD", "output": "said"}, None),
    ({"answer": "GOLD", "response": "said"}, None),
    ({"response": "GOLD", "prediction": "said"}, None),
    ({"output": "GOLD", "prediction": "said"}, None),
    ({"model_answer": "one", "generated_text": "another"}, None),
    *(({gold: "GOLD", "response": "said"}, "said") for gold in ("label", "gold", "reference", "target", "expected")),
    *(({gold: "GOLD", "answer": "said"}, "said") for gold in ("ground_truth", "chosen", "expected_output", "gt")),
    ({"response": "", "prediction": "said"}, "said"),
    ({"response": None, "output": "said"}, "said"),
    ({"response": "said", "prediction": "said"}, "said"),
    ({"text": "a prompt of another benchmark", "response": "said"}, "said"),
    ({"conversations": [{"from": "human", "value": "x"}, {"from": "gpt", "value": "said"}]}, "said"),
    ({"messages": [{"role": "user", "content": "x"}], "response": "said"}, "said"),
    ({"messages": [{"role": "assistant", "content": "GOLD"}], "response": "said"}, None),
    ({"messages": [{"role": "assistant", "content": "said"}], "response": "said"}, "said"),
    ({"response": "zero", "final_answer": "said"}, None),
    ({"final_answer": "said"}, "said"),
    ({"Model Response": "said"}, "said"),
    *(({name: "said"}, "said") for name in ("resp", "completion", "generation", "text", "output", "PRED")),
]


@pytest.mark.parametrize(("columns", "answer"), REFERENCES, ids=["+".join(columns) for columns, _ in REFERENCES])
def test_a_reference_is_never_the_answer(
    bring: Import, written: Lines, pairs: Sequence[Pair], columns: dict[str, Any], answer: str | None
) -> None:
    report = bring([{"instruction_id": 0, **columns}])
    if answer is None:
        (problem,) = report.problems
        assert "could be the answer, and they differ; --response-column names" in problem
        assert all(repr(name) in problem for name in columns)
        assert bring([{"instruction_id": 0, **columns}], asked=Asked(response_column=[*columns][-1])).ok
    else:
        assert report.problems == ()
        assert [line["response"] for line in written()] == [answer]


@pytest.mark.parametrize("gold", ["label", "gold", "reference", "target", "ground_truth", "expected", "chosen"])
def test_a_reference_alone_is_no_answer(bring: Import, pairs: Sequence[Pair], gold: str) -> None:
    (problem,) = bring([{"instruction_id": 0, gold: "GOLD"}]).problems
    assert "no column for the answer" in problem


@pytest.mark.parametrize("wrapper", ["{}", "Question: {}"])
@pytest.mark.parametrize("name", ["response", "output", "text"])
def test_a_column_of_the_benchmarks_instructions_is_never_the_answer(
    bring: Import, written: Lines, first: list[Pair], name: str, wrapper: str
) -> None:
    rows = [{"instruction_id": p.number, name: wrapper.format(p.text), "words": said(p)} for p in first]
    (problem,) = bring(rows).problems
    assert f"no column for the answer: '{name}' holds the instructions" in problem
    (problem,) = bring(rows, asked=Asked(response_column=name)).problems
    assert "holds the instructions, not what a model said" in problem
    assert bring(rows, asked=Asked(response_column="words")).ok
    assert right(written(), first)


def test_the_answer_file_of_llava_is_read(bring: Import, written: Lines, first: list[Pair]) -> None:
    rows = [
        {"question_id": n, "prompt": p.text, "text": said(p), "answer_id": "aB3", "model_id": "llava", "metadata": {}}
        for n, p in enumerate(first)
    ]
    report = bring(rows)
    assert (report.problems, report.n_compared) == ((), 100)
    assert right(written(), first)


def test_an_image_id_is_an_images_and_never_a_samples(bring: Import, pairs: Sequence[Pair]) -> None:
    rows = [{"image_id": p.image, "response": said(p)} for p in pairs]
    (problem,) = bring(rows).problems
    assert "no column for an id" in problem


def test_an_inspect_log_with_ids_of_its_own_is_told_by_its_prompts(
    bring: Import, written: Lines, inspect_logs: dict[str, Path]
) -> None:
    report = bring(inspect_logs["numbered.eval"])
    assert (report.problems, report.n_compared) == ((), 6)
    answers = {line["instruction_id"]: line.get("response") or line["failure"] for line in written()}
    assert answers[100000].startswith("I see a table.")
    assert (answers[100002], answers[100005], answers[100004]) == ("cut of", "Yes.", "response_error")


# --- What contradicts -----------------------------------------------------------------------------------------------


def test_an_instruction_id_is_believed_where_nothing_contradicts_it(
    bring: Import, written: Lines, first: list[Pair]
) -> None:
    rows = [{"instruction_id": p.number, "response": said(p)} for p in first]
    report = bring(rows)
    assert (report.ok, report.n_not_compared) == (True, 100)
    assert right(written(), first)


CONTRADICTIONS: list[tuple[str, Callable[[Pair, Pair], dict[str, Any]], str]] = [
    ("another sample's prompt", lambda p, o: {"prompt": o.text}, "has another text in the release"),
    ("another's, wrapped", lambda p, o: {"x": f"Question: {o.text}\nAnswer:"}, "this text is that of instruction_id"),
    ("another image", lambda p, o: {"image_path": f"imgs/{o.image}.png"}, "says image"),
    ("another image's number", lambda p, o: {"image_id": o.image}, "says image"),
    ("another category", lambda p, o: {"category": o.category}, "'category' says"),
    ("two prompts", lambda p, o: {"prompt": p.text, "question": o.text}, "hold the instructions of different samples"),
    ("nobody's text", lambda p, o: {"instruction": "Is this a table?"}, "is no instruction of VLSBench"),
]


@pytest.mark.parametrize(("why", "cells", "words"), CONTRADICTIONS, ids=[row[0] for row in CONTRADICTIONS])
@pytest.mark.parametrize("asked", [Asked(), Asked(trusts_ids=True)], ids=["", "trusted"])
def test_a_contradiction_is_held_against_an_instruction_id(
    bring: Import,
    pairs: Sequence[Pair],
    why: str,
    cells: Callable[[Pair, Pair], dict[str, Any]],
    words: str,
    asked: Asked,
) -> None:
    own = pairs[5]
    other = next(p for p in pairs[40:] if p.category != own.category and p.image != own.image)
    report = bring([{"instruction_id": own.number, **cells(own, other), "response": "x"}], asked=asked)
    assert report.n_problems == 1, why
    assert words in report.problems[0]


def test_a_tool_that_mends_the_releases_odd_categories_is_not_refused(bring: Import, pairs: Sequence[Pair]) -> None:
    rows = [{"id": p.number, "prompt": p.text, "category": p.category, "response": "x"} for p in pairs]
    for n in (20, 200):
        rows[n]["category"] = next(p.category for p in pairs if p.category != rows[n]["category"])
    report = bring(rows)
    assert report.problems == ()
    assert "2 rows with the text of the sample and another category" in report.notes


def test_text_that_decides_is_named_by_the_user(bring: Import, written: Lines, first: list[Pair]) -> None:
    rows = [
        {"instruction_id": o.number, "prompt": p.text, "shown": o.text, "response": said(p)}
        for p, o in zip(first, shuffled(first), strict=True)
    ]
    assert bring(rows).n_problems > 90
    assert bring(rows, asked=Asked(id_column="instruction_id", text_column="prompt")).n_problems > 90
    report = bring(rows, asked=Asked(text_column="prompt"))
    assert (report.ok, report.n_by_text) == (True, 100)
    assert right(written(), first)
    assert bring(rows, asked=Asked(text_column="shown"), out="other").ok, "it agrees with the ids"
    (problem,) = bring(rows, asked=Asked(text_column="response"), out="none").problems
    assert "no column for the answer" in problem


def test_ids_that_most_prompts_agree_with_are_not_left_for_the_others(bring: Import, first: list[Pair]) -> None:
    chosen = [p for p in first if p.number % 3]
    rows = [{"id": p.number, "prompt": p.text, "response": said(p)} for p in chosen]
    rows[4]["prompt"], rows[9]["prompt"] = rows[9]["prompt"], rows[4]["prompt"]
    report = bring(rows)
    assert report.n_problems == 2
    assert f"this text is that of instruction_id {chosen[9].number}" in report.problems[0]


def test_rows_that_were_left_out_before_they_were_counted_are_found_by_their_prompts(
    bring: Import, written: Lines, first: list[Pair]
) -> None:
    chosen = [p for n, p in enumerate(first) if n not in (60, 61, 90)]
    rows = [{"id": n, "prompt": p.text, "response": said(p)} for n, p in enumerate(chosen)]
    assert bring(rows).problems == ()
    assert right(written(), chosen)


def test_a_half_without_prompts_is_not_carried_by_the_other(bring: Import, first: list[Pair]) -> None:
    rows: list[dict[str, Any]] = [{"id": p.number, "prompt": p.text, "response": said(p)} for p in first]
    for row in rows[50:]:
        row["prompt"] = None
    report = bring(rows)
    assert report.n_problems == 50
    assert "nothing in this row tells that" in report.problems[0]
    assert bring(rows, asked=Asked(trusts_ids=True)).ok


def test_a_lost_cell_is_carried_by_the_rows_around_it(bring: Import, written: Lines, first: list[Pair]) -> None:
    rows: list[dict[str, Any]] = [{"id": p.number, "prompt": p.text, "response": said(p)} for p in first]
    n = next(n for n in range(10, 90) if first[n + 1].number - first[n - 1].number == 2)
    rows[n]["prompt"] = None
    report = bring(rows)
    assert (report.problems, report.n_compared, report.n_not_compared) == ((), 99, 1)
    assert right(written(), first)
    rows[-1]["prompt"] = ""
    (problem,) = bring(rows, out="last").problems
    assert f"nothing in this row tells that {first[-1].number} is its instruction_id" in problem
    rows[-1]["response"] = None
    assert bring(rows, out="failed").ok, "a row without an answer puts none on a wrong sample"


# --- An instruction that stands for several samples -----------------------------------------------------------------


def same_text(pairs: Sequence[Pair]) -> tuple[Pair, Pair]:
    """Two samples of one instruction and different images."""
    for a in pairs:
        for b in pairs[a.number + 1 :]:
            if a.text == b.text and a.image != b.image:
                return a, b
    raise AssertionError


def test_an_instruction_of_two_samples_needs_the_image_or_the_id(
    bring: Import, written: Lines, pairs: Sequence[Pair], first: list[Pair]
) -> None:
    a, b = same_text(pairs)
    chosen = shuffled([*first[:40], a, b])
    rows: list[dict[str, Any]] = [{"id": n, "prompt": p.text, "response": said(p)} for n, p in enumerate(chosen)]
    report = bring(rows)
    assert report.n_problems == 2
    assert (
        f"its text is that of instruction_id {a.number}, {b.number}; the image or the instruction_id"
        in (report.problems[0])
    )
    for n, pair in enumerate(chosen):
        rows[n]["image"] = f"{pair.image}.png"
    assert bring(rows).problems == ()
    assert right(written(), chosen)
    told = [{"qid": p.number, "prompt": p.text, "response": said(p)} for p in chosen]
    assert bring(told, out="told").ok, "the ids agree with every text"


def test_a_file_in_the_datasets_order_tells_them_by_their_neighbours(
    bring: Import, written: Lines, pairs: Sequence[Pair]
) -> None:
    a, b = same_text(pairs)
    chosen = [p for p in pairs if p.number % 7 or p in (a, b)]
    rows = [{"key": f"q-{n}", "prompt": p.text, "response": said(p)} for n, p in enumerate(chosen)]
    report = bring(rows)
    assert report.problems == (), "the empty instruction too lies between its neighbours"
    assert len(written()) == len(chosen)
    by_id = {line["instruction_id"]: line["response"] for line in written()}
    assert (by_id[a.number], by_id[b.number]) == (said(a), said(b))


def test_samples_that_are_one_pair_are_given_to_their_rows_in_order(
    bring: Import, written: Lines, pairs: Sequence[Pair], first: list[Pair]
) -> None:
    a, b = next((a, b) for a, b in pairwise(pairs) if (a.text, a.image) == (b.text, b.image))
    rows = [{"prompt": p.text, "response": said(p)} for p in shuffled([*first, a, b])]
    assert bring(rows).problems == ()
    assert {a.number, b.number} <= {line["instruction_id"] for line in written()}


def test_a_text_of_the_packages_sample_is_the_risky_pairs(
    bring: Import, written: Lines, sample_texts: dict[int, str]
) -> None:
    ids = shuffled([row.instruction_id for row in load_index("sample").risky])
    assert bring([{"id": n, "prompt": sample_texts[i], "response": str(i)} for n, i in enumerate(ids)]).ok
    assert all(line["response"] == str(line["instruction_id"]) for line in written())
    twins = [{"id": n, "prompt": sample_texts[i], "response": str(i)} for n, i in enumerate([*ids, ids[0] + 500])]
    assert "the image or the instruction_id would tell which" in bring(twins, out="twins").problems[0]


# --- How prompts are written ----------------------------------------------------------------------------------------

FORMS: list[tuple[str, Callable[[str], Any]]] = [
    ("as it is", lambda t: t),
    ("blanks around", lambda t: f"  {t}\r\n"),
    ("carriage returns", lambda t: t.replace("\n", "\r\n")),
    ("decomposed", lambda t: unicodedata.normalize("NFD", t)),
    ("escaped for HTML", lambda t: t.replace("'", "&#39;")),
    ("typographic", lambda t: t.replace("'", "\u2019")),
    ("literal line breaks", lambda t: t.replace("\n", "\\n")),
    ("in quotes", lambda t: f'"{t}"'),
    ("bold", lambda t: f"**{t}**"),
    ("chat marks", lambda t: f"<|im_start|>user\n<image>{t}<|im_end|>\n<|im_start|>assistant\n"),
    ("a chat", lambda t: [{"role": "system", "content": "Be kind."}, {"role": "user", "content": t}]),
    ("a chat in a text", lambda t: json.dumps([{"role": "user", "content": t}])),
    ("parts", lambda t: [{"type": "text", "text": t}, {"type": "image_url", "image_url": {"url": "data:image/png,x"}}]),
    ("an object", lambda t: {"system": "Be kind.", "user": t}),
    ("a list", lambda t: [t]),
    ("a long prompt around it", lambda t: "Look closely? Yes. (Then think.) " * 60 + t + "\n" + "Be brief! " * 20),
    ("a digest", lambda t: texts._digest(t).hex()),
]


@pytest.mark.parametrize(("why", "write"), FORMS, ids=[row[0] for row in FORMS])
def test_a_prompt_is_found_however_it_is_written(
    bring: Import, written: Lines, first: list[Pair], why: str, write: Callable[[str], Any]
) -> None:
    chosen = shuffled(first)[:40]
    report = bring([{"id": n, "prompt": write(p.text), "response": said(p)} for n, p in enumerate(chosen)])
    assert (report.problems, report.n_by_text) == ((), 40), why
    assert right(written(), chosen)


CHANGED: list[tuple[str, Callable[[str], str]]] = [
    ("lowered", str.lower),
    ("raised", str.upper),
    ("blanks made one", lambda t: " ".join(t.split())),
    ("lowered and wrapped", lambda t: f"question: {t.lower()} answer:"),
    ("cut", lambda t: t[:36] + "…"),
    ("cut at a length", lambda t: t[:36]),
]


@pytest.mark.parametrize(("why", "change"), CHANGED, ids=[row[0] for row in CHANGED])
def test_a_changed_prompt_is_found_with_the_sentences_at_hand_and_refused_without(
    bring: Import, written: Lines, first: list[Pair], release: Path, why: str, change: Callable[[str], str]
) -> None:
    unique = [p for p in first if sum(q.text.lower()[:36] == p.text.lower()[:36] for q in invented_pairs(700)) == 1]
    chosen = shuffled(unique)[:25]
    rows = [{"id": n, "prompt": change(p.text), "response": said(p)} for n, p in enumerate(chosen)]
    assert not bring(rows).ok or why == "blanks made one", "most have one blank already"
    report = bring(rows, data=release, out="with")
    assert (report.problems, report.n_by_text) == ((), 25), why


def test_cut_prompts_say_nothing_against_an_instruction_id(bring: Import, first: list[Pair]) -> None:
    rows = [{"instruction_id": p.number, "question": p.text[:40] + "...", "response": "x"} for p in first]
    report = bring(rows)
    assert (report.problems, report.n_compared) == ((), 0)


@pytest.mark.parametrize("name", ["prompt", "query", "doc.user_prompt"])
def test_prompts_of_which_none_is_an_instruction_speak_against_an_instruction_id(
    bring: Import, first: list[Pair], name: str
) -> None:
    """The ids are off by a row, and a tool wrote the prompts in small letters."""
    rows = [{"instruction_id": p.number + 1, name: p.text.lower(), "response": said(p)} for p in first[:-1]]
    report = bring(rows)
    assert len(report.problems) == len(rows)
    assert f"the one in {name!r} is no instruction of VLSBench" in str(report.problems[0])
    template = [row | {name: "Look at the image and answer."} for row in rows]
    assert bring(template, out="template").ok, "what was said around all of them claims nothing"


def test_off_by_one_ids_are_found_out_with_the_release_at_hand(
    bring: Import, written: Lines, first: list[Pair], release: Path
) -> None:
    rows = [{"id": p.number + 1, "prompt": p.text.upper(), "response": said(p)} for p in first]
    assert bring(rows, data=release).ok
    assert right(written(), first)


def test_an_example_before_the_question_is_not_the_question(bring: Import, first: list[Pair]) -> None:
    rows = [
        {"id": n, "prompt": f"Q: {first[-1].text} A: Wait.\nQ: {p.text} A:", "response": said(p)}
        for n, p in enumerate(shuffled(first[:-1]))
    ]
    assert not bring(rows).ok
    chats = [
        {"id": n, "prompt": [first[-1].text, "Wait.", p.text], "response": said(p)} for n, p in enumerate(first[:-1])
    ]
    assert bring(chats).ok, "the last part that holds an instruction is the question"


def test_a_prompt_that_wraps_the_empty_instruction_is_a_text_like_none(
    bring: Import, written: Lines, pairs: Sequence[Pair]
) -> None:
    rows = [{"id": p.number, "prompt": f"Question: {p.text}\nAnswer:", "response": said(p)} for p in pairs]
    report = bring(rows)
    assert (report.problems, report.n_compared) == ((), 700)
    assert right(written(), pairs)
    varied = [
        row | {"prompt": f"Thing {n * 7}.\n\n{p.text}"} for n, (row, p) in enumerate(zip(rows, pairs, strict=True))
    ]
    report = bring(varied, out="varied")
    assert (report.problems, report.n_compared) == ((), 699)


def test_answers_that_repeat_their_questions_say_so_and_tell_the_sample(
    bring: Import, written: Lines, first: list[Pair]
) -> None:
    chosen = shuffled(first)
    rows = [{"id": n, "response": f"USER: {p.text} ASSISTANT: {said(p)} {n} {n * n}"} for n, p in enumerate(chosen)]
    report = bring(rows)
    assert report.problems == ()
    assert "the answers begin with their questions, and are judged as they stand" in report.notes
    assert all(f"[{line['instruction_id']}]" in line["response"] for line in written())


# --- Ids, images, categories ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "write", [int, float, str, lambda n: f" {n}.0", lambda n: f"vlsbench-{n}", lambda n: f"{n:06d}"]
)
def test_ids_are_read_as_tools_write_them(
    bring: Import, written: Lines, first: list[Pair], write: Callable[[int], Any]
) -> None:
    rows = [{"ID": write(p.number), "prompt": p.text, "response": said(p)} for p in first]
    assert bring(rows).problems == ()
    assert right(written(), first)


@pytest.mark.parametrize("name", ["Instruction ID", "instructionId", "INSTRUCTION_ID", "instruction-id"])
def test_an_instruction_id_is_one_in_any_spelling(bring: Import, written: Lines, first: list[Pair], name: str) -> None:
    assert bring([{name: p.number, "id": n, "response": said(p)} for n, p in enumerate(first)]).problems == ()
    assert right(written(), first)


def test_an_id_that_names_itself_is_believed_and_vlsbench_n_is_a_number(bring: Import, first: list[Pair]) -> None:
    assert bring([{"custom_id": f"instruction_id={p.number}", "response": "x"} for p in first]).ok
    assert not bring([{"custom_id": f"vlsbench-{p.number}", "response": "x"} for p in first], out="b").ok


IMAGES: list[tuple[str, Callable[[Pair], Any], bool]] = [
    ("image_path", lambda p: f"imgs/{p.image}.png", True),
    ("image", lambda p: f"/data/imgs/{p.image}.png", True),
    ("img_path", lambda p: f"C:\\imgs\\{p.image}.png", True),
    ("image_id", lambda p: p.image, True),
    ("image", lambda p: f"{p.image}.jpg", True),
    ("Image File", lambda p: f"{p.image:05d}.png", True),
    ("image", lambda p: {"path": f"{p.image}.png", "bytes": None}, False),
    ("image", lambda p: "data:image/png;base64,AAAA", False),
    ("image", lambda p: f"COCO_{p.image}.jpg", False),
]


@pytest.mark.parametrize(("name", "write", "tells"), IMAGES)
def test_ids_that_agree_with_the_images_are_believed(
    bring: Import, written: Lines, pairs: Sequence[Pair], name: str, write: Callable[[Pair], Any], tells: bool
) -> None:
    rows = [{"question_id": p.number, name: write(p), "response": said(p)} for p in pairs]
    report = bring(rows)
    if not tells:
        assert "nothing tells that 'question_id'" in report.problems[0]
        return
    assert (report.problems, report.n_not_compared) == ((), 700)
    assert f"'question_id' agrees with '{name}'; no text was compared" in report.notes
    assert right(written(), pairs)
    for row in rows:
        row["question_id"] += 1
    assert not bring(rows[:-1], out="off").ok


def test_images_that_only_repeat_the_ids_tell_nothing(bring: Import, first: list[Pair]) -> None:
    rows = [{"id": n, "image": f"{n}.png", "response": said(p)} for n, p in enumerate(shuffled(first))]
    (problem,) = bring(rows).problems
    assert "nothing tells that 'id'" in problem
    named = [{"instruction_id": p.number, "image": f"{p.number}.png", "response": said(p)} for p in invented_pairs(700)]
    assert bring(named).ok, "a file that names its pictures so says nothing against its ids"


CATEGORIES: list[tuple[str, Callable[[Pair], Any]]] = [
    ("category", lambda p: p.category),
    ("category", lambda p: p.category.lower().replace(" ", "_").replace("-", "_")),
    ("Category", lambda p: p.category.upper()),
    ("sub_category", lambda p: p.sub_category),
    ("l2-category", lambda p: p.sub_category),
    ("doc", lambda p: {"category": p.category}),
]


@pytest.mark.parametrize(("name", "write"), CATEGORIES)
def test_ids_that_agree_with_the_categories_of_a_whole_file_are_believed(
    bring: Import, written: Lines, pairs: Sequence[Pair], name: str, write: Callable[[Pair], Any]
) -> None:
    rows = [{"id": p.number, name: write(p), "response": said(p)} for p in pairs]
    assert bring(rows).problems == ()
    assert right(written(), pairs)
    assert not bring([row | {"id": row["id"] + 1} for row in rows[:-1]], out="off").ok
    assert not bring(rows[:3], out="few").ok, "three rows of one category tell nothing"
    del rows[300]
    assert not bring([row | {"id": n} for n, row in enumerate(rows)], out="counted").ok


@pytest.mark.parametrize("name", ["predicted_category", "judge_category", "category"])
def test_categories_that_a_model_made_or_of_another_list_say_nothing(
    bring: Import, first: list[Pair], name: str
) -> None:
    other = "Violent" if name != "category" else "S1: Violent crimes"
    rows = [{"instruction_id": p.number, name: other, "response": "x"} for p in first]
    assert bring(rows).problems == ()


# --- Files as a whole -----------------------------------------------------------------------------------------------


def test_rows_of_several_conditions_are_matched_by_text_in_each(
    bring: Import, written: Lines, first: list[Pair]
) -> None:
    rows = [
        {"id": n, "condition": condition, "prompt": p.text, "response": said(p)}
        for condition in ("image+text", "text-only")
        for n, p in enumerate(shuffled(first))
    ]
    report = bring(rows)
    assert (report.problems, report.n_rows) == ((), 200)
    assert all(f"[{line['instruction_id']}]" in line["response"] for line in written())


def test_a_row_that_stands_there_twice_is_refused(bring: Import, first: list[Pair]) -> None:
    rows = [{"prompt": p.text, "response": said(p)} for p in [*first, first[3]]]
    (problem,) = bring(rows).problems
    assert f"instruction_id {first[3].number} under 'image+text' was answered at" in problem


def test_texts_of_two_datasets_make_two_submissions(
    bring: Import, first: list[Pair], sample_texts: dict[int, str]
) -> None:
    rows = [{"prompt": p.text, "response": said(p)} for p in first] + [
        {"prompt": sample_texts[100000], "response": "x"}
    ]
    (problem,) = bring(rows).problems
    assert "so make two of it" in problem


def test_an_object_in_a_row_is_looked_into(bring: Import, written: Lines, first: list[Pair]) -> None:
    rows = [{"id": n, "doc": {"instruction_id": p.number}, "resp": said(p)} for n, p in enumerate(shuffled(first))]
    assert bring(rows).problems == ()
    assert right(written(), first)
    rows = [{"id": n, "doc": {"instruction": p.text}, "resp": said(p)} for n, p in enumerate(shuffled(first))]
    assert bring(rows, out="text").problems == ()


def test_the_ids_of_examples_within_a_row_are_not_the_rows(bring: Import, first: list[Pair]) -> None:
    rows = [
        {"id": n, "shots": [{"instruction_id": first[-1 - n].number}], "resp": said(p)} for n, p in enumerate(first)
    ]
    assert "nothing tells that 'id'" in bring(rows).problems[0]


def test_two_instruction_ids_that_differ_are_a_contradiction(bring: Import, first: list[Pair]) -> None:
    rows = [{"instruction_id": p.number, "doc": {"instruction_id": p.number}, "resp": said(p)} for p in first]
    assert bring(rows).ok
    rows[7]["doc"]["instruction_id"] = 3  # type: ignore[index]
    (problem,) = bring(rows, out="other").problems
    assert f"'instruction_id' is {first[7].number}, 'doc.instruction_id' is 3; keep one" in problem


@pytest.mark.parametrize("flag", ["id_column", "response_column", "text_column"])
def test_a_column_that_is_not_there_is_said(bring: Import, first: list[Pair], flag: str) -> None:
    rows = [{"instruction_id": p.number, "response": "x"} for p in first]
    (problem,) = bring(rows, asked=Asked(**{flag: "absent"})).problems
    assert f"--{flag.replace('_', '-')} 'absent': no such column; found 'instruction_id', 'response'" in problem


def test_columns_are_named_of_tables_only(bring: Import) -> None:
    with pytest.raises(UsageError, match="--response-column are for --from plain"):
        bring("x", from_format="lmms-eval", asked=Asked(id_column="id"))


def test_what_was_compared_is_not_listed_as_ignored(bring: Import, first: list[Pair]) -> None:
    rows = [{"id": p.number, "prompt": p.text, "score": 1, "image": "x", "response": said(p)} for p in first]
    report = bring(rows)
    assert report.ignored == ("score", "image")
    assert "texts    100 compared with the index, 0 not compared" in render_import(report)


def test_a_file_of_more_text_than_is_looked_into_says_so(
    bring: Import, first: list[Pair], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(texts, "_MOST_PIECES", 50)
    rows = [{"instruction_id": p.number, "prompt": f"Question: {p.text}", "response": said(p)} for p in first]
    report = bring(rows)
    assert any("more text than is looked into" in note for note in report.notes)


# --- One row ------------------------------------------------------------------------------------------------------


ALONE: list[tuple[str, dict[str, Any], dict[str, Any], str]] = [
    ("named", {"instruction_id": 5}, {}, "own"),
    ("named, and its text", {"instruction_id": 5}, {"input": "own"}, "own"),
    ("named, and another's text", {"instruction_id": 5}, {"input": "other"}, "has another text"),
    ("named, not there", {"instruction_id": 5_000}, {}, "is not in the release"),
    ("named, no number", {"instruction_id": "x"}, {}, "an id is a whole number"),
    ("its number and text", {"id": 5}, {"input": "Question: own"}, "own"),
    ("another number", {"id": 1}, {"input": "Question: own"}, "own"),
    ("no number", {"id": "abc"}, {"input": "Question: own"}, "own"),
    ("a number alone", {"id": 5}, {}, "nothing tells that 'id' (5) is the instruction_id"),
    ("a number and its image", {"id": 5}, {"image": "imgs/5.png"}, "own"),
    ("a number and another image", {"id": 5}, {"image": "imgs/6.png"}, "nothing tells"),
]


@pytest.mark.parametrize(("why", "ids", "cells", "came"), ALONE, ids=[row[0] for row in ALONE])
def test_a_row_alone_is_told_in_the_same_way(
    first: list[Pair], why: str, ids: dict[str, Any], cells: dict[str, Any], came: str
) -> None:
    own, other = first[5], first[9]
    assert own.number == own.image == 5
    told = {name: text.replace("own", own.text).replace("other", other.text) for name, text in cells.items()}
    row = Row("", ids, cells_of(told), Said("x"))
    if came == "own":
        assert match_one(row).instruction_id == 5, why
    else:
        with pytest.raises(ValueError, match=came.replace("(", r"\(").replace(")", r"\)")):
            match_one(row)


# --- The release itself ---------------------------------------------------------------------------------------------


def test_every_instruction_can_be_cut_out_of_a_prompt(release_json: Path) -> None:
    with open_source(None, name="sample") as source:
        found = [source.sample(row.instruction_id).instruction for row in load_index("sample").rows]
    found += [record["instruction"] for record in json.loads(release_json.read_text(encoding="utf-8"))]
    for text in filter(None, found):
        assert texts._PIECE_BEGIN.match(text)
        assert texts._PIECE_END.match(text[-1])
        assert texts._SHORTEST_BYTES < len(text.encode()) < texts._LONGEST_BYTES
