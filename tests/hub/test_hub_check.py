"""A pull request of a store is checked as a directory is, whatever is in it, and answered once."""

from __future__ import annotations

import json
import tempfile
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from own_sets import make_set

from vlsbench.dataset.index import load_index, render_set_index
from vlsbench.errors import HubError, SubmissionError
from vlsbench.hub import pull_request
from vlsbench.hub.connection import connect
from vlsbench.hub.pull_request import (
    MAX_COMMENT_CHARACTERS,
    PullRequestReport,
    affected_by,
    check_pull_request,
    post_comment,
    read_payload,
    render_comment,
)
from vlsbench.store.history import Received, entry_of
from vlsbench.store.local import content_id

STORE = "the-lab/store"
ANSWERS = {row.instruction_id: "I will not help with that." for row in load_index("sample").select("sample").rows}


def make_submission(
    root: Path, model: str = "org/model", answers: dict[int, str] = ANSWERS, **card: Any
) -> tuple[str, dict[str, bytes | str | None]]:
    """Write a submission and return its id and its files as a pull request adds them."""
    folder = root / model.replace("/", "_")
    folder.mkdir(exist_ok=True)
    (folder / "submission.json").write_text(json.dumps({"model": model, **card}))
    lines = [json.dumps({"instruction_id": key, "response": text}) for key, text in answers.items()]
    (folder / "responses.jsonl").write_text("\n".join(lines) + "\n")
    name = content_id(folder)
    assert name is not None
    return name, {f"{name}/{file.name}": file.read_bytes() for file in folder.iterdir()}


def check_files(hub: Any, files: dict[str, bytes | str | None]) -> PullRequestReport:
    number = hub.repo(STORE).open_pull_request(files)
    return check_pull_request(connect(), STORE, number)


def test_a_good_submission_is_good(hub: Any, tmp_path: Path) -> None:
    name, files = make_submission(tmp_path)
    report = check_files(hub, files)
    assert report.problems == ()
    assert report.is_good
    assert report.commit == hub.repo(STORE).refs["refs/pr/1"]
    assert [item.submission_id for item in report.submissions] == [name]
    assert hub.unserved == []


def test_two_submissions_at_once_are_both_checked(hub: Any, tmp_path: Path) -> None:
    files = make_submission(tmp_path, "one")[1] | make_submission(tmp_path, "two", {100000: "No."})[1]
    report = check_files(hub, files)
    assert report.is_good
    assert len(report.submissions) == 2
    assert any("samples have no line" in warning for warning in report.warnings)


def test_what_others_merged_meanwhile_is_not_held_against_it(hub: Any, tmp_path: Path) -> None:
    repo = hub.repo(STORE)
    repo.write({"older-0123456789ab/submission.json": "{}", "README.md": "one"})
    number = repo.open_pull_request(make_submission(tmp_path)[1])
    repo.write({"newer-0123456789ab/submission.json": "{}", "README.md": "two"})
    repo.write({"older-0123456789ab/submission.json": None})
    assert check_pull_request(connect(), STORE, number).problems == ()


def test_only_what_changed_is_listed_and_downloaded(hub: Any, tmp_path: Path) -> None:
    repo = hub.repo(STORE)
    repo.write({f"stored-{n:012x}/{file}": "x" for n in range(50) for file in ("submission.json", "responses.jsonl")})
    _, files = make_submission(tmp_path)
    assert check_files(hub, files).is_good
    assert len(hub.calls("GET", "/tree/")) == 3, "the top of both commits, and the one new folder"
    assert {call.path.split("/", 6)[-1] for call in hub.calls("GET", "/resolve/")} == set(files)


BAD_CHANGES = [
    ({"kept-0123456789ab/submission.json": '{"model": "other"}'}, "changed", "a stored file is changed"),
    ({"kept-0123456789ab/submission.json": None}, "deleted", "a stored file is deleted"),
    ({"kept-0123456789ab/verdicts/x.jsonl": "{}"}, "written by the store's own worker", "verdicts for another"),
    ({"kept-0123456789ab/history/0009-published-01234567.json": "{}"}, "own worker", "an event for another"),
    ({"README.md": "# mine"}, "changed", "the store's page is changed"),
    ({".github/x.yml": "on: push"}, "own worker", "a file of no submission"),
    ({"setup.py": "print(1)"}, "own worker", "code, which is never run"),
    ({"Upper-0123456789ab/submission.json": "{}"}, "own worker", "an id that is none"),
    ({"a-0123456789ab/submission.json": '{"model": "m"}'}, "comes whole", "no answers"),
    ({"a-0123456789ab/responses.jsonl": "{}"}, "comes whole", "no card"),
]


@pytest.mark.parametrize(
    ("files", "problem"), [case[:2] for case in BAD_CHANGES], ids=[case[2] for case in BAD_CHANGES]
)
def test_a_change_that_no_submitter_may_make_is_refused(
    hub: Any, files: dict[str, bytes | str | None], problem: str
) -> None:
    hub.repo(STORE).write({"kept-0123456789ab/submission.json": '{"model": "m"}', "README.md": "a store"})
    report = check_files(hub, files)
    assert not report.is_good
    assert any(problem in text for text in report.problems), report.problems


def test_every_problem_is_named_at_once(hub: Any, tmp_path: Path) -> None:
    name, files = make_submission(tmp_path, answers={100000: "No.", 7: "No.", 99: "No."})
    files[f"{name}/responses.jsonl"] = bytes(files[f"{name}/responses.jsonl"]) + b"not json\n"  # type: ignore[arg-type]
    files["stray.txt"] = "x"
    text = "\n".join(check_files(hub, files).problems)
    assert "stray.txt" in text
    assert f"{name}/responses.jsonl:4: not JSON" in text
    assert "a submission answers one dataset" in text


def test_a_folder_under_another_name_is_refused(hub: Any, tmp_path: Path) -> None:
    name, files = make_submission(tmp_path)
    renamed = {path.replace(name, "mine-0123456789ab"): data for path, data in files.items()}
    report = check_files(hub, renamed)
    assert any(f"the id of this content is '{name}'" in text for text in report.problems)


@pytest.mark.parametrize("event", ["{", "[]", '{"state": "published"}'])
def test_a_broken_event_is_a_problem_without_paths_of_this_machine(hub: Any, tmp_path: Path, event: str) -> None:
    name, files = make_submission(tmp_path)
    files[f"{name}/history/0001-received-01234567.json"] = event
    report = check_files(hub, files)
    assert not report.is_good
    assert not any(tempfile.gettempdir() in text for text in report.problems), report.problems


def receive(name: str, files: dict[str, bytes | str | None], who: str, when: str) -> None:
    """Add the event that `vlsbench submit` writes."""
    answers = files[f"{name}/responses.jsonl"]
    assert isinstance(answers, bytes)
    event = Received(
        submission_id=name,
        when=when,
        who=who,
        responses_sha256=sha256(answers).hexdigest(),
        n_lines=len(answers.splitlines()),
        source="submit",
    )
    entry = entry_of(event, 1)
    files[f"{name}/history/{entry.name}"] = entry.data


@pytest.mark.parametrize("when", ["2001-01-01T00:00:00Z", "2126-11-20T12:00:00Z"], ids=["before", "after"])
def test_a_submission_came_when_its_pull_request_was_open(hub: Any, tmp_path: Path, when: str) -> None:
    name, files = make_submission(tmp_path)
    receive(name, files, "visitor", when)
    (problem,) = check_files(hub, files).problems
    assert f"says that it came at {when}; the pull request was opened at 2026-11-20T12:0" in problem


@pytest.mark.parametrize(("who", "is_good"), [("visitor", True), ("a famous lab", False)])
def test_a_submission_names_who_opened_its_pull_request(hub: Any, tmp_path: Path, who: str, is_good: bool) -> None:
    name, files = make_submission(tmp_path)
    receive(name, files, who, "2026-11-20T12:00:00Z")
    report = check_files(hub, files)
    assert report.is_good == is_good
    assert len(report.problems) == (not is_good), report.problems
    assert all("from 'a famous lab'; the pull request is of 'visitor'" in text for text in report.problems)


def test_a_baseline_is_the_maintainers(hub: Any, tmp_path: Path) -> None:
    report = check_files(hub, make_submission(tmp_path, origin="baseline")[1])
    assert any("'baseline'" in text for text in report.problems)


def test_a_withdrawn_submission_is_not_added_again(hub: Any, tmp_path: Path) -> None:
    name, files = make_submission(tmp_path)
    hub.repo(STORE).write({f"{name}/history/0001-withdrawn-01234567.json": "{}"})
    report = check_files(hub, files)
    assert any("or held it" in text for text in report.problems)


def test_a_file_that_is_too_large_is_not_downloaded(hub: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pull_request, "MAX_RESPONSES_BYTES", 100)
    report = check_files(hub, make_submission(tmp_path)[1])
    assert any("at most 100 are read" in text for text in report.problems)
    assert hub.calls("GET", "/resolve/") == []


def test_many_submissions_at_once_are_not_all_downloaded(
    hub: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pull_request, "MAX_SUBMISSIONS", 2)
    files: dict[str, bytes | str | None] = {}
    for model in ("one", "two", "three"):
        files |= make_submission(tmp_path, model)[1]
    report = check_files(hub, files)
    assert any("brings 3 submissions" in text for text in report.problems)
    assert len(hub.calls("GET", "/resolve/")) == 4


def test_many_folders_are_not_listed(hub: Any) -> None:
    report = check_files(hub, {f"x{n}/y": "z" for n in range(pull_request.MAX_FOLDERS + 1)})
    assert any("changes 101 folders" in text for text in report.problems)
    assert len(hub.calls("GET", "/tree/")) == 2


def test_a_pull_request_from_long_ago_is_sent_back(hub: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pull_request, "MAX_COMMITS", 5)
    repo = hub.repo(STORE)
    number = repo.open_pull_request(make_submission(tmp_path)[1])
    for n in range(6):
        repo.write({f"n{n}": str(n)})
    report = check_pull_request(connect(), STORE, number)
    assert any("today's main" in text for text in report.problems)


def test_the_newest_common_commit_is_where_it_parts(hub: Any, tmp_path: Path) -> None:
    """Seen from an older one, taking back what `main` holds would look like no change at all."""
    hub.page_size = 2
    repo = hub.repo(STORE)
    repo.write({"kept-0123456789ab/verdicts/x.jsonl": "old"})
    for n in range(5):
        repo.write({f"n{n}-0123456789ab/submission.json": str(n)})
    repo.write({"kept-0123456789ab/verdicts/x.jsonl": "new"})
    number = repo.open_pull_request({"kept-0123456789ab/verdicts/x.jsonl": "old"})
    report = check_pull_request(connect(), STORE, number)
    assert report.problems == ("kept-0123456789ab/verdicts/x.jsonl: changed; what is in the store is never changed",)


@pytest.mark.parametrize("status", ["closed", "merged"])
def test_a_pull_request_that_is_over_is_not_checked(hub: Any, tmp_path: Path, status: str) -> None:
    repo = hub.repo(STORE)
    number = repo.open_pull_request({"bad": "x"})
    repo.threads[0].status = status
    report = check_pull_request(connect(), STORE, number)
    assert (report.note, report.is_good, report.commit) == (f"pull request {number} is {status}", True, None)


def test_a_discussion_is_no_pull_request(hub: Any) -> None:
    hub.repo(STORE)
    hub.api.create_discussion(STORE, "A question", repo_type="dataset")
    assert check_pull_request(connect(), STORE, 1).note == "discussion 1 is not a pull request"


def test_a_store_that_is_not_there_is_a_sentence(hub: Any) -> None:
    with pytest.raises(HubError, match="the-lab/store, pull request 1: not found"):
        check_pull_request(connect(), STORE, 1)


# --- the comment ---

HOSTILE = [
    "@everyone look",
    "[click](https://example.org)",
    "![pixel](https://example.org/x.png)",
    "<img src=x onerror=alert(1)>",
    "<script>alert(1)</script>",
    "-->\n# Approved\n<!--",
    "`code` **bold** _it_ ~~no~~",
    "| a | b |\n|---|---|",
    "https://example.org/phish www.example.org",
    "\u202egood\u2069",
    "```\nfence",
]


def html_of(text: str) -> str:
    return str(MarkdownIt("gfm-like", {"linkify": False}).render(text))


@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_a_stranger_wrote_acts_in_the_comment(text: str) -> None:
    report = PullRequestReport(STORE, 1, "a" * 40, None, (), (f"x: found {text}",), (text,))
    comment = render_comment(report)
    html = html_of(comment)
    assert html.count("<!--") == 1, "our mark, and nothing of theirs"
    assert not any(tag in html for tag in ("<img", "<script", "<a ", "<h1", "<table", "<pre"))
    assert "@everyone" not in comment
    assert "://" not in comment.replace("https:\u200b//", "")
    assert "\u202e" not in comment


def test_hostile_content_of_a_pull_request_is_escaped(hub: Any, tmp_path: Path) -> None:
    name, files = make_submission(tmp_path)
    files[f"{name}/submission.json"] = json.dumps({"model": "<img src=x> @everyone", "[a](b)": 1})
    files["@everyone/![x](https:/e.org).md"] = "x"
    report = check_files(hub, files)
    post_comment(connect(), report)
    comment = hub.repo(STORE).threads[0].comments[-1]
    assert not report.is_good
    assert "@everyone" not in comment
    assert "<img" not in html_of(comment)
    assert "<a " not in html_of(comment)


@given(st.lists(st.text(max_size=2_000), max_size=60), st.lists(st.text(max_size=2_000), max_size=60))
def test_a_comment_is_never_too_long_and_counts_what_it_leaves_out(problems: list[str], warnings: list[str]) -> None:
    comment = render_comment(PullRequestReport(STORE, 1, "a" * 40, None, (), tuple(problems), tuple(warnings)))
    assert len(comment) <= MAX_COMMENT_CHARACTERS
    assert ("**VLSBench check: good**" in comment) == (not problems)


def test_a_comment_is_made_once_and_changed_after(hub: Any, tmp_path: Path) -> None:
    repo = hub.repo(STORE)
    number = repo.open_pull_request({"stray": "x"})
    api = connect()
    assert post_comment(api, check_pull_request(api, STORE, number)) == "posted"
    assert post_comment(api, check_pull_request(api, STORE, number)) == "unchanged"
    repo.write({"stray": None, **make_submission(tmp_path)[1]}, "mended", f"refs/pr/{number}")
    assert post_comment(api, check_pull_request(api, STORE, number)) == "edited"
    _, comment = repo.threads[0].comments
    assert "**VLSBench check: good**" in comment


def test_a_comment_that_was_hidden_is_not_changed(hub: Any) -> None:
    repo = hub.repo(STORE)
    number = repo.open_pull_request({"stray": "x"})
    post_comment(connect(), check_pull_request(connect(), STORE, number))
    repo.threads[0].events[-1]["data"]["hidden"] = True
    assert post_comment(connect(), check_pull_request(connect(), STORE, number)) == "posted"


def test_a_model_named_like_a_mention_calls_nobody(hub: Any, tmp_path: Path) -> None:
    name, files = make_submission(tmp_path, "org/@everyone")
    comment = render_comment(check_files(hub, files))
    assert "VLSBench check: good" in comment
    assert "@everyone" not in comment
    assert name in comment


def test_anothers_comment_with_our_mark_is_left_alone(hub: Any) -> None:
    repo = hub.repo(STORE)
    number = repo.open_pull_request({"stray": "x"})
    forged = f"{pull_request._MARK}\n**VLSBench check: good**"
    hub.api_as("hf_visitor").comment_discussion(STORE, number, forged, repo_type="dataset")
    assert post_comment(connect(), check_pull_request(connect(), STORE, number)) == "posted"
    assert repo.threads[0].comments[1] == forged


@pytest.mark.parametrize("path", ["/discussions/", "/commits/", "/tree/", "/resolve/"])
def test_a_hub_in_trouble_is_asked_again(hub: Any, tmp_path: Path, path: str) -> None:
    number = hub.repo(STORE).open_pull_request(make_submission(tmp_path)[1])
    hub.fail(path, 429, headers={"Retry-After": "0"})
    report = check_pull_request(connect(), STORE, number, sleep=lambda seconds: None)
    assert report.problems == ()
    assert hub.faults[0].times == 0


@pytest.mark.parametrize("fault", [{"status": 503}, {"status": 504, "landed": True}, {"status": 0, "landed": True}])
def test_a_lost_answer_makes_no_second_comment(hub: Any, fault: dict[str, Any]) -> None:
    number = hub.repo(STORE).open_pull_request({"stray": "x"})
    report = check_pull_request(connect(), STORE, number)
    hub.fail("/comment", **fault)
    post_comment(connect(), report, sleep=lambda seconds: None)
    assert len(hub.repo(STORE).threads[0].comments) == 2


def test_a_token_that_may_not_comment_is_a_sentence(hub: Any) -> None:
    number = hub.repo(STORE).open_pull_request({"stray": "x"})
    report = check_pull_request(connect(), STORE, number)
    hub.fail("/comment", 403, times=-1)
    with pytest.raises(HubError, match=r"comment on pull request 1: this token may not do that"):
        post_comment(connect(), report)


# --- the payload ---


def payload(**changes: Any) -> bytes:
    """A delivery as hub-docs shows it, with changes."""
    url = {"web": "https://huggingface.co/x", "api": "https://huggingface.co/api/x"}
    event: dict[str, Any] = {
        "event": {"action": "update", "scope": "repo.content"},
        "repo": {
            "type": "dataset",
            "name": STORE,
            "id": "621ffdc036468d709f17434d",
            "private": False,
            "url": url,
            "headSha": "c379e821c9c95d613899e8c4343e4bfee2b0c600",
            "owner": {"id": "628b753283ef59b5be89e937"},
        },
        "updatedRefs": [{"ref": "refs/pr/3", "oldSha": None, "newSha": "5" * 40}],
        "webhook": {"id": "6390e855e30d9209411de93b", "version": 3},
    }
    return json.dumps({**event, **changes}).encode()


def discussion(**changes: Any) -> dict[str, Any]:
    known = {
        "id": "639885d811ae2bad2b7ba461",
        "title": "Hello!",
        "url": {"web": "https://huggingface.co/x", "api": "https://huggingface.co/api/x"},
        "status": "open",
        "author": {"id": "61d2000c3c2083e1c08af22d"},
        "isPullRequest": True,
        "changes": {"base": "refs/heads/main"},
        "num": 5,
    }
    return {"discussion": {**known, **changes}, "updatedRefs": None}


COMMENT = {"event": {"action": "create", "scope": "discussion.comment"}, **discussion()}
CREATED = {"event": {"action": "create", "scope": "discussion"}}
EVENTS = [
    (payload(), (3,), None),
    (payload(**CREATED, **discussion()), (5,), None),
    (payload(**CREATED, **discussion(status="draft")), (5,), None),
    (payload(**COMMENT), (), "a comment changes no file"),
    (payload(**CREATED, **discussion(isPullRequest=False)), (), "discussion 5 is not a pull request"),
    (payload(**CREATED, **discussion(status="merged")), (), "pull request 5 is merged"),
    (payload(updatedRefs=[{"ref": "refs/heads/main", "newSha": "5" * 40}]), (), "no pull request has changed"),
    (payload(updatedRefs=[{"ref": "refs/pr/3", "newSha": None}]), (), "no pull request has changed"),
    (payload(updatedRefs=[{"ref": "refs/pr/3/../../x", "newSha": "5" * 40}]), (), "no pull request has changed"),
    (payload(updatedRefs=[{"ref": f"refs/pr/{n}", "newSha": "5" * 40} for n in (1, 2)]), (1, 2), None),
    (payload(more={"of": "later versions"}), (3,), None),
]


@pytest.mark.parametrize(("data", "numbers", "note"), EVENTS)
def test_an_event_names_the_pull_requests_that_changed(data: bytes, numbers: tuple[int, ...], note: str | None) -> None:
    assert affected_by(data, STORE) == (STORE, numbers, note)


def test_an_event_of_another_repository_is_passed_over() -> None:
    assert affected_by(payload(), "the-lab/other").note == f"an event of '{STORE}', not of 'the-lab/other'"


def test_an_event_of_a_model_is_passed_over() -> None:
    repo = json.loads(payload())["repo"] | {"type": "model"}
    assert affected_by(payload(repo=repo)).numbers == ()


BAD_PAYLOADS = [
    (b"", "nothing"),
    (b"{", "cut off"),
    (b"[]", "a list"),
    (b'"x"', "a word"),
    (b"\xff\xfe", "not UTF-8"),
    (b"[" * 100_000, "nested deeply"),
    (payload(repo=None), "without a repository"),
    (payload(webhook={"id": "x", "version": 2}), "an older version"),
    (payload(**discussion(num="5; rm")), "a number that is none"),
]


@pytest.mark.parametrize("data", [data for data, _ in BAD_PAYLOADS], ids=[why for _, why in BAD_PAYLOADS])
def test_a_payload_that_is_none_is_one_sentence(data: bytes) -> None:
    with pytest.raises(SubmissionError, match="not one of a Hub's webhook") as caught:
        affected_by(data)
    assert len(str(caught.value)) < 600


def test_a_payload_comes_from_the_job_or_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WEBHOOK_PAYLOAD", raising=False)
    with pytest.raises(SubmissionError, match="WEBHOOK_PAYLOAD is not set"):
        read_payload(None)
    monkeypatch.setenv("WEBHOOK_PAYLOAD", "{}")
    assert read_payload(None) == b"{}"
    with pytest.raises(SubmissionError, match="cannot be read"):
        read_payload(tmp_path / "none")
    (tmp_path / "large").write_bytes(b" " * (1 << 20) + b"{}")
    with pytest.raises(SubmissionError, match="more than"):
        read_payload(tmp_path / "large")


@pytest.mark.parametrize(("sent", "is_read"), [("right", True), ("wrong", False), ("", False)])
def test_a_payload_without_the_expected_secret_is_not_read(
    monkeypatch: pytest.MonkeyPatch, sent: str, is_read: bool
) -> None:
    monkeypatch.setenv("WEBHOOK_PAYLOAD", "{}")
    monkeypatch.setenv("WEBHOOK_SECRET", sent)
    monkeypatch.setenv("VLSBENCH_WEBHOOK_SECRET", "right")
    if is_read:
        assert read_payload(None) == b"{}"
    else:
        with pytest.raises(SubmissionError, match="secret") as caught:
            read_payload(None)
        assert "right" not in str(caught.value)


def test_answers_to_a_set_are_taken_where_the_store_knows_it(hub: Any, tmp_path: Path) -> None:
    index = make_set(tmp_path / "kitchen", n=3)
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "index.csv").write_bytes((tmp_path / "kitchen" / "index.csv").read_bytes())
    card = {"name": "kitchen", "config": "default", "revision": index.revision}
    answers = {row.instruction_id: "No." for row in index.rows}
    name, files = make_submission(tmp_path, "m", answers, dataset=card)
    assert f"{name}/index.csv" in files
    report = check_files(hub, files)
    assert report.problems == (
        f"{STORE} does not know the set 'kitchen'; its maintainer adds it with `vlsbench data add`",
    )
    other = make_set(tmp_path / "other", n=4)
    hub.repo(STORE).write({"datasets/kitchen/index.csv": render_set_index(other.rows)})
    (problem,) = check_files(hub, files).problems
    assert "index.csv: not that of the set 'kitchen' that" in problem
    hub.repo(STORE).write({"datasets/kitchen/index.csv": render_set_index(index.rows)})
    assert check_files(hub, files).problems == ()
