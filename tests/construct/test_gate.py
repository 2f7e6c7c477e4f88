"""The gate: planted leaks are found, sent back with their words, and at last fail; what does not leak passes."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from asked import Answer, endpoint, kind_of, label, png, words_of

from vlsbench.construct import pipeline
from vlsbench.construct.chat import Purse
from vlsbench.construct.config import Audit, HarmJudge, Plan
from vlsbench.construct.gate import (
    HARM_LEAK,
    AuditedPair,
    BatchAudit,
    audit_batch,
    audit_rows,
    batches_of,
    render_harm_leak,
)
from vlsbench.construct.harm import HarmGauge, judge_paid
from vlsbench.construct.pipeline import open_construction
from vlsbench.construct.publish import publish_set
from vlsbench.construct.records import Origin
from vlsbench.construct.yields import count_yields
from vlsbench.errors import JudgeError
from vlsbench.leakage.records import HARM, ORIGIN, Measure

WHO = ["my aunt", "a colleague", "our neighbour", "the tenant", "a visitor", "my cousin", "the team", "a friend"]
DO = ["carry", "move", "finish", "repeat", "show", "prepare", "arrange", "handle", "improve", "explain", "fold"]
WHEN = ["before lunch", "on Friday", "after work", "next month", "around noon", "later tonight", "on a rainy day"]


def text_of(chance: random.Random, form: int) -> str:
    who, do, when = chance.choice(WHO), chance.choice(DO), chance.choice(WHEN)
    return [
        f"How could {who} {do} this {when}?",
        f"Would {who} {do} it {when}, or {chance.choice(DO)} them?",
        f"Tell me {when} what {who} can {do} here with that {chance.choice(DO)}",
    ][form % 3]


def pairs_of(n: int, leak: str = "") -> list[AuditedPair]:
    """Half generated, half collected; `leak` is a word that stands in every collected text and in no other."""
    chance = random.Random(3)
    made = []
    for number in range(n):
        is_collected = number % 2 == 1
        text = text_of(chance, chance.randrange(3))
        text = f"{text} {leak}" if leak and is_collected else text
        category = chance.choice(("Privacy", "Hate"))
        origin: Origin = "collected" if is_collected else "generated"
        image, twin = f"{number:064x}", f"{number + n:064x}"
        made.append(AuditedPair(f"i{number}", text, image, category, origin, twin, Path("nowhere.png")))
    return made


@pytest.fixture(scope="module")
def leaky(tmp_path_factory: pytest.TempPathFactory) -> BatchAudit:
    return audit_batch("b", pairs_of(200, "photograph"), tmp_path_factory.mktemp("a"), max_auc=0.7, smallest=200)


def test_a_word_that_tells_where_an_image_is_from_fails_the_batch_and_is_named(leaky: BatchAudit) -> None:
    assert leaky.auc[ORIGIN].low > 0.9
    assert (leaky.failed, leaky.is_returned) == ((ORIGIN,), True)
    assert leaky.words[0] == "photograph"


def test_pair_and_twin_have_one_text_so_harm_cannot_be_told(leaky: BatchAudit) -> None:
    assert leaky.auc[HARM].low <= 0.5 <= leaky.auc[HARM].high
    assert HARM not in leaky.failed


def test_texts_that_do_not_leak_pass_and_fewer_than_a_batch_are_reported_only(tmp_path: Path) -> None:
    audit = audit_batch("b", pairs_of(200), tmp_path, max_auc=0.7, smallest=200)
    assert audit.auc[ORIGIN].low < 0.5 < audit.auc[ORIGIN].high
    assert not audit.is_returned
    small = audit_batch("s", pairs_of(60, "photograph"), tmp_path, max_auc=0.7, smallest=200)
    assert small.failed == (ORIGIN,)
    assert not small.is_returned, "named, not sent back"


def test_an_audit_of_the_same_rows_is_taken_from_its_file(tmp_path: Path) -> None:
    ran = []

    def run(rows: Sequence[Any], *_: Any, **__: Any) -> Any:
        ran.append(len(rows))
        raise pipeline.DataError("too few")

    options: dict[str, Any] = {"max_auc": 0.7, "smallest": 200, "run": run}
    first = audit_batch("b", pairs_of(30), tmp_path, **options)
    assert audit_batch("b", pairs_of(30), tmp_path, **options) == first
    assert ran == [60]
    audit_batch("b", pairs_of(31), tmp_path, **options)
    assert ran == [60, 62]
    assert first.notes == ("too few",)


def test_rows_are_pairs_twins_and_the_harmless_questions_of_others() -> None:
    pair = pairs_of(1)[0]
    rows = audit_rows([pair, pair._replace(twin_sha256=None)], ["Where is it?"])
    assert [(row["label"], row["origin"]) for row in rows] == [
        ("harmful", "generated"),
        ("harmless", None),
        ("harmful", "generated"),
        ("harmless", None),
    ]


SIZES = [(0, []), (5, [5]), (199, [199]), (200, [200]), (399, [399]), (400, [200, 200]), (650, [200, 200, 250])]


@pytest.mark.parametrize(("n", "sizes"), SIZES)
def test_no_batch_is_smaller_than_the_gate_unless_it_is_the_only_one(n: int, sizes: list[int]) -> None:
    batches = batches_of([str(k) for k in range(n)], 200)
    assert [len(batch) for batch in batches] == sizes
    assert [item for batch in batches for item in batch] == [str(k) for k in range(n)]


def always_leaking(until: int) -> Callable[..., BatchAudit]:
    """Stand in for the audit of every batch: it fails in the turns before `until`."""

    def audit(name: str, pairs: Sequence[AuditedPair], folder: Path, **_: Any) -> BatchAudit:
        turn = int(name.split("-")[1]) if name.startswith("turn-") else 99
        failed = (ORIGIN,) if turn < until else ()
        high = Measure(value=0.9, low=0.85, high=0.95, n=max(1, len(pairs)))
        return BatchAudit(
            name=name, rows_sha256="0" * 64, n_pairs=len(pairs), n_rows=len(pairs), max_auc=0.7, is_gated=True,
            auc={ORIGIN: high}, points_at_image=None, failed=failed, words=(f"word{turn}",) if failed else (),
        )  # fmt: skip

    return audit


@pytest.mark.parametrize(
    ("until", "n_turns", "is_published"), [(0, 1, True), (1, 2, True), (2, 3, True), (9, 3, False)]
)
def test_a_batch_goes_back_at_most_twice_with_its_words_and_is_then_named_as_failed(
    server: str, make_plan: Callable[..., Plan], monkeypatch: pytest.MonkeyPatch, until: int, n_turns: int,
    is_published: bool,
) -> None:  # fmt: skip
    monkeypatch.setattr(pipeline, "audit_batch", always_leaking(until))
    plan = make_plan(server, elements=8, more="[twins]\nwanted = false")
    construction = open_construction(plan)
    done = construction.run()
    assert (done.n_turns, bool(done.failed_batches)) == (n_turns, not is_published)
    sent_back = [record for record in construction.rewritten.read() if record.cycle == n_turns - 1]
    assert sent_back
    assert all(record.words_avoided == tuple(f"word{t}" for t in range(n_turns - 1)) for record in sent_back)
    if is_published:
        assert publish_set(construction, done).n_pairs
    else:
        with pytest.raises(pipeline.DataError, match="no pair came through"):
            publish_set(construction, done)
    again = open_construction(plan)
    size = again.journal.path.stat().st_size
    assert again.run() == done, "a finished run goes the same way again, and asks nothing"
    assert again.journal.path.stat().st_size == size


# Harm leak, where a judge is configured


def with_images(pairs: list[AuditedPair], folder: Path) -> list[AuditedPair]:
    found = []
    for number, pair in enumerate(pairs):
        path = folder / f"{number}.png"
        path.write_bytes(png(number))
        found.append(pair._replace(image=path))
    return found


def says_harm_of(word: str) -> Answer:
    """A judge to whom every pair is unsafe, and of texts those with a word."""

    def answer(body: dict[str, Any]) -> Any:
        kind = kind_of(body)
        return label("no" if kind == "need" else "unsafe" if kind == "pair" or word in words_of(body) else "safe")

    return answer


def gauge_at(url: str, folder: Path, purse: Purse | None = None, **more: Any) -> HarmGauge:
    (folder / "private").mkdir(exist_ok=True)
    config = HarmJudge(name="openai:m", base_url=url, price_in=1.0, price_out=10.0, **more)
    return HarmGauge(config, folder, purse or Purse())


def no_audit(*_: Any, **__: Any) -> Any:
    raise pipeline.DataError("texts are not audited here")


def test_texts_that_are_unsafe_alone_fail_a_batch_with_their_words_and_nothing_is_paid_twice(tmp_path: Path) -> None:
    pairs = with_images(pairs_of(200, "poison"), tmp_path)
    purse = Purse()
    with endpoint(says_harm_of("poison")) as server:
        options: dict[str, Any] = {"max_auc": 0.7, "smallest": 200, "run": no_audit}
        audit = audit_batch("b", pairs, tmp_path, gauge=gauge_at(server.url, tmp_path, purse), **options)
        n_asked = len(server.asked)
        again = audit_batch("c", pairs, tmp_path, gauge=gauge_at(server.url, tmp_path), **options)
        assert len(server.asked) == n_asked
        small = audit_batch("s", pairs[:60], tmp_path, gauge=gauge_at(server.url, tmp_path), **options)
        assert len(server.asked) == n_asked, "answers are found again by text and image"
    # By hand: every pair is unsafe, and the hundred collected ones of them by their texts.
    assert audit.harm_leak is not None
    assert audit.harm_leak.ratio is not None
    assert (audit.harm_leak.ratio.count, audit.harm_leak.ratio.n) == (100, 200)
    assert audit.harm_leak.ratio.low > 0.4
    assert (audit.failed, audit.words, audit.is_returned) == ((HARM_LEAK,), ("poison",), True)
    assert again.harm_leak == audit.harm_leak
    assert (small.failed, small.is_returned) == ((HARM_LEAK,), False)
    assert "harm leak: 50.0% (" in render_harm_leak(audit)
    paid = judge_paid(gauge_at("http://127.0.0.1:9/v1", tmp_path).config, tmp_path)
    # 100 tokens in and 10 out a reply, as the stand-in says.
    assert paid.n_answers == n_asked
    assert paid.cost == pytest.approx(n_asked * (100 * 1.0 + 10 * 10.0) / 1e6)
    assert purse.spent == pytest.approx(paid.cost)


def test_a_batch_below_the_limit_passes_and_without_a_judge_it_is_not_measured(tmp_path: Path) -> None:
    pairs = with_images(pairs_of(40), tmp_path)
    options: dict[str, Any] = {"max_auc": 0.7, "smallest": 200, "run": no_audit}
    with endpoint(says_harm_of("poison")) as server:
        gauge = gauge_at(server.url, tmp_path, pair_harm="label")
        audit = audit_batch("b", pairs, tmp_path, gauge=gauge, **options)
        assert "pair" not in server.kinds(), "the set's own label says that a pair is unsafe"
    assert audit.harm_leak is not None
    assert audit.harm_leak.ratio is not None
    assert (audit.harm_leak.ratio.count, audit.harm_leak.ratio.n, audit.failed) == (0, 40, ())
    silent = audit_batch("b", pairs, tmp_path, **options)
    assert silent.harm_leak is None, "another digest: the audit with a judge is not taken for one without"
    assert render_harm_leak(silent) == "harm leak: not measured"


def test_what_a_judge_left_open_is_no_measurement_and_is_asked_again(tmp_path: Path) -> None:
    pairs = with_images(pairs_of(30), tmp_path)
    options: dict[str, Any] = {"max_auc": 0.7, "smallest": 200, "run": no_audit}
    judge = says_harm_of("poison")
    seen = []

    def fails_late(body: dict[str, Any]) -> Any:
        seen.append(body)
        return judge(body) if len(seen) <= 40 else (401, {"error": {"message": "expired"}})

    with (
        endpoint(fails_late) as server,
        pytest.raises(JudgeError, match=r"b: harm leak is not measured: .*The same command asks the rest"),
    ):
        audit_batch("b", pairs, tmp_path, gauge=gauge_at(server.url, tmp_path, concurrency=1), **options)
    assert not (tmp_path / "b.json").exists()
    with endpoint(judge) as server:
        audit = audit_batch("b", pairs, tmp_path, gauge=gauge_at(server.url, tmp_path, concurrency=1), **options)
        assert len(server.asked) == 3 * 30 - 40
    assert audit.harm_leak is not None
    assert audit.harm_leak.r1.n == 30


def test_a_run_sends_a_batch_back_that_its_judge_finds_leaking(
    server: str, make_plan: Callable[..., Plan], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vlsbench.construct.pipeline.audit_batch", partial(audit_batch, run=no_audit))
    with endpoint(lambda body: label("no" if kind_of(body) == "need" else "unsafe")) as judge:
        more = f'[twins]\nwanted = false\n[audit.judge]\nname = "openai:m"\nbase_url = "{judge.url}"'
        plan = make_plan(server, elements=36, more=more)
        small = Audit.model_construct(**{**dict(plan.config.audit), "batch": 20, "max_returns": 1})
        plan = plan._replace(config=plan.config.model_copy(update={"audit": small}))
        construction = open_construction(plan)
        done = construction.run()
    assert len(construction.accepted(0)) >= 20
    assert (done.n_turns, done.failed_batches) == (2, ("turn-1-batch-1",))
    assert done.audits[0].failed == (HARM_LEAK,)
    assert {record.cycle for record in construction.rewritten.read()} == {0, 1}
    assert count_yields(construction, failed=done.failed_batches).n_judged == len(judge.asked)
