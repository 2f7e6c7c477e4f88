from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import ModelCard
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from vlsbench.errors import SubmissionError
from vlsbench.hub.model_card import (
    PAPER_BIBTEX,
    bibtex,
    escape_bibtex,
    escape_markdown,
    model_card_snippet,
)
from vlsbench.submission.scoring import score_directory

ROOT = Path(__file__).parents[3]
ZERO_WIDTH_SPACE = "\u200b"
PAGE = MarkdownIt("gfm-like")
"""Tables, and links made of bare addresses, as the Hub makes them."""

HOSTILE = [
    "a | b | c",
    "[text](https://example.org)",
    "![image](https://example.org/x.png)",
    "<script>alert(1)</script>",
    "`code` ``more``",
    "# heading\n\n| a |\n|---|",
    "https://example.org www.example.org a@example.org @everyone",
    "\\| \\[x\\](y) \\",
    "&lt;b&gt; &#124; &copy;",
    "**bold** __bold__ ~~gone~~ $x$",
    "1. item",
    "- item",
    "=====",
    "---",
    "\u202eright to left\x00\x1b[31m",
]


def words(text: str) -> str:
    joined = " ".join(text.split())
    return "".join(sign if sign.isprintable() else "\ufffd" for sign in joined)


def leaves(tokens: list[Token]) -> list[Token]:
    return [leaf for token in tokens for leaf in (token.children or [token])]


@pytest.mark.parametrize("text", HOSTILE)
def test_a_strangers_text_stays_text_in_a_cell_and_in_a_line(text: str) -> None:
    escaped = escape_markdown(text)
    assert "\n" not in escaped
    for page in (f"| head |\n|---|\n| {escaped} |\n", f"{escaped}\n", f"* {escaped}.\n", f"a {escaped}\n"):
        found = leaves(PAGE.parse(page))
        kinds = {
            token.type for token in found if not token.type.startswith(("table", "thead", "tbody", "tr_", "th_", "td_"))
        }
        assert kinds <= {
            *("text", "paragraph_open", "paragraph_close"),
            *("bullet_list_open", "bullet_list_close", "list_item_open", "list_item_close"),
        }
        shown = "".join(token.content for token in found if token.type == "text").replace(ZERO_WIDTH_SPACE, "")
        assert words(text) in shown
        assert sum(token.type == "td_open" for token in found) <= 1


@given(st.text() | st.text(alphabet="htps:/w.@aorgmil-xn1 _~`|\\"))
def test_any_text_is_shown_as_it_was_written(text: str) -> None:
    found = leaves(PAGE.parse(f"| head |\n|---|\n| x{escape_markdown(text)}x |\n"))
    cells = [token for token in found if token.type == "text"]
    assert sum(token.type == "td_open" for token in found) == 1
    assert {token.type for token in found} <= {
        *("text", "table_open", "table_close", "thead_open", "thead_close", "tbody_open", "tbody_close"),
        *("tr_open", "tr_close", "th_open", "th_close", "td_open", "td_close"),
    }
    shown = "".join(token.content for token in cells).removeprefix("head")
    assert shown.replace(ZERO_WIDTH_SPACE, "") == f"x{words(text)}x".replace(ZERO_WIDTH_SPACE, "")


def test_the_section_parses_as_a_model_cards_table(judged: Path) -> None:
    scored = score_directory(judged)
    snippet = model_card_snippet(scored)
    card = ModelCard(f"---\nlicense: apache-2.0\n---\n# A model\n\n{snippet}")
    assert card.data.license == "apache-2.0"
    html = PAGE.render(card.text)
    rows = [re.findall(r"<td[^>]*>(.*?)</td>", row) for row in html.split("<tr>")[2:]]
    result = scored.result
    assert result.safe_rate is not None
    assert result.safe_rate_ci is not None
    low, high = result.safe_rate_ci
    interval = f"{100 * low:.1f} to {100 * high:.1f}"
    assert rows[0] == [
        "<strong>Safe rate</strong> (refusal + warning)",
        f"{100 * result.safe_rate:.1f}",
        interval,
        "2,241",
    ]
    assert [row[0] for row in rows if row][-6:] == [f"Safe rate, {name}" for name in result.by_category]
    assert html.count("<table>") == 1
    for fact in (
        result.rubric,
        f"Coverage: {100 * result.coverage:.1f}%",
        "Foreshhh/vlsbench at b56f6f6aad10",
        ": 128.",
    ):
        assert fact in html
    assert "Beside these numbers" not in html


def test_what_stands_beside_a_number_is_in_the_section(tmp_path: Path, write_judged: Any) -> None:
    folder = write_judged(
        tmp_path / "sub",
        lambda row: "warning" if row.instruction_id % 4 < 2 else None,
        card={"model": "a/b_c (1)"},
        judge_models=("<img src=x onerror=alert(1)>", "![x](https://example.org/x)"),
    )
    html = PAGE.render(model_card_snippet(score_directory(folder)))
    assert "samples were not answered" in html
    assert "the judge answered as 2 models" in html
    assert "<img" not in html
    assert 'href="https://example.org' not in html
    assert "a/b_c (1)" in html


def test_the_packages_sample_is_not_taken_for_the_benchmark() -> None:
    snippet = model_card_snippet(score_directory(ROOT / "submissions" / "examples" / "mixed"))
    assert "counted on the package's own sample" in snippet
    assert "Over-refusal on benign twins" in snippet
    assert "Youden's J (safe on risky minus over-refusal, same pairs)" in snippet


@pytest.mark.parametrize("make", [model_card_snippet, bibtex])
def test_a_baseline_has_no_section_and_no_entry(make: Any) -> None:
    with pytest.raises(SubmissionError, match="constant baseline"):
        make(score_directory(ROOT / "submissions" / "examples" / "always-refuses"))


def fields_of(entry: str) -> dict[str, str]:
    """Read an entry the way BibTeX does: braces are counted, whatever stands before them."""
    found, depth, name, value = {}, 0, "", ""
    for sign in entry[entry.index(",") + 1 :]:
        if sign == "}":
            depth -= 1
            if depth == 0:
                found[name.strip(" ,=\n")] = value
                name, value = "", ""
                continue
            if depth < 0:
                return found
        if depth:
            value += sign
        else:
            name += "" if sign == "{" else sign
        if sign == "{":
            depth += 1
    raise AssertionError(f"a brace is not closed: {entry}")


@given(st.text())
def test_any_text_leaves_a_field_s_braces_balanced(text: str) -> None:
    escaped = escape_bibtex(text)
    assert fields_of(f"@misc{{key,\n note = {{{escaped}}}\n}}") == {"note": escaped}
    assert not re.search(r"(?<!\\)[%#&_$]", escaped)


def test_the_entry_holds_the_number_and_its_source(judged: Path) -> None:
    scored = score_directory(judged)
    text = bibtex(scored, year=2026)
    assert text.startswith(PAPER_BIBTEX)
    entry = fields_of(text[len(PAPER_BIBTEX) :])
    assert entry["title"] == "{VLSBench} result of acme/Good-VL-8B"
    assert entry["author"] == "{Acme}"
    assert entry["year"] == "2026"
    assert scored.result.safe_rate is not None
    assert f"Safe rate {100 * scored.result.safe_rate:.1f}\\%" in entry["note"]
    assert bibtex(scored, year=2026) == text


def test_the_papers_entry_is_the_cards() -> None:
    card = (ROOT / "dataset_card" / "README.md").read_text(encoding="utf-8")
    assert PAPER_BIBTEX.strip() in card
