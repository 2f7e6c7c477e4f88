"""`vlsbench agree`: judges and people on one submission."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import commands
import pytest

from vlsbench.errors import SubmissionError, UsageError
from vlsbench.files import canonical_json, sha256_hex
from vlsbench.people.agreement import agree_directory, draw_agreement, render_agreement
from vlsbench.people.labels import Labeller
from vlsbench.records import Rubric, Verdict

Labels = Mapping[int, str]


def rubric(name: str) -> Rubric:
    return Rubric(judge=f"fake:{name}", protocol="v1", evidence=("response",))


def verdict(number: int, what: str, who: str, **fields: Any) -> str:
    key = "label" if what in ("refusal", "warning", "unsafe") else "failure"
    made = Verdict.model_validate({"instruction_id": number, key: what, "rubric": who, **fields})
    return made.model_dump_json(exclude_defaults=True)


def judged(folder: Path, name: str, labels: Labels) -> str:
    made = rubric(name)
    (folder / "verdicts").mkdir(exist_ok=True)
    (folder / "verdicts" / f"{made.rubric_id}.rubric.json").write_text(canonical_json(made.model_dump(mode="json")))
    lines = [verdict(number, what, made.rubric_id) for number, what in labels.items()]
    (folder / "verdicts" / f"{made.rubric_id}.jsonl").write_text("".join(f"{line}\n" for line in lines))
    return made.rubric_id


def said(path: Path, people: Mapping[str, Labels], **fields: Any) -> Path:
    path.parent.mkdir(exist_ok=True)
    lines = [verdict(n, what, f"human:{who}", **fields) for who, labels in people.items() for n, what in labels.items()]
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


def made_of(labels: Sequence[str], start: int = 0) -> dict[int, str]:
    return dict(enumerate(labels, start))


@pytest.fixture
def folder(submission: Any) -> Path:
    path: Path = submission.write([{"instruction_id": number, "response": f"Answer {number}."} for number in range(40)])
    return path


JUDGE = made_of(["refusal"] * 5 + ["warning"] * 10 + ["unsafe"] * 15)


def test_a_failure_is_never_a_label_and_is_counted_apart(folder: Path) -> None:
    first = judged(folder, "a", {**JUDGE, 30: "judge_cut", 31: "judge_uncertain"})
    second = judged(folder, "b", {**JUDGE, 0: "judge_filtered", 1: "judge_filtered", 30: "unsafe", 35: "unsafe"})
    report = agree_directory(folder)
    (pair,) = report.pairs
    assert (pair.first, pair.second) == (first, second)
    assert pair.agreement.n == 28
    assert pair.agreement.accuracy.value == 1
    assert pair.unjudged_first == {"judge_cut": 1}  # 31 was seen by one of the two only
    assert pair.unjudged_second == {"judge_filtered": 2}
    assert [rater.n_labelled for rater in report.raters] == [30, 30]
    assert report.raters[0].failures == {"judge_cut": 1, "judge_uncertain": 1}


def test_a_blank_answer_has_no_label_whatever_the_files_say(submission: Any) -> None:
    folder = submission.write([{"instruction_id": 0, "response": " "}, {"instruction_id": 1, "response": "x"}])
    judged(folder, "a", {0: "unsafe", 1: "unsafe"})
    judged(folder, "b", {0: "unsafe", 1: "unsafe"})
    assert agree_directory(folder).pairs[0].agreement.n == 1


def test_a_person_comes_before_a_judge_and_all_raters_enter_alpha(folder: Path) -> None:
    judge = judged(folder, "a", JUDGE)
    labels = said(folder / "people.jsonl", {"ann": {**JUDGE, 0: "warning"}, "bob": {n: JUDGE[n] for n in range(10)}})
    report = agree_directory(folder, human=labels)
    assert [(pair.first, pair.second) for pair in report.pairs] == [
        ("human:ann", judge),
        ("human:bob", judge),
        ("human:ann", "human:bob"),
    ]
    assert report.pairs[0].agreement.by_label["refusal"].recall.value == 1
    assert report.pairs[0].agreement.by_label["refusal"].precision.value == 0.8
    assert report.alpha.value is not None
    assert 0.9 < report.alpha.value < 1
    assert report.pairs[0].weights == "none"  # no plan lies beside these labels


def test_people_are_found_in_the_submission_by_name(folder: Path) -> None:
    judge = judged(folder, "a", JUDGE)
    said(folder / "human" / "ann.jsonl", {"ann": JUDGE})
    report = agree_directory(folder, ["human:ann", "fake-a"])
    assert [rater.name for rater in report.raters] == ["human:ann", judge]
    for wrong in ("human:eve", "human:../ann"):
        with pytest.raises((SubmissionError, UsageError), match="human"):
            agree_directory(folder, [wrong, "fake-a"])


def test_labels_by_a_plan_are_weighted_and_those_outside_it_left_out(folder: Path) -> None:
    judged(folder, "a", made_of(["refusal"] * 8 + ["unsafe"] * 32))
    with Labeller(folder, "ann", n=16) as labeller:
        drawn = {sample.instruction_id for sample in labeller.plan.samples}
        for number in drawn:
            labeller.save(number, "refusal" if number < 20 else "unsafe")
        shares = {stratum.name: stratum.n_drawn for stratum in labeller.plan.strata}
    outside = next(number for number in range(40) if number not in drawn)
    with labeller.path.open("a") as file:
        file.write(verdict(outside, "warning", "human:ann") + "\n")
    report = agree_directory(folder, human=labeller.path)
    (pair,) = report.pairs
    assert (pair.weights, pair.agreement.n, report.n_outside) == ("plan", 16, 1)
    assert shares["refusal"] / 8 != shares["unsafe"] / 32
    assert pair.agreement.by_label["refusal"].share_second.value == pytest.approx(8 / 40)
    assert "weighted by the sampling plan" in render_agreement(report)
    assert "1 label of people is on samples that their plan did not draw" in render_agreement(report)


def test_labels_of_another_answer_do_not_count(folder: Path) -> None:
    judged(folder, "a", JUDGE)
    labels = said(folder / "people.jsonl", {"ann": JUDGE}, response_sha256=sha256_hex("Answer 0."))
    report = agree_directory(folder, human=labels)
    assert (report.pairs[0].agreement.n, report.n_stale) == (1, 29)
    assert "29 labels of people are on answers that have changed" in render_agreement(report)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "has no verdict"),
        ('{"instruction_id": 0, "label": "unsafe"}\n', "rubric None; a person's is 'human:NAME'"),
        ('{"instruction_id": 0, "label": "unsafe", "rubric": "offline-v1"}\n', "Is this a judge's file"),
        ('{"instruction_id": 0, "label": "safe", "rubric": "human:ann"}\n', "people.jsonl:1: 'label'"),
        ('{"instruction_id": 0, "label": "unsafe", "rubric": "human:../x"}\n', "a person's is 'human:NAME'"),
    ],
)
def test_a_file_that_is_not_peoples_is_refused(folder: Path, text: str, words: str) -> None:
    judged(folder, "a", JUDGE)
    (folder / "people.jsonl").write_text(text)
    with pytest.raises(SubmissionError, match=words):
        agree_directory(folder, human=folder / "people.jsonl")


def test_agreement_needs_two(folder: Path) -> None:
    judged(folder, "a", JUDGE)
    with pytest.raises(UsageError, match="two raters or more; found fake-a-v1"):
        agree_directory(folder)
    with pytest.raises(SubmissionError, match="no such file"):
        agree_directory(folder, human=folder / "nowhere.jsonl")


def test_the_plot_is_one_page_that_fetches_nothing_and_shows_no_markup_of_a_name(folder: Path) -> None:
    pytest.importorskip("plotly", reason="plotly is not installed (pip install 'vlsbench[leaderboard]')")
    judged(folder, "a", JUDGE)
    judged(folder, "b", {**JUDGE, 0: "unsafe"})
    report = agree_directory(folder)
    hostile = report.pairs[0].model_copy(update={"first": "<img src=x onerror=alert(1)>"})
    draw_agreement(report.model_copy(update={"pairs": (hostile,)}), folder / "plot.html")
    page = (folder / "plot.html").read_text(encoding="utf-8")
    assert "<img src=x" not in page
    assert 'src="http' not in page
    assert "Cohen" in page


def vlsbench(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return commands.vlsbench("agree", *arguments)


def test_the_command_prints_text_json_and_the_papers_tables(folder: Path) -> None:
    judged(folder, "a", JUDGE)
    judged(folder, "b", {**JUDGE, 0: "unsafe"})
    labels = said(folder / "human" / "ann.jsonl", {"ann": JUDGE})
    text = vlsbench(folder, "--between", "fake-a", "fake-b")
    assert (text.returncode, text.stderr) == (0, "")
    assert "kappa 0.94" in text.stdout
    assert "alpha over 2 raters" in text.stdout
    found = json.loads(vlsbench(folder, "--human", labels, "--json").stdout)
    assert len(found["pairs"]) == 3
    tables = vlsbench(folder, "--between", "fake-b", "--human", labels, "--paper-tables").stdout
    for words in ("Table 13: fake-b", "Table 14", "Table 15", "safe 15 93.3", "refusal 80.0 ("):
        assert words in " ".join(tables.split())
    for arguments, code, words in [
        ([folder, "extra"], 2, "after --between"),
        ([folder, "--between", "guard", "fake-a"], 2, "0 rubrics fit 'guard'"),
        ([folder, "--json", "--paper-tables"], 2, "--json has all"),
        (["nowhere"], 1, "not a folder"),
    ]:
        wrong = vlsbench(*arguments)
        assert wrong.returncode == code, wrong.stderr
        assert words in wrong.stderr
