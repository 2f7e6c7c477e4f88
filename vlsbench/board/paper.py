"""What the paper prints of alignment on other benchmarks: its Table 2, a record of its own kind.

Rule of the room: numbers of other benchmarks, judged by another judge, as printed. They are never ranked, never put
into one list with VLSBench, and nothing is counted from them. Leaves out the paper's rows of VLSBench itself
(`PaperTable`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, ValidationError, model_validator

from vlsbench.errors import SubmissionError, printable
from vlsbench.files import read_regular
from vlsbench.records import Fraction, Name, PaperRow, Plain, Record, explain

__all__ = [
    "ALIGNMENT_FILE",
    "AlignmentTable",
    "Benchmark",
    "PaperTable",
    "PrintedRow",
    "paper_files",
    "read_alignment_table",
    "read_paper_table",
]

ALIGNMENT_FILE = "table2.json"
"""Name of the file in a store's `paper/`."""


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


def read_alignment_table(store: Path) -> AlignmentTable | None:
    """Read the table of a store; None where the store has none.

    Raises:
        SubmissionError: If the file is not such a table.
    """
    path = store / "paper" / ALIGNMENT_FILE
    try:
        return AlignmentTable.model_validate_json(read_regular(path))
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
    """List the files of the paper's tables of VLSBench, `paper/*.json`, by name; Table 2 is of other benchmarks."""
    return sorted(path for path in (store / "paper").glob("*.json") if path.name != ALIGNMENT_FILE)


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
