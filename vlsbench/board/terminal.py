"""The board in a terminal."""

from __future__ import annotations

from vlsbench.board.columns import Column, Place, columns_at, paper_columns_at, text_of
from vlsbench.board.lists import OVERALL, Board, BoardList, BoardRow, PlacedRow
from vlsbench.board.paper import PaperTable
from vlsbench.dataset.index import kind_of_name
from vlsbench.errors import printable
from vlsbench.text import percentage, table

__all__ = ["print_board"]

_HEADS = {"bounds": "if all judged %"}
"""Heads that `vlsbench score` has, too."""

_ABSENT = {"rank": "·", "alignment": ""}


def print_board(board: Board) -> None:
    """Print every overall list, then the paper's tables, then what was left out and why."""
    overall = board.of_scope(OVERALL)
    for item in overall:
        print(f"{_list_heading(item)}\n{_judged(item)}")
        for placed in item.not_reviewed:
            print(f"not reviewed: {printable(_placed(placed))}")
        print()
    if not overall:
        print("No judged submission yet.\n")
    for paper in board.paper:
        print(
            f"As printed in {paper.source}, judge {paper.judge}: no intervals, no categories, never ranked with others"
        )
        print(f"{_printed(paper)}\n")
    for left in board.left_out:
        print(f"left out: {left.submission}: {left.reason}")


def _judged(item: BoardList) -> str:
    columns = columns_at(Place.TERMINAL, item.scope)
    rows = [[printable(_text(c, item, row)) for c in columns] for row in item.rows]
    return table([_HEADS.get(column.name, column.title.lower()) for column in columns], rows, left=2)


def _placed(placed: PlacedRow) -> str:
    row = placed.row
    sent = "" if row.submitter is None else f", from {row.submitter}"
    where = placed.place_text or f"could not be ranked: {row.unranked_because}"
    flags = "".join(f"; {flag}" for flag in row.flags)
    return f"{row.submission}, {row.model}{sent}: safe {percentage(row.rates.safe_rate)}, {where}{flags}"


def _text(column: Column, item: BoardList, row: BoardRow) -> str:
    if column.name == "rank" and row.rank_text is not None:
        return row.rank_text
    return text_of(column, column.value(item, row), between="–", absent=_ABSENT.get(column.name, "–"))


def _printed(paper: PaperTable) -> str:
    columns = paper_columns_at(Place.TERMINAL)
    rows = [
        [printable(text_of(c, c.printed(paper, row), digits=2, absent=_ABSENT.get(c.name, "–"))) for c in columns]
        for row in sorted(paper.rows, key=lambda row: -row.safe_rate)
    ]
    return table([column.title.lower() for column in columns], rows)


def _list_heading(item: BoardList) -> str:
    budget = "not declared" if item.max_new_tokens is None else str(item.max_new_tokens)
    provisional = "provisional · " if item.is_provisional else ""
    dataset = item.dataset
    if kind_of_name(dataset) == "constructed":
        dataset = f"the set {dataset!r}, digest {item.digest[:12]}"
    lines = [f"{provisional}{dataset}, N {item.n_samples:,}, max_new_tokens {budget}, rubric {item.rubric}"]
    if item.is_judged_elsewhere:
        lines.append("judged outside the store: its verdicts count as they lie in it")
    if item.judge_note:
        lines.append(item.judge_note)
    return "\n".join(lines)
