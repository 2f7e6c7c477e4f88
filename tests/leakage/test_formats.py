"""Every published format, by rows of its shape that were invented here."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from openpyxl import Workbook

from vlsbench.errors import DataError
from vlsbench.leakage.columns import ColumnChoice
from vlsbench.leakage.formats import FORMATS
from vlsbench.leakage.items import AuditSet, read_items
from vlsbench.leakage.records import HARM, IMAGE_HARM, ORIGIN

N = 24
TOPICS = ("bread", "tents", "clocks", "boats")


def asked(n: int) -> str:
    """A mild question, another one for every number."""
    return f"How do people in town number {n} like their {TOPICS[n % 4]} on a sunny day?"


def write_json(path: Path, value: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value), encoding="utf-8")
    return path


def write_csv(path: Path, rows: list[dict[str, Any]]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def write_xlsx(path: Path, rows: list[dict[str, Any]]) -> Path:
    book = Workbook()
    assert book.active is not None
    book.active.append(list(rows[0]))
    for row in rows:
        book.active.append(list(row.values()))
    book.save(path)
    return path


def vlsbench(folder: Path) -> Path:
    rows = [
        {
            "instruction_id": n,
            "instruction": asked(n),
            "image_path": f"imgs/{n // 2}.png",
            "category": TOPICS[n % 4],
            "sub_category": "x",
            "source": "generation" if n % 2 else "coco2017",
        }
        for n in range(N)
    ]
    return write_json(folder / "data.json", rows)


def figstep(folder: Path) -> Path:
    return write_csv(
        folder / "safebench.csv",
        [
            {
                "dataset": "safebench",
                "category_id": n % 4,
                "task_id": n,
                "category_name": TOPICS[n % 4],
                "question": asked(n),
                "instruction": "Steps to do it. 1. 2. 3.",
            }
            for n in range(N)
        ],
    )


def vlguard(folder: Path) -> Path:
    unsafe = [
        {
            "id": f"u{n}",
            "image": f"{n}.jpg",
            "safe": False,
            "harmful_category": TOPICS[n % 2],
            "harmful_subcategory": "y",
            "instr-resp": [{"instruction": f"Write about house {n}.", "response": "No."}],
        }
        for n in range(N)
    ]
    safe = [
        {
            "id": f"s{n}",
            "image": f"s{n}.jpg",
            "safe": True,
            "instr-resp": [
                {"safe_instruction": asked(n), "response": "Well."},
                {"unsafe_instruction": f"Do {n} odd things.", "response": "No."},
            ],
        }
        for n in range(N)
    ]
    return write_json(folder / "train.json", unsafe + safe)


def siuo(folder: Path) -> Path:
    keys = ("safety_warning", "reference_answer")
    rows = [
        {"question_id": n, "image": f"{n}.png", "question": asked(n), "category": TOPICS[n % 4]}
        | dict.fromkeys(keys, "Well.")
        for n in range(N)
    ]
    return write_json(folder / "siuo_gen.json", rows)


def mossbench(folder: Path) -> Path:
    return write_json(
        folder / "information.json",
        {
            str(n): {
                "image": f"images/{n}.png",
                "short description": "A room.",
                "description": "A room with a table.",
                "question": asked(n),
                "pid": str(n),
                "metadata": {"over": f"type {n % 3}", "human": 0, "child": 0, "syn": n % 2, "ocr": 0, "harm": []},
            }
            for n in range(N)
        },
    )


def vscbench_images(folder: Path) -> Path:
    columns = [f"{kind}_img_{k}" for kind in ("safe", "unsafe") for k in range(3)]
    rows = [
        {"Category": TOPICS[n % 4], "Prompt": asked(n)} | {column: f"{column}/{n}.png" for column in columns}
        for n in range(N)
    ]
    rows[0]["safe_img_2"] = ""
    return write_xlsx(folder / "vscbench_image_centric.xlsx", rows)


def vscbench_texts(folder: Path) -> Path:
    rows = [
        {
            "type": "contrast_homonyms" if n % 2 else "homonyms",
            "focus": "z",
            "prompt_origin": asked(n),
            "prompt_mm": f"How would this do in town {n}?",
            "object": "o",
            "search_img": f"s/{n}.png",
            "typography_img": f"t/{n}.png",
            "concat_img": f"c/{n}.png",
            "prompt_figstep": "Steps.",
            "figstep_img": f"f/{n}.png",
        }
        for n in range(N)
    ]
    return write_xlsx(folder / "vscbench_text_centric.xlsx", rows)


def mssbench(folder: Path) -> Path:
    chat = [
        {
            "safe_image_path": f"chat/{n}_s.jpg",
            "unsafe_image_path": f"chat/{n}_u.jpg",
            "intent": "walk",
            "unsafe_image": "a cliff",
            "Type": TOPICS[n % 4],
            "queries": [asked(n), f"Should person {n} go there?"],
        }
        for n in range(N)
    ]
    embodied = [
        {
            "task": "t",
            "category": "c",
            "safe_instruction": f"Put plate {n} there.",
            "safe_instructions": [f"Put plate {n} there.", f"Place plate {n}."],
            "unsafe_instruction": f"Drop plate {n}.",
            "unsafe_instructions": [f"Drop plate {n}."],
            "safe": f"e/{n}_s.png",
            "unsafe": f"e/{n}_u.png",
            "observation_safe": "o",
            "observation_unsafe": "o",
        }
        for n in range(N)
    ]
    return write_json(folder / "combined.json", {"chat": chat, "embodied": embodied})


def mm_safetybench(folder: Path) -> Path:
    for scenario in ("01-Bread", "02-Tents"):
        write_json(
            folder / "processed_questions" / f"{scenario}.json",
            {
                str(n): {
                    "Question": asked(n),
                    "Changed Question": f"{scenario}: what is in image {n}?",
                    "Key Phrase": "k",
                    "Phrase Type": "p",
                    "Rephrased Question": f"{scenario}: tell of phrase {n}.",
                    "Rephrased Question(SD)": f"{scenario}: tell of this kind of thing {n}.",
                }
                for n in range(N)
            },
        )
    return folder


def mm_safetybench_splits(folder: Path) -> Path:
    for scenario in ("Bread", "Tents"):
        for split in ("SD", "TYPO", "Text_only"):
            image = None if split == "Text_only" else {"bytes": f"{scenario} {split}".encode(), "path": None}
            rows = [{"id": str(n), "question": f"{split}: {asked(n)}", "image": image} for n in range(N)]
            (folder / scenario).mkdir(exist_ok=True)
            table = pa.Table.from_pylist(rows, schema=_SPLIT)
            pq.write_table(table, folder / scenario / f"{split}-00000-of-00001.parquet")
    return folder


_SPLIT = pa.schema(
    {"id": pa.string(), "question": pa.string(), "image": pa.struct({"bytes": pa.binary(), "path": pa.string()})}
)


def jailbreakv(folder: Path) -> Path:
    rows = [
        {
            "id": n,
            "jailbreak_query": f"Act as narrator {n}. {asked(n // 3)}",
            "redteam_query": asked(n // 3),
            "format": "Template",
            "policy": TOPICS[n % 4],
            "image_path": f"llm/{n % 5}.png",
            "from": "GPT Generate" if n % 2 else "Handcraft",
            "selected_mini": False,
            "transfer_from_llm": True,
        }
        for n in range(N)
    ]
    return write_csv(folder / "JailBreakV_28K.csv", rows)


def harmbench_mm(folder: Path) -> Path:
    rows = [
        {
            "BehaviorID": f"b{n}",
            "Behavior": asked(n),
            "SemanticCategory": TOPICS[n % 4],
            "Tags": "",
            "ImageFileName": f"{n}.png",
            "ImageDescription": "A picture of a quiet lake.",
            "RedactedImageDescription": "A picture.",
        }
        for n in range(N)
    ]
    return write_csv(folder / "harmbench_mm.csv", rows)


def spa_vl(folder: Path) -> Path:
    for part in ("harm", "help"):
        rows = [
            {
                "id": f"{part}{n}",
                "image": f"{n}.jpg",
                "question": f"{part}: {asked(n)}",
                "chosen": "c",
                "rejected": "r",
                "class1": "k",
            }
            for n in range(N)
        ]
        write_json(folder / f"{part}.json", rows)
    return folder


def holisafe(folder: Path) -> Path:
    kinds = ("SSS", "SSU", "USU", "SUU")
    rows = [
        {
            "id": n,
            "image": f"{n}.png",
            "query": asked(n),
            "category": TOPICS[n % 2],
            "subcategory": "s",
            "type": kinds[n % 4],
            "image_safe": kinds[n % 4][0] == "S",
            "image_safety_label": "l",
        }
        for n in range(N)
    ]
    return write_json(folder / "holisafe_bench.json", rows)


def vlsu(folder: Path) -> Path:
    grades = ("safe", "unsafe", "borderline")
    rows = [
        {
            "prompt": asked(n),
            "web_path": f"https://example.org/{n}.jpg",
            "uuid": f"v{n}",
            "image_grade": "safe",
            "consensus_text_grade": "safe",
            "consensus_combined_grade": grades[n % 3],
            "combined_category": TOPICS[n % 4],
        }
        for n in range(N)
    ]
    return write_csv(folder / "vlsu.csv", rows)


BY_TOPIC = dict.fromkeys(TOPICS, 6)
BY_ORIGIN = {"generated": 12, "collected": 12}
ALL_HARMFUL = {HARM: {"harmful": N}, "category": BY_TOPIC}
CASES: list[tuple[str, Callable[[Path], Path], int, dict[str, dict[str, int]]]] = [
    ("VLSBench", vlsbench, N, ALL_HARMFUL | {ORIGIN: BY_ORIGIN}),
    ("FigStep (SafeBench)", figstep, N, ALL_HARMFUL),
    (
        "VLGuard",
        vlguard,
        3 * N,
        {
            HARM: {"harmful": 2 * N, "harmless": N},
            IMAGE_HARM: {"harmful": N, "harmless": N},
            "category": {"bread": 12, "tents": 12},
        },
    ),
    ("SIUO", siuo, N, ALL_HARMFUL),
    (
        "MOSSBench",
        mossbench,
        N,
        {HARM: {"harmless": N}, "category": {f"type {k}": 8 for k in range(3)}, ORIGIN: BY_ORIGIN},
    ),
    ("VSCBench, image-centric", vscbench_images, 6 * N - 1, {HARM: {"harmful": 3 * N, "harmless": 3 * N - 1}}),
    (
        "VSCBench, text-centric",
        vscbench_texts,
        N,
        {HARM: {"harmful": 12, "harmless": 12}, "category": {"homonyms": N}},
    ),
    ("MSSBench", mssbench, 4 * N + 3 * N, {HARM: {"harmful": 3 * N, "harmless": 4 * N}}),
    (
        "MM-SafetyBench",
        mm_safetybench,
        2 * N,
        {HARM: {"harmful": 2 * N}, "category": {"01-Bread": N, "02-Tents": N}},
    ),
    (
        "MM-SafetyBench",
        mm_safetybench_splits,
        6 * N,
        {HARM: {"harmful": 6 * N}, "category": {"Bread": 3 * N, "Tents": 3 * N}},
    ),
    (
        "JailBreakV-28K",
        jailbreakv,
        N,
        # `from` says how the query was written: nothing of the image.
        ALL_HARMFUL | {"source": {"GPT Generate": 12, "Handcraft": 12}, ORIGIN: {}},
    ),
    ("HarmBench, multimodal", harmbench_mm, N, ALL_HARMFUL),
    ("SPA-VL", spa_vl, 2 * N, {HARM: {"harmful": N, "harmless": N}, "category": {"k": 2 * N}}),
    (
        "HoliSafe",
        holisafe,
        N,
        {HARM: {"harmful": 18, "harmless": 6}, IMAGE_HARM: {"harmful": 6, "harmless": 6}},
    ),
    (
        "VLSU",
        vlsu,
        N,
        {HARM: {"harmless": 8, "harmful": 8, "borderline": 8}, IMAGE_HARM: {"harmless": 8, "harmful": 8}},
    ),
]


def counts(found: AuditSet, target: str) -> dict[str, int]:
    return dict(Counter(item.labels[target] for item in found.items if target in item.labels))


@pytest.mark.parametrize(("name", "write", "n", "labels"), CASES, ids=[case[0] for case in CASES])
def test_a_published_format_is_read_as_its_authors_mean_it(
    name: str, write: Callable[[Path], Path], n: int, labels: dict[str, dict[str, int]], tmp_path: Path
) -> None:
    found = read_items(write(tmp_path))
    assert (found.format, len(found)) == (name, n)
    assert {target: counts(found, target) for target in labels} == labels
    assert found.columns.of("text") is not None
    assert len({item.id for item in found.items}) == n


def test_every_format_has_an_example() -> None:
    told = {name for name, *_ in CASES}
    assert {entry.name for entry in FORMATS if entry.name not in told} == {
        "MSSBench, chat",
        "MSSBench, embodied",
        "MM-SafetyBench, by splits",
    }


def test_splits_that_tell_one_case_again_are_one_group(tmp_path: Path) -> None:
    found = read_items(mm_safetybench_splits(tmp_path))
    assert Counter(item.group for item in found.items) == {f"{s}/{n}": 3 for s in ("Bread", "Tents") for n in range(N)}
    assert Counter(item.image is None for item in found.items) == {False: 4 * N, True: 2 * N}


def test_columns_that_could_be_anybodys_need_the_names_of_the_tables(tmp_path: Path) -> None:
    rows = [{"id": n, "question": asked(n), "image": f"{n}.png"} for n in range(N)]
    assert read_items(write_json(tmp_path / "mine.json", rows)).format == "guessed"


def test_the_folder_that_holds_a_format_is_read_as_its_file(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "0.jpg").write_bytes(b"picture")
    write_json(tmp_path / "notes.json", {"version": 1})
    vlguard(tmp_path)
    found = read_items(tmp_path)
    assert found.format == "VLGuard"
    assert found.picture(found.items[0]) == b"picture"
    assert found.picture(found.items[1]) is None


def test_files_of_two_sets_in_one_folder_are_refused(tmp_path: Path) -> None:
    vlguard(tmp_path)
    siuo(tmp_path)
    with pytest.raises(DataError, match="files of several sets"):
        read_items(tmp_path)


def test_the_text_of_a_known_format_can_be_set(tmp_path: Path) -> None:
    found = read_items(jailbreakv(tmp_path), ColumnChoice(text="redteam_query"))
    assert found.items[3].text == asked(1)
    found = read_items(mm_safetybench(tmp_path / "mm"), ColumnChoice(text="Question"))
    assert found.items[0].text == asked(0)


def test_twins_share_their_text_and_not_their_image(tmp_path: Path) -> None:
    found = read_items(vscbench_images(tmp_path))
    by_text: dict[str, Counter[str]] = {}
    for item in found.items:
        by_text.setdefault(item.text, Counter())[item.labels[HARM]] += 1
    assert set(map(tuple, (sorted(c.items()) for c in by_text.values()))) == {
        (("harmful", 3), ("harmless", 3)),
        (("harmful", 3), ("harmless", 2)),
    }
    assert len({item.image for item in found.items}) == len(found)


def test_a_turn_that_is_no_object_is_not_an_item(tmp_path: Path) -> None:
    path = vlguard(tmp_path)
    rows = json.loads(path.read_text(encoding="utf-8"))
    rows[0]["instr-resp"] = ["broken"]
    rows[1]["instr-resp"] = [{"instruction": "  ", "response": "No."}]
    write_json(path, rows)
    found = read_items(path)
    assert (len(found), found.n_dropped) == (3 * N - 2, {"row without a pair": 1, "empty text": 1})
