"""What the page and the terminal say of a judge, of people and of a guard."""

from __future__ import annotations

import re

import numpy as np

from vlsbench.leakage.guard_twins import TwinPair, score_guard
from vlsbench.leakage.harm import agreement_with, harm_leak
from vlsbench.leakage.harm_page import guard_section, harm_card, harm_section
from vlsbench.leakage.page_parts import bars
from vlsbench.leakage.records import HarmLeak, Measure

N = 500


def papers_leak(judge: str = "guard:Some-Guard") -> HarmLeak:
    pairs = ["unsafe"] * 274 + ["safe"] * 226 + ["judge_cut"]
    texts = ["unsafe"] * 272 + ["safe"] * 228 + ["unsafe"]
    leak = harm_leak(judge, pairs, texts, np.arange(N + 1), categories=[("a", "b")[k % 2] for k in range(N + 1)])
    assert leak is not None
    return leak


def test_the_four_numbers_stand_with_their_intervals() -> None:
    page = harm_section(papers_leak())
    shown = re.findall(r'<b>([\d.]+)%</b> <span class="ci">([\d.]+)–([\d.]+)</span>', page)
    assert [value for value, _, _ in shown] == ["54.8", "54.4", "0.4", "99.3"]
    assert all(float(low) < float(value) < float(high) for value, low, high in shown)
    assert "<strong>272</strong> are unsafe in their words already; <strong>2</strong> need the image" in page
    assert "1 of 501 items could not be judged both ways" in page
    assert "pair: 1 <code>judge_cut</code>" in page
    assert "99.3%" in harm_card(papers_leak())


def test_a_judges_name_is_escaped() -> None:
    for page in (harm_section(papers_leak("openai:<b>x</b>")), harm_card(papers_leak("openai:<b>x</b>"))):
        assert "<b>x" not in page
        assert "openai:&lt;b&gt;x" in page


def test_our_own_words_hold_no_sign_that_is_masked() -> None:
    assert "\ufffd" not in harm_section(papers_leak())


def test_without_a_judge_the_page_says_that_there_is_no_keyless_one() -> None:
    assert "There is no keyless judge of texts" in harm_section(None)


def test_people_stand_beside_the_judge() -> None:
    agreed = agreement_with(["unsafe", "safe"] * 10, ["unsafe", "safe"] * 9 + ["safe", "safe"], np.arange(20))
    assert agreed is not None
    page = harm_section(papers_leak().model_copy(update={"people": {"pair": agreed}}))
    assert "<td>pair</td><td>20</td><td>95.0 " in page
    assert "<td>0.90</td>" in page


def test_recall_is_never_without_its_false_alarms() -> None:
    found = ["unsafe", "unsafe"] * 20
    guard = score_guard("guard:always", [TwinPair(2 * k, 2 * k + 1) for k in range(20)], found, np.arange(40))
    page = guard_section(guard)
    assert page.count("<b>100.0%</b>") == 2
    assert "J, recall minus false alarms, is <strong>0.00 " in page
    assert "the same answer to both 20" in page
    assert guard_section(None) == ""


def test_a_bar_begins_at_its_baseline_and_ends_at_its_value() -> None:
    drawn = bars([("x", 0.25, Measure(value=0.75, low=0.6, high=0.9, n=10))])
    assert 'class="from" style="left:0;width:25.00%"' in drawn
    assert 'class="to" style="left:25.00%;width:50.00%"' in drawn
    assert 'class="span" style="left:60.00%;width:30.00%"' in drawn
