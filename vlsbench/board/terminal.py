"""The board in a terminal."""

from __future__ import annotations

from vlsbench.board.lists import Board, BoardList
from vlsbench.submission.scoring import RATES_HEAD, rates_cells
from vlsbench.text import percent, table

__all__ = ["print_board"]


def print_board(board: Board) -> None:
    """Print every overall list, then the paper's tables, then what was left out and why."""
    overall = [item for item in board.lists if item.scope == "Overall"]
    for item in overall:
        print(_list_heading(item))
        rows = []
        for row in item.rows:
            rank = str(row.rank) if row.rank is not None else "·"
            notes = [row.unranked_because or "", *row.flags]
            rows.append([rank, row.model, *rates_cells("", row.rates)[2:], "; ".join(filter(None, notes))])
        print(table(["rank", "model", *RATES_HEAD[2:], "notes"], rows, left=2))
        print()
    if not overall:
        print("No judged submission yet.\n")
    for paper in board.paper:
        print(
            f"As printed in {paper.source}, judge {paper.judge}: no intervals, no categories, never ranked with others"
        )
        printed = [
            [r.model, *(percent(v, digits=2) for v in (r.safe_rate, r.refusal_rate, r.warning_rate)), r.alignment or ""]
            for r in sorted(paper.rows, key=lambda r: -r.safe_rate)
        ]
        print(table(["model", "safe %", "refusal %", "warning %", "alignment"], printed))
        print()
    for left in board.left_out:
        print(f"left out: {left.submission}: {left.reason}")


def _list_heading(item: BoardList) -> str:
    budget = "not declared" if item.max_new_tokens is None else str(item.max_new_tokens)
    provisional = "provisional · " if item.is_provisional else ""
    lines = [f"{provisional}{item.dataset}, N {item.n_samples:,}, max_new_tokens {budget}, rubric {item.rubric}"]
    if item.judge_note:
        lines.append(item.judge_note)
    return "\n".join(lines)
