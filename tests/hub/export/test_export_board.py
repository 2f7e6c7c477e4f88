from __future__ import annotations

import csv
import io
import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from effort import times
from hypothesis import given, settings
from hypothesis import strategies as st

from vlsbench.board.columns import render_csv
from vlsbench.board.html import render_html
from vlsbench.board.lists import Board
from vlsbench.board.parquet import render_parquet

VOID = {"meta", "link"}


class Page(HTMLParser):
    """What a browser would see."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] != ["style"]:
            self.text.append(data)

    @property
    def words(self) -> str:
        return " ".join(" ".join(self.text).split())


def csv_rows(board: Board) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(render_csv(board))))


def test_parquet_holds_what_the_csv_holds_with_types_and_nulls(board: Board) -> None:
    frame = pd.read_parquet(io.BytesIO(render_parquet(board)))
    rows = csv_rows(board)
    assert list(frame.columns) == list(rows[0])
    assert len(frame) == len(rows) > 60
    for column in frame.columns:
        for value, text in zip(frame[column], (row[column] for row in rows), strict=True):
            if pd.isna(value):
                assert text == ""
            elif isinstance(value, str):
                # The CSV's apostrophe keeps a spreadsheet from running a text; Parquet has the text.
                assert text in (value, f"'{value}")
            else:
                assert float(text) == value
    assert frame["safe_rate"].dtype == "float64"
    assert "@poor/VL" in set(frame["model"])
    assert frame.loc[frame["origin"] == "paper", "safe_rate_low"].isna().all()


def test_parquet_opens_as_a_dataset(board: Board, tmp_path: Path) -> None:
    import datasets

    path = tmp_path / "board.parquet"
    path.write_bytes(render_parquet(board))
    loaded = datasets.load_dataset("parquet", data_files=str(path), split="train", cache_dir=str(tmp_path / "cache"))
    assert loaded.features["rank"].dtype == "int64"
    assert loaded.features["safe_rate"].dtype == "float64"
    assert loaded[0]["scope"] == "Overall"
    assert len(loaded) == len(csv_rows(board))


def test_the_same_board_makes_the_same_bytes(board: Board) -> None:
    again = Board.model_validate_json(board.model_dump_json())
    assert render_parquet(board) == render_parquet(again)
    assert render_html(board) == render_html(again)


def test_an_empty_board_is_a_table_without_rows_and_a_page_that_says_so() -> None:
    empty = Board(lists=(), paper=(), left_out=())
    frame = pd.read_parquet(io.BytesIO(render_parquet(empty)))
    assert len(frame) == 0
    assert "No judged submission is in this store yet" in Page(render_html(empty)).words


def test_the_page_runs_nothing_and_loads_nothing(board: Board) -> None:
    page = Page(render_html(board))
    assert {tag for tag, _ in page.tags} & {
        "script",
        "img",
        "iframe",
        "object",
        "embed",
        "form",
        "base",
        "audio",
    } == set()
    for tag, attributes in page.tags:
        assert not [name for name in attributes if name.startswith("on")]
        assert "src" not in attributes
        if tag == "link":
            assert attributes["href"] == "data:,"
    text = render_html(board)
    assert "url(" not in text
    assert "@import" not in text
    assert "default-src 'none'" in text


def test_the_page_shows_every_row_and_why_others_are_not_there(board: Board) -> None:
    page = Page(render_html(board))
    words = page.words
    for item in board.lists:
        assert item.rubric in words
        assert item.digest[:16] in words
        for row in item.rows:
            assert row.model in words
            if row.unranked_because:
                assert f"not ranked: {row.unranked_because}" in words
    for table in board.paper:
        assert table.source in words
        assert all(row.model in words for row in table.rows)
    assert [item.submission for item in board.left_out] == ["acme/fresh"]
    assert "acme/fresh : not judged yet" in words
    rows = sum(tag == "tr" for tag, _ in page.tags)
    judged, printed = sum(len(item.rows) for item in board.lists), sum(len(table.rows) for table in board.paper)
    assert rows == judged + printed + len(board.lists) + len(board.paper)


def test_every_bar_says_in_words_what_it_draws(board: Board) -> None:
    page = Page(render_html(board))
    bars = [attributes["aria-label"] for tag, attributes in page.tags if tag == "svg"]
    rates = board.of_scope("Overall")[-1].rows[0].rates
    refusal, warning = (f"{100 * count / rates.n_samples:.1f}%" for count in (rates.n_refusal, rates.n_warning))
    said = f"refusal {refusal}, warning {warning}, unjudged "
    assert any(label is not None and label.startswith(said) for label in bars)
    assert len(bars) == sum(len(item.rows) for item in board.lists) + sum(len(table.rows) for table in board.paper)


def test_a_bar_is_as_long_as_its_bins(board: Board) -> None:
    page = Page(render_html(board))
    widths: list[list[float]] = []
    for tag, attributes in page.tags:
        if tag == "svg":
            widths.append([])
        elif tag == "rect" and attributes["width"] != "100":
            widths[-1].append(float(attributes["width"] or 0))
    judged = sum(len(item.rows) for item in board.lists)
    assert all(sum(found) == pytest.approx(100, abs=0.01) for found in widths[:judged] if found)


def with_text(board: Board, text: str) -> Board:
    """Put one text into every place of a board that comes from elsewhere."""
    dump: dict[str, Any] = board.model_dump(mode="json")
    dump["lists"], dump["paper"] = dump["lists"][:1], dump["paper"][:1]
    (item,) = dump["lists"]
    item |= {"rubric": text, "judge": text, "judge_note": text, "is_provisional": True}
    for row in item["rows"]:
        row |= {"submission": text, "model": text, "organization": text, "base_model": text, "flags": [text]}
        row |= {"unranked_because": text, "judge_models": [text]}
    (table,) = dump["paper"]
    plain = "".join(sign for sign in text if sign.isprintable())  # the record takes no other
    table |= {"source": plain, "judge": plain}
    table["rows"] = [{**row, "method": plain} for row in table["rows"][:1]]
    dump["left_out"] = [{"submission": text, "reason": text}]
    # A judge's name and a path of the store follow rules too; here they are put in behind those checks.
    return Board.model_validate_json(json.dumps(dump))


def test_no_text_from_elsewhere_becomes_a_tag_or_an_attribute(board: Board) -> None:
    plain = Page(render_html(with_text(board, "plain")))

    @settings(max_examples=times(40))
    @given(
        st.text(max_size=60) | st.sampled_from(['"><script>x</script>', "<b onclick=x>", "&lt;", "</style>", "<!--"])
    )
    def check(text: str) -> None:
        hostile = Page(render_html(with_text(board, text)))
        assert [tag for tag, _ in hostile.tags] == [tag for tag, _ in plain.tags]
        assert [sorted(attributes) for _, attributes in hostile.tags] == [sorted(found) for _, found in plain.tags]
        shown = "".join(sign if sign.isprintable() else "\ufffd" for sign in " ".join(text.split()))
        assert " ".join(shown.split()) in hostile.words

    check()


def test_a_models_address_is_a_link_that_leads_nobody_back(board: Board) -> None:
    dump = board.model_dump(mode="json")
    dump["lists"][0]["rows"][0]["url"] = "https://example.org/?a=1&b=2"
    page = Page(render_html(Board.model_validate(dump, strict=False)))
    links = [
        attributes for tag, attributes in page.tags if tag == "a" and (attributes["href"] or "").startswith("http")
    ]
    assert {"href": "https://example.org/?a=1&b=2", "rel": "nofollow noopener noreferrer"} in links
