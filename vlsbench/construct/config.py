"""The configuration of a run: one TOML file that says what is built, from what, by whom.

Closed: a key that is not known, a value that cannot be, a file that is not there are problems, and all of them are
named at once. What decides the outcome is in the fingerprint; what only decides how fast or how dear it is, where a
server stands or where files go (concurrency, prices, waiting times, URLs, `out`) is not: these may change between two
calls of one run.

Rule of the room: reads files, asks nobody.
"""

from __future__ import annotations

import csv
import io
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final, Literal, NamedTuple, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from vlsbench.construct.prompts import Wordings, load_wordings
from vlsbench.construct.records import Step
from vlsbench.construct.safeguards import Safeguards
from vlsbench.cost import Prices
from vlsbench.dataset.layout import open_layout
from vlsbench.dataset.pictures import image_problem
from vlsbench.dataset.source import packaged_sample
from vlsbench.errors import DataError, UsageError, numbered
from vlsbench.files import canonical_json, read_regular, sha256_hex
from vlsbench.records import explain
from vlsbench.taxonomy import CATEGORY_NAMES, SUB_CATEGORIES

__all__ = [
    "FREE",
    "GENERATION",
    "Audit",
    "Config",
    "Element",
    "HarmJudge",
    "ImageModel",
    "Known",
    "Model",
    "Photo",
    "Plan",
    "load_plan",
    "model_of",
]

GENERATION: Final = "generation"
"""Source of the images that are made, as the release calls it."""

_FORMAT: Final = 1
"""Version of what the stages do with the same configuration; part of the fingerprint."""

_IMAGE_SUFFIXES: Final = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp")
_NAME: Final = r"^[a-z0-9][a-z0-9-]{0,62}$"
FREE: Final = frozenset(
    {"base_url", "key_variable", "concurrency", "timeout_seconds", "max_retries", "price_in", "price_out", "price"}
)
"""Keys of a model that change nothing of what comes out."""

Positive = Annotated[int, Field(ge=1)]
Money = Annotated[float, Field(ge=0)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, protected_namespaces=())


class _Priced(_Part):
    """Who is paid by the token."""

    price_in: Money | None = None
    price_out: Money | None = None

    @model_validator(mode="after")
    def _prices(self) -> Self:
        if (self.price_in is None) != (self.price_out is None):
            raise ValueError("price_in and price_out belong together: money for a million tokens, each")
        return self

    @property
    def prices(self) -> Prices | None:
        """Money for a million tokens."""
        return None if self.price_in is None or self.price_out is None else Prices(self.price_in, self.price_out)


class Model(_Priced):
    """`[models.NAME]`: one that chats. NAME is `default` or a step."""

    model: Annotated[str, Field(min_length=1, max_length=190, pattern=r"^[^\s\p{C}]+$")]
    """As the endpoint knows it; pin a snapshot."""
    base_url: str | None = None
    key_variable: str = "OPENAI_API_KEY"
    concurrency: Positive = 16
    max_tokens: Positive = 1024
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    """None: 0.7 where a step writes, 0 where it judges."""
    max_side: Positive | None = 1024
    """Longest side of an image that is sent, pixels."""
    timeout_seconds: Annotated[float, Field(gt=0)] = 120.0
    max_retries: Annotated[int, Field(ge=0)] = 6
    price_in: Money | None = None
    price_out: Money | None = None


class ImageModel(_Part):
    """`[image]`: who makes images."""

    kind: Literal["endpoint", "diffusers", "folder", "artist"]
    model: str | None = None
    """Of an endpoint or a pipeline: `stabilityai/stable-diffusion-3.5-large`."""
    revision: str | None = None
    folder: str | None = None
    """Of prepared images, named by item: `e0001-q1.png`, of twins `e0001-q1-twin.png`."""
    size: Annotated[str, Field(pattern=r"^[1-9]\d{1,3}x[1-9]\d{1,3}$")] = "1024x1024"
    n_steps: Positive | None = None
    guidance: float | None = None
    device: str | None = None
    base_url: str | None = None
    key_variable: str = "OPENAI_API_KEY"
    concurrency: Positive = 4
    timeout_seconds: Annotated[float, Field(gt=0)] = 300.0
    max_retries: Annotated[int, Field(ge=0)] = 6
    price: Money | None = None
    """Of one image."""

    @model_validator(mode="after")
    def _needs(self) -> Self:
        if self.kind in ("endpoint", "diffusers") and not self.model:
            raise ValueError(f'kind {self.kind!r} needs the name of a model: model = "…"')
        if (self.kind == "folder") != (self.folder is not None):
            raise ValueError("'folder' belongs to kind 'folder', and only there")
        return self

    @property
    def name(self) -> str:
        """As records name it."""
        return self.kind if self.model is None else f"{self.kind}:{self.model}"


class Elements(_Part):
    """`[elements]`, path 1a: risky objects and scenarios."""

    file: str
    """CSV with the columns `element`, `category`, `sub_category`."""
    queries_per_element: Annotated[int, Field(ge=1, le=10)] = 3
    """The paper asks for three."""


class Collected(_Part):
    """`[collected]`, path 1b: images that exist."""

    folder: str
    source: Annotated[str, Field(min_length=1, max_length=60, pattern=r"^\w[\w .+-]*$")]
    """Name of the collection, as the dataset's `source` says it."""
    licence: str | None = None
    """Of all images; or"""
    licences: str | None = None
    """CSV with the columns `file`, `licence`, one line an image."""
    queries_per_image: Annotated[int, Field(ge=1, le=10)] = 2

    @model_validator(mode="after")
    def _one_licence(self) -> Self:
        if (self.licence is None) == (self.licences is None):
            raise ValueError("say under which licence the images are: either 'licence' or 'licences', not both")
        return self


class Siblings(_Part):
    """`[siblings]`: fresh pairs of the same risk and shape as pairs that are known."""

    of: list[Annotated[int, Field(ge=0)]] = []
    """Their `instruction_id`; `vlsbench construct siblings --of` goes before."""
    data: str | None = None
    """Folder of their dataset; None is the packaged sample."""


class Loops(_Part):
    """`[loops]`: how often is tried again."""

    rewrite: Annotated[int, Field(ge=1, le=5)] = 3
    image: Annotated[int, Field(ge=1, le=3)] = 3
    """Rounds of image, look and refined prompt; the paper's limit is three."""
    attempts: Annotated[int, Field(ge=1, le=5)] = 3
    """Of one question whose reply cannot be used."""


class HarmJudge(_Priced):
    """`[audit.judge]`: who says whether a pair, and its text alone, is unsafe."""

    name: Annotated[str, Field(pattern=r"^(openai|guard):\S+$")]
    """As `vlsbench leakage --judge` takes it: `openai:MODEL`, `guard:MODEL`."""
    max_leak: Annotated[float, Field(ge=0, le=1)] = 0.1
    """Highest R2 / R1 that the lower end of its interval may reach."""
    pair_harm: Literal["judge", "label"] = "judge"
    """`label`: every pair counts as unsafe, as stage 4 said, and the judge reads texts only."""
    base_url: str | None = None
    concurrency: Positive = 16


class Audit(_Part):
    """`[audit]`: the gate."""

    batch: Annotated[int, Field(ge=200)] = 200
    max_auc: Annotated[float, Field(ge=0.5, le=1)] = 0.70
    max_returns: Annotated[int, Field(ge=0, le=2)] = 2
    harmless: str | None = None
    """Harmless questions, one a line: harm leak is then how well text tells ours from them."""
    judge: HarmJudge | None = None
    """Without one, harm leak by R1 and R2 is not measured."""


class Twins(_Part):
    """`[twins]`."""

    wanted: bool = True


class Guard(_Part):
    """`[safeguards]`: words beside those of the code."""

    never: list[Annotated[str, Field(min_length=3)]] = []


class Config(_Part):
    """The whole file."""

    name: Annotated[str, Field(pattern=_NAME)]
    """Of the dataset."""
    out: str | None = None
    """Folder of the run, relative to this file; `--out` goes before."""
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    prompts: str | None = None
    """Folder with wordings of one's own: `rewrite.md` there goes before the packaged one."""
    models: dict[Literal["default"] | Step, Model]
    image: ImageModel | None = None
    elements: Elements | None = None
    collected: Collected | None = None
    siblings: Siblings | None = None
    loops: Loops = Loops()
    audit: Audit = Audit()
    twins: Twins = Twins()
    safeguards: Guard = Guard()

    @model_validator(mode="after")
    def _parts(self) -> Self:
        if "default" not in self.models:
            raise ValueError("[models.default] is absent: who is asked where a step names nobody")
        if {"image", "twin_image"} & set(self.models):
            raise ValueError("images are made by [image], not by [models.image]")
        if self.elements is None and self.collected is None and self.siblings is None:
            raise ValueError("there is nothing to build from: add [elements] (1a), [collected] (1b) or [siblings]")
        is_made = self.elements is not None or self.siblings is not None
        if self.image is None and (is_made or self.twins.wanted):
            raise ValueError("[image] is absent: elements and twins need somebody who makes images")
        if self.name in ("release", "sample"):
            raise ValueError("'release' and 'sample' are datasets already; give the set a name of its own")
        return self


class Element(NamedTuple):
    """A risky object or scenario."""

    item: str
    text: str
    category: str
    sub_category: str


class Photo(NamedTuple):
    """An image that exists."""

    item: str
    path: Path
    file: str
    sha256: str
    licence: str


class Known(NamedTuple):
    """A pair that gets a sibling."""

    item: str
    instruction_id: int
    text: str
    image_content: str
    reason: str
    category: str
    sub_category: str


class Plan(NamedTuple):
    """A configuration with all that it names, read."""

    path: Path
    config: Config
    out: Path
    wordings: Wordings
    safeguards: Safeguards
    elements: tuple[Element, ...]
    photos: tuple[Photo, ...]
    known: tuple[Known, ...]
    harmless: tuple[str, ...]
    fingerprint: Mapping[str, str]
    """Part → SHA-256 of what of it decides the outcome."""


def model_of(config: Config, step: Step) -> tuple[str, Model]:
    """Return the name in the configuration and the model that a step asks."""
    return (step, config.models[step]) if step in config.models else ("default", config.models["default"])


def load_plan(
    path: Path, *, out: Path | None = None, of: Sequence[int] | None = None, is_of_siblings: bool = False
) -> Plan:
    """Read a configuration and everything that it names.

    Args:
        path: The TOML file; other paths in it are relative to its folder.
        out: Folder of the run; None is what the file says.
        of: Pairs that get a sibling; None is what the file says.
        is_of_siblings: Siblings alone are built; elements and collected images of the file are left out.

    Raises:
        DataError: If anything is wrong; every problem is named.
        UsageError: If no folder of the run is named anywhere.
    """
    config = _read(path)
    if is_of_siblings:
        config = config.model_copy(update={"elements": None, "collected": None})
    reader = _Reader(path.parent)
    safeguards = Safeguards(config.safeguards.never)
    wordings = reader.wordings(config)
    elements = reader.elements(config, safeguards)
    photos = reader.photos(config)
    known = reader.known(config, of, is_wanted=is_of_siblings)
    harmless = reader.harmless(config)
    if config.image is not None and config.image.folder is not None:
        reader.folder(config.image.folder, "[image] folder")
    if reader.problems:
        raise DataError(f"{path}: {_bounded(reader.problems)}.")
    if out is None and config.out is None:
        raise UsageError(f"{path}: neither --out nor 'out' in the file names the folder of the run.")
    return Plan(
        path,
        config,
        out or path.parent / str(config.out),
        wordings,
        safeguards,
        elements,
        photos,
        known,
        harmless,
        _fingerprint(config, wordings, safeguards, elements, photos, known, harmless),
    )


def _bounded(problems: Sequence[str]) -> str:
    return problems[0] if len(problems) == 1 else f"{len(problems)} problems: {'; '.join(problems)}"


def _read(path: Path) -> Config:
    try:
        data = tomllib.loads(read_regular(path).decode("utf-8"))
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}).") from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise DataError(f"{path}: not TOML ({error}).") from None
    try:
        return Config.model_validate(data)
    except ValidationError as error:
        raise DataError(f"{path}: {_bounded(explain(error, rename={'line': 'the file'}))}.") from None


def _fingerprint(
    config: Config,
    wordings: Wordings,
    safeguards: Safeguards,
    elements: Sequence[Element],
    photos: Sequence[Photo],
    known: Sequence[Known],
    harmless: Sequence[str],
) -> dict[str, str]:
    parts: dict[str, Any] = {
        "name": config.name,
        "seed": config.seed,
        "image": None if config.image is None else config.image.model_dump(exclude=set(FREE)),
        "loops": config.loops.model_dump(),
        "audit": config.audit.model_dump(exclude={"harmless", "judge"}),
        "twins": config.twins.model_dump(),
        "elements": [
            None if config.elements is None else config.elements.queries_per_element,
            [list(element) for element in elements],
        ],
        "collected": [
            None if config.collected is None else [config.collected.source, config.collected.queries_per_image],
            [[photo.item, photo.file, photo.sha256, photo.licence] for photo in photos],
        ],
        "siblings": [list(one) for one in known],
        "harmless": list(harmless),
        "safeguards": safeguards.digest,
        "format": _FORMAT,
    }
    if config.audit.judge is not None:
        parts["audit.judge"] = config.audit.judge.model_dump(exclude=set(FREE))
    parts |= {f"models.{name}": model.model_dump(exclude=set(FREE)) for name, model in config.models.items()}
    parts |= {f"prompts.{step}": wording.sha256 for step, wording in wordings.items()}
    return {name: sha256_hex(canonical_json(value)) for name, value in parts.items()}


class _Reader:
    """Reads what a configuration names, and collects what is wrong with it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.problems: list[str] = []

    def folder(self, name: str, what: str) -> Path | None:
        path = self.root / name
        if path.is_dir():
            return path
        self.problems.append(f"{what}: {name} is not a folder")
        return None

    def wordings(self, config: Config) -> Wordings:
        folder = None if config.prompts is None else self.folder(config.prompts, "prompts")
        wordings, problems = load_wordings(folder)
        self.problems += problems
        return wordings

    def _rows(self, name: str, what: str, columns: Sequence[str]) -> list[tuple[int, dict[str, str]]]:
        try:
            text = read_regular(self.root / name).decode("utf-8-sig")
        except OSError as error:
            self.problems.append(f"{what}: {name} cannot be read ({error.strerror})")
            return []
        except UnicodeDecodeError as error:
            self.problems.append(f"{what}: {name} is not UTF-8 (byte {error.start})")
            return []
        lines = csv.reader(io.StringIO(text))
        head = [cell.strip() for cell in next(lines, [])]
        absent = [column for column in columns if column not in head]
        if absent:
            self.problems.append(f"{what}: {name}:1: lacks the column {numbered(absent)}; found {numbered(head)}")
            return []
        rows = []
        for line in lines:
            if any(cell.strip() for cell in line):
                cells = [cell.strip() for cell in line] + [""] * (len(head) - len(line))
                rows.append((lines.line_num, dict(zip(head, cells, strict=False))))
        return rows

    def elements(self, config: Config, safeguards: Safeguards) -> tuple[Element, ...]:
        if config.elements is None:
            return ()
        what = "[elements] file"
        parents = {sub.name: sub.category for sub in SUB_CATEGORIES}
        found: list[Element] = []
        seen: dict[str, int] = {}
        rows = self._rows(config.elements.file, what, ("element", "category", "sub_category"))
        for line, row in rows:
            where = f"{config.elements.file}:{line}"
            text, category, sub = row["element"], row["category"], row["sub_category"]
            if not text:
                self.problems.append(f"{where}: has no element")
            elif text.casefold() in seen:
                self.problems.append(f"{where}: says the element of line {seen[text.casefold()]} again")
            elif category not in CATEGORY_NAMES:
                self.problems.append(
                    f"{where}: category {category!r} is none of {', '.join(CATEGORY_NAMES)}: an element is in one"
                )
            elif parents.get(sub) != category:
                self.problems.append(f"{where}: sub-category {sub!r} is none of {category}'s")
            elif (rule := safeguards.refuse(text, category=category)) is not None:
                self.problems.append(f"{where}: is never built: {rule}")
            seen.setdefault(text.casefold(), line)
            found.append(Element(f"e{len(found) + 1:04d}", text, category, sub))
        if not rows and not self.problems:
            self.problems.append(f"{what}: {config.elements.file} has no element")
        return tuple(found)

    def photos(self, config: Config) -> tuple[Photo, ...]:
        if config.collected is None:
            return ()
        what = "[collected] folder"
        folder = self.folder(config.collected.folder, what)
        if folder is None:
            return ()
        paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in _IMAGE_SUFFIXES and path.is_file())
        if not paths:
            self.problems.append(f"{what}: {config.collected.folder} holds no image ({', '.join(_IMAGE_SUFFIXES)})")
        licences = self._licences(config.collected)
        photos: list[Photo] = []
        for path in paths:
            file = path.relative_to(folder).as_posix()
            try:
                data = path.read_bytes()
            except OSError as error:
                self.problems.append(f"{what}: {file} cannot be read ({error.strerror})")
                continue
            if problem := image_problem(data):
                self.problems.append(f"{what}: {file} {problem}")
            licence = config.collected.licence or licences.get(file, "")
            if not licence and config.collected.licences:
                self.problems.append(f"[collected] licences: {config.collected.licences} has no licence for {file}")
            photos.append(Photo(f"p{len(photos) + 1:04d}", path, file, sha256_hex(data), licence))
        return tuple(photos)

    def _licences(self, collected: Collected) -> dict[str, str]:
        if collected.licences is None:
            return {}
        rows = self._rows(collected.licences, "[collected] licences", ("file", "licence"))
        return {row["file"]: row["licence"] for _, row in rows}

    def known(self, config: Config, of: Sequence[int] | None, *, is_wanted: bool) -> tuple[Known, ...]:
        if config.siblings is None:
            if is_wanted or of is not None:
                self.problems.append("siblings need [siblings] in the file, which says of which dataset they are")
            return ()
        wanted = list(dict.fromkeys(config.siblings.of if of is None else of))
        if not wanted:
            self.problems.append("[siblings] names no pair: of = [...], or --of")
        folder = packaged_sample() if config.siblings.data is None else self.root / config.siblings.data
        try:
            with open_layout(folder) as layout:
                records = {record.instruction_id: record for record in layout.records}
        except DataError as error:
            self.problems.append(f"[siblings] data: {str(error).rstrip('.')}")
            return ()
        absent = [str(number) for number in wanted if number not in records]
        if absent:
            self.problems.append(f"[siblings] of: {numbered(absent)} is not in {folder}")
        benign = [str(number) for number in wanted if number in records and records[number].risk == "benign"]
        if benign:
            self.problems.append(f"[siblings] of: {numbered(benign)} is a harmless twin; name the risky pair")
        found = [records[number] for number in wanted if number in records]
        return tuple(
            Known(
                f"s{place:04d}",
                record.instruction_id,
                record.instruction,
                record.image_description or "",
                record.safety_reason or "",
                record.category,
                record.sub_category,
            )
            for place, record in enumerate(found, start=1)
        )

    def harmless(self, config: Config) -> tuple[str, ...]:
        if config.audit.harmless is None:
            return ()
        try:
            text = read_regular(self.root / config.audit.harmless).decode("utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            why = getattr(error, "strerror", None) or "not UTF-8"
            self.problems.append(f"[audit] harmless: {config.audit.harmless} cannot be read ({why})")
            return ()
        return tuple(line.strip() for line in text.splitlines() if line.strip())
