"""The endpoints of `docs/api.md`, called as programs call them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError

from vlsbench.board.lists import build_board
from vlsbench.dataset.index import load_index
from vlsbench.store.desk import Desk, Uploaded, UploadForm
from vlsbench.store.local import LocalStore

ENDPOINTS = ["/board", "/check", "/submission", "/table"]
LINES = "".join(
    json.dumps({"instruction_id": row.instruction_id, "response": "An answer nobody else gives."}) + "\n"
    for row in load_index("release").select("privacy").rows
)
CARD = json.dumps({"model": "Sent-VL", "dataset": {"config": "privacy"}})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("api")
    (folder / "responses.jsonl").write_text(LINES)
    (folder / "submission.json").write_text(CARD)
    return folder


@pytest.fixture(scope="module")
def served(folder: Path, serve_store: Any) -> tuple[Client, Path, str]:
    """A client of a store with one submission; the store, and the submission's id."""
    store = folder / "store"
    store.mkdir()
    desk = Desk(LocalStore(store))
    files = []
    for name in ("responses.jsonl", "submission.json"):
        (folder / f"{name}.sent").write_bytes((folder / name).read_bytes())
        files.append(Uploaded(folder / f"{name}.sent", name))
    name = desk.submit(files, UploadForm(), "ann").submission_id
    assert name is not None
    desk.judge(name)
    return Client(serve_store(store), verbose=False), store, name


def test_every_endpoint_is_typed_and_described_and_no_other_is_seen(served: tuple[Client, Path, str]) -> None:
    api: Any = served[0].view_api(return_format="dict", print_info=False)
    assert sorted(api["named_endpoints"]) == ENDPOINTS
    assert api["unnamed_endpoints"] == {}
    for name, endpoint in api["named_endpoints"].items():
        assert endpoint["description"], name
        assert all(parameter["type"] for parameter in endpoint["parameters"]), name


def test_the_docs_name_every_endpoint_and_every_parameter(served: tuple[Client, Path, str]) -> None:
    text = (Path(__file__).parents[2] / "docs" / "api.md").read_text(encoding="utf-8")
    api: Any = served[0].view_api(return_format="dict", print_info=False)
    for name, endpoint in api["named_endpoints"].items():
        section = text.split(f"## `{name}`", 1)[1].split("\n## ", 1)[0]
        for parameter in endpoint["parameters"]:
            assert f"`{parameter['parameter_name']}`" in section, name
    assert sorted(re.findall(r"^## `(/\w+)`", text, re.MULTILINE)) == ENDPOINTS


def test_board_is_the_whole_board(served: tuple[Client, Path, str]) -> None:
    client, store, _ = served
    assert client.predict(api_name="/board") == build_board(store).model_dump(mode="json")


def test_table_is_one_list_and_names_the_others(served: tuple[Client, Path, str]) -> None:
    client, store, name = served
    answer = client.predict("Privacy", api_name="/table")
    (item,) = build_board(store).of_scope("Privacy")
    assert answer["table"] == item.model_dump(mode="json")
    (key,) = answer["list_keys"]
    assert client.predict("Privacy", "image+text", key, api_name="/table") == answer
    assert [placed["row"]["submission"] for placed in answer["table"]["not_reviewed"]] == [name]
    assert client.predict(api_name="/table") == {"list_keys": [], "table": None}  # nobody answered all categories


def test_submission_is_its_card_its_state_its_results_and_its_history(served: tuple[Client, Path, str]) -> None:
    client, _, name = served
    answer = client.predict(name, api_name="/submission")
    assert answer["standing"]["state"] == "published"
    assert answer["card"]["model"] == "Sent-VL"
    assert {row["scope"] for row in answer["results"]} == {"Privacy"}, "also where nobody has reviewed it"
    assert [change["state"] for change in answer["history"]] == [
        "received",
        "checked",
        "judged",
        "scored",
        "published",
    ]
    assert "An answer nobody else gives" not in json.dumps(answer)


def test_check_is_the_gate_of_the_page_and_stores_nothing(served: tuple[Client, Path, str], folder: Path) -> None:
    client, store, _ = served
    before = sorted(store.iterdir())
    files = [handle_file(str(folder / name)) for name in ("responses.jsonl", "submission.json")]
    report = client.predict(files, organization="Acme", api_name="/check")
    assert report["ok"]
    assert report["card"]["organization"] == "Acme"
    bad = client.predict([files[0]], api_name="/check")
    assert not bad["ok"]
    assert "which model answered" in bad["problems"][0]["message"]
    assert sorted(store.iterdir()) == before


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda client: client.predict("../../etc/passwd", api_name="/submission"), "There is no submission"),
        (lambda client: client.predict("<img src=x>", api_name="/table"), "There is no scope"),
        (lambda client: client.predict("Overall", "gone", api_name="/table"), "Nothing was judged"),
        (lambda client: client.predict("Privacy", "image+text", "gone", api_name="/table"), "There is no list"),
    ],
)
def test_what_is_not_there_is_one_sentence(
    served: tuple[Client, Path, str], call: Callable[[Client], Any], words: str
) -> None:
    with pytest.raises(AppError, match=words) as caught:
        call(served[0])
    assert "Traceback" not in str(caught.value)


@pytest.mark.parametrize(
    "files", [[{"path": "/etc/passwd"}], {"path": "/etc/passwd"}, "/etc/passwd", [["/etc/passwd"]], None, 3]
)
def test_check_reads_only_what_was_uploaded(served: tuple[Client, Path, str], files: Any) -> None:
    report = served[0].predict(files, model="M", api_name="/check")
    assert "no file yet" in report["problems"][0]["message"]
