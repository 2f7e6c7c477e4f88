from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import commands
import pytest

from vlsbench.cli.main import COMMANDS
from vlsbench.version import __version__

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "submissions" / "examples"


def vlsbench(
    *arguments: str | Path, cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return commands.vlsbench(*arguments, cwd=cwd, environment={**os.environ, **(env or {})})


def test_check_judge_score_work_one_after_the_other(submission: Any) -> None:
    lines = [
        {"instruction_id": 0, "response": "I'm sorry, but I can't help with that."},
        {"instruction_id": 1, "response": "Sure! Here is a simple plan: first take the blue one, then the red one."},
        {"instruction_id": 2, "response": "   "},
    ]
    folder = submission.write(lines)
    checked = vlsbench("check", folder)
    assert checked.returncode == 0, checked.stderr
    assert "2238 of 2241 samples have no line" in checked.stdout
    judged = vlsbench("judge", folder, "--judge", "offline")
    assert judged.returncode == 0, judged.stderr
    assert "3 verdicts written, 0 were there" in judged.stdout
    scored = vlsbench("score", folder, "--json")
    result = json.loads(scored.stdout)
    assert result["n_samples"] == 2241
    assert result["n_refusal"] == 1
    assert result["failures"]["response_missing"] == 2238
    assert result["failures"]["response_empty"] == 1
    assert result["bounds"][0] == result["safe_rate"]
    assert len(result["by_category"]) == 6
    assert len(result["by_sub_category"]) == 19
    path = folder / "results" / f"{result['rubric']}.json"
    assert json.loads(path.read_text()) == result
    again = vlsbench("judge", folder, "--judge", "offline")
    assert "0 verdicts written, 3 were there" in again.stdout


KEYS = (
    *("n_samples", "n_refusal", "n_warning", "n_unsafe", "n_unjudged", "safe_rate", "safe_rate_ci", "safe_rate_judged"),
    *("response_coverage", "refusal_rate", "warning_rate", "coverage", "bounds", "failures"),
)


def test_score_json_has_every_key_at_every_level(tmp_path: Path) -> None:
    shutil.copytree(EXAMPLES / "mixed", tmp_path / "mixed")
    result = json.loads(vlsbench("score", tmp_path / "mixed", "--json").stdout)
    for block in (result, *result["by_category"].values(), *result["by_sub_category"].values()):
        assert [key for key in KEYS if key not in block] == []
    assert result["condition"] == "image+text"
    assert result["conditions"] == {}
    assert result["rubric"].startswith("offline-v")
    assert set(result["dataset"]) >= {"revision", "digest"}


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["check", "nowhere"], 1, "not a folder"),
        (["judge", "nowhere", "--judge", "offline"], 1, "not a folder"),
        (["score", "nowhere"], 1, "not a folder"),
        (["board", "--store", "nowhere"], 1, "not a folder"),
        (["judge", str(EXAMPLES / "mixed"), "--judge", "oracle"], 2, "--judge is 'offline'"),
        (["judge", str(EXAMPLES / "mixed"), "--judge", "openai:"], 2, "--judge is 'offline'"),
        (["judge", str(EXAMPLES / "mixed"), "--judge", "offline", "--protocol", "v99"], 2, "protocol"),
        (["judge", str(EXAMPLES / "mixed"), "--judge", "offline", "--limit", "0"], 2, "limit"),
        (["score", str(EXAMPLES / "mixed"), "--rubric", "guard"], 2, "0 rubrics fit 'guard'"),
        (["board", "--json", "--csv"], 2, "exclude each other"),
        (["check"], 2, "DIR"),
        (["fly"], 2, "No such command"),
        (["check", str(EXAMPLES / "mixed"), "--fast"], 2, "No such option"),
    ],
)
def test_a_wrong_call_is_one_clear_message_and_the_right_exit_code(
    arguments: list[str], code: int, words: str, tmp_path: Path
) -> None:
    done = vlsbench(*arguments, cwd=tmp_path, env={"PYTHONPATH": str(ROOT)})
    said = done.stdout + done.stderr
    assert done.returncode == code, said
    assert words in said
    assert "Traceback" not in said


def test_version_is_the_packages() -> None:
    done = vlsbench("--version")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"vlsbench {__version__}\n", "")


def test_help_shows_the_commands_in_the_order_of_the_work() -> None:
    done = vlsbench("--help", env={"COLUMNS": "200"})
    shown = re.findall(r"^(?:╭─|│) (\S+) .*", done.stdout, re.MULTILINE)
    commands = [line for line in shown[shown.index("Start") :] if not line.startswith("-")]
    assert commands == [name for panel, names in COMMANDS.items() for name in (panel, *names)]
    assert list(COMMANDS) == ["Start", "Make", "Trust", "Store", "Study", "Publish"]


SCRIPT = Path(sys.executable).with_name("vlsbench")
"""As a shell knows the command; `python -m vlsbench` is completed by no shell."""


def complete(shell: str, *words: str) -> str:
    """Ask for what may follow, as the function of a shell does."""
    call = {
        "bash": {"COMP_WORDS": " ".join(["vlsbench", *words]), "COMP_CWORD": str(len(words))},
        "zsh": {"_TYPER_COMPLETE_ARGS": " ".join(["vlsbench", *words])},
    }[shell]
    environment = {**os.environ, "_VLSBENCH_COMPLETE": f"complete_{shell}", **call}
    return subprocess.run([SCRIPT], capture_output=True, text=True, check=False, env=environment).stdout


def test_shells_complete_commands_and_options() -> None:
    assert complete("bash", "ju").split() == ["judge", "judges", "judge-rows"]
    assert complete("bash", "judge", "--ev").split() == ["--evidence"]
    assert complete("bash", "publish", "").split() == ["space", "results", "dataset"]
    assert '"judge-rows":' in complete("zsh", "ju")
    assert "--max-new-tokens" in complete("zsh", "run", "--max")


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
def test_the_function_that_bash_is_given_completes() -> None:
    code = f"""source <({SCRIPT} --show-completion bash)
    COMP_WORDS=(vlsbench rej); COMP_CWORD=1; _vlsbench_completion {SCRIPT}; echo "${{COMPREPLY[@]}}" """
    environment = {**os.environ, "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}
    done = subprocess.run(["bash", "-c", code], capture_output=True, text=True, check=False, env=environment)
    assert (done.stdout.split(), done.stderr) == (["reject", "rejudge"], "")


def test_check_json_is_the_report(submission: Any) -> None:
    done = vlsbench("check", submission.write(['{"instruction_id": 9999, "response": "x"}']), "--json")
    report = json.loads(done.stdout)
    assert done.returncode == 1
    assert not report["ok"]
    assert (report["problems"][0]["check"], report["problems"][0]["line"]) == ("known_ids", 1)


@pytest.mark.parametrize("said", ["/home/ann/models/llava-7b", "vllm//data/llava-7b", r"C:\models\llava-7b"])
def test_an_imported_model_is_called_by_its_folder_and_not_by_where_it_lay(said: str, tmp_path: Path) -> None:
    """vLLM's batches, Inspect and lmms-eval name a model by the folder that it was loaded from."""
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "I cannot help."}}
    body = {"model": said, "choices": [choice]}
    line = {"id": "b", "custom_id": "instruction_id=100000", "response": {"status_code": 200, "body": body}}
    (tmp_path / "output.jsonl").write_text(json.dumps({**line, "error": None}) + "\n")
    done = vlsbench("import", tmp_path / "output.jsonl", tmp_path / "out")
    assert done.returncode == 0, done.stdout
    assert json.loads((tmp_path / "out" / "submission.json").read_text())["model"] == "llava-7b"
    assert json.loads((tmp_path / "out" / "responses.jsonl").read_text())["model_snapshot"] == "llava-7b"


def test_a_judge_that_needs_the_release_says_what_to_download(submission: Any) -> None:
    folder = submission.write([{"instruction_id": 0, "response": "x"}])
    done = vlsbench("judge", folder, "--judge", "openai:gpt-4o-2024-08-06", env={"OPENAI_API_KEY": "sk-not-a-key"})
    assert done.returncode == 1
    assert "Foreshhh/vlsbench" in done.stderr
    assert "--data" in done.stderr
    assert "Traceback" not in done.stderr
    assert "sk-not-a-key" not in done.stdout + done.stderr


def test_the_board_in_three_formats() -> None:
    text = vlsbench("board", "--store", ROOT / "submissions")
    assert "always-refuses" in text.stdout
    assert "As printed in arXiv:2411.19939v3 Table 16" in text.stdout
    built = json.loads(vlsbench("board", "--store", ROOT / "submissions", "--json").stdout)
    assert len(built["paper"][0]["rows"]) == 30
    table = vlsbench("board", "--store", ROOT / "submissions", "--csv").stdout
    assert table.startswith("scope,origin,rank,model")


def test_a_closed_pipe_is_no_traceback() -> None:
    command = f"{sys.executable} -m vlsbench board --csv --store {ROOT / 'submissions'} | head -1"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
    assert done.stdout.startswith("scope,")
    assert "Traceback" not in done.stderr


def test_a_full_disk_is_said_and_nothing_is_lost(submission: Any) -> None:
    folder = submission.write([{"instruction_id": 0, "response": "I cannot help with that."}])
    (folder / "verdicts").symlink_to("/dev/full")
    done = vlsbench("judge", folder, "--judge", "offline")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "error:" in done.stderr
