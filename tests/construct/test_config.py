"""The configuration: closed, and every problem named at once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from vlsbench.construct.config import Plan, load_plan
from vlsbench.construct.forecast import forecast
from vlsbench.errors import DataError, UsageError

GOOD = """\
name = "pairs"
out = "run"
[elements]
file = "elements.csv"
[models.default]
model = "m"
[image]
kind = "artist"
"""
ELEMENTS = "element,category,sub_category\na cup,Privacy,Unauthorized Data Collection\n"


def load(tmp_path: Path, text: str = GOOD, elements: str = ELEMENTS) -> Plan:
    (tmp_path / "elements.csv").write_text(elements)
    (tmp_path / "pairs.toml").write_text(text)
    return load_plan(tmp_path / "pairs.toml")


BAD = {
    "a key that is not known": (GOOD + "steps = 3\n", "'image.steps' is not a known field"),
    "no model": (GOOD.replace('[models.default]\nmodel = "m"\n', "[models]\n"), r"\[models.default\] is absent"),
    "a model for no step": (GOOD + '[models.nobody]\nmodel = "m"\n', "models.nobody"),
    "nothing to build from": (GOOD.replace('[elements]\nfile = "elements.csv"\n', ""), "nothing to build from"),
    "nobody who makes images": (GOOD.replace('[image]\nkind = "artist"\n', ""), r"\[image\] is absent"),
    "an image model without a name": (GOOD.replace("artist", "endpoint"), "needs the name of a model"),
    "half a price": (GOOD.replace('model = "m"', 'model = "m"\nprice_in = 1.0'), "belong together"),
    "a number as text": (GOOD + '[loops]\nrewrite = "3"\n', "'loops.rewrite'"),
    "four rounds of images": (GOOD + "[loops]\nimage = 4\n", "less than or equal to 3"),
    "a batch too small to gate": (GOOD + "[audit]\nbatch = 50\n", "greater than or equal to 200"),
    "the name of another dataset": (GOOD.replace('"pairs"', '"release"'), "name of its own"),
    "no TOML": ("name = ", "not TOML"),
    "an image folder that is not there": (
        GOOD.replace('kind = "artist"', 'kind = "folder"\nfolder = "nowhere"'),
        "nowhere is not a folder",
    ),
    "wordings that are not there": ('prompts = "mine"\n' + GOOD, "prompts: mine is not a folder"),
    "images without a licence": (GOOD + '[collected]\nfolder = "photos"\nsource = "s"\n', "under which licence"),
}


@pytest.mark.parametrize(("text", "problem"), BAD.values(), ids=BAD)
def test_a_bad_configuration_is_one_sentence(tmp_path: Path, text: str, problem: str) -> None:
    with pytest.raises(DataError, match=problem) as caught:
        load(tmp_path, text)
    assert "\n" not in str(caught.value)


def test_all_problems_of_the_files_it_names_are_told_at_once(tmp_path: Path) -> None:
    elements = (
        "element,category,sub_category\n"
        "a cup,Kitchen,Cups\n"
        "a plate,Privacy,Cybercrime\n"
        ",Privacy,Unauthorized Data Collection\n"
        "A CUP,Privacy,Unauthorized Data Collection\n"
        "a schoolboy,Erotic,Adult Content\n"
    )
    (tmp_path / "photos").mkdir()
    text = GOOD + '[collected]\nfolder = "photos"\nsource = "s"\nlicence = "CC0"\n'
    with pytest.raises(DataError) as caught:
        load(tmp_path, text, elements)
    said = str(caught.value)
    for problem in (
        "6 problems:",
        "elements.csv:2: category 'Kitchen' is none of",
        "elements.csv:3: sub-category 'Cybercrime' is none of Privacy's",
        "elements.csv:4: has no element",
        "elements.csv:5: says the element of line 2 again",
        "elements.csv:6: is never built: sexual content with minors",
        "photos holds no image",
    ):
        assert problem in said, said


def test_collected_images_are_read_and_need_a_licence_each(tmp_path: Path) -> None:
    (tmp_path / "photos" / "deep").mkdir(parents=True)
    Image.new("RGB", (4, 4), "red").save(tmp_path / "photos" / "b.png")
    Image.new("RGB", (4, 4), "blue").save(tmp_path / "photos" / "deep" / "a.jpg")
    (tmp_path / "licences.csv").write_text("file,licence\nb.png,CC BY 4.0\n")
    text = GOOD + '[collected]\nfolder = "photos"\nsource = "mine"\nlicences = "licences.csv"\n'
    with pytest.raises(DataError, match=r"licences\.csv has no licence for deep/a\.jpg"):
        load(tmp_path, text)
    (tmp_path / "licences.csv").write_text("file,licence\nb.png,CC BY 4.0\ndeep/a.jpg,CC0\n")
    photos = load(tmp_path, text).photos
    assert [(photo.item, photo.file, photo.licence) for photo in photos] == [
        ("p0001", "b.png", "CC BY 4.0"),
        ("p0002", "deep/a.jpg", "CC0"),
    ]
    (tmp_path / "photos" / "c.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"c\.png is not a PNG"):
        load(tmp_path, text)


FREE = {"concurrency": "concurrency = 3", "price": "price_in = 1.0\nprice_out = 2.0", "url": 'base_url = "http://h/v1"'}
DECIDING = {"temperature": "temperature = 0.1", "budget": "max_tokens = 99", "image size": "max_side = 99"}


@pytest.mark.parametrize("line", FREE.values(), ids=FREE)
def test_what_decides_only_how_it_is_asked_is_not_in_the_fingerprint(tmp_path: Path, line: str) -> None:
    before = load(tmp_path).fingerprint
    assert load(tmp_path, GOOD.replace('model = "m"', f'model = "m"\n{line}')).fingerprint == before


@pytest.mark.parametrize("line", DECIDING.values(), ids=DECIDING)
def test_what_decides_the_outcome_is(tmp_path: Path, line: str) -> None:
    before = load(tmp_path).fingerprint
    after = load(tmp_path, GOOD.replace('model = "m"', f'model = "m"\n{line}')).fingerprint
    assert {name for name in before if before[name] != after[name]} == {"models.default"}


def test_a_wording_of_ones_own_replaces_one_and_keeps_its_slots(tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    text = 'prompts = "mine"\n' + GOOD
    path = mine / "image_prompt.md"
    path.write_text("=== rules ===\nBe brief.\n=== ask ===\nDraw {{image_content}}\n")
    before, after = load(tmp_path).fingerprint, load(tmp_path, text).fingerprint
    assert {name for name in before if before[name] != after[name]} == {"prompts.image_prompt"}
    for bad, problem in (
        ("=== ask ===\nDraw something\n", "uses other slots than the step has"),
        ("Draw {{image_content}}\n", "has no section"),
    ):
        path.write_text(bad)
        with pytest.raises(DataError, match=problem):
            load(tmp_path, text)
    path.rename(mine / "sing.md")
    with pytest.raises(DataError, match="no step is called 'sing'"):
        load(tmp_path, text)


def test_the_folder_of_the_run_is_named_somewhere(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="neither --out nor 'out'"):
        load(tmp_path, GOOD.replace('out = "run"\n', ""))


def test_a_dry_run_counts_by_hand(make_plan: Callable[..., Plan]) -> None:
    """6 elements, 2 queries each, loops of 3: 12 x 3 calls at least in stage 2, 12 x 3 x 3 x 3 at most."""
    said = forecast(make_plan(elements=6, queries=2))
    rows = {line.split()[0]: line.split()[1:] for line in said.splitlines() if line.startswith(("1a", "2", "3", "4"))}
    assert rows == {
        "1a": ["6", "6", "18"],
        "2": ["12", "36", "324"],
        "3": ["12", "36", "180"],
        "4": ["12", "24", "72"],
    }
    assert said.endswith("nothing was asked.")


JUDGE = '[audit.judge]\nname = "openai:gpt-x"\n'


def test_a_judge_of_harm_leak_decides_and_its_prices_and_place_do_not(tmp_path: Path) -> None:
    without, with_one = load(tmp_path).fingerprint, load(tmp_path, GOOD + JUDGE).fingerprint
    assert {name for name in with_one if with_one[name] != without.get(name)} == {"audit.judge"}
    free = 'price_in = 1.0\nprice_out = 2.0\nconcurrency = 2\nbase_url = "http://h/v1"\n'
    assert load(tmp_path, GOOD + JUDGE + free).fingerprint == with_one
    strict = load(tmp_path, GOOD + JUDGE + "max_leak = 0.05\n").fingerprint
    assert {name for name in strict if strict[name] != with_one[name]} == {"audit.judge"}
    with pytest.raises(DataError, match=r"audit\.judge\.name.* found 'people:grades\.csv'"):
        load(tmp_path, GOOD + JUDGE.replace("openai:gpt-x", "people:grades.csv"))
    with pytest.raises(DataError, match="price_in and price_out belong together"):
        load(tmp_path, GOOD + JUDGE + "price_in = 1.0\n")


def test_a_dry_run_counts_the_judges_questions(make_plan: Callable[..., Plan]) -> None:
    """12 pairs, three questions each (pair, text, need); with the set's own label there are two."""
    assert "harm leak: openai:gpt-x, at most 36 questions" in forecast(make_plan(elements=6, queries=2, more=JUDGE))
    labelled = JUDGE + 'pair_harm = "label"\n'
    assert "at most 24 questions" in forecast(make_plan(elements=6, queries=2, more=labelled))
