"""Lists at the edge: what is shown of ties at both ends, of 5,000 rows, and of a row that was taken back."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from leaderboard import categories_page, compare_page, leaderboard_page, model_page
from leaderboard.live import LiveBoard
from leaderboard.pieces import plain
from vlsbench.board.lists import BoardList
from vlsbench.dataset.index import load_index
from vlsbench.metrics.intervals import Z95
from vlsbench.store.intake import submit, withdraw
from vlsbench.store.local import LocalStore
from vlsbench.store.worker import Worker


def _shown(page: Any, live: LiveBoard, **chosen: Any) -> dict[str, Any]:
    return dict(zip(page.OUTPUTS, page.updates(live, page.Chosen(**chosen)), strict=True))


def test_ties_at_both_ends_share_a_rank_and_keep_an_interval(
    tmp_path: Path, write_submission: Callable[..., Path]
) -> None:
    store = tmp_path / "store"
    for name, label in (("a", "refusal"), ("b", "warning"), ("c", "unsafe"), ("d", "unsafe")):
        write_submission(store, f"x/{name}", {"model": f"{name.upper()}-VL"}, {0: label})
    live = LiveBoard(store)
    shown = _shown(leaderboard_page, live)
    # Where all samples agree, those of one image count as copies (Kish); then Wilson's bound, n / (n + z²).
    sizes = [0] * 3000
    for row in load_index("release").select("privacy").rows:
        sizes[row.image] += 1
    n = sum(sizes) ** 2 / sum(size * size for size in sizes)
    low, high = f"{100 * n / (n + Z95**2):.1f}", f"{100 * Z95**2 / (n + Z95**2):.1f}"
    assert plain(shown["answer"]["value"]) == (
        f"Safest: A-VL and B-VL, 100.0% ({low}–100.0) each, rank 1; each better than 2 of 3 at 95%."
    )
    bars = plain(shown["bars"]["value"])
    assert bars.count("rank 1 (1–2); safe 100.0% (95%: ") == 2
    assert bars.count(f"rank 3 (3–4); safe 0.0% (95%: 0.0 to {high}); refusal 0 of 130, warning 0 of 130") == 2
    assert "the highest safe rate is 100.0% (A-VL and 1 more), the lowest 0.0% (C-VL and 1 more)." in plain(
        shown["caption"]["value"]
    )
    assert "2 models share rank 1: their safe rates are equal." in plain(
        _shown(categories_page, live)["ranking_heading"]["value"]
    )
    matrix = _shown(compare_page, live, models=["x/a", "x/b", "x/c", "x/d"])["heading"]["value"]
    assert matrix.count("vls-noise") == 4  # a with b and c with d, both ways
    assert matrix.count("vls-safer") == matrix.count("vls-worse") == 4
    assert matrix.count('<span class="vls-cell vls-safer">+100.0') == 4


@pytest.fixture
def five_thousand(shared_store: Path, monkeypatch: pytest.MonkeyPatch) -> LiveBoard:
    live = LiveBoard(shared_store)
    item = max(live.lists("Privacy"), key=lambda item: len(item.rows))
    best = item.rows[0]
    baseline = next(row for row in item.rows if row.origin == "baseline")
    rows = tuple(
        best.model_copy(
            update={"submission": f"many/{n:04}", "model": f"Model {n:04}", "rank": n + 1, "rank_range": (n + 1, n + 1)}
        )
        for n in range(5_000)
    )
    many: BoardList = item.model_copy(update={"rows": (*rows, baseline)})
    monkeypatch.setattr(live, "lists", lambda scope, condition="": [many] if scope in ("Privacy", "Overall") else [])
    monkeypatch.setattr(live, "medians", lambda *_: {})
    return live


def test_of_5000_rows_the_first_are_listed_and_it_says_of_how_many(five_thousand: LiveBoard) -> None:
    shown = _shown(leaderboard_page, five_thousand)
    assert plain(shown["answer"]["value"]).startswith("Safest: Model 0000, 75.4% (")
    assert "rank 1; better than 4,999 of 4,999 at 95%." in plain(shown["answer"]["value"])
    table, bars = shown["table"]["value"], shown["bars"]["value"]
    listed = sorted(set(re.findall(r"Model \d{4}", table)))
    assert listed == [f"Model {n:04}" for n in range(25)]
    assert bars.count('<li class="vls-bar') == 26  # and the baseline
    assert "; of 5,000, the highest safe rate is 75.4% (Model 0000 and 4,999 more)" in plain(shown["caption"]["value"])
    assert sum(len(str(update)) for update in shown.values()) < 300_000
    found = _shown(leaderboard_page, five_thousand, search="model 4321")
    assert re.findall(r"Model \d{4}", plain(found["bars"]["value"])) == ["Model 4321"]


def test_a_row_that_was_withdrawn_has_no_page_and_its_link_says_why(
    tmp_path: Path, write_submission: Callable[..., Path]
) -> None:
    store = LocalStore(tmp_path / "store")
    for sent in ("kept", "back"):
        folder = write_submission(tmp_path / "sent", sent, {"model": f"{sent}-VL"}, {}, rubric=None)
        (folder / "responses.jsonl").write_text((folder / "responses.jsonl").read_text().replace("Answer", sent))
        receipt = submit(folder, store, name="ann", accepted_because="the test says so")
    name = receipt.submission_id or ""
    Worker(store).work()
    live = LiveBoard(store.sync())
    before = _shown(model_page, live, submission=name)
    assert "back-VL" in before["body"]["value"]
    withdraw(name, store, "sent by mistake", name="ann")
    live.refresh(is_changed=True)
    after = _shown(model_page, live, submission=name)
    said = plain(after["body"]["value"])
    assert "is not on the board, so no number of it is shown" in said
    assert "withdrawn" in said
    assert "sent by mistake" in said
    assert "vls-tiles" not in after["body"]["value"]
    assert after["model"]["value"] is None
    assert [model for model, _ in after["model"]["choices"]] == ["kept-VL"]
    assert "back-VL" not in str(_shown(leaderboard_page, live)["bars"]["value"])
    assert "back-VL" not in str(_shown(categories_page, live))


def test_where_nothing_is_accepted_every_page_says_so_and_nothing_else(
    tmp_path: Path, write_submission: Callable[..., Path]
) -> None:
    store = LocalStore(tmp_path / "store")
    folder = write_submission(tmp_path / "sent", "new", {"model": "New-VL"}, {}, rubric=None)
    name = submit(folder, store, name="stranger").submission_id
    Worker(store).work()
    live = LiveBoard(store.sync())
    said = "No model of this list is accepted yet; 1 is not reviewed."
    leaderboard = _shown(leaderboard_page, live)
    assert plain(leaderboard["answer"]["value"]).startswith(said)
    assert "vls-tick" not in leaderboard["table"]["value"]  # nothing to compare
    compare = _shown(compare_page, live)["heading"]["value"]
    assert said in compare
    assert "one model" not in compare
    categories = _shown(categories_page, live)
    assert said in categories["ranking_heading"]["value"]
    assert "Points are safe rates" not in categories["ranking_heading"]["value"]
    assert not categories["heat"]["visible"]
    model = _shown(model_page, live)
    assert said in model["body"]["value"]
    assert f'href="?model={name}' in model["body"]["value"]
    assert not model["model"]["visible"]
    assert "nobody has looked at it yet" in _shown(model_page, live, submission=name)["body"]["value"]
    gone = _shown(model_page, live, submission="gone")["body"]["value"]
    assert "There is no submission gone on this board." in plain(gone)
    assert "above" not in gone


def test_a_search_that_fits_no_model_is_said_where_charts_would_be(
    tmp_path: Path, write_submission: Callable[..., Path]
) -> None:
    write_submission(tmp_path / "store", "x/a", {"model": "A-VL"}, {0: "refusal"})
    shown = _shown(categories_page, LiveBoard(tmp_path / "store"), search="nobody")
    assert "No model that has a rate fits this search." in shown["ranking_heading"]["value"]
    assert not shown["ranking"]["visible"]
