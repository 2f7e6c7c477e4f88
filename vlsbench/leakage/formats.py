"""The published files of known sets, one entry each: what they look like, and what their columns mean.

An entry is recognised by its columns, and by the names of its tables where the columns could be anybody's. It names the
column of each role, or turns a row into the pairs that it holds (a row of VLGuard holds one or two, of VSCBench six). A
set that is not here is read by guessing (`columns`); so is one whose columns somebody renamed. Formats are those of the
sets' published files as their documentation gives them.
Pure: no files, no network.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from vlsbench.leakage.columns import plain_name, texts_of
from vlsbench.leakage.source import KEY_COLUMN, Row, Table

__all__ = ["FORMATS", "HARMFUL", "HARMLESS", "Format", "format_of", "part_of"]

HARMFUL: Final = "harmful"
HARMLESS: Final = "harmless"

_TEXT, _IMAGE, _LABEL, _CATEGORY, _SOURCE, _ORIGIN, _ID = "text", "image", "label", "category", "source", "origin", "id"
_IMAGE_HARM = "image_harm"


@dataclass(frozen=True)
class Format:
    """One set's file."""

    name: str
    needs: frozenset[str]
    """Columns, as `plain_name` writes them, that are all there."""
    roles: Mapping[str, str] = field(default_factory=dict)
    """Role → column, as `plain_name` writes it, where a row is one pair; a column that is absent is left out."""
    pairs: Callable[[Row, Table], Iterable[Row]] | None = None
    """Turn a row into pairs, under the names of the roles and `image_harm`."""
    columns: Mapping[str, str] = field(default_factory=dict)
    """Role → where `pairs` takes it from, in words."""
    harm: str | None = None
    """What every pair of the set is, where that is so."""
    note: str | None = None
    parts: frozenset[str] = frozenset()
    """Names of its tables (`part_of`), where its columns alone say too little; empty: any."""

    def fits(self, table: Table) -> bool:
        """Say whether a table has the columns, and a name of this set's."""
        is_named = not self.parts or part_of(table) in self.parts
        return is_named and self.needs <= {plain_name(column) for column in table.columns}


def part_of(table: Table) -> str:
    """Return the split or file that a table is, without its folder and the number of its piece."""
    return re.sub(r"-\d+-of-\d+$", "", table.name.rsplit("/", 1)[-1]).lower()


# --- Sets whose rows hold several pairs ---------------------------------------------------------------------


def _get(row: Row, name: str) -> Any:
    """Return a cell by its plain name."""
    if name in row:
        return row[name]
    return next((cell for column, cell in row.items() if plain_name(str(column)) == name), None)


def _truth(cell: Any) -> bool | None:
    if isinstance(cell, bool):
        return cell
    if isinstance(cell, int | float) and cell in (0, 1):
        return bool(cell)
    if isinstance(cell, str):
        return {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}.get(cell.strip().lower())
    return None


def _vlguard(row: Row, table: Table) -> Iterator[Row]:
    is_safe = _truth(_get(row, "safe"))
    turns = _get(row, "instr_resp")
    base = {
        _ID: _get(row, "id"),
        _IMAGE: _get(row, "image"),
        _CATEGORY: _get(row, "harmful_category"),
    }
    for turn in turns if isinstance(turns, list) else [turns]:
        if not isinstance(turn, Mapping):
            continue
        safe, unsafe = turn.get("safe_instruction"), turn.get("unsafe_instruction")
        if safe is not None:
            yield base | {_TEXT: safe, _LABEL: HARMLESS, _IMAGE_HARM: HARMLESS}
        if unsafe is not None:  # harmful in its words, by design: it says nothing of what an image gives away
            yield base | {_TEXT: unsafe, _LABEL: HARMFUL, _IMAGE_HARM: None}
        if safe is None and unsafe is None:
            verdict = None if is_safe is None else HARMLESS if is_safe else HARMFUL
            yield base | {_TEXT: turn.get("instruction"), _LABEL: verdict, _IMAGE_HARM: verdict}


def _vscbench_images(row: Row, table: Table) -> Iterator[Row]:
    for column, cell in row.items():
        name = plain_name(str(column))
        if cell in (None, "") or not name.startswith(("safe_img", "unsafe_img")):
            continue
        label = HARMFUL if name.startswith("unsafe") else HARMLESS
        yield {_TEXT: _get(row, "prompt"), _IMAGE: cell, _LABEL: label, _CATEGORY: _get(row, "category")}


def _vscbench_texts(row: Row, table: Table) -> Iterator[Row]:
    kind = str(_get(row, "type") or "")
    is_contrast = "contrast" in kind.lower()
    rest = kind.lower().replace("contrast", "").strip("_- ")
    yield {
        _TEXT: _get(row, "prompt_mm") or _get(row, "prompt_origin"),
        _IMAGE: _get(row, "search_img") or _get(row, "concat_img") or _get(row, "typography_img"),
        _LABEL: HARMFUL if is_contrast else HARMLESS,
        _CATEGORY: rest or _get(row, "focus"),
        "prompt_origin": _get(row, "prompt_origin"),
        "prompt_mm": _get(row, "prompt_mm"),
        "prompt_figstep": _get(row, "prompt_figstep"),
    }


def _mssbench_chat(row: Row, table: Table) -> Iterator[Row]:
    for query in texts_of(_get(row, "queries")):
        for column, label in (("safe_image_path", HARMLESS), ("unsafe_image_path", HARMFUL)):
            yield {_TEXT: query, _IMAGE: _get(row, column), _LABEL: label, _CATEGORY: _get(row, "type")}


def _mssbench_embodied(row: Row, table: Table) -> Iterator[Row]:
    for side, label in (("safe", HARMLESS), ("unsafe", HARMFUL)):
        asked = _get(row, f"{side}_instructions")
        for text in texts_of(asked if asked is not None else _get(row, f"{side}_instruction")):
            yield {_TEXT: text, _IMAGE: _get(row, side), _LABEL: label, _CATEGORY: _get(row, "category")}


def _mossbench(row: Row, table: Table) -> Iterator[Row]:
    metadata = _get(row, "metadata")
    about: Mapping[str, Any] = metadata if isinstance(metadata, Mapping) else {}
    drawn = _truth(about.get("syn"))
    kind = about.get("over")
    yield {
        _ID: _get(row, "pid") or row.get(KEY_COLUMN),
        _TEXT: _get(row, "question"),
        _IMAGE: _get(row, "image"),
        _CATEGORY: kind[0] if isinstance(kind, list) and len(kind) == 1 else kind,
        _ORIGIN: None if drawn is None else "generated" if drawn else "collected",
    }


def _mm_safetybench(row: Row, table: Table) -> Iterator[Row]:
    scenario = table.name.rsplit("/", 1)[-1]
    key = row.get(KEY_COLUMN) or _get(row, "id")
    yield {
        **{str(name): cell for name, cell in row.items()},
        _ID: f"{scenario}/{key}",
        _TEXT: _get(row, "rephrased_question_sd") or _get(row, "rephrased_question") or _get(row, "question"),
        _IMAGE: f"imgs/{scenario}/SD/{key}.jpg",
        _CATEGORY: scenario,
    }


def _mm_safetybench_splits(row: Row, table: Table) -> Iterator[Row]:
    scenario = table.name.rsplit("/", 1)[0].rsplit("/", 1)[-1] if "/" in table.name else None
    case = f"{scenario}/{_get(row, 'id')}"
    yield {
        _ID: f"{case}/{part_of(table)}",
        _TEXT: _get(row, "question"),
        _IMAGE: _get(row, "image"),
        _CATEGORY: scenario,
        "group": case,
    }


def _jailbreakv(row: Row, table: Table) -> Iterator[Row]:
    yield {
        **{str(name): cell for name, cell in row.items()},
        _ID: _get(row, "id"),
        _TEXT: _get(row, "jailbreak_query"),
        _IMAGE: _get(row, "image_path"),
        _CATEGORY: _get(row, "policy"),
        _SOURCE: _get(row, "from"),
        "group": _get(row, "redteam_query"),
    }


def _figstep(row: Row, table: Table) -> Iterator[Row]:
    category, task = _get(row, "category_id"), _get(row, "task_id")
    yield {
        _ID: f"{category}-{task}" if category not in (None, "") and task not in (None, "") else None,
        _TEXT: _get(row, "question"),
        _CATEGORY: _get(row, "category_name"),
        "question": _get(row, "question"),
        "instruction": _get(row, "instruction"),
    }


def _spa_vl(row: Row, table: Table) -> Iterator[Row]:
    part = part_of(table)
    label = HARMFUL if part.startswith("harm") else HARMLESS if part.startswith("help") else None
    yield {
        _ID: _get(row, "id"),
        _TEXT: _get(row, "question"),
        _IMAGE: _get(row, "image"),
        _LABEL: label,
        _CATEGORY: _get(row, "class1"),
    }


def _holisafe(row: Row, table: Table) -> Iterator[Row]:
    kind = str(_get(row, "type") or "").strip().upper()
    # Three letters, of image, text and pair; a file that writes them otherwise has no label of the pair here.
    grades = (
        [HARMFUL if letter == "U" else HARMLESS for letter in kind]
        if set(kind) <= {"S", "U"} and len(kind) == 3
        else []
    )
    is_image_safe = _truth(_get(row, "image_safe"))
    image = None if is_image_safe is None else HARMLESS if is_image_safe else HARMFUL
    label = grades[2] if grades else None
    is_text_harmful = bool(grades) and grades[1] == HARMFUL
    yield {
        _ID: _get(row, "id"),
        _TEXT: _get(row, "query"),
        _IMAGE: _get(row, "image"),
        _LABEL: label,
        _CATEGORY: _get(row, "category"),
        _IMAGE_HARM: (label if image == label else None) if grades and not is_text_harmful else None,
        _SOURCE: kind or None,
    }


def _vlsu(row: Row, table: Table) -> Iterator[Row]:
    pair = _grade(_get(row, "consensus_combined_grade"))
    text, image = _grade(_get(row, "consensus_text_grade")), _grade(_get(row, "image_grade"))
    category = (
        _get(row, "consensus_combined_category")
        or _get(row, "combined_category")
        or next((cell for column, cell in row.items() if plain_name(str(column)).endswith("_category") and cell), None)
    )
    yield {
        _ID: _get(row, "uuid"),
        _TEXT: _get(row, "prompt"),
        _IMAGE: _get(row, "web_path"),
        _LABEL: pair,
        _CATEGORY: category,
        _IMAGE_HARM: pair
        if text != HARMFUL and pair in (HARMFUL, HARMLESS) and (image == pair or pair == HARMFUL)
        else None,
    }


def _grade(cell: Any) -> str | None:
    text = str(cell or "").strip().lower().replace("_", " ")
    if text in ("unsafe", "harmful", "not safe"):
        return HARMFUL
    return HARMLESS if text in ("safe", "harmless") else text or None


_BY_ROW: Final = "all of its pairs are harmful, as its authors say"

FORMATS: Final[tuple[Format, ...]] = (
    Format(
        "VLSBench",
        frozenset({"instruction_id", "instruction", "category", "sub_category", "source"}),
        roles={
            _ID: "instruction_id",
            _TEXT: "instruction",
            _IMAGE: "image_path",
            _LABEL: "risk",
            _CATEGORY: "category",
            _SOURCE: "source",
        },
        harm=HARMFUL,
    ),
    Format(
        "FigStep (SafeBench)",
        frozenset({"category_id", "task_id", "category_name", "question", "instruction"}),
        pairs=_figstep,
        columns={_ID: "category_id-task_id", _TEXT: "question", _CATEGORY: "category_name"},
        harm=HARMFUL,
        note="FigStep shows its `instruction` as an image; audited is the question behind it (--text instruction for "
        "the other).",
    ),
    Format(
        "VLGuard",
        frozenset({"image", "safe", "instr_resp"}),
        pairs=_vlguard,
        columns={
            _ID: "id",
            _TEXT: "instr-resp: instruction, safe_instruction, unsafe_instruction",
            _IMAGE: "image",
            _LABEL: "safe and the instruction's name",
            _CATEGORY: "harmful_category",
        },
        note="VLGuard's `unsafe_instruction` is harmful in its words by design; the target `image harm` leaves it out.",
    ),
    Format(
        "SIUO",
        frozenset({"question_id", "image", "question", "category", "safety_warning"}),
        roles={_ID: "question_id", _TEXT: "question", _IMAGE: "image", _CATEGORY: "category"},
        harm=HARMFUL,
    ),
    Format(
        "MOSSBench",
        frozenset({"image", "question", "metadata", "description"}),
        pairs=_mossbench,
        columns={
            _ID: "pid",
            _TEXT: "question",
            _IMAGE: "image",
            _CATEGORY: "metadata.over",
            _ORIGIN: "metadata.syn",
        },
        harm=HARMLESS,
    ),
    Format(
        "VSCBench, image-centric",
        frozenset({"category", "prompt", "safe_img_0", "unsafe_img_0"}),
        pairs=_vscbench_images,
        columns={
            _TEXT: "Prompt",
            _IMAGE: "safe_img_*, unsafe_img_*",
            _LABEL: "the image column",
            _CATEGORY: "Category",
        },
        note="Twins: every text stands with safe and with unsafe images, so it can tell nothing of their harm.",
    ),
    Format(
        "VSCBench, text-centric",
        frozenset({"type", "focus", "prompt_origin", "prompt_mm"}),
        pairs=_vscbench_texts,
        columns={
            _TEXT: "prompt_mm, else prompt_origin",
            _IMAGE: "search_img, concat_img or typography_img",
            _LABEL: "type (contrast: harmful)",
            _CATEGORY: "type, else focus",
        },
        note="Audited is the text beside the image (`prompt_mm`); --text prompt_origin takes the text alone.",
    ),
    Format(
        "MSSBench, chat",
        frozenset({"safe_image_path", "unsafe_image_path", "queries"}),
        pairs=_mssbench_chat,
        columns={
            _TEXT: "queries",
            _IMAGE: "safe_image_path, unsafe_image_path",
            _LABEL: "the image column",
            _CATEGORY: "Type",
        },
        note="Twins: every query stands with a safe and with an unsafe image, so it can tell nothing of their harm.",
    ),
    *(
        Format(
            "MSSBench, embodied",
            frozenset({"safe", "unsafe", f"safe_{noun}", f"unsafe_{noun}"}),
            pairs=_mssbench_embodied,
            columns={
                _TEXT: "safe_instruction(s), unsafe_instruction(s)",
                _IMAGE: "safe, unsafe",
                _LABEL: "the instruction's name",
                _CATEGORY: "category",
            },
        )
        for noun in ("instructions", "instruction")
    ),
    Format(
        "MM-SafetyBench",
        frozenset({"question", "changed_question", "rephrased_question"}),
        pairs=_mm_safetybench,
        columns={
            _ID: "scenario/id",
            _TEXT: "Rephrased Question(SD)",
            _IMAGE: "imgs/{scenario}/SD/{id}.jpg",
            _CATEGORY: "the file's name",
        },
        harm=HARMFUL,
        note="Audited is the text of its SD images; --text 'Question' or 'Rephrased Question' takes the others.",
    ),
    Format(
        "MM-SafetyBench, by splits",
        frozenset({"id", "question", "image"}),
        pairs=_mm_safetybench_splits,
        columns={_ID: "config/id/split", _TEXT: "question", _IMAGE: "image", _CATEGORY: "config"},
        harm=HARMFUL,
        note="The splits tell each case again, so they stand in one fold; --split SD takes one of them.",
        parts=frozenset({"sd", "sd_typo", "typo", "text_only"}),
    ),
    Format(
        "JailBreakV-28K",
        frozenset({"jailbreak_query", "redteam_query", "policy"}),
        pairs=_jailbreakv,
        columns={_ID: "id", _TEXT: "jailbreak_query", _IMAGE: "image_path", _CATEGORY: "policy", _SOURCE: "from"},
        harm=HARMFUL,
        note="Jailbreaks of one raw query stand in one fold; --text redteam_query audits the raw queries.",
    ),
    Format(
        "HarmBench, multimodal",
        frozenset({"behavior_id", "behavior", "semantic_category", "image_file_name"}),
        roles={_ID: "behavior_id", _TEXT: "behavior", _IMAGE: "image_file_name", _CATEGORY: "semantic_category"},
        harm=HARMFUL,
    ),
    Format(
        "SPA-VL",
        frozenset({"question", "chosen", "rejected", "image"}),
        pairs=_spa_vl,
        columns={_ID: "id", _TEXT: "question", _IMAGE: "image", _LABEL: "split (harm, help)", _CATEGORY: "class1"},
    ),
    Format(
        "HoliSafe",
        frozenset({"image", "query", "category", "type", "image_safe"}),
        pairs=_holisafe,
        columns={
            _ID: "id",
            _TEXT: "query",
            _IMAGE: "image",
            _LABEL: "type, third letter",
            _CATEGORY: "category",
            _SOURCE: "type",
        },
    ),
    Format(
        "VLSU",
        frozenset({"prompt", "web_path", "consensus_combined_grade"}),
        pairs=_vlsu,
        columns={
            _ID: "uuid",
            _TEXT: "prompt",
            _IMAGE: "web_path",
            _LABEL: "consensus_combined_grade",
            _CATEGORY: "consensus_combined_category",
        },
    ),
)


def format_of(table: Table) -> Format | None:
    """Return the entry that a table looks like: the one that needs most columns, or None."""
    fitting = [entry for entry in FORMATS if entry.fits(table)]
    return max(fitting, key=lambda entry: len(entry.needs), default=None)
