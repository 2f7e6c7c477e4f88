"""The answer of a list: what its sentence says, and what its bars draw."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from leaderboard import answer
from vlsbench.board.lists import BINS, Board, BoardList, BoardRow, PlacedRow, bins_of, build_board
from vlsbench.board.paper import PaperTable
from vlsbench.records import PaperRow
from vlsbench.taxonomy import LABEL_COLOURS


@pytest.fixture(scope="module")
def board(shared_store: Path) -> Board:
    return build_board(shared_store)


@pytest.fixture(scope="module")
def privacy(board: Board) -> BoardList:
    return max(board.of_scope("Privacy"), key=lambda item: len(item.rows))


class _Bars(HTMLParser):
    """The rows of bars, as (classes and styles of what is drawn, text)."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.rows: list[list[tuple[str, dict[str, str]]]] = []
        self.texts: list[str] = []
        self.tags: set[str] = set()
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        found = {name: value or "" for name, value in attrs}
        if tag == "li":
            self.rows.append([])
            self.texts.append("")
        elif tag in ("i", "b"):
            style = dict(part.split(":", 1) for part in found["style"].split(";"))
            self.rows[-1].append((found.get("class", ""), style))

    def handle_data(self, data: str) -> None:
        if self.texts:
            self.texts[-1] += data


def _width(style: dict[str, str], name: str = "width") -> float:
    return float(style[name].removesuffix("%"))


def test_the_parts_of_a_bar_are_the_bins_in_their_colours_and_add_up(privacy: BoardList) -> None:
    drawn = _Bars(answer.bars(privacy, privacy.rows))
    assert len(drawn.rows) == len(privacy.rows)
    for row, parts in zip(privacy.rows, drawn.rows, strict=True):
        counts = bins_of(row.rates)
        expected = [(LABEL_COLOURS[name], 100 * counts[name] / 130) for name in BINS if counts[name]]
        found = [(style["background-color"], _width(style)) for kind, style in parts if "background-color" in style]
        assert [colour for colour, _ in found] == [colour for colour, _ in expected]
        assert [share for _, share in found] == pytest.approx([share for _, share in expected], abs=0.006)
        assert sum(share for _, share in found) == pytest.approx(100, abs=0.05)


def test_the_interval_of_a_bar_spans_its_ends(privacy: BoardList) -> None:
    row = privacy.rows[0]
    assert row.rates.safe_rate is not None
    assert row.rates.safe_rate_ci is not None
    low, high = row.rates.safe_rate_ci
    styles = dict(_Bars(answer.bars(privacy, [row])).rows[0])
    whisker = styles["vls-bar-whisker"]
    assert _width(whisker, "left") == pytest.approx(100 * low, abs=0.006)
    assert _width(whisker) == pytest.approx(100 * (high - low), abs=0.006)
    assert _width(styles["vls-bar-point"], "left") == pytest.approx(100 * row.rates.safe_rate, abs=0.006)


def test_baselines_are_hatched_stand_below_and_lead_nowhere(privacy: BoardList) -> None:
    rows = sorted(privacy.rows, key=lambda row: row.origin != "baseline")
    assert rows[0].origin == "baseline"
    html = answer.bars(privacy, rows, lambda name: f"?model={name}")
    drawn = _Bars(html)
    assert [any("hatch" in kind for kind, _ in parts) for parts in drawn.rows] == [False, False, True]
    assert html.count("<a ") == 2
    assert "never ranked" in drawn.texts[-1]


def test_markup_in_a_name_comes_out_as_text(privacy: BoardList) -> None:
    name = '<a href="javascript:alert(1)">x</a><img src=x onerror=alert(1)>\u202egnp'
    row = privacy.rows[0].model_copy(update={"model": name, "unranked_because": name, "rank": None})
    for html in (answer.bars(privacy, [row]), answer.sentence(privacy.model_copy(update={"rows": (row,)}))):
        drawn = _Bars(html)
        assert not drawn.tags & {"a", "img", "script"}
        assert "\u202e" not in html


def test_a_row_without_any_label_is_all_grey_and_has_no_interval(privacy: BoardList) -> None:
    rates = privacy.rows[0].rates
    nothing = rates.model_copy(
        update={
            "n_refusal": 0,
            "n_warning": 0,
            "n_unsafe": 0,
            "n_unjudged": 130,
            "failures": {"judge_unparsable": 130},
            "safe_rate": None,
            "safe_rate_ci": None,
            "safe_rate_judged": None,
        }
    )
    row = privacy.rows[0].model_copy(update={"rates": nothing, "rank": None, "unranked_because": "nothing judged"})
    ((_, style),) = _Bars(answer.bars(privacy, [row])).rows[0]
    assert (style["background-color"], _width(style)) == (LABEL_COLOURS["unjudged"], 100)
    assert answer.sentence(privacy.model_copy(update={"rows": (row,)})) == "Nothing of 1 model has a label yet."


def test_printed_rows_are_drawn_as_printed_and_no_more(board: Board) -> None:
    drawn = _Bars(answer.paper_bars(board.paper[0]))
    # 40% printed first, then 30%; the first's parts are 10% and 20%, and are not its sum.
    assert [_width(dict(parts)["vls-bar-diamond"], "left") for parts in drawn.rows] == [40, 30]
    colours = [[style.get("background-color") for _, style in parts] for parts in drawn.rows]
    assert colours == [[LABEL_COLOURS["refusal"], LABEL_COLOURS["warning"], None]] * 2
    assert all("not ranked" in text for text in drawn.texts)


def _text(html: str) -> str:
    return re.sub("<[^>]*>", "", html)


def _row(row: BoardRow, name: str, rate: float, rank: int | None, ends: tuple[int, int] | None) -> BoardRow:
    rates = row.rates.model_copy(update={"safe_rate": rate, "safe_rate_ci": (rate - 0.014, rate + 0.012)})
    because = None if rank else "it answers a part"
    return row.model_copy(
        update={"model": name, "rates": rates, "rank": rank, "rank_range": ends, "unranked_because": because}
    )


def test_the_sentence_names_the_safest_with_interval_rank_range_and_how_many_are_worse(privacy: BoardList) -> None:
    first = privacy.rows[0]
    rows = [_row(first, "X", 0.891, 1, (1, 2)), *(_row(first, f"m{n}", 0.8, 2, (2, 60)) for n in range(59))]
    assert _text(answer.sentence(privacy.model_copy(update={"rows": tuple(rows)}))) == (
        "Safest: X, 89.1% (87.7–90.3), rank 1 (1–2); better than 58 of 59 at 95%."
    )


def test_where_nobody_is_surely_worse_nobody_is_called_safest(privacy: BoardList) -> None:
    first = privacy.rows[0]
    rows = tuple(_row(first, name, rate, rank, (1, 3)) for name, rate, rank in (("A", 0.5, 1), ("B", 0.4, 2)))
    rows += (_row(first, "C", 0.3, 3, (1, 3)),)
    assert _text(answer.sentence(privacy.model_copy(update={"rows": rows}))) == (
        "Highest safe rate: A, 50.0% (48.6–51.2), rank 1 (1–3); better than 0 of 2 at 95%; "
        "the difference may be chance."
    )


def test_of_models_with_the_same_rate_none_is_named_before_the_others(privacy: BoardList) -> None:
    first = privacy.rows[0]

    def said(*rows: BoardRow) -> str:
        return _text(answer.sentence(privacy.model_copy(update={"rows": rows})))

    best = [_row(first, name, 0.988, 1, ends) for name, ends in (("A", (1, 2)), ("B", (1, 3)), ("C", (1, 4)))]
    rest = [_row(first, f"m{n}", 0.1, 4, (3, 8)) for n in range(5)]
    assert said(*best) == "All 3 models that are ranked have the same safe rate, 98.8% (97.4–100.0)."
    # The last of two may rank third of seven: four are worse than either.
    assert said(*best[:2], *rest) == (
        "Safest: A and B, 98.8% (97.4–100.0) each, rank 1; each better than 4 of 6 at 95%."
    )
    assert said(*best, *rest) == ("Safest: 3 models, 98.8% (97.4–100.0) each, rank 1; each better than 4 of 7 at 95%.")


def test_a_list_of_one_of_none_ranked_and_of_baselines_says_so(privacy: BoardList) -> None:
    first = privacy.rows[0]
    baseline = next(row for row in privacy.rows if row.origin == "baseline")
    one = _row(first, "A", 0.5, 1, (1, 1))
    none = _row(first, "A", 0.5, None, None)
    cases = (
        ((one, baseline), "The only ranked model: A, 50.0% (48.6–51.2)."),
        ((none, baseline), "Highest safe rate: A, 50.0% (48.6–51.2) (no row is ranked)."),
        ((baseline,), "No model is in this list yet: it holds constant baselines, which are never ranked."),
    )
    for rows, said in cases:
        assert _text(answer.sentence(privacy.model_copy(update={"rows": rows}))) == said
    waiting = {"rows": (), "not_reviewed": (PlacedRow(row=none, place=(1, 1)),)}
    assert answer.sentence(privacy.model_copy(update=waiting)) == (
        "No model of this list is accepted yet; 1 is not reviewed."
    )
    other = privacy.model_copy(update={"rows": (none,), "condition": "text-only"})
    assert "shown text-only, which is never ranked" in answer.sentence(other)


def test_the_papers_sentence_has_no_interval_and_no_rank(board: Board) -> None:
    assert _text(answer.paper_sentence(board.paper[0])) == (
        "Highest safe rate printed in the paper: Printed-VL-13B, 40.00% (no interval, not ranked)."
    )
    same = PaperRow(model="Same-VL", refusal_rate=0.4, warning_rate=0.0, safe_rate=0.4)
    table: PaperTable = board.paper[0].model_copy(update={"rows": (*board.paper[0].rows, same)})
    assert "Printed-VL-13B and Same-VL, 40.00%" in _text(answer.paper_sentence(table))
