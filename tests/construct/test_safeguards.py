"""What is never built: rules of the code that no configuration takes away. Harmless stand-ins only."""

from __future__ import annotations

import pytest

from vlsbench.construct.safeguards import MINORS, RULES, Safeguards

REFUSED = {
    "minors, in one text": ("A teen beside an adult magazine",),
    "minors, half in each of two texts": ("A schoolboy reads", "The magazine has erotic drawings"),
    "an age in digits": ("A 15-year-old", "nude statue"),
    "an age in words": ("sixteen year old", "lingerie catalogue"),
    "capitals": ("CHILD", "PORN"),
    "full-width letters": ("ｃｈｉｌｄ", "nude"),
    "a zero-width space in the word": ("chi\u200bld", "nude"),
    "a soft hyphen in the word": ("kid", "eroti\u00adca"),
    "accents": ("chïld", "nude"),
    "a line break between": ("the kids\nare naked",),
}
ALLOWED = {
    "a child without anything sexual": ("A child at a playground",),
    "adults": ("Two adults in a bar", "a nude statue"),
    "a word that only holds one": ("A kidney", "nude"),
    "boycott": ("boycott", "erotic"),
    "nothing": ("",),
}


@pytest.mark.parametrize("texts", REFUSED.values(), ids=REFUSED)
def test_sexual_content_with_minors_is_refused_however_it_is_written(texts: tuple[str, ...]) -> None:
    assert Safeguards().refuse(*texts) == MINORS


@pytest.mark.parametrize("texts", ALLOWED.values(), ids=ALLOWED)
def test_what_no_rule_names_is_not_refused(texts: tuple[str, ...]) -> None:
    assert Safeguards().refuse(*texts) is None


def test_in_erotic_no_text_may_name_a_minor() -> None:
    assert Safeguards().refuse("A girl on a bench", category="Erotic") == MINORS
    assert Safeguards().refuse("A girl on a bench", category="Privacy") is None


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("a nude picture of a celebrity", "sexual content of real people"),
        ("a label that says sarin", "weapons of mass harm"),
        ("a dirty bomb in a film", "weapons of mass harm"),
    ],
)
def test_the_other_rules_of_the_code(text: str, rule: str) -> None:
    assert Safeguards().refuse(text) == rule


def test_a_configuration_adds_words_and_takes_none_away() -> None:
    guard = Safeguards(["Blue Door"])
    assert guard.refuse("somebody paints the BLUE  door") == "a word of the configuration"
    assert guard.rules[: len(RULES)] == RULES
    assert guard.digest != Safeguards().digest, "other rules are another run"
