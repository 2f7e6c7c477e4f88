"""Options are written once, and groups of them are expanded in place."""

from __future__ import annotations

import ast
from collections import Counter
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, ClassVar

import pytest
import typer
from typer.testing import CliRunner

from vlsbench.cli import options
from vlsbench.cli.options import GenerateSettings, JudgeSettings, WorkSettings, with_groups
from vlsbench.generate.directory import Asked
from vlsbench.generate.models import TargetOptions
from vlsbench.judge.judges import ModelOptions

CLI = Path(options.__file__).parent


def written() -> Counter[str]:
    """Count the options and arguments in the sources of the commands."""
    nodes = (node for path in CLI.glob("*.py") for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    calls = (ast.unparse(node) for node in nodes if isinstance(node, ast.Call))
    return Counter(call for call in calls if call.startswith(("typer.Option(", "typer.Argument(")))


def test_no_option_is_written_twice() -> None:
    assert len(written()) > 80
    assert [text for text, count in written().items() if count > 1] == []


@dataclass(frozen=True)
class Paint:
    colour: Annotated[str, typer.Option(help="Of the wall.")] = "white"
    coats: Annotated[int, typer.Option(min=1, help="How many.")] = 1


@dataclass(frozen=True)
class OldPaint(Paint):
    colour: Annotated[str, typer.Option(help="Of the old wall.")] = "grey"


def app_of(group: type[Paint]) -> typer.Typer:
    app = typer.Typer()

    def paint(wall: Annotated[str, typer.Argument()], how: Paint, dry: bool = False) -> None:
        """Paint a wall."""
        print(wall, how, dry)

    paint.__annotations__["how"] = group
    app.command()(with_groups(paint))
    return app


def test_a_group_is_its_options_in_its_place() -> None:
    shown = CliRunner().invoke(app_of(Paint), ["--help"], env={"COLUMNS": "120"}).output
    assert shown.index("--colour") < shown.index("--coats") < shown.index("--dry")
    assert "Of the wall." in shown
    assert "Paint a wall." in shown
    done = CliRunner().invoke(app_of(Paint), ["north", "--colour", "red", "--coats", "2"])
    assert done.output == "north Paint(colour='red', coats=2) False\n"
    assert CliRunner().invoke(app_of(Paint), ["north", "--coats", "0"]).exit_code == 2


def test_a_subclass_says_another_help_in_the_same_place() -> None:
    shown = CliRunner().invoke(app_of(OldPaint), ["--help"], env={"COLUMNS": "120"}).output
    assert shown.index("--colour") < shown.index("--coats")
    assert "Of the old wall." in shown
    assert CliRunner().invoke(app_of(OldPaint), ["north"]).output == "north OldPaint(colour='grey', coats=1) False\n"


@dataclass(frozen=True)
class HeadedPaint(Paint):
    PANEL: ClassVar[str] = "The paint"


def test_a_group_may_have_a_heading_and_the_option_it_shares_stays_as_it_was() -> None:
    shown = CliRunner().invoke(app_of(HeadedPaint), ["--help"], env={"COLUMNS": "120"}).output
    assert shown.index("--dry") < shown.index("The paint") < shown.index("--colour")
    assert "The paint" not in CliRunner().invoke(app_of(Paint), ["--help"], env={"COLUMNS": "120"}).output


def test_two_options_of_one_name_are_refused() -> None:
    def paint(colour: str, how: Paint) -> None: ...

    with pytest.raises(ValueError, match="duplicate parameter name"):
        with_groups(paint)


def all_set(settings: JudgeSettings | GenerateSettings) -> dict[str, object]:
    return {field.name: f"of {field.name}" for field in fields(settings)}


@pytest.mark.parametrize("group", [JudgeSettings, WorkSettings])
def test_every_model_option_can_be_set(group: type[JudgeSettings]) -> None:
    made = group(**all_set(group())).model_options()  # type: ignore[arg-type]
    names = [field.name for field in fields(ModelOptions) if field.name != "leaves_out"]  # agreed with the endpoint
    assert {name: getattr(made, name) for name in names} == {name: f"of {name}" for name in names}


def test_every_target_option_can_be_set() -> None:
    settings = GenerateSettings(**{**all_set(GenerateSettings()), "condition": ["caption"]})  # type: ignore[arg-type]
    options, asked = settings.target_options(), settings.asked()
    assert [f.name for f in fields(TargetOptions) if getattr(options, f.name) != f"of {f.name}"] == []
    assert [f.name for f in fields(Asked) if getattr(asked, f.name) == f.default] == []
