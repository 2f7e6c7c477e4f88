"""The command line: thin. Every command calls one function of the package and prints what it returns.

stdout is data, stderr is talk. Exit 0: complete; 1: bad input, or failures left that the same command retries;
2: wrong call.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from vlsbench.dataset.commands import data
from vlsbench.errors import UsageError, VLSBenchError

__all__ = ["app", "main"]

app = typer.Typer(
    name="vlsbench",
    help="VLSBench: the benchmark of multimodal safety whose risk is only visible in the image.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(data, name="data")

Directory = Annotated[Path, typer.Argument(metavar="DIR", help="A submission: submission.json and responses.jsonl.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Store = Annotated[
    Path | None, typer.Option(help="Folder of submissions. Default: ./submissions, else the packaged rows.")
]


@app.command()
def check(directory: Directory, as_json: AsJson = False) -> None:
    """Check a submission: every problem at once, by named check."""
    from vlsbench.submission.check import check as check_submission
    from vlsbench.text import render_check

    report = check_submission(directory)
    print(report.model_dump_json(indent=2) if as_json else render_check(report))
    raise typer.Exit(0 if report.ok else 1)


@app.command()
def judge(
    directory: Directory,
    judge_name: Annotated[str, typer.Option("--judge", help="offline, or openai:MODEL.")],
    protocol: Annotated[str, typer.Option(help="How it judges.")] = "v1",
    data_path: Annotated[Path | None, typer.Option("--data", help="The release: its folder, or a built one.")] = None,
    concurrency: Annotated[int, typer.Option(min=1, max=1024, help="Requests in flight at once.")] = 16,
    limit: Annotated[int | None, typer.Option(min=1, help="Ask about at most so many responses.")] = None,
    base_url: Annotated[str | None, typer.Option(help="Endpoint; default OPENAI_BASE_URL, else OpenAI.")] = None,
) -> None:
    """Judge what has no verdict yet. Killed and started again, it goes on where it stopped."""
    from vlsbench.submission.judging import judge_directory
    from vlsbench.text import Progress, render_run

    with Progress() as progress:
        report = judge_directory(
            directory,
            judge_name,
            protocol=protocol,
            data=data_path,
            base_url=base_url,
            concurrency=concurrency,
            limit=limit,
            on_progress=progress,
        )
    print(render_run(report, directory))
    if report.n_transient:
        print(
            f"{report.n_transient} responses are without a label; the same command tries them again.", file=sys.stderr
        )
        raise typer.Exit(1)


@app.command()
def score(
    directory: Directory,
    rubric: Annotated[str | None, typer.Option(help="Rubric id, or its beginning, where there are several.")] = None,
    as_json: AsJson = False,
) -> None:
    """Count the verdicts of one rubric and write results/<rubric_id>.json."""
    from vlsbench.submission.scoring import score_directory, write_result
    from vlsbench.text import render_result

    scored = score_directory(directory, rubric)
    path = write_result(scored)
    print(scored.result.model_dump_json(indent=2) if as_json else render_result(scored))
    print(f"written to {path}", file=sys.stderr)
    if scored.n_stale:
        print(f"{scored.n_stale} verdicts are on answers that have changed and do not count.", file=sys.stderr)
    if scored.n_undecided:
        print(
            f"{scored.n_undecided} responses have no verdict of this rubric yet; `vlsbench judge {directory} "
            f"--judge {scored.rubric.judge}` goes on.",
            file=sys.stderr,
        )


@app.command()
def board(
    store: Store = None,
    as_json: AsJson = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV.")] = False,
) -> None:
    """Print the leaderboard."""
    from vlsbench.submission.board import build_board, render_csv
    from vlsbench.submission.store import default_store
    from vlsbench.text import print_board

    if as_json and as_csv:
        raise UsageError("--json and --csv exclude each other")
    built = build_board(store or default_store())
    if as_json:
        print(built.model_dump_json(indent=2))
    elif as_csv:
        print(render_csv(built), end="")
    else:
        print_board(built)


@app.command()
def serve(
    store: Store = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes a free one.")] = 7860,
) -> None:
    """Show the leaderboard in a browser, on 127.0.0.1."""
    from vlsbench.serve import serve as serve_board
    from vlsbench.submission.store import default_store

    serve_board(store or default_store(), port=port)


def main() -> None:
    """Run the command line; an error of ours is a sentence on stderr, never a traceback."""
    try:
        app()
    except UsageError as error:
        sys.exit(_say(error, 2))
    except VLSBenchError as error:
        sys.exit(_say(error, 1))
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        if error.filename is None and error.strerror is None:
            raise
        place = f"{error.filename}: " if error.filename is not None else ""
        print(f"error: {place}{error.strerror}. What was finished before is kept.", file=sys.stderr)
        sys.exit(1)


def _say(error: VLSBenchError, code: int) -> int:
    print(f"error: {error}", file=sys.stderr)
    return code


if __name__ == "__main__":
    main()
