"""People's grades as the judge of harm, and beside another."""

from __future__ import annotations

from pathlib import Path

import pytest
from asked import endpoint, kind_of, label, write_set

from vlsbench.errors import DataError
from vlsbench.leakage.grades import read_grades
from vlsbench.leakage.groups import group_items
from vlsbench.leakage.items import read_items
from vlsbench.leakage.judged import Judged
from vlsbench.leakage.judging import JudgeOptions, open_judge

N = 24


def judged_by(path: Path, rows: list[dict[str, object]]) -> Judged:
    audited = read_items(rows)
    judge = open_judge(f"people:{path}")
    assert judge is not None
    return judge(audited, group_items(audited.items))


def rows_of(n: int = N) -> list[dict[str, object]]:
    return [{"id": f"i{k}", "prompt": f"Question {k} about {'abcdefgh'[k % 8]}{k}?"} for k in range(n)]


def write(path: Path, head: str, lines: list[str]) -> Path:
    path.write_text("\n".join([head, *lines]) + "\n")
    return path


def test_grades_by_id_give_the_numbers_and_the_cells(tmp_path: Path) -> None:
    lines = [f"i{k},{'unsafe' if k < 6 else 'safe'},{'unsafe' if k < 18 else 'safe'},safe" for k in range(N)]
    leak = judged_by(write(tmp_path / "g.csv", "id,text_grade,pair_grade,image_grade", lines), rows_of()).harm_leak
    assert leak is not None
    assert (leak.judge, leak.r1.count, leak.r2.count, leak.r1.n) == ("people:g.csv", 18, 6, N)
    assert leak.cells == {
        "pair safe, text safe, image safe": 6,
        "pair unsafe, text safe, image safe": 12,
        "pair unsafe, text unsafe, image safe": 6,
    }


def test_columns_of_vlsu_are_recognised(tmp_path: Path) -> None:
    """Invented rows of its shape; its borderline is neither safe nor unsafe."""
    grades = [("safe", "unsafe"), ("borderline", "unsafe"), ("unsafe", "unsafe")] * 8
    prompts = [row["prompt"] for row in rows_of()]
    lines = [f"i{k},{prompts[k]},w,safe,{text},{pair}" for k, (text, pair) in enumerate(grades)]
    head = "uuid,prompt,web_path,image_grade,consensus_text_grade,consensus_combined_grade"
    judged = judged_by(write(tmp_path / "vlsu.csv", head, lines), rows_of())
    leak = judged.harm_leak
    assert leak is not None
    assert (leak.r1.count, leak.r2.count, leak.r1.n) == (16, 8, 16)
    assert leak.n_failed == {"pair": {}, "text": {"controversial": 8}}
    assert judged.notes[0].startswith("harm leak speaks of 16 of 24 items")


def test_grades_are_matched_by_text_where_ids_are_others(tmp_path: Path) -> None:
    lines = [f'{{"text": "{row["prompt"]}", "text_grade": "safe", "pair_grade": "unsafe"}}' for row in rows_of()]
    path = tmp_path / "g.jsonl"
    path.write_text("\n".join(lines) + "\n")
    leak = judged_by(path, rows_of()).harm_leak
    assert leak is not None
    assert (leak.r1.count, leak.r2.count, leak.r1.n) == (N, 0, N)


@pytest.mark.parametrize("has_ids", [True, False])
def test_ids_are_believed_only_as_far_as_the_texts_beside_them_agree(has_ids: bool, tmp_path: Path) -> None:
    """The file counts from 1, SOURCE from 0 or not at all: every id is there, and every one is another item's."""
    rows = [row | {"id": k} if has_ids else {"prompt": row["prompt"]} for k, row in enumerate(rows_of())]
    lines = [f"{k + 1},{row['prompt']},{'unsafe' if k < 5 else 'safe'},unsafe" for k, row in enumerate(rows)]
    path = write(tmp_path / "g.csv", "id,text,text_grade,pair_grade", lines)
    found = read_grades(path).of(read_items(rows))
    assert [one.text for one in found] == ["unsafe"] * 5 + ["safe"] * (N - 5)


def test_ids_against_texts_that_stand_for_several_items_are_refused(tmp_path: Path) -> None:
    rows = [{"id": k, "prompt": f"Whose boat is number {k // 2}?", "image": f"{k}.png"} for k in range(N)]
    lines = [f"{k + 1},{row['prompt']},safe,unsafe" for k, row in enumerate(rows)]
    path = write(tmp_path / "g.csv", "id,text,text_grade,pair_grade", lines)
    with pytest.raises(DataError, match="of its 23 ids in SOURCE, 11 stand beside another text there"):
        read_grades(path).of(read_items(rows))


def test_row_numbers_are_no_ids(tmp_path: Path) -> None:
    path = write(tmp_path / "g.csv", "id,text_grade,pair_grade", [f"{k},safe,unsafe" for k in range(N)])
    with pytest.raises(DataError, match="SOURCE has no column of ids"):
        read_grades(path).of(read_items([{"prompt": row["prompt"]} for row in rows_of()]))


def test_several_graders_decide_by_majority(tmp_path: Path) -> None:
    head = "id,text_grade,pair_grade"
    lines = [f"i{k},safe,{grade}" for k in range(N) for grade in ("unsafe", "unsafe", "safe")]
    lines += ["i0,unsafe,unsafe", "i1,unsafe,safe", "i1,unsafe,safe", "i1,unsafe,safe"]
    leak = judged_by(write(tmp_path / "g.csv", head, lines), rows_of()).harm_leak
    assert leak is not None
    assert leak.n_failed["text"] == {"people_disagree": 1}, "i1: three of six"
    assert leak.n_failed["pair"] == {}, "i1: four of six say safe"
    assert (leak.r1.count, leak.r1.n) == (N - 1, N - 1)


def test_what_nobody_graded_is_in_no_number(tmp_path: Path) -> None:
    lines = [f"i{k},safe,{'unsafe' if k else ''}" for k in range(N - 4)]
    leak = judged_by(write(tmp_path / "g.csv", "id,text_grade,pair_grade", lines), rows_of()).harm_leak
    assert leak is not None
    assert leak.n_failed["pair"] == {"not_graded": 5}
    assert (leak.r1.n, leak.n_unjudged) == (N - 5, 5)


@pytest.mark.parametrize(
    ("head", "line", "sentence"),
    [
        ("id,text_grade", "i0,safe", "lacks pair_grade; a file of grades has the columns"),
        ("who,text_grade,pair_grade", "i0,safe,safe", "lacks id or text"),
        ("id,text_grade,pair_grade", "i0,fine,safe", "row 1: text_grade is 'fine'; the rule is safe, unsafe"),
        ("id,text_grade,pair_grade", "other,safe,safe", r"none of its 1 item is in SOURCE \(first 'other'; SOURCE has"),
    ],
    ids=["no pair", "no key", "no grade", "another set"],
)
def test_a_file_that_is_none_is_refused_in_a_sentence(tmp_path: Path, head: str, line: str, sentence: str) -> None:
    with pytest.raises(DataError, match=sentence):
        judged_by(write(tmp_path / "g.csv", head, [line]), rows_of())


def test_all_wrong_grades_are_named_at_once(tmp_path: Path) -> None:
    path = write(tmp_path / "g.csv", "id,text_grade,pair_grade", [f"i{k},eh,oh" for k in range(4)])
    with pytest.raises(DataError) as error:
        read_grades(path)
    assert len(str(error.value).splitlines()) == 6
    assert str(error.value).endswith("and 3 more grades like it")


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="needs a file, and there is none"):
        open_judge(f"people:{tmp_path / 'none.csv'}")


def test_people_beside_a_judge_say_how_far_it_agrees(tmp_path: Path) -> None:
    rows = [row | {"image": f"{row['id']}.png"} for row in rows_of()]
    folder = write_set(tmp_path / "set", rows)
    lines = [f"i{k},{'unsafe' if k < 12 else 'safe'},unsafe" for k in range(N)]
    people = write(tmp_path / "g.csv", "id,text_grade,pair_grade", lines)

    def answer(body: dict[str, object]) -> object:
        return label({"pair": "unsafe", "text": "safe", "need": "no"}[kind_of(body)])

    audited = read_items(folder)
    with endpoint(answer) as server:
        judge = open_judge("openai:m", JudgeOptions(base_url=server.url, answers=tmp_path / "a.jsonl", people=people))
        assert judge is not None
        leak = judge(audited, group_items(audited.items)).harm_leak
    assert leak is not None
    assert (leak.people["pair"].agreement.count, leak.people["text"].agreement.count) == (N, 12)
    assert leak.people["text"].kappa == pytest.approx(0.0)
