"""People label: the draw, what is kept, the weights, and the page."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from chromium import chromium
from hypothesis import given
from hypothesis import strategies as st

from vlsbench.dataset.index import load_index
from vlsbench.dataset.source import packaged_sample
from vlsbench.errors import DataError, SubmissionError, UsageError
from vlsbench.files import canonical_json, sha256_hex
from vlsbench.judge.verdicts import read_verdicts
from vlsbench.people.corrected import reached_width
from vlsbench.people.labels import (
    Labeller,
    Plan,
    allocate,
    answers_of,
    draw_plan,
    label_weights,
    plan_path,
    read_people,
    read_plan,
)
from vlsbench.records import Rubric

RUBRIC = Rubric(judge="fake:judge", protocol="v1", evidence=("response",))
OUTCOMES = ("refusal", "warning", "unsafe", "unsafe", "unsafe", "judge_cut")


def judged(folder: Path) -> Path:
    """Give every answer of a submission a verdict: sample i gets `OUTCOMES[i % 6]`."""
    (folder / "verdicts").mkdir()
    name = folder / "verdicts" / f"{RUBRIC.rubric_id}.rubric.json"
    name.write_text(canonical_json(RUBRIC.model_dump(mode="json")) + "\n")
    lines = []
    for line in (folder / "responses.jsonl").read_text().splitlines():
        number = json.loads(line)["instruction_id"]
        what = OUTCOMES[number % 6]
        lines.append(json.dumps({"instruction_id": number, "failure" if what == "judge_cut" else "label": what}))
    (folder / "verdicts" / f"{RUBRIC.rubric_id}.jsonl").write_text("".join(f"{line}\n" for line in lines))
    return folder


@pytest.fixture
def folder(submission: Any) -> Path:
    """Answers to 600 samples of the release, judged."""
    return judged(submission.write([{"instruction_id": i, "response": f"Answer {i}."} for i in range(600)]))


def label_all(labeller: Labeller, n: int = 10_000) -> list[int]:
    shown = []
    while n and (item := labeller.current()) is not None:
        shown.append(item.instruction_id)
        assert labeller.save(item.instruction_id, "warning")
        n -= 1
    return shown


@given(st.dictionaries(st.sampled_from("abcd"), st.integers(1, 2_000), min_size=1), st.integers(4, 500))
def test_the_draws_add_up_and_no_stratum_is_left_out_or_overdrawn(sizes: dict[str, int], n: int) -> None:
    drawn = allocate(sizes, n)
    assert sum(drawn.values()) == min(n, sum(sizes.values()))
    assert all(1 <= drawn[name] <= size for name, size in sizes.items())
    assert all(drawn[a] <= drawn[b] for a in sizes for b in sizes if sizes[a] < sizes[b])


def test_every_sample_has_the_probability_that_the_plan_says() -> None:
    rows = load_index("release").rows[:120]
    strata = {
        "refusal": [(row.instruction_id, row.category) for row in rows[:20]],
        "unsafe": [(row.instruction_id, row.category) for row in rows[20:]],
    }
    seen: Counter[int] = Counter()
    for seed in range(2_000):
        plan = draw_plan(strata, name="ann", n=30, seed=seed, rubric=None, dataset="0" * 64)
        seen.update(sample.instruction_id for sample in plan.samples)
    for stratum in plan.strata:
        for number in stratum.instruction_ids:
            assert seen[number] / 2_000 == pytest.approx(stratum.probability, abs=0.05)  # 4.5 standard errors


def test_what_a_judge_is_least_sure_of_is_drawn_more_often_and_the_plan_says_how_often() -> None:
    rows = load_index("release").rows[:60]
    strata = {
        "refusal": [(row.instruction_id, row.category) for row in rows[:20]],
        "unsafe": [(row.instruction_id, row.category) for row in rows[20:]],
    }
    unsure = {row.instruction_id: (number % 5) / 10 for number, row in enumerate(rows)}
    truth = {row.instruction_id: float(number % 5 > 2) for number, row in enumerate(rows)}
    seen: Counter[int] = Counter()
    rates = []
    for seed in range(2_000):
        plan = draw_plan(strata, name="ann", n=20, seed=seed, rubric=None, dataset="0" * 64, unsure=unsure)
        assert len(plan.samples) == 20
        seen.update(sample.instruction_id for sample in plan.samples)
        rates.append(sum(truth[sample.instruction_id] / sample.probability for sample in plan.samples) / 60)
    for stratum in plan.strata:
        assert sum(map(stratum.probability_of, stratum.instruction_ids)) == pytest.approx(stratum.n_drawn)
        for number in stratum.instruction_ids:
            assert seen[number] / 2_000 == pytest.approx(stratum.probability_of(number), abs=0.05)
    assert seen[rows[4].instruction_id] > 3 * seen[rows[0].instruction_id]  # (.1 + .4) against (.1 + 0)
    assert sum(rates) / 2_000 == pytest.approx(0.4, abs=0.01)  # unbiased although the unsure ones are drawn more


def test_an_informative_plan_weighs_by_its_probabilities_also_where_it_is_not_finished(folder: Path) -> None:
    path = folder / "verdicts" / f"{RUBRIC.rubric_id}.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    for line in lines:
        top = 0.9 if line["instruction_id"] % 2 else 0.4
        line["probabilities"] = {"refusal": top, "warning": (1 - top) / 2, "unsafe": (1 - top) / 2}
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    with Labeller(folder, "ann", n=60, select="informative") as labeller:
        done = label_all(labeller, 30)
        weights = label_weights(labeller.people(), labeller.answers)
    assert read_plan(plan_path(labeller.path, "ann")) == labeller.plan
    for stratum in labeller.plan.strata:
        mine = [number for number in done if number in stratum.instruction_ids]
        part = len(mine) / stratum.n_drawn
        for number in mine:
            assert weights.of[number] == pytest.approx(1 / (part * stratum.probability_of(number)))
    with pytest.raises(UsageError, match="Leave --n, --seed, --select and --rubric out"):
        Labeller(folder, "ann", select="random")


def test_without_a_judge_that_says_how_sure_it_is_nothing_is_informative(folder: Path) -> None:
    with pytest.raises(UsageError, match="no verdict here says how sure it is: judge first with"):
        Labeller(folder, "ann", select="informative")
    assert not plan_path(folder / "human" / "ann.jsonl", "ann").exists()


def test_the_last_label_is_taken_back_once_and_asked_again(folder: Path) -> None:
    with Labeller(folder, "ann", n=40) as labeller:
        assert labeller.take_back() is None
        first, second = (sample.instruction_id for sample in labeller.plan.samples[:2])
        labeller.save(first, "unsafe")
        labeller.save(second, "refusal")
        assert labeller.take_back() == second
        assert not labeller.can_take_back
        assert labeller.take_back() is None
        item = labeller.current()
        assert item is not None
        assert item.instruction_id == second
        assert labeller.save(second, "warning")
    assert [(v.instruction_id, v.label) for v in read_verdicts(labeller.path)] == [
        (first, "unsafe"),
        (second, "warning"),
    ]
    with Labeller(folder, "ann") as again:
        assert again.take_back() is None  # what an earlier session said stays


def test_a_label_is_taken_back_off_the_disk_or_not_at_all(folder: Path) -> None:
    with Labeller(folder, "ann", n=40) as labeller:
        first, second = (sample.instruction_id for sample in labeller.plan.samples[:2])
        labeller.save(first, "unsafe")
        labeller.save(second, "refusal")
        kept = labeller.path.read_bytes() + b"\n"  # opened in an editor meanwhile, which leaves a blank line
        labeller.path.unlink()
        with pytest.raises(OSError, match="No such file"):
            labeller.take_back()
        labeller.path.write_bytes(kept)
        assert labeller.can_take_back
        assert labeller.take_back() == second
        assert [verdict.instruction_id for verdict in read_verdicts(labeller.path)] == [first]


def test_the_width_is_said_from_twenty_labels_on(folder: Path) -> None:
    with Labeller(folder, "ann", n=200) as labeller:
        label_all(labeller, 19)
        assert reached_width(labeller) is None
        label_all(labeller, 30)
        said = reached_width(labeller)
    assert said is not None
    assert re.fullmatch(
        r"By the judge's outcomes and your 49 labels the safe rate is known to ±\d+\.\d points; "
        r"±\d+ (takes about \d+ labels? more|would take more answers than there are|cannot be reached .*)\.",
        said,
    )


def test_categories_come_in_their_shares() -> None:
    rows = load_index("release").rows
    plan = draw_plan(
        {"all": [(row.instruction_id, row.category) for row in rows]},
        name="ann",
        n=200,
        seed=3,
        rubric=None,
        dataset="0" * 64,
    )
    drawn, everything = Counter(s.category for s in plan.samples), Counter(row.category for row in rows)
    assert len({sample.instruction_id for sample in plan.samples}) == 200
    for category, count in everything.items():
        assert abs(drawn[category] - 200 * count / len(rows)) <= 1


def test_the_plan_is_drawn_by_the_judges_outcomes_and_shows_none_of_them(folder: Path) -> None:
    with Labeller(folder, "ann", n=60) as labeller:
        plan = labeller.plan
        item = labeller.current()
    assert {stratum.name: len(stratum.instruction_ids) for stratum in plan.strata} == {
        "refusal": 100,
        "warning": 100,
        "unsafe": 300,
        "unjudged": 100,
    }
    assert (plan.rubric, plan.seed, len(plan.samples)) == (RUBRIC.rubric_id, 0, 60)
    assert item is not None
    assert item._asdict().keys() == {"instruction_id", "position", "total", "response", "instruction", "has_image"}
    # The release's texts are not here: the answer is shown, and what is missing is said.
    assert (item.instruction, item.has_image, item.response) == (None, False, f"Answer {item.instruction_id}.")


def test_without_a_judge_there_is_one_stratum_and_what_is_no_answer_is_left_out(submission: Any) -> None:
    path = submission.write(
        [
            {"instruction_id": 0, "response": "An answer."},
            {"instruction_id": 1, "response": " "},
            {"instruction_id": 2, "response": "Error code: 500 - boom"},
            {"instruction_id": 3, "failure": "response_filtered"},
            {"instruction_id": 4, "response": "Text only.", "condition": "text-only"},
        ]
    )
    with Labeller(path, "ann") as labeller:
        assert [(s.name, s.instruction_ids) for s in labeller.plan.strata] == [("all", (0,))]


def test_labelling_goes_on_where_it_stopped_with_the_same_plan(folder: Path) -> None:
    with Labeller(folder, "ann", n=40, seed=7) as labeller:
        first = label_all(labeller, 15)
        plan = labeller.plan
    with Labeller(folder, "ann") as labeller:
        assert (labeller.plan, labeller.n_done, labeller.n_total) == (plan, 15, 40)
        rest = label_all(labeller)
        assert labeller.current() is None
    assert len({*first, *rest}) == 40
    verdicts = read_verdicts(folder / "human" / "ann.jsonl")
    assert [v.instruction_id for v in verdicts] == [*first, *rest] == [s.instruction_id for s in plan.samples]
    assert {v.rubric for v in verdicts} == {"human:ann"}
    assert verdicts[0].response_sha256 == sha256_hex(f"Answer {first[0]}.")


def test_two_people_with_one_seed_get_the_same_samples_and_another_seed_others(folder: Path) -> None:
    orders = []
    for name, seed in (("ann", 0), ("bob", 0), ("eve", 1)):
        with Labeller(folder, name, n=40, seed=seed) as labeller:
            orders.append([sample.instruction_id for sample in labeller.plan.samples])
    assert orders[0] == orders[1] != orders[2]


def test_a_saved_label_stays_and_cannot_tell_is_no_label(folder: Path) -> None:
    with Labeller(folder, "ann", n=40) as labeller:
        first, second = (sample.instruction_id for sample in labeller.plan.samples[:2])
        assert labeller.save(first, "unsafe")
        assert not labeller.save(first, "refusal")  # a key pressed twice, a second tab
        assert labeller.save(second, "cannot_tell")
        outside = next(i for i in range(600) if all(i != sample.instruction_id for sample in labeller.plan.samples))
        assert not labeller.save(outside, "unsafe")
    verdicts = read_verdicts(labeller.path)
    assert [(v.label, v.failure) for v in verdicts] == [("unsafe", None), (None, "judge_uncertain")]


def test_an_answer_that_changed_is_shown_again(folder: Path) -> None:
    with Labeller(folder, "ann", n=40) as labeller:
        first = label_all(labeller, 5)[0]
    path = folder / "responses.jsonl"
    path.write_text(path.read_text().replace(f'"Answer {first}."', '"Another answer."'))
    with Labeller(folder, "ann") as labeller:
        item = labeller.current()
        assert item is not None
        assert (item.instruction_id, item.response, labeller.n_done) == (first, "Another answer.", 4)


def test_one_process_per_name(folder: Path) -> None:
    with Labeller(folder, "ann", n=40):
        with pytest.raises(SubmissionError, match="another process"):
            Labeller(folder, "ann")
        Labeller(folder, "bob", n=40).close()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"name": "../ann"}, "--name has letters"),
        ({"name": ""}, "--name has letters"),
        ({"name": "a" * 65}, "--name has letters"),
        ({"name": "ann", "n": 41}, "labels 40 samples drawn .random. with seed 0"),
        ({"name": "ann", "seed": 1}, "Leave --n, --seed, --select and --rubric out"),
        ({"name": "ann", "rubric": "guard"}, "by the outcomes of fake-judge"),
        ({"name": "bob", "n": 3}, "--n is at least 4"),
    ],
)
def test_a_wrong_call_changes_nothing(folder: Path, options: dict[str, Any], words: str) -> None:
    Labeller(folder, "ann", n=40).close()
    before = {path: path.read_bytes() for path in folder.rglob("[!.]*.json*")}
    with pytest.raises(UsageError, match=words):
        Labeller(folder, **options)
    assert {path: path.read_bytes() for path in folder.rglob("[!.]*.json*")} == before


def test_a_broken_plan_is_refused(folder: Path) -> None:
    with Labeller(folder, "ann", n=40) as labeller:
        label_all(labeller, 1)
    plan_path(labeller.path, "ann").write_text('{"seed": 0}')
    with pytest.raises(SubmissionError, match="not a sampling plan"):
        Labeller(folder, "ann")
    with pytest.raises(SubmissionError, match="cannot be weighted"):
        read_people(labeller.path, labeller.submission.responses)


def test_weights_of_a_part_and_of_a_plan_that_is_not_finished(folder: Path) -> None:
    with Labeller(folder, "ann", n=60) as labeller:
        label_all(labeller)
        people = read_people(labeller.path, labeller.submission.responses)
        population = answers_of(labeller.submission)
        weights = label_weights(people, population)
        strata = labeller.plan.strata
    assert weights.is_planned
    for stratum in strata:
        for number in stratum.instruction_ids:
            if number in weights.of:
                assert weights.of[number] == pytest.approx(1 / stratum.probability)
    assert sum(weights.of.values()) == pytest.approx(600)
    with Labeller(folder, "bob", n=60) as labeller:
        label_all(labeller, 9)
        people = read_people(labeller.path, labeller.submission.responses)
    weights = label_weights(people, population)
    assert sum(weights.of.values()) == pytest.approx(600)
    assert len(weights.of) == 9


def test_weights_of_two_people_and_of_labels_without_a_plan(folder: Path) -> None:
    for name, seed in (("ann", 0), ("bob", 0), ("eve", 1)):
        with Labeller(folder, name, n=60, seed=seed) as labeller:
            label_all(labeller, 40 if name == "bob" else 100)
            responses, population = labeller.submission.responses, answers_of(labeller.submission)
    together = folder / "human" / "together.jsonl"
    together.write_text("".join((folder / "human" / f"{name}.jsonl").read_text() for name in ("ann", "bob", "eve")))
    people = read_people(together, responses)
    same = label_weights(people, population, ["ann", "bob"])
    assert same.of == label_weights(people, population, ["ann"]).of  # bob drew what ann drew
    both = label_weights(people, population)
    plans = [people.plans[name] for name in ("ann", "eve")]
    number = next(iter(both.of))
    shares = [next(s.probability for s in plan.strata if number in s.instruction_ids) for plan in plans if plan]
    assert both.of[number] == pytest.approx(1 / (1 - (1 - shares[0]) * (1 - shares[1])))
    for name in ("ann", "bob", "eve"):
        plan_path(together, name).unlink()
    bare = label_weights(read_people(together, responses), population)
    assert not bare.is_planned
    assert list(bare.of.values()) == pytest.approx([600 / len(bare.of)] * len(bare.of))


def test_a_stratum_without_a_label_is_counted_with_another_and_a_label_outside_the_plan_not_at_all(
    folder: Path,
) -> None:
    with Labeller(folder, "ann", n=60) as labeller:
        plan = labeller.plan
        for sample in plan.samples:
            if sample.stratum != "refusal":
                labeller.save(sample.instruction_id, "unsafe")
        drawn = {sample.instruction_id for sample in plan.samples}
        outside = next(i for i in range(600) if i not in drawn)
        with labeller.path.open("a") as file:
            file.write(json.dumps({"instruction_id": outside, "label": "refusal", "rubric": "human:ann"}) + "\n")
        people = read_people(labeller.path, labeller.submission.responses)
        weights = label_weights(people, answers_of(labeller.submission))
    assert (weights.n_merged, weights.n_outside) == (1, 1)
    assert outside not in weights.of
    assert sum(weights.of.values()) == pytest.approx(600)


def test_a_plan_survives_its_file(folder: Path) -> None:
    with Labeller(folder, "ann", n=40) as labeller:
        plan = labeller.plan
    assert read_plan(plan_path(labeller.path, "ann")) == plan
    assert Plan.model_validate_json(plan.model_dump_json()) == plan
    assert all(0 < sample.probability <= 1 for sample in plan.samples)


# The page.


@pytest.fixture
def sample_folder(submission: Any) -> Path:
    """Answers to the package's own sample; one of them would do something if it were not escaped."""
    hostile = "<img src=x onerror=\"document.title='owned'\"> ${1+1} {{value}} <script>document.title='owned'</script>"
    rows = [row for row in load_index("sample").rows if row.risk == "risky"][:6]
    path: Path = submission.write([{"instruction_id": row.instruction_id, "response": hostile} for row in rows])
    return path


LABEL = """
import signal
from vlsbench.cli.main import main
signal.signal(signal.SIGINT, signal.default_int_handler)  # also where the tests run in the background
main()
"""


def start(*arguments: str | Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    command = [sys.executable, "-c", LABEL, "label", *map(str, arguments)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env={**os.environ})
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        assert "http://127.0.0.1:" in line, line + process.stdout.read()
        yield process, line.split()[2]
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(20)
        process.stdout.close()


def test_the_page_answers_on_loopback_and_holds_its_name(sample_folder: Path) -> None:
    pytest.importorskip("gradio", reason="gradio is not installed (pip install 'vlsbench[leaderboard]')")
    for _, url in start(sample_folder, "--name", "ann", "--port", "0"):
        with urllib.request.urlopen(url, timeout=20) as reply:  # noqa: S310 - our own page on loopback
            page = reply.read().decode()
        assert "VLSBench: label" in page
        assert "owned" not in page  # no sample is in the page before it is asked for
        command = [sys.executable, "-m", "vlsbench", "label", str(sample_folder), "--name", "ann", "--port", "0"]
        second = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        assert second.returncode == 1
        assert "another process" in second.stderr


def test_a_person_labels_by_keyboard_with_the_image_hidden_until_asked_for(sample_folder: Path) -> None:
    pytest.importorskip("gradio", reason="gradio is not installed (pip install 'vlsbench[leaderboard]')")
    found: list[str] = []
    with chromium() as browser:
        for _, url in start(sample_folder, "--name", "ann", "--port", "0"):
            page = browser.new_page()
            page.on("pageerror", lambda error: found.append(str(error)))
            page.on("request", lambda request: found.append(request.url) if _is_elsewhere(request.url) else None)
            page.goto(url)
            page.get_by_text("0 of 6 labelled").wait_for()
            assert page.locator(".vls-image img").count() == 0
            page.keyboard.press("i")
            page.locator(".vls-image img").wait_for()
            assert "{{value}} <script>" in page.locator(".vls-text").last.inner_text()
            page.keyboard.press("Enter")
            page.get_by_text("Choose one of the four first").first.wait_for()
            page.keyboard.press("3")
            page.locator("#vls-choice input:checked").wait_for()
            page.keyboard.press("Enter")
            page.get_by_text("1 of 6 labelled").wait_for()
            page.keyboard.press("b")  # a slip of the finger
            page.get_by_text("0 of 6 labelled").wait_for()
            for number, key in enumerate(("1", "2", "3", "0"), start=1):
                page.keyboard.press(key)
                page.locator("#vls-choice input:checked").wait_for()
                page.keyboard.press("Enter")
                page.get_by_text(f"{number} of 6 labelled").wait_for()
                page.locator("#vls-choice input:checked").wait_for(state="detached")
                assert page.locator(".vls-image img").count() == 0
            assert page.title() == "VLSBench: label"
    assert found == []
    verdicts = read_verdicts(sample_folder / "human" / "ann.jsonl")
    assert [v.label or v.failure for v in verdicts] == ["refusal", "warning", "unsafe", "judge_uncertain"]


def _is_elsewhere(url: str) -> bool:
    return not url.startswith(("http://127.0.0.1", "data:", "blob:"))


def test_data_that_is_another_dataset_is_refused_and_the_name_is_free_again(
    sample_folder: Path, submission: Any
) -> None:
    folder = submission.write([{"instruction_id": 0, "response": "An answer."}], name="release")
    with pytest.raises(DataError, match="not the release"):
        Labeller(folder, "ann", data=packaged_sample())
    Labeller(folder, "ann").close()
    with Labeller(sample_folder, "eve", data=packaged_sample()) as labeller:
        item = labeller.current()
        assert item is not None
        picture = labeller.picture(item.instruction_id)
    assert item.instruction
    assert picture is not None
    assert picture.mime == "image/png"


def test_a_port_that_is_taken_is_said(sample_folder: Path) -> None:
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        command = [sys.executable, "-m", "vlsbench", "label", str(sample_folder), "--name", "ann", "--port", port]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 2
    assert "choose another --port" in done.stderr
