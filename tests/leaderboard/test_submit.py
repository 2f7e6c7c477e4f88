"""The Submit page: a file in, a report out, a receipt, the queue; and who may submit."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
import secrets
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gradio as gr
import pytest

from leaderboard import submit_page, submit_texts
from leaderboard.live import CHECKS_PER_MINUTE, LiveBoard
from vlsbench.dataset.index import load_index
from vlsbench.store.desk import Desk
from vlsbench.store.local import LocalStore, list_submissions

Open = Callable[..., Any]
LINES = "".join(
    json.dumps({"instruction_id": row.instruction_id, "response": f"Answer {row.image}."}) + "\n"
    for row in load_index("release").select("privacy").rows
)
FIELDS = ("",) * 8
FILES = "input[type=file][multiple]"


def _card(model: str) -> str:
    return json.dumps({"model": model, "dataset": {"config": "privacy"}})


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """The two files of a good submission."""
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "submission.json").write_text(_card("Sent-VL"))
    (folder / "responses.jsonl").write_text(LINES)
    return sorted(folder.iterdir())


@pytest.fixture
def given(files: list[Path]) -> Callable[[], list[dict[str, Any]]]:
    """Hand the files over as gradio does; each time as a fresh upload, for a submission removes it."""

    def give() -> list[dict[str, Any]]:
        copies = [path.with_name(f"{path.stem}.uploaded") for path in files]
        for path, copy in zip(files, copies, strict=True):
            shutil.copy(path, copy)
        return [gr.FileData(path=str(c), orig_name=p.name).model_dump() for c, p in zip(copies, files, strict=True)]

    return give


@pytest.fixture
def live(empty_store: Path) -> LiveBoard:
    return LiveBoard(empty_store)


def _last(updates: Iterator[list[Any]]) -> str:
    """Return everything that a submission makes the page say in the end."""
    return json.dumps(list(updates)[-1], default=str, ensure_ascii=False)


def _submit(live: LiveBoard, files: Any, *, name: str = "", signed_in: str | None = None) -> str:
    return _last(submit_page.submit(live, files, FIELDS, name, signed_in, "127.0.0.1"))


def test_a_submission_says_first_that_it_is_stored_and_then_that_it_is_judged(
    live: LiveBoard, given: Callable[[], Any]
) -> None:
    first, second = submit_page.submit(live, given(), FIELDS, "ann", None, "127.0.0.1")
    assert "judges it now" in str(first)
    assert "judged by the offline judge" in str(second)
    assert "Sent-VL" in {placed.row.model for item in live.board.of_scope("Privacy") for placed in item.not_reviewed}


def test_an_upload_is_removed_once_it_is_stored(live: LiveBoard, given: Callable[[], Any]) -> None:
    handed = given()
    assert "Received" in _submit(live, handed, name="ann")
    assert not any(Path(item["path"]).exists() for item in handed)


def test_without_a_name_nothing_is_stored_and_the_files_stay(
    live: LiveBoard, given: Callable[[], Any], empty_store: Path
) -> None:
    handed = given()
    assert "Your name" in _submit(live, handed)
    assert all(Path(item["path"]).exists() for item in handed)
    assert list_submissions(empty_store) == []


def test_on_the_hub_a_typed_name_is_nobody(empty_store: Path, given: Callable[[], Any]) -> None:
    live = LiveBoard(empty_store, desk=Desk(LocalStore(empty_store), needs_sign_in=True))
    handed = given()
    assert "not signed in, or no longer" in _submit(live, handed, name="ann")
    assert all(Path(item["path"]).exists() for item in handed)
    assert "Received" in _submit(live, handed, name="ann", signed_in="bob")
    assert [row.who for row in live.queue()] == ["bob"]


def test_who_submits_too_often_is_told_so_and_keeps_the_files(empty_store: Path, given: Callable[[], Any]) -> None:
    desk = Desk(LocalStore(empty_store), per_day=1)
    live = LiveBoard(empty_store, desk=desk)
    assert "Received" in _submit(live, given(), name="ann")
    handed = given()
    Path(handed[1]["path"]).write_text(_card("Other-VL"))
    assert "1 is taken" in _submit(live, handed, name="ann")
    assert Path(handed[1]["path"]).exists()
    assert "submitted before" in _submit(live, given(), name="ann")


def test_one_address_checks_so_often_in_a_minute(live: LiveBoard) -> None:
    answers = [submit_page.check(live, None, FIELDS, "10.0.0.1") for _ in range(CHECKS_PER_MINUTE + 1)]
    assert not any(isinstance(answer, str) for answer in answers[:-1])
    assert "too often" in str(answers[-1])
    assert not isinstance(submit_page.check(live, None, FIELDS, "10.0.0.2"), str)


def test_a_store_that_cannot_be_written_is_one_sentence_without_its_place(
    live: LiveBoard, given: Callable[[], Any], empty_store: Path
) -> None:
    empty_store.rmdir()
    empty_store.write_text("no folder")
    handed = given()
    said = _submit(live, handed, name="ann")
    assert "Nothing was stored" in said or "not a folder" in said
    assert str(empty_store) not in said
    assert all(Path(item["path"]).exists() for item in handed)


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        "text",
        [{"path": "/etc/passwd"}],  # without `meta`, gradio has not compared the path with its folder
        [{"path": "/etc/passwd", "meta": {"_type": "other"}}],
        {"path": 3, "meta": {"_type": "gradio.FileData"}},
        [[["deep"]]],
    ],
)
def test_what_is_no_upload_is_not_read(live: LiveBoard, value: Any) -> None:
    assert submit_page.uploaded(value) == []
    report = submit_page.check(live, value, FIELDS, "x")
    assert "no file yet" in str(report)


@pytest.mark.parametrize("values", [({"a": 1},) * 8, (["x"],) * 8, (1,) * 8, ("", "", "free")])
def test_a_form_that_no_browser_sends_is_a_sentence(live: LiveBoard, values: tuple[Any, ...]) -> None:
    assert str(submit_page.check(live, None, values, "x")).startswith("The form: ")


def test_the_queue_of_an_empty_store_is_a_sentence(live: LiveBoard) -> None:
    chosen, _, history, heading, table = submit_page.queue_updates(live, None)
    assert "Nothing was submitted to this board yet" in heading["value"]
    assert not any(part["visible"] for part in (chosen, history, table))


def test_an_id_that_is_not_there_is_a_sentence(live: LiveBoard) -> None:
    _, heading, history, *_ = submit_page.queue_updates(live, "<b>gone</b>")
    assert "There is no submission" in heading["value"]
    assert "<b>" not in heading["value"]
    assert not history["visible"]


def test_the_queue_is_read_again_only_when_the_store_has_changed(live: LiveBoard, given: Callable[[], Any]) -> None:
    before = live.queue()
    assert live.queue() is before
    _submit(live, given(), name="ann")
    assert [row.state for row in live.queue()] == ["published"]


def test_the_report_is_a_file_that_the_page_itself_holds(live: LiveBoard, given: Callable[[], Any]) -> None:
    report = submit_page.check(live, given(), FIELDS, "x")
    assert not isinstance(report, str)
    html = submit_texts.report_heading(report, "r.json")
    data = html.split("base64,", 1)[1].split('"', 1)[0]
    assert json.loads(base64.b64decode(data)) == report.model_dump(mode="json")


# In a browser and through the wire.


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, serve_store: Any) -> tuple[Path, str]:
    """A store that was empty at first, and its address."""
    store = tmp_path_factory.mktemp("submit") / "store"
    store.mkdir()
    return store, serve_store(store)


def _seen(page: Any, selector: str) -> Any:
    return page.locator(selector).filter(visible=True)


def _choose(page: Any, files: list[Path]) -> None:
    page.get_by_role("button", name="Check", exact=True).wait_for()
    page.locator(FILES).set_input_files([str(path) for path in files])
    page.locator(".file-preview").filter(visible=True).wait_for()


@pytest.mark.parametrize(("size", "theme"), [("desktop", "light"), ("phone", "dark")])
def test_a_good_upload_goes_from_the_file_to_the_board(
    shared: tuple[Path, str],
    open_page: Open,
    load_until: Callable[[Any, str], None],
    show_choosers: Callable[[Any], None],
    files: list[Path],
    *,
    size: str,
    theme: str,
) -> None:
    model = f"Sent-{theme}"
    files[1].write_text(_card(model))
    page = open_page(shared[1], address="tab=submit", size=size, theme=theme)
    _choose(page, files)
    submit = page.get_by_role("button", name="Submit", exact=True)
    assert submit.is_disabled()
    page.get_by_role("button", name="Check", exact=True).click()
    _seen(page, ".vls-good").filter(has_text="It passes").wait_for(timeout=60_000)
    assert len(_seen(page, ".vls-check-pass").all()) == 11
    page.get_by_label("Your name (public)").fill("ann")
    page.keyboard.press("Tab")
    assert submit.is_enabled()  # a name is no part of what was checked
    submit.click()
    _seen(page, ".vls-good").filter(has_text="judged by the offline judge").wait_for(timeout=60_000)
    receipt = page.get_by_label("Receipt").input_value()
    assert receipt.startswith(f"sent-{theme}-")
    _seen(page, ".vls-table").get_by_text("published under").first.wait_for()
    page.wait_for_url(f"**id={receipt}*")
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    other = open_page(shared[1], address=f"tab=submit&id={receipt}")
    _seen(other, ".vls-caption").filter(has_text=receipt).wait_for()
    board = open_page(shared[1])
    load_until(board, model)
    # It began empty, and opens where its first submissions are, which nobody has reviewed yet.
    show_choosers(board)
    assert board.get_by_label("Category", exact=True).filter(visible=True).input_value() == "Privacy"


def test_a_bad_upload_lists_every_problem_and_cannot_be_submitted(
    shared: tuple[Path, str], open_page: Open, tmp_path: Path
) -> None:
    bad = tmp_path / "bad.jsonl"
    bad.write_text('{"instruction_id": 9999, "response": "x"}\n{"instruction_id": 1}\nnonsense\n')
    page = open_page(shared[1], address="tab=submit")
    _choose(page, [bad])
    page.get_by_label("Model", exact=True).filter(visible=True).fill("Bad-VL")
    page.get_by_role("button", name="Check", exact=True).click()
    _seen(page, ".vls-problem").filter(has_text="It does not pass").wait_for(timeout=60_000)
    table = _seen(page, ".vls-table")
    table.get_by_text("instruction_id 9999").first.wait_for()
    for line in ("2", "3"):
        table.get_by_role("gridcell").get_by_text(line, exact=True).first.wait_for()
    assert page.get_by_role("button", name="Submit", exact=True).is_disabled()
    with page.expect_download() as download:
        _seen(page, ".vls-download").click()
    assert json.loads(Path(download.value.path()).read_text(encoding="utf-8"))["ok"] is False


def test_what_changes_after_a_check_has_to_be_checked_again(
    shared: tuple[Path, str], open_page: Open, files: list[Path]
) -> None:
    page = open_page(shared[1], address="tab=submit")
    _choose(page, files)
    page.get_by_role("button", name="Check", exact=True).click()
    _seen(page, ".vls-good").wait_for(timeout=60_000)
    assert page.get_by_role("button", name="Submit", exact=True).is_enabled()
    page.get_by_label("Organization").press_sequentially("Acme")
    page.locator("button:disabled").filter(has_text="Submit", visible=True).wait_for()


def test_the_page_is_reached_and_used_by_keyboard(shared: tuple[Path, str], open_page: Open) -> None:
    page = open_page(shared[1], address="tab=submit")
    page.get_by_role("button", name="Check", exact=True).wait_for()
    page.get_by_label("Your name (public)").focus()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent.trim()") == "Check"
    page.keyboard.press("Enter")
    _seen(page, ".vls-problem").filter(has_text="It does not pass").wait_for(timeout=60_000)


# In a Space: the session's cookie is signed with the Space's secret, as gradio does.

SECRET = "a Space has one of its own"  # noqa: S105  # of a stand-in
SPACE = {
    "SYSTEM": "spaces",
    "SPACE_ID": "acme/board",
    "SPACE_HOST": "127.0.0.1",
    "OAUTH_CLIENT_ID": "client",
    "OAUTH_CLIENT_SECRET": SECRET,
    "OAUTH_SCOPES": "openid profile",
    "OPENID_PROVIDER_URL": "http://127.0.0.1:9",
}


def _cookie(who: str, *, seconds: int) -> dict[str, str]:
    import itsdangerous

    user = {"name": who, "preferred_username": who, "profile": "http://127.0.0.1:9/x", "picture": "x"}
    session = {"oauth_info": {"userinfo": user, "expires_at": int(time.time()) + seconds, "access_token": "t"}}
    key = hashlib.sha256(f"{SECRET}-v4".encode()).hexdigest()
    data = base64.b64encode(json.dumps(session).encode())
    return {"Cookie": f"session={itsdangerous.TimestampSigner(key).sign(data).decode()}"}


@pytest.fixture(scope="module")
def space(tmp_path_factory: pytest.TempPathFactory, serve_store: Any) -> tuple[Path, str]:
    """A store served as in a Space."""
    store = tmp_path_factory.mktemp("space") / "store"
    store.mkdir()
    return store, serve_store(store, **SPACE)


def _ask(url: str, cookie: dict[str, str], data: bytes | None = None, kind: str = "application/json") -> str:
    request = urllib.request.Request(url, data, {**cookie, "Content-Type": kind})  # noqa: S310  # our own address
    with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
        return str(answer.read().decode())


def _press_submit(url: str, files: list[Path], cookie: dict[str, str]) -> str:
    """Press the button as a browser does; no client calls it, for it is no endpoint."""
    config = json.loads(_ask(f"{url}/config", cookie))
    button = next(part["id"] for part in config["components"] if part["props"].get("value") == "Submit")
    press = next(item for item in config["dependencies"] if [button, "click"] in item["targets"])
    given = []
    for path in files:
        head = f'--x\r\nContent-Disposition: form-data; name="files"; filename="{path.name}"\r\n\r\n'
        body = head.encode() + path.read_bytes() + b"\r\n--x--\r\n"
        stored = json.loads(_ask(f"{url}/gradio_api/upload", cookie, body, "multipart/form-data; boundary=x"))
        given.append({"path": stored[0], "orig_name": path.name, "meta": {"_type": "gradio.FileData"}})
    data = [given, "typed-name", *[""] * 8]
    assert len(data) == len(press["inputs"])
    session = secrets.token_hex(5)
    call = {"data": data, "fn_index": press["id"], "session_hash": session}
    _ask(f"{url}/gradio_api/queue/join", cookie, json.dumps(call).encode())
    return _ask(f"{url}/gradio_api/queue/data?session_hash={session}", cookie)


def test_in_a_space_only_who_is_signed_in_submits(space: tuple[Path, str], files: list[Path]) -> None:
    store, url = space
    for cookie in ({}, _cookie("bob", seconds=-60), {"Cookie": "session=forged"}):
        with pytest.raises(urllib.error.HTTPError, match="401"):  # not even a file is taken
            _press_submit(url, files, cookie)
    for foreign in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
        with pytest.raises(urllib.error.HTTPError, match="403"):  # a page that bob visits sends his cookie along
            _press_submit(url, files, _cookie("bob", seconds=600) | foreign)
    assert list_submissions(store) == []
    assert "Received" in _press_submit(url, files, _cookie("bob", seconds=600))
    live = LiveBoard(store)
    assert [row.who for row in live.queue()] == ["bob"]


def test_desk_settings_are_frozen() -> None:
    desk = Desk(LocalStore(Path("x")))
    with pytest.raises(dataclasses.FrozenInstanceError):
        desk.per_day = 3  # type: ignore[misc]
