"""What the paper prints: its rows of VLSBench, alignment on other benchmarks (Table 2), image against text (Table 5).

Rule of the room: numbers as printed, records of their own kind. They are never ranked, never put into one list with
judged rows, and nothing is counted from them but whether they add up.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self, TypeVar

from pydantic import Field, ValidationError, model_validator

from vlsbench.errors import SubmissionError, printable
from vlsbench.files import read_regular
from vlsbench.records import Fraction, Name, PaperRow, Plain, Record, explain
from vlsbench.text import percent

__all__ = [
    "ALIGNMENT_FILE",
    "INPUTS_FILE",
    "AlignmentTable",
    "Benchmark",
    "InputRow",
    "InputsTable",
    "PaperTable",
    "PrintedRow",
    "paper_files",
    "read_alignment_table",
    "read_inputs_table",
    "read_paper_table",
]

ALIGNMENT_FILE = "table2.json"
"""Name of the file in a store's `paper/`."""

INPUTS_FILE = "table5.json"
"""The same, of Table 5."""


class Benchmark(Record):
    """One column of the table."""

    name: str
    kind: Literal["safety", "ability"]
    """Safety: a share of safe answers. Ability: a score of what a model can do."""
    what: str
    """What the number is, in words."""


class PrintedRow(Record):
    """One row of the table."""

    model: Name
    base_model: Name
    alignment: Literal["none", "textual", "multimodal"]
    """`none` is the base model as it is."""
    method: str | None = None
    """Alignment method and its data, in the paper's words."""
    safety: dict[str, Fraction]
    """By benchmark; fractions in [0, 1]."""
    abilities: dict[str, Annotated[float, Field(ge=0)]]
    """By benchmark, in the benchmark's own points."""


class AlignmentTable(Record):
    """Table 2: what textual and multimodal alignment do on benchmarks whose text already tells the risk."""

    origin: Literal["paper"]
    source: str
    judge: str
    """Who judged the safety numbers."""
    benchmarks: tuple[Benchmark, ...]
    rows: tuple[PrintedRow, ...]
    notes: tuple[str, ...]
    """What is known to be misprinted, and kept as printed."""

    @model_validator(mode="after")
    def _every_row_has_every_column(self) -> Self:
        for row in self.rows:
            found = (set(row.safety), set(row.abilities))
            if found != (set(self.names("safety")), set(self.names("ability"))):
                raise ValueError(f"the row {row.model!r} has not exactly the numbers that 'benchmarks' names")
        return self

    def names(self, kind: Literal["safety", "ability"]) -> list[str]:
        """Name the columns of a kind, in the paper's order."""
        return [benchmark.name for benchmark in self.benchmarks if benchmark.kind == kind]


class InputRow(Record):
    """One row of Table 5: a model under one condition; rates as printed, fractions in [0, 1]."""

    model: Name
    condition: Literal["image+text", "text-only", "caption"]
    refusal_rate: Fraction
    warning_rate: Fraction
    safe_rate: Fraction

    @property
    def misprint(self) -> str | None:
        """Say that the total is not the sum of its parts; None where it is."""
        parts = self.refusal_rate + self.warning_rate
        if abs(parts - self.safe_rate) < _ROUNDING:
            return None
        numbers = [percent(rate) for rate in (self.refusal_rate, self.warning_rate, parts, self.safe_rate)]
        return f"{self.model}, {self.condition}: {numbers[0]} + {numbers[1]} = {numbers[2]}, printed {numbers[3]}"


class InputsTable(Record):
    """Table 5: the same questions with the image, without it, and with a caption in its place."""

    origin: Literal["paper"]
    source: Plain
    judge: Plain
    n_samples: Annotated[int, Field(ge=1)]
    """Samples asked; which ones they are, the paper does not say."""
    rows: tuple[InputRow, ...]

    @property
    def misprints(self) -> tuple[str, ...]:
        """The totals that are not the sum of their parts, a sentence each."""
        return tuple(row.misprint for row in self.rows if row.misprint is not None)


_ROUNDING = 0.0001
"""Two rates printed to a tenth of a percent add up exactly or differ by ten times this."""

_TablesOfTheirOwn = TypeVar("_TablesOfTheirOwn", AlignmentTable, InputsTable)


def read_alignment_table(store: Path) -> AlignmentTable | None:
    """Read Table 2 of a store; None where the store has none.

    Raises:
        SubmissionError: If the file is not such a table.
    """
    return _read(store, ALIGNMENT_FILE, AlignmentTable)


def read_inputs_table(store: Path) -> InputsTable | None:
    """Read Table 5 of a store; None where the store has none.

    Raises:
        SubmissionError: If the file is not such a table.
    """
    return _read(store, INPUTS_FILE, InputsTable)


def _read(store: Path, name: str, kind: type[_TablesOfTheirOwn]) -> _TablesOfTheirOwn | None:
    path = store / "paper" / name
    try:
        return kind.model_validate_json(read_regular(path))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise SubmissionError(f"{path}: cannot be read ({error.strerror}).") from None
    except ValidationError as error:
        raise SubmissionError(f"{path}: {'; '.join(explain(error)[:5])}.") from None


class PaperTable(Record):
    """A table of VLSBench results as the paper prints it: a record of its own kind."""

    origin: Literal["paper"]
    source: Plain
    judge: Plain
    rows: tuple[PaperRow, ...]


def paper_files(store: Path) -> list[Path]:
    """List the files of the paper's tables of VLSBench, `paper/*.json`, by name; but for Tables 2 and 5."""
    own = (ALIGNMENT_FILE, INPUTS_FILE)
    return sorted(path for path in (store / "paper").glob("*.json") if path.name not in own)


def read_paper_table(path: Path) -> PaperTable:
    """Read one of the paper's tables.

    Raises:
        SubmissionError: If the file is not such a table.
    """
    try:
        return PaperTable.model_validate_json(read_regular(path))
    except OSError as error:
        raise SubmissionError(f"{printable(str(path))}: cannot be read ({error.strerror}).") from None
    except ValidationError as error:
        raise SubmissionError(f"{printable(str(path))}: {'; '.join(explain(error)[:5])}.") from None
