"""The command line: thin. Every command calls one function of the package and prints what it returns.

stdout is data, stderr is talk. Exit 0: complete; 1: bad input, or failures left that the same command retries;
2: wrong call.
"""

from __future__ import annotations

import json
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
HumanFile = Annotated[
    Path | None, typer.Option("--human", help="People's labels: verdict lines with rubric human:NAME.")
]
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
    judge_name: Annotated[str, typer.Option("--judge", help="offline, openai:MODEL, …; `vlsbench judges` lists them.")],
    protocol: Annotated[str | None, typer.Option(help="How it judges: v1 (default), paper, …")] = None,
    data_path: Annotated[Path | None, typer.Option("--data", help="The release: its folder, or a built one.")] = None,
    concurrency: Annotated[int, typer.Option(min=1, max=1024, help="Requests in flight at once.")] = 16,
    limit: Annotated[int | None, typer.Option(min=1, help="Ask about at most so many responses.")] = None,
    base_url: Annotated[str | None, typer.Option(help="Endpoint; default OPENAI_BASE_URL, else OpenAI.")] = None,
    evidence: Annotated[
        str | None,
        typer.Option(help="What is shown of the image: image (default), description, image+description, reason."),
    ] = None,
    prompt: Annotated[Path | None, typer.Option(help="A wording of your own: another rubric.")] = None,
    max_side: Annotated[int | None, typer.Option(min=1, help="Scale images down to this longest side, pixels.")] = None,
    output_format: Annotated[
        str | None, typer.Option(help="json_schema, json_object or text; default: the first the endpoint takes.")
    ] = None,
    cache: Annotated[
        Path | None, typer.Option(envvar="VLSBENCH_CACHE", help="SQLite file of verdicts, shared by submissions.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what it would ask and cost; ask nothing.")] = False,
    price_in: Annotated[float | None, typer.Option(min=0, help="Money for a million tokens in.")] = None,
    price_out: Annotated[float | None, typer.Option(min=0, help="Money for a million tokens out.")] = None,
    max_cost: Annotated[float | None, typer.Option(min=0, help="Stop before a run costs more.")] = None,
    batch: Annotated[
        bool, typer.Option("--batch", help="Ask openai:MODEL in batches: half the price, in a day.")
    ] = False,
    batch_wait: Annotated[bool, typer.Option("--batch-wait/--no-wait", help="Stay until the batches are back.")] = True,
    batch_size: Annotated[int | None, typer.Option(min=1, help="Questions at once of transformers:MODEL.")] = None,
) -> None:
    """Judge what has no verdict yet. Killed and started again, it goes on where it stopped."""
    from vlsbench.judge.judges import ModelOptions
    from vlsbench.submission.judging import estimate_directory, judge_directory
    from vlsbench.text import Progress, render_run

    options = ModelOptions(
        evidence=evidence,
        prompt=prompt,
        max_side=max_side,
        output_format=output_format,
        cache=cache,
        price_in=price_in,
        price_out=price_out,
        max_cost=max_cost,
        batch_size=batch_size,
    )
    if dry_run:
        from vlsbench.judge.cost import render_estimate

        estimate = estimate_directory(
            directory, judge_name, protocol=protocol, data=data_path, limit=limit, options=options
        )
        print(render_estimate(estimate))
        return
    try:
        with Progress() as progress:
            report = judge_directory(
                directory,
                judge_name,
                protocol=protocol,
                data=data_path,
                base_url=base_url,
                concurrency=concurrency,
                limit=limit,
                options=options,
                is_batch=batch,
                is_waiting=batch_wait,
                on_progress=progress,
            )
    except KeyboardInterrupt:
        print("stopped; finished verdicts are kept, and the same command goes on from there.", file=sys.stderr)
        raise typer.Exit(130) from None
    print("\n".join([*report.notes, render_run(report, directory)]))
    if report.n_transient:
        print(
            f"{report.n_transient} responses are without a label; the same command tries them again.", file=sys.stderr
        )
        raise typer.Exit(1)


@app.command()
def judges(as_json: AsJson = False) -> None:
    """List the judges and protocols, what each needs, and the digest of its prompt."""
    from vlsbench.judge.judges import list_judges, render_judges

    listings = list_judges()
    print(json.dumps([item._asdict() for item in listings], indent=2) if as_json else render_judges(listings))


@app.command()
def calibrate(
    human: Annotated[
        Path,
        typer.Option(help="Verdict lines of people (human:NAME) or of one judge; or lines with response and label."),
    ],
    out: Annotated[Path, typer.Option(help="Folder for weights.npz and calibration.json.")],
    judge_name: Annotated[
        str, typer.Option("--judge", help="offline, or offline:FOLDER to go on from one.")
    ] = "offline",
    responses: Annotated[
        Path | None, typer.Option(help="The labelled submission, or its responses.jsonl; default: beside the labels.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Fit the offline judge to labels of responses like those it is to judge: a new rubric."""
    from vlsbench.judge.offline.calibrate import calibrate_files
    from vlsbench.text import render_calibration

    record = calibrate_files(human, out, judge=judge_name, responses=responses).record
    print(record.model_dump_json(indent=2) if as_json else render_calibration(record, out))


@app.command("judge-rows")
def judge_rows(
    rows: Annotated[Path, typer.Argument(metavar="IN.jsonl", help="JSON lines with a `response`.")],
    out: Annotated[Path, typer.Option(help="Written whole or not at all: one line per row, in order.")],
    judge_name: Annotated[str, typer.Option("--judge", help="offline, or openai:MODEL on the texts.")] = "offline",
    protocol: Annotated[str | None, typer.Option(help="How it judges.")] = None,
    evidence: Annotated[str | None, typer.Option(help="For openai:MODEL: description (default) or reason.")] = None,
    concurrency: Annotated[int, typer.Option(min=1, max=1024, help="Requests in flight at once.")] = 16,
    base_url: Annotated[str | None, typer.Option(help="Endpoint; default OPENAI_BASE_URL, else OpenAI.")] = None,
) -> None:
    """Judge rows of any other data: each has a `response`, nothing else is required."""
    from vlsbench.judge.judges import ModelOptions
    from vlsbench.judge.rows import judge_rows as judge_file
    from vlsbench.text import Progress, render_rows

    with Progress() as progress:
        report = judge_file(
            rows,
            out,
            judge_name,
            protocol=protocol,
            base_url=base_url,
            concurrency=concurrency,
            options=ModelOptions(evidence=evidence),
            on_progress=progress,
        )
    print(render_rows(report))
    if report.n_transient:
        print(f"{report.n_transient} rows are without a label; the same command tries them again.", file=sys.stderr)
        raise typer.Exit(1)


@app.command()
def score(
    directory: Directory,
    rubric: Annotated[str | None, typer.Option(help="Rubric id, or its beginning, where there are several.")] = None,
    human: HumanFile = None,
    as_json: AsJson = False,
) -> None:
    """Count the verdicts of one rubric and write results/<rubric_id>.json."""
    from vlsbench.submission.scoring import correct_scored, score_directory, write_result
    from vlsbench.text import render_result

    scored = score_directory(directory, rubric)
    if human is not None:
        scored, weights = correct_scored(scored, human)
        if not weights.is_planned:
            print("no sampling plan beside the labels: they are taken as a simple random part.", file=sys.stderr)
        if weights.n_merged:
            print(f"{weights.n_merged} strata of the plan have no label yet and count with another.", file=sys.stderr)
        if weights.n_outside:
            print(f"{weights.n_outside} labels are on samples that no plan drew and do not count.", file=sys.stderr)
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
def agree(
    directory: Directory,
    more: Annotated[list[str] | None, typer.Argument(metavar="[R2 …]", help="The other raters of --between.")] = None,
    between: Annotated[
        list[str] | None,
        typer.Option(metavar="R1", help="Rubric ids or their beginnings, human:NAME. Default: all rubrics."),
    ] = None,
    human: HumanFile = None,
    paper_tables: Annotated[bool, typer.Option("--paper-tables", help="Also the paper's Tables 13-15.")] = False,
    plot: Annotated[Path | None, typer.Option(help="Draw confusion and kappa into this HTML file.")] = None,
    as_json: AsJson = False,
) -> None:
    """Compare judges with each other and with people: kappa, per label, confusion, alpha, with intervals."""
    from vlsbench.submission.agreement import agree_directory, draw_agreement
    from vlsbench.text import render_agreement

    if more and not between:
        raise UsageError(f"found {' '.join(more)!r}; raters are named after --between.")
    if paper_tables and as_json:
        raise UsageError("--paper-tables is text; --json has all of its numbers.")
    report = agree_directory(directory, [*(between or ()), *(more or ())], human)
    if plot is not None:
        draw_agreement(report, plot)
        print(f"written to {plot}", file=sys.stderr)
    print(report.model_dump_json(indent=2) if as_json else render_agreement(report, has_paper_tables=paper_tables))


@app.command()
def label(
    directory: Directory,
    name: Annotated[str, typer.Option(help="Who labels: letters, digits, '.', '_', '-'.")],
    n: Annotated[int | None, typer.Option(min=1, help="Samples to draw; default 200.")] = None,
    seed: Annotated[int | None, typer.Option(help="Of the draw; default 0. Same seed, same samples.")] = None,
    rubric: Annotated[str | None, typer.Option(help="Draw by the outcomes of this judge; nobody sees them.")] = None,
    data_path: Annotated[Path | None, typer.Option("--data", help="The release: its folder, or a built one.")] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes a free one.")] = 7861,
) -> None:
    """Label a random part of a submission by hand, on a page on 127.0.0.1. Started again, it goes on."""
    from vlsbench.submission.label_page import serve_labelling

    serve_labelling(directory, name, n=n, seed=seed, rubric=rubric, data=data_path, port=port)


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
