"""Columns are guessed by name, then by content; said; and set."""

from __future__ import annotations

from typing import Any

import pytest

from vlsbench.errors import DataError, UsageError
from vlsbench.leakage.columns import ColumnChoice, guess_columns, texts_of

N = 30


def rows(**columns: Any) -> list[dict[str, Any]]:
    """Rows whose cells are made of their number, or are all the same."""
    return [{name: cell(n) if callable(cell) else cell for name, cell in columns.items()} for n in range(N)]


def question(n: int) -> str:
    return f"What should number {n} do with this old boat?"


def guess(table: list[dict[str, Any]], choice: ColumnChoice | None = None) -> dict[str, str | None]:
    found = guess_columns(list(table[0]), table, choice or ColumnChoice())
    return {role: column for role, column in found.by_role.items() if column is not None}


@pytest.mark.parametrize(
    "name",
    ["prompt", "Question", "user_query", "INSTRUCTION", "text", "Changed Question", "behavior", "input", "userPrompt"],
)
def test_a_text_column_is_known_by_name(name: str) -> None:
    assert guess(rows(uid=lambda n: n, **{name: question}))["text"] == name


@pytest.mark.parametrize("name", ["frage", "q0", "col_7"])
def test_a_text_column_without_a_name_is_known_by_its_texts(name: str) -> None:
    table = rows(code=lambda n: f"c{n}", description="A long description of the same old boat.", **{name: question})
    found = guess_columns(list(table[0]), table, ColumnChoice())
    assert found.of("text") == name
    assert found.by_content == {"text"}


def test_what_a_model_answered_is_never_the_text() -> None:
    answers = rows(response=lambda n: f"Well, number {n} should paint the boat.", model_output=question)
    with pytest.raises(DataError, match=r"no text column.*'response', 'model_output'.*--text"):
        guess(answers)


@pytest.mark.parametrize(
    ("name", "cell"),
    [
        ("image", "images/1.png"),
        ("ImageFileName", lambda n: f"{n}.jpg"),
        ("web_path", "https://example.org/a.jpg?x=1"),
        ("image_id", lambda n: n),
        ("images", ["a.png"]),
        ("bild", lambda n: f"bilder/{n}.webp"),
    ],
)
def test_an_image_column_is_known_by_name_or_ending(name: str, cell: Any) -> None:
    assert guess(rows(question=question, **{name: cell}))["image"] == name


def test_a_description_called_image_is_no_image() -> None:
    assert "image" not in guess(rows(question=question, image="a dog beside a boat on a lake"))


@pytest.mark.parametrize(
    "name", ["is_harmful", "safe", "Unsafe", "pair_harmful", "safety_label", "consensus_combined_grade", "label"]
)
def test_a_label_is_known_by_name(name: str) -> None:
    assert guess(rows(prompt=question, **{name: lambda n: n % 2 == 0}))["label"] == name


def test_a_label_beside_answers_is_not_taken_for_one_of_the_pair() -> None:
    table = rows(prompt=question, response="Well.", label=lambda n: "safe" if n % 2 else "unsafe")
    found = guess_columns(list(table[0]), table, ColumnChoice())
    assert found.of("label") is None
    assert "--label label" in found.notes[0]
    assert guess(table, ColumnChoice(label="label"))["label"] == "label"


@pytest.mark.parametrize("answers", ["response", "pred", "generation", "model_output", "reply"])
def test_the_usual_names_of_answers_are_known_beside_a_label(answers: str) -> None:
    assert "label" not in guess(rows(prompt=question, is_safe=lambda n: n % 2 == 0, **{answers: "Well, why not."}))


def test_a_label_of_the_prompt_goes_before_one_of_the_answer() -> None:
    harm = lambda n: "harmful" if n % 2 else "unharmful"  # noqa: E731
    table = rows(prompt=question, response="Well.", response_harm_label=harm, prompt_harm_label=harm)
    assert guess(table)["label"] == "prompt_harm_label"


@pytest.mark.parametrize("name", ["risk", "harm", "class"])
def test_kinds_of_harm_are_a_category_not_a_label(name: str) -> None:
    kinds = ("privacy", "fraud", "violence", "hate", "medical advice")
    found = guess(rows(prompt=question, **{name: lambda n: kinds[n % 5]}))
    assert (found.get("label"), found["category"]) == (None, name)
    grades = guess(rows(prompt=question, **{name: lambda n: n % 5}))
    assert grades["label"] == name


def test_a_script_without_spaces_is_text() -> None:
    assert guess(rows(question=lambda n: f"这艘船是谁的,第{n}艘?"))["text"] == "question"


def test_a_label_with_a_value_for_every_row_is_none() -> None:
    assert "label" not in guess(rows(prompt=question, label=lambda n: f"l{n}"))


@pytest.mark.parametrize(
    ("role", "name"),
    [
        ("category", "harm_category"),
        ("category", "SemanticCategory"),
        ("category", "scenario"),
        ("category", "risk_area"),
        ("category", "types_of_harm"),
        ("category", "Dimension"),
        ("category", "1-category"),
        ("category", "risk_level_1"),
        ("source", "data_source"),
        ("source", "dataset"),
        ("origin", "is_generated"),
        ("id", "question_id"),
        ("id", "BehaviorID"),
    ],
)
def test_the_other_roles_are_known_by_name(role: str, name: str) -> None:
    cell = (lambda n: n) if role == "id" else (lambda n: f"value {n % 3}")
    assert guess(rows(prompt=question, **{name: cell}))[role] == name


def test_a_column_that_was_set_goes_before_a_guess() -> None:
    table = rows(prompt=question, question=question, kind=lambda n: f"k{n % 3}")
    found = guess(table, ColumnChoice(text="prompt", category="Kind"))
    assert (found["text"], found["category"]) == ("prompt", "kind")


def test_none_switches_a_role_off() -> None:
    assert "category" not in guess(rows(prompt=question, category=lambda n: f"k{n % 3}"), ColumnChoice(category="none"))


def test_a_column_that_is_not_there_is_a_wrong_call() -> None:
    with pytest.raises(UsageError, match="--text nowhere: there is no such column; there are prompt"):
        guess(rows(prompt=question), ColumnChoice(text="nowhere"))


@pytest.mark.parametrize(
    ("cell", "texts"),
    [
        ("a?", ["a?"]),
        (["a?", "b?"], ["a?", "b?"]),
        ({"question": "a?", "answer": "b"}, ["a?"]),
        ([{"from": "human", "value": "<image>\na?"}, {"from": "gpt", "value": "b"}], ["a?"]),
        ([{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "a?"}]}], ["a?"]),
        ([{"instruction": "a?", "response": "b"}, {"instruction": "c?", "response": "d"}], ["a?", "c?"]),
        ([{"role": "assistant", "content": "b"}], []),
        (None, []),
    ],
    ids=["text", "list", "object", "llava", "openai", "instr-resp", "no user", "missing"],
)  # fmt: skip
def test_nested_texts_are_what_the_user_asks(cell: Any, texts: list[str]) -> None:
    assert texts_of(cell) == texts
