"""What a report says first."""

from __future__ import annotations

from vlsbench.leakage.page_parts import card
from vlsbench.leakage.records import Cue, HarmLeak, ImageNeed, Measure, Predictability
from vlsbench.leakage.summary import Answer, harm_answer, helpful_cues, labels_answer, need_answer


def told(target: str, auc: float, low: float) -> Predictability:
    return Predictability(
        target=target,
        n=200,
        n_classes=2,
        classes={"a": 120, "b": 80},
        majority=0.6,
        accuracy=Measure(value=0.7, low=0.6, high=0.8, n=200, count=140),
        auc=Measure(value=auc, low=low, high=0.9, n=200),
        bits=0.1,
        bits_interval=(0.0, 0.2),
        entropy_bits=0.97,
        p_value=0.01,
        null={},
    )


def test_the_label_that_text_tells_best_stands_first_and_the_others_are_named() -> None:
    found = labels_answer([told("harm", 0.71, 0.6), told("category", 0.8, 0.7)])
    assert found.number == "AUC 0.80"
    assert found.sentence == (
        "for category (95%: 0.70–0.90; 0.5 is chance): 70.0% right from the text alone; always naming the largest "
        "class is right in 60.0%. AUC 0.71 for harm."
    )


def test_what_the_permutations_reach_too_may_be_chance() -> None:
    sure, unsure = told("category", 0.8, 0.7), told("harm", 0.6, 0.45).model_copy(update={"p_value": 0.2})
    assert "0.5 is chance), which may be chance (p = 0.200): 70.0% right" in labels_answer([unsure]).sentence
    assert labels_answer([unsure, sure]).sentence.endswith("60.0%. AUC 0.60 for harm, which may be chance (p = 0.200).")
    assert "may be chance" not in labels_answer([sure]).sentence


def cue(name: str, value: float, target: str = "harm") -> Cue:
    accuracy = Measure(value=value, low=0.1, high=0.9, n=100)
    return Cue(name=name, target=target, accuracy=accuracy, majority=0.6, kind="one word")


def test_a_cue_is_named_only_where_it_beats_the_model_on_its_own_label() -> None:
    found = [told("harm", 0.6, 0.5)]  # right in 70.0%
    said = labels_answer(found, [cue("elsewhere", 0.9, "origin"), cue('final "?"', 0.75), cue("next", 0.72)]).sentence
    assert said.endswith('One cue beats the model: final "?" is right about harm in 75.0%.')
    assert "One cue" not in labels_answer(found, [cue('final "?"', 0.7)]).sentence


def test_what_was_not_measured_has_no_number() -> None:
    answers = (harm_answer(None), labels_answer([]), need_answer(ImageNeed()))
    assert [answer.number for answer in answers] == [None, None, None]
    assert "not measured" in card(1, harm_answer(None))


def test_a_judge_that_finds_nothing_unsafe_leaves_no_share() -> None:
    none = Measure(value=0, low=0, high=0.1, n=40, count=0)
    leak = HarmLeak(judge="guard:x", r1=none, r2=none, difference=none, ratio=None)
    assert harm_answer(leak) == (
        "Does the text alone say the harm?",
        "–",
        "guard:x calls none of 40 pairs unsafe.",
    )


def test_a_card_shows_markup_as_it_was_written() -> None:
    shown = card(2, Answer("Why?", "<i>1</i>", "for <b>harm</b>"))
    assert "<b>" not in shown
    assert "&lt;i&gt;1&lt;/i&gt;" in shown


def test_cues_that_do_no_better_than_the_largest_class_are_left_out() -> None:
    cues = [cue(name, value) for name, value in (("a", 0.8), ("b", 0.7), ("c", 0.6), ("d", 0.4))]
    assert [one.name for one in helpful_cues(cues, n=9)] == ["a", "b"]
    assert [one.name for one in helpful_cues(cues, n=1)] == ["a"]
    assert [one.name for one in helpful_cues(cues[2:], n=9)] == ["c"], "so that a reader sees how little there is"
    assert helpful_cues([], n=9) == ()
