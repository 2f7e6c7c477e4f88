"""Calls on their way to a worker and back, without a cluster."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from vlsbench.construct.artist import draw_prompt
from vlsbench.construct.chains import Call, ChatCall, ImageCall
from vlsbench.construct.chat import Purse
from vlsbench.construct.config import load_plan
from vlsbench.construct.journal import Journal
from vlsbench.engine.building import ModelsWork, RayModels, call_of, item_of
from vlsbench.engine.cluster import Item
from vlsbench.engine.shards import KeyedLine, Shard, new_shard
from vlsbench.engine.work import Worker, decides

CHAT = ChatCall("e1-q1", "verify", 2, 1, 7, "default", "m", 0.0, "rules", "ask {x}", "0" * 64, Path("a.png"), "1" * 64)
IMAGE = ImageCall("e1-q1", "image", 1, 1, 7, "artist", "a cup on a table")


@pytest.mark.parametrize("call", [CHAT, CHAT._replace(picture=None, picture_sha256=None), IMAGE])
def test_a_call_arrives_as_it_was_sent(call: Call) -> None:
    item = item_of(call)
    back = call_of(item.data)
    assert back.key == call.key == item.key[1]
    if isinstance(call, ChatCall) and call.picture is not None:
        call = call._replace(picture=Path.cwd() / "a.png")
    assert back == call


class Cluster:
    """Notes what it is asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def run(self, work: Any, items: Sequence[Item], write: Any, **_: Any) -> int:
        self.asked += [item.key[1] for item in items]
        return 0


def test_what_a_killed_run_left_in_a_shard_is_taken_and_not_asked_again_however_large(tmp_path: Path) -> None:
    (tmp_path / "pairs.toml").write_text(
        'name = "x"\nout = "run"\nmodels.default.model = "m"\nimage.kind = "artist"\nimage.price = 2.0\n'
        "siblings.of = [100000]\n"
    )
    plan = load_plan(tmp_path / "pairs.toml")
    work = ModelsWork(plan.config, tmp_path, has_weights=False)
    shard = Shard(str(new_shard(plan.out / "private", "calls")))

    def keep(lines: Sequence[KeyedLine]) -> None:
        # A photo weighs more than what the artist draws; blanks stand in for the rest of it.
        shard.append([KeyedLine(line.key, line.line + " " * (2 << 20)) for line in lines])

    report = Worker(work, decides(work.describe())).run([item_of(IMAGE).data], keep)
    assert report.error is None
    assert report.n_unanswered == 0
    purse, cluster, journal = Purse(), Cluster(), Journal(plan.out)
    other = IMAGE._replace(seed=8)
    RayModels(cluster, plan, purse).ask([IMAGE, other], journal.append)  # type: ignore[arg-type]
    assert cluster.asked == [other.key]
    assert journal.get(IMAGE.key).outcome == "answered"
    image = journal.image_of(IMAGE.key)
    assert image is not None
    assert image.read_bytes() == draw_prompt(IMAGE)
    assert purse.spent == 2.0
    assert not (plan.out / "private" / ".shards").exists()
