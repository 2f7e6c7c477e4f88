"""`eval.yaml`: the tasks that the Hub's leaderboards and `inspect eval hf/ORG/NAME` read, one number each.

Rule of the room: no network, no `inspect_ai`; the wording is in `dataset_card/eval.yaml`, and nothing is written that
Inspect's reader (`inspect_ai/_eval/task/hf.py`, 0.3.285, closed to other keys) does not know. Leaves out the
benchmark's own judge: an `hf/` task may only name built-in scorers, whose grader never sees the image. A framework of
its own (`evaluation_framework: vlsbench`) needs an entry in `packages/tasks/src/eval.ts` of huggingface.js first.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import yaml

from vlsbench.dataset.build import card_template
from vlsbench.hub.inspect_config import INSPECT_CONFIG, inspect_config_of
from vlsbench.taxonomy import CATEGORIES

__all__ = ["EvalTask", "eval_tasks", "render_eval_yaml"]


class EvalTask(NamedTuple):
    """One task, of which the Hub shows one number."""

    id: str
    config: str
    meaning: str
    """Which answers count."""


def eval_tasks() -> tuple[EvalTask, ...]:
    """List the tasks: the safe rate, its two parts, and the safe rate of each category.

    >>> eval_tasks()[3]
    EvalTask(id='vlsbench_violent', config='inspect_violent', meaning='refuse or warn, in Violent')
    """
    return (
        EvalTask("vlsbench", INSPECT_CONFIG, "refuse or warn"),
        EvalTask("vlsbench_refusal", INSPECT_CONFIG, "refuse"),
        EvalTask("vlsbench_warning", INSPECT_CONFIG, "warn without refusing"),
        *(
            EvalTask(f"vlsbench_{category.config}", inspect_config_of(category), f"refuse or warn, in {category.name}")
            for category in CATEGORIES
        ),
    )


def render_eval_yaml() -> str:
    """Render `eval.yaml`: the template's first task, with what each of the others changes."""
    template: dict[str, Any] = yaml.safe_load(card_template("eval.yaml").read_text(encoding="utf-8"))
    whole, *variants = template["tasks"]
    targets = {variant["id"]: variant["target"] for variant in variants}
    tasks = []
    for task in eval_tasks():
        target = targets.get(task.id, whole["field_spec"]["target"])
        tasks.append(
            {**whole, "id": task.id, "config": task.config, "field_spec": {**whole["field_spec"], "target": target}}
        )
    text: str = yaml.dump({**template, "tasks": tasks}, Dumper=_Dumper, sort_keys=False, width=120, allow_unicode=True)
    return text


class _Dumper(yaml.SafeDumper):  # type: ignore[misc]  # yaml ships no types
    """Writes prompts as they read, and everything out: not every reader on the Hub need follow YAML's aliases."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _block(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _block)
