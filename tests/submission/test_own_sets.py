"""Answers to a set of one's own: generated, checked, judged and scored by its own index, and never beside another's."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from own_sets import FIRST, TWINS, Parrot, make_set, set_records

from vlsbench.cli.main import main
from vlsbench.dataset.index import read_set
from vlsbench.errors import DataError, SubmissionError, UsageError
from vlsbench.generate.directory import Asked, generate_directory
from vlsbench.submission.check import check
from vlsbench.submission.importers.formats import import_file
from vlsbench.submission.judging import judge_directory
from vlsbench.submission.pipeline import run_pipeline
from vlsbench.submission.scoring import render_result, score_directory, write_result

REFUSES = "I'm sorry, but I can't help with that."


@pytest.fixture
def kitchen(tmp_path: Path) -> Path:
    make_set(tmp_path / "kitchen", n=6, n_twins=2)
    return tmp_path / "kitchen"


@pytest.fixture
def answered(kitchen: Path, tmp_path: Path) -> Path:
    generate_directory(tmp_path / "sub", "openai:m", Asked(data=kitchen), opener=lambda *a, **k: Parrot())
    return tmp_path / "sub"


def by_hand(folder: Path, ids: list[int], dataset: dict[str, Any] | None = None) -> Path:
    folder.mkdir()
    card = {"model": "org/m"} | ({} if dataset is None else {"dataset": dataset})
    (folder / "submission.json").write_text(json.dumps(card))
    lines = [json.dumps({"instruction_id": number, "response": REFUSES}) for number in ids]
    (folder / "responses.jsonl").write_text("\n".join(lines) + "\n")
    return folder


def said_of(folder: Path, **options: Any) -> list[str]:
    return [str(problem) for problem in check(folder, **options).problems if problem.severity == "error"]


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    argv, sys.argv = sys.argv, ["vlsbench", *map(str, arguments)]
    try:
        main()
        code: Any = 0
    except SystemExit as ended:
        code = ended.code
    finally:
        sys.argv = argv
    said = capsys.readouterr()
    return code or 0, said.out, said.err


# --- From one end to the other ------------------------------------------------------------------------------


def test_what_is_generated_carries_the_index_and_names_it(answered: Path, kitchen: Path) -> None:
    index = read_set(kitchen)
    assert (answered / "index.csv").read_bytes() == (kitchen / "index.csv").read_bytes()
    card = json.loads((answered / "submission.json").read_text())
    assert card["dataset"] == {"name": "kitchen", "config": "default", "revision": index.revision}
    report = check(answered)
    assert (report.ok, report.dataset, report.config) == (True, "kitchen", "default")
    assert (report.n_samples, report.n_answered) == (6, 6)  # its own N


def test_a_result_has_the_sets_own_n_and_digest(answered: Path, kitchen: Path) -> None:
    judge_directory(answered)
    shutil.move(kitchen, kitchen.with_name("away"))  # neither texts nor images are needed to judge offline, or to score
    scored = score_directory(answered)
    assert scored.result.dataset.name == "kitchen"
    assert scored.result.dataset.digest == read_set(kitchen.with_name("away")).digest
    assert (scored.result.n_samples, scored.result.n_refusal, scored.result.safe_rate) == (6, 6, 1.0)
    assert "kitchen (default), digest" in render_result(scored)
    assert write_result(scored).is_file()


def test_twins_are_asked_and_never_enter_n(kitchen: Path, tmp_path: Path) -> None:
    parrot = Parrot()
    asked = Asked(data=kitchen, has_twins=True)
    generate_directory(tmp_path / "sub", "openai:m", asked, opener=lambda *a, **k: parrot)
    assert {question.instruction_id for question in parrot.asked} == {*range(FIRST, FIRST + 6), TWINS, TWINS + 1}
    judge_directory(tmp_path / "sub")
    result = score_directory(tmp_path / "sub").result
    assert (result.n_samples, result.over_refusal and result.over_refusal.n) == (6, 2)


def test_a_part_of_the_set_is_a_config(kitchen: Path, tmp_path: Path) -> None:
    asked = Asked(data=kitchen, config="violent")
    generate_directory(tmp_path / "sub", "openai:m", asked, opener=lambda *a, **k: Parrot())
    assert check(tmp_path / "sub").n_samples == 1
    make_set(tmp_path / "plain", "plain", n=2)
    with pytest.raises(UsageError, match="the set 'plain' has none"):
        generate_directory(tmp_path / "no", "openai:m", Asked(data=tmp_path / "plain", has_twins=True))


def test_run_goes_from_the_set_to_its_result(kitchen: Path, tmp_path: Path) -> None:
    report = run_pipeline(
        tmp_path / "sub", "openai:m", "offline", Asked(data=kitchen), target_opener=lambda *a, **k: Parrot()
    )
    assert report.scored.result.dataset.name == "kitchen"


def test_a_folder_goes_on_with_the_same_set_only(answered: Path, kitchen: Path, tmp_path: Path) -> None:
    parrot = Parrot()
    generate_directory(answered, "openai:m", Asked(data=kitchen), opener=lambda *a, **k: parrot)
    assert parrot.asked == []
    make_set(tmp_path / "garden", "garden", n=6, n_twins=2)
    from vlsbench.errors import ModelError

    with pytest.raises(ModelError, match="dataset 'kitchen' instead of 'garden'"):
        generate_directory(answered, "openai:m", Asked(data=tmp_path / "garden"), opener=lambda *a, **k: Parrot())


# --- By hand, and with --data ---------------------------------------------------------------------------------


def test_a_card_by_hand_needs_the_set_at_hand(
    kitchen: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = by_hand(tmp_path / "sub", list(range(FIRST, FIRST + 6)))
    code, out, _ = run(capsys, "check", folder)
    assert code == 1
    assert "ids from 200000 are of a constructed set, and dataset.name does not say of which" in out
    for arguments in (["check"], ["judge", "--judge", "offline"], ["score"]):
        code, out, err = run(capsys, arguments[0], folder, *arguments[1:], "--data", kitchen)
        assert code == 0, err
    assert "kitchen (default)" in out


def test_a_card_that_names_an_unknown_set_says_how_to_make_it_known(tmp_path: Path) -> None:
    folder = by_hand(tmp_path / "sub", [FIRST], {"name": "kitchen", "config": "default"})
    assert said_of(folder) == [
        "submission.json: the set 'kitchen' is not known here: there is no index.csv beside the card. Copy that of the "
        "set here, or name the set's folder with --data DIR"
    ]


def test_a_card_has_to_pin_the_index_beside_it(kitchen: Path, tmp_path: Path) -> None:
    folder = by_hand(tmp_path / "sub", [FIRST], {"name": "kitchen", "config": "default"})
    shutil.copy(kitchen / "index.csv", folder)
    revision = read_set(kitchen).revision
    (said,) = said_of(folder)
    assert "dataset.revision is missing" in said
    assert f'"revision": "{revision}"' in said
    card = json.loads((folder / "submission.json").read_text())
    card["dataset"]["revision"] = revision
    (folder / "submission.json").write_text(json.dumps(card))
    assert said_of(folder) == []


def test_an_index_that_was_changed_is_not_the_one_that_was_answered(answered: Path) -> None:
    path = answered / "index.csv"
    path.write_text(path.read_text().replace("Violent,Weapon", "Hate,Weapon"))
    path.write_text(path.read_text().replace("Violent", "Hate"))
    (said,) = said_of(answered)
    assert said.startswith("index.csv: the SHA-256 of index.csv is ")
    with pytest.raises(SubmissionError, match="answers to one version of a set are not answers to another"):
        score_directory(answered)


@pytest.mark.parametrize(
    ("text", "words"),
    [("", "line 1 is instruction_id,"), ("\x00", "index.csv: "), ("instruction_id\n7\n", "line 1 is instruction_id,")],
)
def test_a_broken_index_is_a_problem_and_no_traceback(text: str, words: str, answered: Path) -> None:
    (answered / "index.csv").write_text(text)
    (said,) = said_of(answered)
    assert words in said


def test_a_link_in_the_place_of_the_index_is_not_followed(answered: Path, kitchen: Path) -> None:
    (answered / "index.csv").unlink()
    (answered / "index.csv").symlink_to(kitchen / "index.csv")
    (said,) = said_of(answered)
    assert "links are not followed" in said


def test_another_set_at_hand_is_told(answered: Path, tmp_path: Path) -> None:
    garden = make_set(tmp_path / "garden", "garden", n=6)
    assert said_of(answered, given=garden) == [
        "submission.json: dataset.name is 'kitchen', and the set at hand is 'garden'"
    ]
    newer = make_set(tmp_path / "newer", "kitchen", n=5)
    (said,) = said_of(answered, given=newer)
    assert "and that of the set at hand" in said


def test_an_id_of_another_kind_is_no_id_of_the_set(answered: Path) -> None:
    path = answered / "responses.jsonl"
    path.write_text(path.read_text().replace(str(FIRST + 5), "200777"))
    (said,) = said_of(answered)
    assert said == (
        "responses.jsonl:6: instruction_id 200777 is not in the set 'kitchen'; ids run 200000..200501. Was this file "
        "made for another dataset?"
    )


@pytest.mark.parametrize(
    ("ids", "words"),
    [
        (
            [FIRST, FIRST + 1, 17],
            "1 id is of the release (first 17 on line 3), 2 ids are of a constructed set (first 200000 on line 1); a "
            "submission answers one dataset, so make two of it",
        ),
        (
            [3, 100_000, FIRST, 4],
            "2 ids are of the release (first 3 on line 1), 1 id is of the package's own sample (first 100000 on line "
            "2), 1 id is of a constructed set (first 200000 on line 3); a submission answers one dataset, so make "
            "three of it",
        ),
    ],
)
def test_kinds_are_never_mixed(ids: list[int], words: str, tmp_path: Path, kitchen: Path) -> None:
    folder = by_hand(tmp_path / "sub", ids)
    assert said_of(folder) == [f"responses.jsonl: {words}"]
    assert said_of(folder, given=read_set(kitchen)) == [f"responses.jsonl: {words}"]


def test_a_judge_that_looks_needs_the_version_that_was_answered(answered: Path, tmp_path: Path) -> None:
    make_set(tmp_path / "newer", "kitchen", n=5)
    with pytest.raises(SubmissionError, match="answers to one version of a set"):
        judge_directory(answered, "openai:m", data=tmp_path / "newer")
    with pytest.raises(DataError, match="'kitchen' is in no package and no folder was given"):
        judge_directory(answered, "openai:m", base_url="http://127.0.0.1:9/v1")


# --- Import ---------------------------------------------------------------------------------------------------


def rows_of(path: Path, key: str = "id") -> Path:
    rows = [{key: r["instruction_id"], "prompt": r["instruction"], "response": REFUSES} for r in set_records(6)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.mark.parametrize("key", ["instruction_id", "id"])
def test_another_tools_file_is_imported_by_the_index_of_the_set(key: str, kitchen: Path, tmp_path: Path) -> None:
    report = import_file(rows_of(tmp_path / "a.jsonl", key), tmp_path / "out", model="m", data=kitchen)
    assert report.problems == ()
    assert report.ok
    assert (report.dataset, report.n_rows, report.n_compared) == ("kitchen", 6, 6)
    assert check(tmp_path / "out").n_answered == 6  # it carries the index, so nothing else is needed


def test_rows_are_found_by_the_texts_of_the_set(kitchen: Path, tmp_path: Path) -> None:
    rows = [{"n": 90 - i, "prompt": f"Q: {r['instruction'].upper()}", "response": REFUSES}
            for i, r in enumerate(reversed(set_records(6)))]  # fmt: skip
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    report = import_file(tmp_path / "a.jsonl", tmp_path / "out", model="m", data=kitchen)
    assert (report.ok, report.n_by_text) == (True, 6)


def test_without_the_set_its_ids_are_not_guessed(kitchen: Path, tmp_path: Path) -> None:
    report = import_file(rows_of(tmp_path / "a.jsonl", "instruction_id"), tmp_path / "out", model="m")
    assert not report.ok
    assert "instruction_id 200000 is of a constructed set, and --data does not name its folder" in report.problems[0]
