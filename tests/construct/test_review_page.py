"""People review on the page: who is asked what, what is kept, and the page itself in a browser."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest
from axe import violations
from chromium import chromium

from vlsbench.construct.config import Plan, load_plan
from vlsbench.construct.pipeline import Construction, open_construction
from vlsbench.construct.review import decide, read_reviews, withhold
from vlsbench.construct.reviewer import Reviewer
from vlsbench.errors import DataError, UsageError


@pytest.fixture(scope="module")
def built(
    scripted_models: ModuleType, write_plan: Callable[..., Plan], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A folder with a run of some pairs."""
    folder = tmp_path_factory.mktemp("built")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(Path(scripted_models.__file__ or "").parent))
        with scripted_models.scripted(faults=0.0) as url:
            more = "[twins]\nwanted = false"
            open_construction(write_plan(folder, url, elements=7, more=more, timeout=20.0)).run()
    return folder


@pytest.fixture
def config(built: Path, tmp_path: Path) -> Path:
    """The same run, without a review."""
    shutil.copytree(built, tmp_path / "copy")
    return tmp_path / "copy" / "pairs.toml"


def open_run(config: Path) -> Construction:
    return open_construction(load_plan(config))


def say_all(config: Path, name: str, bad: set[str] = frozenset(), n: int = 100) -> list[str]:  # type: ignore[assignment]
    """Review what is asked, in its order; the pairs in `bad` do not fit."""
    shown = []
    with Reviewer(open_run(config), name) as reviewer:
        while len(shown) < n and (pair := reviewer.current()) is not None:
            shown.append(pair.item)
            assert reviewer.save(pair.item, text_harmless=True, pair_fits=pair.item not in bad)
    return shown


def test_a_third_is_asked_only_where_two_disagree_and_the_majority_decides(config: Path) -> None:
    items = set(open_run(config).accepted())
    assert len(items) >= 5
    first, *_ = sorted(items)
    mia = say_all(config, "mia")
    tom = say_all(config, "tom", {first})
    assert set(mia) == set(tom) == items
    assert mia != tom, "each in an order of their own"
    run = open_run(config)
    before = withhold(run)
    assert before.standing[first] == ("waits", 2)
    assert first not in run.published(())
    assert say_all(config, "eva", {first}) == [first]
    assert say_all(config, "ida") == []
    run = open_run(config)
    after = withhold(run)
    assert after.standing[first] == ("rejected", 3)
    assert set(run.published(())) == items - {first}
    # The third word is no part of agreement: it was asked of pairs of two minds alone.
    assert (after.alpha, after.alpha_ci) == (before.alpha, before.alpha_ci)
    # By hand, N pairs rated twice: one yes/no, the rest yes/yes.
    n = len(items)
    assert after.alpha == pytest.approx(1 - (2 / (2 * n)) / (2 * (2 * n - 1) * 1 / (2 * n * (2 * n - 1))))


def test_reviewing_goes_on_where_it_stopped_and_says_what_is_left(config: Path) -> None:
    n = len(open_run(config).accepted())
    first = say_all(config, "mia", n=2)
    with Reviewer(open_run(config), "mia") as reviewer:
        assert (reviewer.n_done, reviewer.n_left) == (2, n - 2)
        pair = reviewer.current()
        assert pair is not None
        assert not reviewer.save(first[0], text_harmless=False, pair_fits=False), "a saved review stays"
        reviewer.put_off(pair.item)
        other = reviewer.current()
        assert other is not None
        assert other.item != pair.item
        assert reviewer.n_left == n - 2
    rest = say_all(config, "mia")
    assert rest[0] == pair.item
    assert {*first, *rest} == set(open_run(config).accepted())
    assert [len(rest), len(read_reviews(open_run(config)))] == [n - 2, n]


def test_a_pair_that_changed_is_asked_again(config: Path) -> None:
    shown = say_all(config, "mia")
    path = config.parent / "run" / "reviews" / "mia.jsonl"
    lines = path.read_text().splitlines()
    run = open_run(config)
    digest = read_reviews(run)[0].pair_sha256
    path.write_text("\n".join([lines[0].replace(digest, "0" * 64), *lines[1:]]) + "\n")
    assert decide(run.accepted(), read_reviews(run)).n_outdated == 1
    assert say_all(config, "mia") == [shown[0]]


def test_a_review_that_a_kill_tore_is_asked_again(config: Path) -> None:
    shown = say_all(config, "mia")
    path = config.parent / "run" / "reviews" / "mia.jsonl"
    path.write_bytes(path.read_bytes()[:-20])
    assert say_all(config, "mia") == [shown[-1]]
    assert len(read_reviews(open_run(config))) == len(shown)


def test_a_name_in_use_and_a_name_in_other_letters_are_one_sentence_each(config: Path) -> None:
    with (
        Reviewer(open_run(config), "mia"),
        pytest.raises(DataError, match=r"mia\.jsonl: somebody is reviewing as mia now, and a name is one person's\."),
    ):
        Reviewer(open_run(config), "mia")
    say_all(config, "mia", n=1)
    with pytest.raises(DataError, match="mia has reviewed here, and --reviewer Mia is the same name in other letters"):
        Reviewer(open_run(config), "Mia")
    with pytest.raises(UsageError, match=r"--reviewer has letters, .* found '\.\./x'"):
        Reviewer(open_run(config), "../x")
    mine = config.parent / "run" / "reviews" / "mia.jsonl"
    mine.rename(mine.with_name("tom.jsonl"))
    with pytest.raises(DataError, match=r"tom\.jsonl: holds what mia said; the file is tom's alone"):
        read_reviews(open_run(config))


def test_nothing_to_review_is_one_sentence(make_plan: Callable[..., Plan]) -> None:
    with pytest.raises(DataError, match="no pair came through yet, so there is nothing to review"):
        Reviewer(open_construction(make_plan()), "mia")


def test_what_is_blurred_cannot_be_made_out(config: Path) -> None:
    with Reviewer(open_run(config), "mia") as reviewer:
        pair = reviewer.current()
        assert pair is not None
        hint, size = reviewer.hint(pair.item)
        assert size == (512, 512)
        assert len(hint.data) < 1200 < len(reviewer.picture(pair.item).data)


REVIEW = """
import signal
from vlsbench.cli.main import main
signal.signal(signal.SIGINT, signal.default_int_handler)  # also where the tests run in the background
main()
"""


@pytest.fixture
def address(config: Path) -> Iterator[str]:
    """Where `vlsbench construct review` serves the page for mia."""
    pytest.importorskip("gradio", reason="gradio is not installed (pip install 'vlsbench[leaderboard]')")
    command = [sys.executable, "-c", REVIEW, "construct", "review", str(config), "--reviewer", "mia", "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env={**os.environ})
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        assert "http://127.0.0.1:" in line, line + process.stdout.read()
        yield line.split()[2]
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(20)
        process.stdout.close()


def test_a_person_reviews_by_single_keys_with_the_image_blurred_until_asked_for(config: Path, address: str) -> None:
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    n = len(open_run(config).accepted())
    found: list[str] = []
    with chromium() as browser:
        page = browser.new_page(viewport={"width": 390, "height": 844})
        page.on("pageerror", lambda error: found.append(str(error)))
        page.on("request", lambda request: found.append(request.url) if "127.0.0.1" not in request.url[:20]
                and not request.url.startswith(("data:", "blob:")) else None)  # fmt: skip
        page.goto(address)
        page.get_by_text(f"0 reviewed, {n} left").wait_for()
        blurred, clear = page.locator(".vls-blurred img"), page.locator(".vls-frame:not(.vls-blurred) img")
        assert blurred.evaluate("image => image.naturalWidth") == 16, "the image itself is not on the page"
        assert [found["id"] for found in violations(page)] == []
        page.keyboard.press("Enter")
        page.get_by_text("Is the text harmless by itself?").first.wait_for()
        page.keyboard.press("1")
        page.locator("#vls-text input:checked").wait_for()
        style = "element => getComputedStyle(element.closest('label')).outlineStyle"
        assert page.locator("#vls-text input:checked").evaluate(style) == "solid", "where the focus is can be seen"
        page.keyboard.press("4")
        page.keyboard.press("Enter")
        page.get_by_text("Look at the image first").first.wait_for()
        page.keyboard.press("i")
        clear.wait_for()
        assert clear.evaluate("image => image.naturalWidth") == 512
        page.keyboard.press("Enter")
        page.get_by_text(f"1 reviewed, {n - 1} left").wait_for()
        blurred.wait_for()
        page.locator("#vls-text input:checked").wait_for(state="detached")
        first = page.locator(".vls-text").inner_text()
        page.keyboard.press("n")
        sync_api.expect(page.locator(".vls-text")).not_to_have_text(first)
        assert page.evaluate("document.documentElement.scrollWidth") == 390, "a phone need not scroll sideways"
    assert found == []
    (said,) = read_reviews(open_run(config))
    assert (said.reviewer, said.text_harmless, said.pair_fits, said.n_before) == ("mia", True, False, 0)
