from __future__ import annotations

import unicodedata

import pytest

from vlsbench.names import fold_name, why_name_refused


@pytest.mark.parametrize(
    ("name", "imitation"),
    [
        ("Honest-A", "\u0397onest-A"),  # a Greek Eta
        ("Honest-A", "honest a"),
        ("Honest-A", "Honest\u2011A"),  # a hyphen that does not break
        ("Honest-A", "Honest-A\u200b"),  # a space without width
        ("OpenAI", "0penAl"),  # a zero, and a small L
        ("Gemma", "Gernrna"),  # r and n
        ("MOCT", "\u041c\u041e\u0421\u0422"),  # all Cyrillic
        ("GPT-4o", "\uff27\uff30\uff34-4o"),  # wide letters
        ("GPT-4o", "\U0001d40f".join(("G", "T-4o"))),  # a bold P
        ("Qwen", "Qw\u00e9n"),  # an accent
        ("Caf\u00e9", "Cafe\u0301"),  # composed or not
    ],
)
def test_names_that_look_the_same_fold_to_one(name: str, imitation: str) -> None:
    assert fold_name(name) == fold_name(imitation)


@pytest.mark.parametrize(
    ("one", "other"),
    [("Qwen2", "Qwen3"), ("LLaVA-7B", "LLaVA-13B"), ("\u6a21\u578b\u7532", "\u6a21\u578b\u4e59"), ("A", "B")],
)
def test_names_that_look_different_do_not(one: str, other: str) -> None:
    assert fold_name(one) != fold_name(other)


def test_a_name_of_signs_alone_folds_to_itself() -> None:
    assert fold_name("+++") == "+++"
    assert fold_name("+++") != fold_name("---")


@pytest.mark.parametrize(
    "name",
    [
        "Qwen2.5-VL-7B",
        "\u901a\u4e49\u5343\u95ee-VL",
        "\u901a\u4e49\u5343\u95eeVL",  # Chinese and Latin in one word
        "\u65e5\u672c\u8a9eGPT",
        "Vi\u1ec7t-LLaMA",
        "\u041c\u043e\u0434\u0435\u043b\u044c",
        "\u03b2-VAE",  # Greek beside Latin, as a word of its own
        "\u0939\u093f\u0928\u094d\u0926\u0940 LM",
        unicodedata.normalize("NFD", "ng\u1eef"),  # two marks on one letter
        "caf\u00e9",
    ],
)
def test_names_of_every_script_are_taken(name: str) -> None:
    assert why_name_refused(name) is None


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("\u0397onest-A", "mixes Greek and Latin letters"),
        ("p\u0430ypal", "mixes Cyrillic and Latin letters"),
        ("x \u041d\u043enest", "mixes Cyrillic and Latin letters"),
        ("\u6a21\u0430", "mixes Cyrillic and Han letters"),
        ("A" + "\u0301" * 3, "stacked on one letter"),
    ],
)
def test_names_made_to_deceive_are_refused(name: str, why: str) -> None:
    assert why in (why_name_refused(name) or "")
