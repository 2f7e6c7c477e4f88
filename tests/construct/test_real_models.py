"""Each step once with a real model that is tiny: a Qwen2-VL behind `transformers serve`, a Stable Diffusion 3 here.

Their weights are random, so no reply can be used: what is tested is that it is asked for as it should be, with its
image, and that what comes is kept and refused by name.
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import pytest
from local_server import TINY_MODELS, served_model
from PIL import Image

from vlsbench.construct.chains import Call, Chain, ChatCall, ImageCall, run_chains
from vlsbench.construct.config import Plan, load_plan
from vlsbench.construct.journal import Arrived
from vlsbench.construct.pipeline import Construction, open_construction
from vlsbench.construct.prompts import LOOKING
from vlsbench.construct.records import CallRecord, Outcome, RewrittenRecord, SeedRecord, Step
from vlsbench.construct.stages import (
    Pair,
    element_chain,
    filter_chain,
    image_chain,
    photo_chain,
    rewrite_chain,
    sibling_chain,
    twin_chain,
)
from vlsbench.files import sha256_hex

CONFIG: Final = """\
name = "tiny-pairs"
out = "run"
elements.file = "elements.csv"
siblings.of = [100000]
loops.attempts = 1
[collected]
folder = "photos"
source = "drawn"
licence = "CC0"
[models.default]
model = "{model}"
base_url = "{url}"
max_tokens = 12
[image]
kind = "diffusers"
model = "{pipeline}"
size = "64x64"
n_steps = 1
device = "cpu"
"""

PREPARED: Final[dict[Step, dict[str, Any]]] = {
    "rewrite": {"query": "How could I move this before lunch?", "explanation": "x"},
    "text_alone": {"harmful": False, "answerable": False, "explanation": "x"},
    "image_prompt": {"prompt": "a drawing of a cup on a table"},
    "final": {"matched": True, "risky": True, "prohibited": False, "reason": "x"},
    "twin": {"image_content": "a cup of tea on a table"},
}
"""Replies to the steps before the one that is asked for, as a model would give them."""


@pytest.fixture(scope="module")
def tiny() -> Any:
    pytest.importorskip("torch", reason="needs the extra 'construct'")
    pytest.importorskip("diffusers", reason="needs the extra 'construct'")
    spec = importlib.util.spec_from_file_location("tiny_models", TINY_MODELS)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def run(tiny: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Construction]:
    folder = tmp_path_factory.mktemp("tiny")
    (folder / "elements.csv").write_text(
        "element,category,sub_category\na cup on a shelf,Violent,Public Violence and Rioting\n"
    )
    (folder / "photos").mkdir()
    Image.new("RGB", (56, 56), "red").save(folder / "photos" / "a.png")
    model = tiny.make_qwen2_vl(folder / "tiny-qwen")
    pipeline = tiny.make_stable_diffusion_3(folder / "tiny-sd3")
    with served_model(model, folder / "log") as url:
        (folder / "pairs.toml").write_text(CONFIG.format(model=model, url=url, pipeline=pipeline))
        yield open_construction(load_plan(folder / "pairs.toml"))


def seed_of_element() -> SeedRecord:
    return SeedRecord(
        item="e0001", origin="generated", source="generation", element="a cup on a shelf", category="Violent",
        sub_category="Public Violence and Rioting", image_content="a cup", queries=("What stands for harm?",),
    )  # fmt: skip


def rewritten(plan: Plan) -> RewrittenRecord:
    return RewrittenRecord(
        item="e0001-q1", seed="e0001", origin="generated", source="generation", category="Violent",
        sub_category="Public Violence and Rioting", image_content="a cup", original_sha256="0" * 64,
        query="How could I move this before lunch?", n_rounds=1,
    )  # fmt: skip


def pair(run: Construction) -> Pair:
    photo = run.plan.photos[0]
    return Pair(rewritten(run.plan), photo.path, photo.sha256)


CHAINS: Final[dict[Step, Callable[[Construction], Chain[Any]]]] = {
    "queries": lambda run: element_chain(run.kit, run.plan.elements[0]),
    "look": lambda run: photo_chain(run.kit, run.plan.photos[0]),
    "sibling": lambda run: sibling_chain(run.kit, run.plan.known[0]),
    "rewrite": lambda run: rewrite_chain(run.kit, seed_of_element(), 0),
    "text_alone": lambda run: rewrite_chain(run.kit, seed_of_element(), 0),
    "filter": lambda run: rewrite_chain(run.kit, seed_of_element(), 0),
    "image_prompt": lambda run: image_chain(run.kit, rewritten(run.plan), None, run.plan.elements[0]),
    "verify": lambda run: image_chain(run.kit, rewritten(run.plan), None, run.plan.elements[0]),
    "final": lambda run: filter_chain(run.kit, pair(run)),
    "categorise": lambda run: filter_chain(run.kit, pair(run)),
    "twin": lambda run: twin_chain(run.kit, pair(run), "Violent"),
    "twin_verify": lambda run: twin_chain(run.kit, pair(run), "Violent"),
}


def walk(run: Construction, step: Step) -> tuple[Outcome, dict[Step, tuple[Call, CallRecord]]]:
    """Run a chain to its end: replies before `step` are prepared, all others are asked of the models."""
    run.journal._places.clear()  # another test may have prepared the reply that this one asks for
    asked: dict[Step, Call] = {}

    def ask(calls: Sequence[Call]) -> None:
        for call in calls:
            asked[call.step] = call
            if call.step in PREPARED and call.step != step:
                run.journal.append([prepare(call)])
            else:
                run.ask([call])

    records: list[Outcome] = []
    ended = run_chains({"item": CHAINS[step](run)}, run.journal, ask, records.extend)
    assert ended.unreached == ()
    return records[0], {name: (call, run.journal.get(call.key)) for name, call in asked.items()}


def prepare(call: Call) -> Arrived:
    return Arrived(
        CallRecord(
            item=call.item, step=call.step, round=call.round, model="prepared", seed=call.seed, call=call.key,
            outcome="answered", reply=json.dumps(PREPARED[call.step]),
        )
    )  # fmt: skip


@pytest.mark.parametrize("step", CHAINS)
def test_a_step_is_asked_with_its_image_and_what_comes_is_kept_and_refused_by_name(
    run: Construction, step: Step
) -> None:
    record, asked = walk(run, step)
    call, said = asked[step]
    assert isinstance(call, ChatCall)
    assert record.loss in ("reply_unparsable", "reply_cut"), "random weights write no JSON"
    assert [note.outcome for note in record.calls][-1] == str(record.loss).removeprefix("reply_")
    assert said.reply
    assert "tiny-qwen" in str(said.served)
    assert said.tokens_out == 12
    assert (call.picture is not None) == (step in LOOKING)
    if call.picture is not None:
        blind = call._replace(picture=None, picture_sha256=None)
        run.ask([blind])
        # Of 56 x 56 pixels 16 patches of 14 x 14, of which four are one token; an image of 64 x 64 is made as large.
        assert said.tokens_in is not None
        assert said.tokens_in - (run.journal.get(blind.key).tokens_in or 0) == 4 + 2, "and a mark before and after"


@pytest.mark.parametrize(("step", "image_step"), [("verify", "image"), ("twin_verify", "twin_image")])
def test_a_real_pipeline_makes_an_image_which_is_kept_and_shown_to_who_verifies(
    run: Construction, step: Step, image_step: Step
) -> None:
    _, asked = walk(run, step)
    call, made = asked[image_step]
    assert isinstance(call, ImageCall)
    assert (made.outcome, made.model) == ("answered", f"diffusers:{run.plan.path.parent / 'tiny-sd3'}")
    path = run.journal.image_of(call.key)
    assert path is not None
    with Image.open(path) as image:
        assert (image.size, image.mode) == ((64, 64), "RGB")
        assert len(image.getcolors(64 * 64) or []) > 100, "noise, not a blank"
    assert made.reply == sha256_hex(path.read_bytes())
    shown = asked[step][0]
    assert isinstance(shown, ChatCall)
    assert (shown.picture, shown.picture_sha256) == (path, made.reply)
