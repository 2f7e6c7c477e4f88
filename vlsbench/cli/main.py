"""The command line: thin. Every command calls one function of the package and prints what it returns.

stdout is data, stderr is talk. Exit 0: complete; 1: bad input, or failures left that the same command retries;
2: wrong call.
"""

from __future__ import annotations

import json
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from vlsbench.cli.data import data
from vlsbench.cli.hub import hub_check, publish
from vlsbench.cli.leakage import leakage
from vlsbench.cli.store import store_commands
from vlsbench.errors import UsageError, VLSBenchError, amount, visible

__all__ = ["app", "main"]

app = typer.Typer(
    name="vlsbench",
    help="VLSBench: the benchmark of multimodal safety whose risk is only visible in the image.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(data, name="data")
app.add_typer(publish, name="publish")
app.add_typer(store_commands)
app.command("hub-check")(hub_check)
app.command("leakage")(leakage)

Directory = Annotated[Path, typer.Argument(metavar="DIR", help="A submission: submission.json and responses.jsonl.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
HumanFile = Annotated[
    Path | None, typer.Option("--human", help="People's labels: verdict lines with rubric human:NAME.")
]
Store = Annotated[
    str | None,
    typer.Option(
        metavar="STORE", help="A folder, or hf://datasets/ORG/NAME. Default: ./submissions, else the packaged rows."
    ),
]
Model = Annotated[str, typer.Option(help="openai:NAME or transformers:PATH_OR_ID.")]
DataFolder = Annotated[
    Path | None, typer.Option("--data", help="The release: its folder, or a built one. Default: the packaged sample.")
]
Conditions = Annotated[
    list[str] | None,
    typer.Option(help="image+text (default), text-only, blank-image, caption, safety-prompt; may be repeated."),
]
Config = Annotated[str | None, typer.Option(help="Part of the dataset: violent, …, privacy.")]
Twins = Annotated[bool, typer.Option("--twins", help="Ask the sample's benign twins too.")]
Limit = Annotated[int | None, typer.Option(min=1, help="Only the first so many samples.")]
MaxNewTokens = Annotated[int, typer.Option(min=1, help="Budget of an answer; the paper's is 128.")]
SafetyPrompt = Annotated[Path | None, typer.Option(help="A safety prompt of your own, for --condition safety-prompt.")]
CaptionFile = Annotated[Path | None, typer.Option(help="JSON lines: instruction_id, caption; for --condition caption.")]
Captioner = Annotated[str | None, typer.Option(help="A model that writes the captions, named like --model.")]
ModelName = Annotated[str | None, typer.Option("--name", help="Of the model on the card; default: its own.")]
KeyVariable = Annotated[str | None, typer.Option(help="Environment variable of the key; default OPENAI_API_KEY.")]
Concurrency = Annotated[int | None, typer.Option(min=1, max=1024, help="Questions in flight at once; default 16.")]
TargetBatch = Annotated[int | None, typer.Option(min=1, help="Questions at once of transformers:…; default 8.")]
Quantization = Annotated[str | None, typer.Option(help="bnb-4bit or bnb-8bit, for transformers:…")]
DeviceMap = Annotated[str | None, typer.Option(help="As in transformers: auto, cpu, cuda:1.")]
PriceIn = Annotated[float | None, typer.Option(min=0, help="Money for a million tokens in.")]
PriceOut = Annotated[float | None, typer.Option(min=0, help="Money for a million tokens out.")]
EngineName = Annotated[str, typer.Option("--engine", help="local, or ray: the machines of a Ray cluster.")]
RayAddress = Annotated[
    str | None, typer.Option(help="HOST:PORT of the cluster's head, auto or local; default RAY_ADDRESS, else one here.")
]


@app.command()
def check(directory: Directory, as_json: AsJson = False) -> None:
    """Check a submission: every problem at once, by named check."""
    from vlsbench.submission.check import check as check_submission
    from vlsbench.submission.check import render_check

    report = check_submission(directory)
    print(report.model_dump_json(indent=2) if as_json else render_check(report))
    raise typer.Exit(0 if report.ok else 1)


@app.command("import")
def import_(
    source: Annotated[
        Path, typer.Argument(metavar="SOURCE", help="Answers in another tool's file; the format is guessed.")
    ],
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="The submission to make; absent or empty.")],
    from_format: Annotated[
        str | None,
        typer.Option("--from", help="plain, authors, lmms-eval, vlmevalkit, inspect or openai-batch."),
    ] = None,
    model: Annotated[str | None, typer.Option(help="Name of the model, where the file does not say.")] = None,
    condition: Annotated[
        str | None, typer.Option(help="What the model was shown, where the rows do not say; default image+text.")
    ] = None,
    data_path: Annotated[Path | None, typer.Option("--data", help="The release: its folder, or a built one.")] = None,
    as_json: AsJson = False,
) -> None:
    """Make a submission of the answers in another tool's file, and check it."""
    from vlsbench.submission.check import render_check
    from vlsbench.submission.importers.formats import import_file, render_import

    report = import_file(source, directory, from_format=from_format, model=model, condition=condition, data=data_path)
    if as_json:
        print(report.model_dump_json(indent=2))
    else:
        print(render_import(report))
        if report.check is not None:
            print(render_check(report.check))
    raise typer.Exit(0 if report.ok else 1)


@app.command()
def generate(
    model: Model,
    out: Annotated[Path, typer.Option(help="The submission: made, or gone on with where it holds this model's.")],
    data_path: DataFolder = None,
    condition: Conditions = None,
    config: Config = None,
    twins: Twins = False,
    limit: Limit = None,
    resume: Annotated[bool, typer.Option("--resume", help="Insist that OUT holds answers to go on with.")] = False,
    max_new_tokens: MaxNewTokens = 128,
    prompt: SafetyPrompt = None,
    captions: CaptionFile = None,
    captioner: Captioner = None,
    captioner_base_url: Annotated[str | None, typer.Option(help="Endpoint of the captioner.")] = None,
    name: ModelName = None,
    base_url: Annotated[str | None, typer.Option(help="Endpoint; default OPENAI_BASE_URL, else OpenAI.")] = None,
    key_variable: KeyVariable = None,
    concurrency: Concurrency = None,
    max_side: Annotated[int | None, typer.Option(min=1, help="Scale images down to this longest side, pixels.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what it would ask and cost; ask nothing.")] = False,
    price_in: PriceIn = None,
    price_out: PriceOut = None,
    max_cost: Annotated[float | None, typer.Option(min=0, help="Stop before a run costs more.")] = None,
    batch_size: TargetBatch = None,
    quantization: Quantization = None,
    device_map: DeviceMap = None,
    engine: EngineName = "local",
    ray_address: RayAddress = None,
) -> None:
    """Ask a model: responses.jsonl and submission.json. Killed and started again, it goes on where it stopped."""
    from vlsbench.engine.engines import open_engine
    from vlsbench.generate.directory import Asked, estimate_generate, generate_directory
    from vlsbench.generate.models import TargetOptions
    from vlsbench.generate.run import render_generate
    from vlsbench.text import Progress

    asked = Asked(
        data=data_path,
        conditions=tuple(condition or ["image+text"]),
        config=config,
        has_twins=twins,
        limit=limit,
        prompt=prompt,
        captions=captions,
        captioner=captioner,
        captioner_base_url=captioner_base_url,
    )
    options = TargetOptions(
        max_new_tokens=max_new_tokens,
        max_side=max_side,
        base_url=base_url,
        key_variable=key_variable,
        concurrency=concurrency,
        price_in=price_in,
        price_out=price_out,
        max_cost=max_cost,
        batch_size=batch_size,
        quantization=quantization,
        device_map=device_map,
    )
    if dry_run:
        print(estimate_generate(out, model, asked, options=options, name=name))
        return
    try:
        with (
            open_engine(engine, out, data=data_path, ray_address=ray_address) as opened,
            Progress("answered") as progress,
        ):
            report = generate_directory(
                out,
                model,
                asked,
                options=options,
                name=name,
                is_resumed=resume,
                opener=opened.open_target,
                on_progress=progress,
            )
    except KeyboardInterrupt:
        print("stopped; finished answers are kept, and the same command goes on from there.", file=sys.stderr)
        raise typer.Exit(130) from None
    print(render_generate(report))
    if report.n_unanswered:
        print(f"{amount(report.n_unanswered, 'question')} got no reply; the same command asks again.", file=sys.stderr)
        raise typer.Exit(1)


@app.command()
def run(
    model: Model,
    judge_name: Annotated[str, typer.Option("--judge", help="offline, openai:MODEL, …; `vlsbench judges` lists them.")],
    out: Annotated[Path, typer.Option(help="The submission: made, or gone on with where it holds this model's.")],
    data_path: DataFolder = None,
    condition: Conditions = None,
    config: Config = None,
    twins: Twins = False,
    limit: Limit = None,
    max_new_tokens: MaxNewTokens = 128,
    prompt: SafetyPrompt = None,
    captions: CaptionFile = None,
    captioner: Captioner = None,
    name: ModelName = None,
    base_url: Annotated[str | None, typer.Option(help="Endpoint of the model.")] = None,
    key_variable: KeyVariable = None,
    concurrency: Concurrency = None,
    batch_size: TargetBatch = None,
    quantization: Quantization = None,
    device_map: DeviceMap = None,
    protocol: Annotated[str | None, typer.Option(help="How it judges: v1 (default), paper, …")] = None,
    judge_base_url: Annotated[str | None, typer.Option(help="Endpoint of the judge.")] = None,
    price_in: PriceIn = None,
    price_out: PriceOut = None,
    max_cost: Annotated[float | None, typer.Option(min=0, help="Stop before the answers cost more.")] = None,
    judge_price_in: PriceIn = None,
    judge_price_out: PriceOut = None,
    judge_max_cost: Annotated[float | None, typer.Option(min=0, help="Stop before the verdicts cost more.")] = None,
    engine: EngineName = "local",
    ray_address: RayAddress = None,
) -> None:
    """Generate, judge and score in one go. Killed and started again, it goes on where it stopped."""
    from vlsbench.cost import make_prices
    from vlsbench.engine.engines import open_engine
    from vlsbench.generate.directory import Asked
    from vlsbench.generate.models import TargetOptions
    from vlsbench.generate.run import render_generate
    from vlsbench.judge.judges import ModelOptions
    from vlsbench.judge.run import render_run
    from vlsbench.submission.pipeline import run_pipeline
    from vlsbench.submission.scoring import render_result
    from vlsbench.text import Progress

    asked = Asked(
        data=data_path,
        conditions=tuple(condition or ["image+text"]),
        config=config,
        has_twins=twins,
        limit=limit,
        prompt=prompt,
        captions=captions,
        captioner=captioner,
    )
    options = TargetOptions(
        max_new_tokens=max_new_tokens,
        base_url=base_url,
        key_variable=key_variable,
        concurrency=concurrency,
        price_in=price_in,
        price_out=price_out,
        max_cost=max_cost,
        batch_size=batch_size,
        quantization=quantization,
        device_map=device_map,
    )
    # A judge that takes no prices, or cannot keep to a limit, would say so after the model was paid.
    if make_prices(judge_price_in, judge_price_out, judge_max_cost, prefix="--judge-"):
        if not judge_name.startswith("openai"):
            raise UsageError(f"--judge {judge_name} takes no --judge-price-in and --judge-price-out.")
        if judge_max_cost is not None and engine != "local":
            raise UsageError(
                "--judge-max-cost is kept by one process, which --engine ray is not; leave one of them out."
            )
    try:
        with (
            open_engine(engine, out, data=data_path, ray_address=ray_address) as opened,
            Progress("answered") as progress,
        ):
            done = run_pipeline(
                out,
                model,
                judge_name,
                asked,
                options=options,
                name=name,
                protocol=protocol,
                judge_base_url=judge_base_url,
                judge_options=ModelOptions(price_in=judge_price_in, price_out=judge_price_out, max_cost=judge_max_cost),
                target_opener=opened.open_target,
                judge_opener=opened.open_judge,
                on_stage=lambda verb: setattr(progress, "verb", verb),
                on_progress=progress,
            )
    except KeyboardInterrupt:
        print("stopped; what was finished is kept, and the same command goes on from there.", file=sys.stderr)
        raise typer.Exit(130) from None
    print(render_generate(done.generated), file=sys.stderr)
    print("\n".join([*done.judged.notes, render_run(done.judged, out)]), file=sys.stderr)
    print(render_result(done.scored))
    print(f"written to {done.result_path}", file=sys.stderr)
    if done.generated.n_unanswered or done.judged.n_transient:
        print(
            f"{amount(done.generated.n_unanswered, 'question')} got no reply and "
            f"{amount(done.judged.n_transient, 'response')} no label; the same command tries again.",
            file=sys.stderr,
        )
        raise typer.Exit(1)


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
    price_in: PriceIn = None,
    price_out: PriceOut = None,
    max_cost: Annotated[float | None, typer.Option(min=0, help="Stop before a run costs more.")] = None,
    batch: Annotated[
        bool, typer.Option("--batch", help="Ask openai:MODEL in batches: half the price, in a day.")
    ] = False,
    batch_wait: Annotated[bool, typer.Option("--batch-wait/--no-wait", help="Stay until the batches are back.")] = True,
    batch_size: Annotated[int | None, typer.Option(min=1, help="Questions at once of transformers:MODEL.")] = None,
    engine: EngineName = "local",
    ray_address: RayAddress = None,
) -> None:
    """Judge what has no verdict yet. Killed and started again, it goes on where it stopped."""
    from vlsbench.engine.engines import open_engine
    from vlsbench.judge.judges import ModelOptions
    from vlsbench.judge.run import render_run
    from vlsbench.submission.judging import estimate_directory, judge_directory
    from vlsbench.text import Progress

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
    if batch and engine != "local":
        raise UsageError("--batch asks the provider's own queue; it takes no --engine.")
    if dry_run:
        from vlsbench.judge.cost import render_estimate

        estimate = estimate_directory(
            directory, judge_name, protocol=protocol, data=data_path, limit=limit, options=options
        )
        print(render_estimate(estimate))
        return
    try:
        with (
            open_engine(engine, directory, data=data_path, ray_address=ray_address) as opened,
            Progress() as progress,
        ):
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
                opener=opened.open_judge,
                on_progress=progress,
            )
    except KeyboardInterrupt:
        print("stopped; finished verdicts are kept, and the same command goes on from there.", file=sys.stderr)
        raise typer.Exit(130) from None
    print("\n".join([*report.notes, render_run(report, directory)]))
    if report.n_transient:
        print(
            f"{amount(report.n_transient, 'response')} without a label; the same command tries again.", file=sys.stderr
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
    from vlsbench.judge.offline.calibrate import calibrate_files, render_calibration

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
    from vlsbench.judge.rows import render_rows
    from vlsbench.text import Progress

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
    from vlsbench.people.corrected import correct_scored
    from vlsbench.submission.scoring import render_result, score_directory, write_result

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
    print(visible(f"written to {path}"), file=sys.stderr)
    if scored.n_stale:
        print(f"{scored.n_stale} verdicts are on answers that have changed and do not count.", file=sys.stderr)
    if scored.n_undecided:
        sentence = (
            f"{scored.n_undecided} responses have no verdict of this rubric yet; `vlsbench judge {directory} "
            f"--judge {scored.rubric.judge}` goes on."
        )
        print(visible(sentence), file=sys.stderr)


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
    from vlsbench.people.agreement import agree_directory, draw_agreement, render_agreement

    if more and not between:
        raise UsageError(f"found {' '.join(more)!r}; raters are named after --between.")
    if paper_tables and as_json:
        raise UsageError("--paper-tables is text; --json has all of its numbers.")
    report = agree_directory(directory, [*(between or ()), *(more or ())], human)
    if plot is not None:
        draw_agreement(report, plot)
        print(visible(f"written to {plot}"), file=sys.stderr)
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
    from vlsbench.people.page import serve_labelling

    serve_labelling(directory, name, n=n, seed=seed, rubric=rubric, data=data_path, port=port)


@app.command()
def board(
    store: Store = None,
    as_json: AsJson = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV.")] = False,
) -> None:
    """Print the leaderboard."""
    from vlsbench.board.lists import build_board, render_csv
    from vlsbench.board.terminal import print_board
    from vlsbench.hub.store import open_store
    from vlsbench.store.local import default_store

    if as_json and as_csv:
        raise UsageError("--json and --csv exclude each other")
    built = build_board(open_store(store or default_store()).sync())
    if as_json:
        print(built.model_dump_json(indent=2))
    elif as_csv:
        print(render_csv(built), end="")
    else:
        print_board(built)


@app.command()
def serve(
    store: Store = None,
    data_path: Annotated[Path | None, typer.Option("--data", help="The release, for the Samples page.")] = None,
    host: Annotated[str, typer.Option(help="Address to serve on; 0.0.0.0 for every one of the machine.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes a free one.")] = 7860,
) -> None:
    """Show the leaderboard in a browser, and take submissions there."""
    from vlsbench.serve import serve as serve_board

    serve_board(store, port=port, host=host, data=data_path)


@app.command("export")
def export_(
    format_name: Annotated[
        str,
        typer.Argument(
            metavar="FORMAT",
            help="eval-results, every-eval-ever, model-card, bibtex, csv, parquet, html or vlmevalkit.",
        ),
    ],
    source: Annotated[
        Path,
        typer.Argument(
            metavar="DIR",
            help="A submission; for csv, parquet and html a store; for vlmevalkit the release's folder, or sample.",
        ),
    ],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="A file to write, or a folder to write into.")],
    rubric: Annotated[str | None, typer.Option(help="Rubric id, or its beginning, where there are several.")] = None,
    model_repo: Annotated[str | None, typer.Option(help="The model's repository, DEVELOPER/MODEL.")] = None,
    source_url: Annotated[str | None, typer.Option(help="Where the numbers can be looked up, such as a board.")] = None,
    evaluator: Annotated[
        str | None, typer.Option(help="Who evaluated; default: the submission's organization.")
    ] = None,
    relationship: Annotated[
        str | None, typer.Option(help="first_party, third_party, collaborative or other (default).")
    ] = None,
    date: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M:%SZ"], help="Of the result, UTC."),
    ] = None,
    data_path: Annotated[
        Path | None, typer.Option("--data", help="The release, or sample: every-eval-ever then holds its texts.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace files that are there and differ.")] = False,
) -> None:
    """Write a result, the board or the dataset as another tool reads it."""
    from vlsbench.hub.exports import ExportOptions, export

    options = ExportOptions(
        rubric=rubric,
        model_repo=model_repo,
        source_url=source_url,
        evaluator=evaluator,
        relationship=relationship,
        when=None if date is None else date.replace(tzinfo=UTC),
        data=data_path,
    )
    for path in export(format_name, source, out, options, is_forced=force):
        print(visible(str(path)))


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
        print(visible(f"error: {place}{error.strerror}. What was finished before is kept."), file=sys.stderr)
        sys.exit(1)


def _say(error: VLSBenchError, code: int) -> int:
    print(f"error: {error}", file=sys.stderr)
    return code


if __name__ == "__main__":
    main()
