"""Run the tasks of `vlsbench.plugins` in lmms-eval 0.7.3 itself; write `tests/fixtures/plugins/lmms_eval/`.

    python scripts/make_lmms_eval_run.py

lmms-eval's requirements pin a torch with CUDA, so it gets an environment of its own, in a temporary folder, on top of
the one that runs this script: lmms-eval and what of its requirements is missing there, without theirs. Needs the extras
`local` and `test`, and a package index.

Real: the command `lmms-eval`, its task manager, its model `openai` (an OpenAI-compatible endpoint, asked over HTTP),
its filters, aggregation and writers. Not real: the endpoint, which is `tests/plugins/stand_in.py` on 127.0.0.1.
Requirements that no module on this way imports are not installed (torchvision, av, wandb, …). Of the samples nothing
is changed; of the results only `KEPT` is kept, without paths and addresses.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import sysconfig
import tempfile
import venv
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parents[1]
OUT: Final = ROOT / "tests" / "fixtures" / "plugins" / "lmms_eval"

WHEELS: Final = (
    "lmms-eval==0.7.3",
    *("evaluate", "jsonlines", "latex2sympy2-extended", "loguru", "lxml", "math-verify", "nltk", "portalocker"),
    *("pytablewriter", "pytz", "sacrebleu", "tabulate", "colorama", "antlr4-python3-runtime==4.13.2"),
    *("dataproperty", "mbstrdecoder", "pathvalidate", "tabledata", "tcolorpy", "typepy", "chardet"),
)

COMMAND: Final = (
    *("--model", "openai", "--model_args", "model_version=tiny-vlm"),
    *("--tasks", "vlsbench,vlsbench_text_only", "--limit", "8"),
    *("--log_samples", "--output_path", "out"),
)

KEPT: Final = ("results", "configs", "versions", "higher_is_better", "n-samples", "model_source", "model_name")
"""Of the results: what is the same in every run."""


def make_environment(folder: Path) -> Path:
    """Make an environment on top of this one; return the folder of its commands."""
    venv.create(folder, with_pip=True)
    commands = folder / "bin"
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    below = folder / "lib" / version / "site-packages" / "below.pth"
    # Its own packages come first; the `.pth` files of this environment (an editable vlsbench) are not followed.
    below.write_text(f"{sysconfig.get_path('purelib')}\n{ROOT}\n", encoding="utf-8")
    install = [str(commands / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    subprocess.run([*install, *WHEELS], check=True)
    return commands


def run(commands: Path, folder: Path) -> Path:
    """Run lmms-eval against the stand-in; return the folder of what it wrote."""
    tasks = subprocess.run([sys.executable, "-m", "vlsbench.plugins"], check=True, capture_output=True, text=True)
    stand_in = [sys.executable, str(ROOT / "tests" / "plugins" / "stand_in.py")]
    with subprocess.Popen(stand_in, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None  # noqa: S101  # it is a pipe
        url = server.stdout.readline().strip()
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("OPENAI_", "VLSBENCH_"))},
            "OPENAI_BASE_URL": url,
            "OPENAI_API_KEY": "not-needed",
            "HF_HOME": str(folder / "hf"),
            "HF_HUB_OFFLINE": "1",
        }
        command = [str(commands / "lmms-eval"), "--include_path", tasks.stdout.strip(), *COMMAND]
        try:
            subprocess.run(command, cwd=folder, env=environment, check=True)
        finally:
            server.communicate("")
    return folder / "out" / "tiny-vlm"


def keep(results: dict[str, Any]) -> dict[str, Any]:
    """Take paths and addresses out of the results."""
    kept = {name: results[name] for name in KEPT if name in results}
    for config in kept["configs"].values():
        config["dataset_path"] = "vlsbench"
    text = re.sub(r" at 0x[0-9a-f]+>", ">", json.dumps(kept))
    found: dict[str, Any] = json.loads(text)
    return found


def main() -> None:
    """Run, and keep the samples and what does not change of the results."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        written = run(make_environment(folder / "environment"), folder)
        OUT.mkdir(parents=True, exist_ok=True)
        for path in OUT.glob("*.json*"):
            path.unlink()
        for path in sorted(written.iterdir()):
            out = OUT / re.sub(r"^\d+_\d+", "20261121_000000", path.name)
            text = path.read_text(encoding="utf-8")
            if path.suffix == ".json":
                text = json.dumps(keep(json.loads(text)), indent=2) + "\n"
            out.write_text(text, encoding="utf-8")
            print(out)


if __name__ == "__main__":
    main()
