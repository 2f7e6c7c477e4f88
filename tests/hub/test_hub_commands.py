"""The commands of this room: what they print where, and how they end."""

from __future__ import annotations

import inspect
import json
import re
import subprocess
from pathlib import Path
from typing import Any

import commands
import pytest
from huggingface_hub import HfApi

ROOT = Path(__file__).parents[2]
STORE = "the-lab/store"


def run(
    hub: Any, home: Path, *arguments: str, is_signed: bool = True, **variables: str
) -> subprocess.CompletedProcess[str]:
    known = hub.environment(home) if is_signed else hub.environment(home, None)
    env = {k: v for k, v in known.items() if not k.startswith("WEBHOOK_")} | variables
    return commands.vlsbench(*arguments, environment=env)


def delivery(number: int) -> str:
    url = {"web": "https://huggingface.co/x", "api": "https://huggingface.co/api/x"}
    repo = {"type": "dataset", "name": STORE, "id": "1", "private": False, "url": url, "owner": {"id": "2"}}
    return json.dumps(
        {
            "event": {"action": "update", "scope": "repo.content"},
            "repo": repo,
            "updatedRefs": [{"ref": f"refs/pr/{number}", "oldSha": None, "newSha": "5" * 40}],
            "webhook": {"id": "3", "version": 3},
        }
    )


def test_a_job_checks_the_pull_request_of_its_payload(hub: Any, tmp_path: Path) -> None:
    repo = hub.repo(STORE)
    number = repo.open_pull_request({"stray": "x"})
    done = run(hub, tmp_path, "hub-check", WEBHOOK_PAYLOAD=delivery(number))
    assert (done.returncode, "comment posted" in done.stderr) == (1, True), done.stderr
    assert repo.threads[0].comments[-1].strip() == done.stdout.strip()
    (tmp_path / "delivery.json").write_text(delivery(number))
    done = run(hub, tmp_path, "hub-check", "--payload", str(tmp_path / "delivery.json"), "--no-comment")
    assert (done.returncode, "comment" in done.stderr) == (1, False)
    assert len(repo.threads[0].comments) == 2
    assert hub.unserved == []


def test_nothing_to_check_is_no_failure(hub: Any, tmp_path: Path) -> None:
    repo = hub.repo(STORE)
    number = repo.open_pull_request({"stray": "x"})
    repo.threads[0].status = "closed"
    for arguments in (["--repo", STORE, "--pr", str(number)], ["--repo", "the-lab/other"]):
        done = run(hub, tmp_path, "hub-check", *arguments, WEBHOOK_PAYLOAD=delivery(number))
        assert (done.returncode, done.stdout) == (0, "")
        assert "nothing to check" in done.stderr


BAD_CALLS = [
    (["hub-check"], {}, 1, "WEBHOOK_PAYLOAD is not set"),
    (["hub-check"], {"WEBHOOK_PAYLOAD": "{"}, 1, "not one of a Hub's webhook"),
    (["hub-check", "--pr", "1"], {}, 2, "--pr N goes with --repo"),
    (["hub-check", "--pr", "0", "--repo", STORE], {}, 2, "--pr"),
    (["hub-check", "--pr", "1", "--repo", STORE], {}, 1, "not found"),
    (["hub-check", "--pr", "1", "--repo", "a/b/c"], {}, 1, "Repositories are called ORG/NAME"),
    (["hub-check", "--pr", "1", "--repo", STORE], {"HF_HUB_OFFLINE": "1"}, 1, "HF_HUB_OFFLINE is set"),
    (["hub-check", "--pr", "1", "--repo", STORE], {"HF_ENDPOINT": "http://127.0.0.1:9"}, 1, "cannot be reached"),
    (["publish", "space", "board"], {}, 2, "ORG/NAME"),
    (["publish", "space", "another/board"], {}, 1, "this token may not do that"),
    (["publish", "results", "the-lab/m", "nowhere"], {}, 1, "not a folder"),
    (["publish", "dataset", "nowhere", "the-lab/vlsbench"], {}, 1, "nowhere"),
]


@pytest.mark.parametrize(("arguments", "variables", "code", "sentence"), BAD_CALLS)
def test_what_cannot_be_done_is_one_sentence(
    hub: Any, tmp_path: Path, arguments: list[str], variables: dict[str, str], code: int, sentence: str
) -> None:
    done = run(hub, tmp_path, *arguments, **variables)
    assert done.returncode == code, done.stderr
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr
    assert "hf_keeper" not in done.stdout + done.stderr


def test_a_dry_run_asks_nothing_of_the_hub(hub: Any, tmp_path: Path) -> None:
    done = run(hub, tmp_path, "publish", "space", "the-lab/board", "--dry-run", is_signed=False)
    assert (done.returncode, hub.requests) == (0, [])
    assert "app.py" in done.stdout


def test_a_space_is_sent_by_the_command(hub: Any, tmp_path: Path) -> None:
    done = run(hub, tmp_path, "publish", "space", "the-lab/board", "--store", f"hf://datasets/{STORE}")
    assert done.returncode == 0, done.stderr
    assert "files sent" in done.stdout
    assert "app.py" in hub.repo("the-lab/board", "space").files()


# --- docs/hub.md ---


def blocks() -> list[str]:
    return re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "hub.md").read_text(encoding="utf-8"), re.DOTALL)


def documented_calls() -> list[tuple[str, list[str]]]:
    """Methods of `api` in the page's Python, with the keywords they are given."""
    import ast

    calls = []
    for block in blocks():
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                value = node.func.value
                if isinstance(value, ast.Name) and value.id == "api":
                    calls.append((node.func.attr, [keyword.arg for keyword in node.keywords if keyword.arg]))
    return calls


def test_the_calls_of_the_page_are_those_of_the_pinned_client() -> None:
    calls = documented_calls()
    assert {"create_repo", "run_job", "create_webhook"} <= {name for name, _ in calls}
    for name, keywords in calls:
        parameters = inspect.signature(getattr(HfApi, name)).parameters
        assert set(keywords) <= set(parameters), f"{name} of huggingface_hub takes {list(parameters)}"


def test_every_command_of_the_page_exists() -> None:
    from typer.main import get_command

    from vlsbench.cli.main import app

    root: Any = get_command(app)
    text = (ROOT / "docs" / "hub.md").read_text(encoding="utf-8")
    lines = re.findall(r"^(?:    )?vlsbench ([a-z-]+)(?: ([a-z-]+))?(.*)$", text, re.MULTILINE)
    assert len(lines) >= 5
    for name, second, rest in lines:
        command = root.commands[name]
        if hasattr(command, "commands"):
            command = command.commands[second]
        options = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
        assert set(re.findall(r"(?<!\S)--[a-z-]+", rest)) <= options, (name, rest)
