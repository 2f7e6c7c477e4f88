"""The batch endpoints of an OpenAI-compatible provider: the same questions at half the price, within a day.

    find what is pending → write JSONL files → upload → create batches → poll → match results by id → verdicts

What is under way is kept in `verdicts/<rubric_id>.batch.json`, replaced whole before and after every step that costs:
a run that was killed, or told not to wait, is taken up by the same command, and nothing that is in flight is sent
again. A batch whose creation nobody saw the end of is looked for among the account's batches by its input file.

Same rubric as the run that asks at once: a line's body is `ModelJudge.question`, byte by byte, with the same budget, so
the model sees the same and the verdicts belong together (a submission may be judged partly here and partly there). The
budget goes by its newer name, `max_completion_tokens`, which all models of the endpoint take; the older one is tried
where a batch complains. What is not in a body and so not in the rubric: batches answer later and may run elsewhere.

The output format is not negotiated: a day is too long to be told no. `json_schema` is taken unless one is named. Where
a batch comes back because the model takes no temperature, the next one goes without, under that rubric. A run that
waits sends the canaries in a batch of their own and nothing else before they are back: where none got a label, the rest
is not paid. A run that goes away sends them along with the rest. A cache is not asked, and `--max-cost` cannot stop a
batch.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import logging
import tempfile
import time
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, NamedTuple

from pydantic import Field, ValidationError

from vlsbench.cost import count_replies, count_tokens, render_tokens
from vlsbench.dataset.pictures import fit_picture
from vlsbench.endpoint import REASON_CHARACTERS
from vlsbench.errors import DataError, JudgeError, SubmissionError, UsageError, amount, numbered
from vlsbench.files import exclusive, write_atomic
from vlsbench.judge.canaries import append_run, canary_responses, make_record, render_record, why_no_label
from vlsbench.judge.model import ModelJudge
from vlsbench.judge.paid import candidates_of
from vlsbench.judge.reply import Outcome, read_completion, unreachable
from vlsbench.judge.run import RunReport, Write, run
from vlsbench.provider import is_filtered, refused_parameter
from vlsbench.records import Failure, Key, Record, Response, explain
from vlsbench.text import OnProgress

if TYPE_CHECKING:
    import openai
    from openai.types import Batch

    from vlsbench.dataset.source import Sample

__all__ = ["MAX_FILE_BYTES", "MAX_REQUESTS", "BatchJudge", "BatchPart", "BatchState", "custom_id", "run_batch"]

log = logging.getLogger(__name__)

MAX_FILE_BYTES: Final = 200_000_000
"""Of one input file; OpenAI's limit is 200 MB. With the release's pictures that is some 120 questions."""

MAX_REQUESTS: Final = 50_000
"""Lines of one input file; OpenAI's limit."""

_POLL_SECONDS: Final = 30.0
"""Between two looks at what is under way: a batch takes minutes to a day."""

_ENDED: Final = frozenset({"completed", "expired", "cancelled", "failed"})

_BUDGET_FIELDS: Final = ("max_completion_tokens", "max_tokens")

_CANARY: Final = "canary:"
"""Before the id of a line that is no response of the submission."""


class BatchPart(Record):
    """One input file and its batch."""

    custom_ids: tuple[str, ...]
    """Lines of the file, in order."""
    file_id: Annotated[str, Field(max_length=200)] | None = None
    """None: not uploaded, as far as we know."""
    batch_id: Annotated[str, Field(max_length=200)] | None = None
    """None: not created, as far as we know."""
    created_at: Annotated[str, Field(max_length=40)] | None = None
    """UTC, ISO 8601."""


class BatchState(Record):
    """`verdicts/<rubric_id>.batch.json`: what is under way. What is collected is in the verdicts and no longer here."""

    rubric: str
    endpoint: str
    budget_field: Literal["max_completion_tokens", "max_tokens"] = "max_completion_tokens"
    refuses_temperature: bool = False
    """This model was found to take none: it is asked under the rubric without."""
    parts: tuple[BatchPart, ...] = ()


def custom_id(response: Response) -> str:
    """Name a line: what is judged, and on which very answer.

    >>> custom_id(Response(instruction_id=7, response="No."))
    '7|image+text|38178a20b470'
    """
    return f"{response.instruction_id}|{response.condition}|{(response.digest or '')[:12]}"


class _Line(NamedTuple):
    """One line of results."""

    outcome: Outcome
    is_answered: bool
    """A status 200: the endpoint did its work."""
    wants_field: str | None = None
    """The name of the budget that this model takes."""
    refuses_temperature: bool = False


def run_batch(
    directory: Path,
    responses: Mapping[Key, Response],
    judge: ModelJudge,
    *,
    limit: int | None = None,
    is_waiting: bool = True,
    again: AbstractSet[Failure] = frozenset(),
    poll_seconds: float = _POLL_SECONDS,
    on_progress: OnProgress = lambda reached: None,
) -> RunReport:
    """Collect what batches have finished, send what has no verdict yet, and wait for it.

    Args:
        limit: Send at most so many responses; what is under way is collected all the same.
        is_waiting: Stay until everything is back. Otherwise the same command collects it later.
        again: Failures to ask about again.

    Raises:
        DataError: If samples lack what the judge is to see; or, after everything else, if pictures are broken.
        JudgeError: If the endpoint refuses, or has no batches; what was finished is on disk.
        SubmissionError: If a file beside the verdicts is broken, or another run is writing.
    """
    judge = _choose(directory, responses, judge)
    batch = BatchJudge(judge, directory, limit=limit, is_waiting=is_waiting, poll_seconds=poll_seconds)
    report = run(directory, responses, batch, again=again, on_progress=on_progress)
    return report._replace(n_pending=batch.n_left, notes=(*report.notes, *batch.notes, *batch.tokens_notes()))


def _choose(directory: Path, responses: Mapping[Key, Response], judge: ModelJudge) -> ModelJudge:
    """Return the judge as it is asked in batches: with its temperature, unless it was told to leave that out."""
    ways = [way for way in judge.candidates() if way.output_format == judge.output_format]
    if len(was_used := candidates_of(directory, responses, judge)) == 1 and was_used[0].temperature is None:
        return ways[-1]
    with contextlib.suppress(OSError, ValidationError):  # `_read_state` says what is wrong with it
        if BatchState.model_validate_json(_path_of(directory, ways[0]).read_bytes()).refuses_temperature:
            return ways[-1]
    return ways[0]


def _path_of(directory: Path, judge: ModelJudge) -> Path:
    return directory / "verdicts" / f"{judge.rubric.rubric_id}.batch.json"


class BatchJudge:
    """A model judge through batches. Implements `vlsbench.judge.run.Judge`; `run` holds the lock meanwhile.

    Args:
        judge: Whose questions are asked.
        directory: The submission; the state is kept beside its verdicts.
        limit: Send at most so many responses.
        is_waiting: Stay until everything is back.
        poll_seconds: Between two looks.
        sleep: For tests.

    Raises:
        UsageError: If the judge has a limit of cost.
    """

    def __init__(
        self,
        judge: ModelJudge,
        directory: Path,
        *,
        limit: int | None = None,
        is_waiting: bool = True,
        poll_seconds: float = _POLL_SECONDS,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        if judge.meter.max_cost is not None:
            raise UsageError("--max-cost cannot stop a batch; see what it costs with --dry-run, and use --limit.")
        self.rubric = judge.rubric
        self.meter = judge.meter
        """What came back, for who waits."""
        self.notes: list[str] = []
        self.n_under_way = 0
        """Responses whose batches had not ended when `judge` returned."""
        self.n_left = 0
        """Responses that were not sent, because of the limit."""
        self._judge = judge
        self._directory = directory
        self._limit = limit
        self._is_waiting = is_waiting
        self._poll_seconds = poll_seconds
        self._sleep = sleep
        self._path = _path_of(directory, judge)
        self._state = BatchState(rubric=judge.rubric.rubric_id, endpoint=judge.endpoint.shown)
        self._usages: list[Mapping[str, object] | None] = []
        """Of what came back in this run."""
        self._written: set[str] = set()
        """Lines with a verdict of this run, be it that nothing came of them: the next run asks those again."""
        self._dead: list[str] = []
        """Reasons of batches of which not one line was answered."""
        self._has_canaries = False
        """Canaries came back in this run."""
        self._no_label: str | None = None
        """Why no canary got a label."""

    def judge(self, responses: Sequence[Response], write: Write) -> None:
        """Collect, send, wait; see `vlsbench.judge.run.Judge`."""
        samples = self._judge.look_up(responses)
        wanted = {custom_id(response): response for response in responses}
        self._read_state()
        with self._open_client() as client:
            self._adopt(client)
            self._collect(client, wanted, write)
            self._stop_where_nothing_is_answered()
            if self._is_waiting and self._unsent(wanted):
                self._await_canaries(client, wanted, write)
            unsent = self._unsent(wanted)
            self.n_left = 0 if self._limit is None else max(0, len(unsent) - self._limit)
            sent = unsent[: self._limit]
            broken = self._send(client, sent, samples, has_canaries=bool(sent) and not self._has_canaries)
            while self._is_waiting and self._state.parts:
                self._collect(client, wanted, write)
                if self._state.parts:
                    self._sleep(self._poll_seconds)
        self.n_under_way = sum(name in wanted for part in self._state.parts for name in part.custom_ids)
        if self._state.parts:
            self.notes.append(
                f"{amount(self.n_under_way, 'response is', 'responses are')} under way in "
                f"{amount(len(self._state.parts), 'batch', 'batches')}; the same command collects them"
            )
        self._stop_where_nothing_is_answered()
        if broken:
            first = min(broken)
            ids = numbered([str(i) for i in sorted(broken)])
            raise DataError(
                f"{amount(len(broken), 'picture')} cannot be used; the other samples are sent: instruction_id {ids}. "
                f"First: {broken[first]}"
            )

    def tokens_notes(self) -> list[str]:
        """Say what came back in this run took; nothing where nothing says."""
        tokens = render_tokens(count_tokens(self._usages), self.meter.prices)
        return [] if tokens is None else [tokens]

    def _unsent(self, wanted: Mapping[str, Response]) -> list[Response]:
        """Find what is neither decided in this run nor under way."""
        not_now = self._written.union(*(part.custom_ids for part in self._state.parts))
        return [response for name, response in wanted.items() if name not in not_now]

    def _await_canaries(self, client: openai.OpenAI, wanted: Mapping[str, Response], write: Write) -> None:
        """Have the canaries judged before anything else is sent, unless they just came back."""

        def are_under_way() -> bool:
            return any(name.startswith(_CANARY) for part in self._state.parts for name in part.custom_ids)

        for _ in _BUDGET_FIELDS:  # once more where the model calls its budget otherwise
            field = self._state.budget_field
            if not self._has_canaries and not are_under_way():
                self._send(client, (), {}, has_canaries=True)
            while are_under_way():
                self._collect(client, wanted, write)
                if are_under_way():
                    self._sleep(self._poll_seconds)
            self._stop_where_nothing_is_answered()
            if field == self._state.budget_field:
                break

    # State

    def _read_state(self) -> None:
        if not self._path.exists():
            return
        try:
            state = BatchState.model_validate_json(self._path.read_bytes())
        except ValidationError as error:
            raise SubmissionError(
                f"{self._path}: {'; '.join(explain(error)[:3])}. It says what is under way; mend it, or move it away "
                "to send everything anew."
            ) from None
        if state.parts and state.endpoint != self._state.endpoint:
            raise JudgeError(
                f"{self._path}: {amount(len(state.parts), 'batch is', 'batches are')} under way at {state.endpoint}, "
                f"not at {self._state.endpoint}. Collect them there first."
            )
        self._state = state.model_copy(update={"endpoint": self._state.endpoint})

    def _save(self, **changes: Any) -> None:
        self._state = self._state.model_copy(update=changes)
        write_atomic(self._path, self._state.model_dump_json(indent=1, exclude_defaults=True) + "\n")

    def _put_part(self, old: BatchPart | None, new: BatchPart | None) -> None:
        """Replace, add or drop a part, on disk."""
        parts = [part for part in self._state.parts if part is not old]
        self._save(parts=(*parts, *([] if new is None else [new])))

    # The endpoint

    def _open_client(self) -> openai.OpenAI:
        import openai

        from vlsbench.transport import MAX_FILE_BYTES, guard

        judge = self._judge
        if "/deployments/" in judge.endpoint.url:
            raise UsageError(
                f"--batch asks for /files and /batches, which lie above {judge.endpoint.shown}; name the endpoint "
                "without /deployments/NAME."
            )
        return openai.OpenAI(
            **judge.endpoint.sdk_options(),
            max_retries=judge.max_retries,
            timeout=judge.timeout_seconds,
            http_client=guard(openai.DefaultHttpxClient(), max_file_bytes=MAX_FILE_BYTES),
        )

    @contextlib.contextmanager
    def _trying(self, what: str) -> Iterator[None]:
        """Turn what the endpoint refuses into one sentence."""
        import openai

        from vlsbench.transport import OtherHostError, ReplyError

        try:
            yield
        except (OtherHostError, ReplyError) as error:
            raise self._refusal(what, str(error)) from error
        except openai.APIStatusError as error:
            raise self._refusal(what, f"HTTP {error.status_code}: {error.message}", error.status_code) from error
        except openai.APIConnectionError as error:
            raise self._refusal(what, f"{error.__cause__ or error} (is it running, and is this its URL?)") from error

    def _refusal(self, what: str, reason: str, status: int | None = None) -> JudgeError:
        reason = self._judge.conceal(" ".join(reason.split()), limit=REASON_CHARACTERS).rstrip(".")
        return JudgeError(
            f"{self.rubric.judge} at {self._state.endpoint}: cannot {what}: {reason}{_ADVICE.get(status, '')}. What "
            "was finished is kept; the same command goes on from there."
        )

    def _adopt(self, client: openai.OpenAI) -> None:
        """Find out what became of parts whose last step a killed run did not see the end of."""
        for part in self._state.parts:
            if part.batch_id is not None:
                continue
            if part.file_id is None:  # whatever was uploaded, no batch was made of it
                self._put_part(part, None)
                continue
            with self._trying("list the batches"):
                batch = _find_batch(client, part.file_id)
            if batch is None:
                self._create(client, part)
            else:
                log.info("batch %s was created by an earlier run", batch.id)
                self._put_part(part, part.model_copy(update={"batch_id": batch.id}))

    def _send(
        self, client: openai.OpenAI, responses: Sequence[Response], samples: Mapping[int, Sample], *, has_canaries: bool
    ) -> dict[int, DataError]:
        """Upload and create batches; return the pictures that could not be read.

        Args:
            has_canaries: The canaries come first.
        """
        broken: dict[int, DataError] = {}
        with tempfile.TemporaryDirectory(prefix="vlsbench-batch-") as folder:
            path = Path(folder) / f"{self.rubric.rubric_id}.jsonl"
            canaries = self._canary_lines() if has_canaries else ()
            lines = itertools.chain(canaries, self._lines(responses, samples, broken))
            for names in self._write_files(path, lines):
                part = BatchPart(custom_ids=tuple(names))
                self._put_part(None, part)
                with self._trying("upload a file"):
                    # By its path: the SDK reads it anew in every try.
                    uploaded = client.files.create(file=path, purpose="batch")
                with_file = part.model_copy(update={"file_id": uploaded.id})
                self._put_part(part, with_file)
                self._create(client, with_file)
        return broken

    def _create(self, client: openai.OpenAI, part: BatchPart) -> None:
        import openai

        try:
            with self._trying("create a batch"):
                # Without the SDK's retries: a creation whose answer was lost must not be repeated blindly.
                batch = client.with_options(max_retries=0).batches.create(
                    input_file_id=part.file_id or "",
                    endpoint="/v1/chat/completions",
                    completion_window="24h",
                    metadata={"rubric": self.rubric.rubric_id},
                )
        except JudgeError as error:
            cause = error.__cause__
            if isinstance(cause, openai.APIStatusError) and cause.status_code in _NEVER_CREATED:
                self._put_part(part, None)  # the file may be gone by the next run; it is uploaded again
            raise
        now = datetime.now(UTC).isoformat(timespec="seconds")
        self._put_part(part, part.model_copy(update={"batch_id": batch.id, "created_at": now}))

    # Files

    def _write_files(self, path: Path, lines: Iterator[tuple[str, bytes]]) -> Iterator[list[str]]:
        """Write one file after the other to `path`, none beyond the limits; yield the ids in each."""
        line = next(lines, None)
        while line is not None:
            names: list[str] = []
            n_bytes = 0
            with path.open("wb") as file:
                while line is not None and len(names) < MAX_REQUESTS and (n_bytes + len(line[1]) <= MAX_FILE_BYTES):
                    file.write(line[1])
                    names.append(line[0])
                    n_bytes += len(line[1])
                    line = next(lines, None)
            yield names

    def _canary_lines(self) -> Iterator[tuple[str, bytes]]:
        from vlsbench.dataset.source import open_source

        with open_source(None, name="sample") as source:
            asking = self._judge.variant(source=source, use_cache=False)
            canaries = canary_responses()
            known = asking.look_up(canaries)
            for canary in canaries:
                yield self._line(f"{_CANARY}{custom_id(canary)}", asking, known[canary.instruction_id], canary)

    def _lines(
        self, responses: Sequence[Response], samples: Mapping[int, Sample], broken: dict[int, DataError]
    ) -> Iterator[tuple[str, bytes]]:
        for response in responses:
            sample = samples[response.instruction_id]
            try:
                line = self._line(custom_id(response), self._judge, sample, response)
            except DataError as error:
                broken[response.instruction_id] = error
            else:
                yield line

    def _line(self, name: str, judge: ModelJudge, sample: Sample, response: Response) -> tuple[str, bytes]:
        url = None
        if judge.prompt.has_image:
            picture = fit_picture(judge.source.picture(sample.instruction_id), max_side=judge.max_side)
            url = f"data:{picture.mime};base64,{b64encode(picture.data).decode('ascii')}"
        body = {**judge.question(sample, response, url), self._state.budget_field: judge.max_tokens}
        line = {"custom_id": name, "method": "POST", "url": "/v1/chat/completions", "body": body}
        data = json.dumps(line, ensure_ascii=False).encode() + b"\n"
        if len(data) > MAX_FILE_BYTES:
            raise DataError(f"its question has {len(data):,} bytes, more than a batch takes; scale it with --max-side")
        return name, data

    # Results

    def _collect(self, client: openai.OpenAI, wanted: Mapping[str, Response], write: Write) -> None:
        """Write the verdicts of every batch that has ended; what cannot be read now stays under way, said last."""
        unread: list[JudgeError] = []
        known = {**wanted, **_canaries()}
        answers = {name: response.response or "" for name, response in known.items()}
        for part in self._state.parts:
            batch_id = part.batch_id or ""
            with self._trying(f"see batch {batch_id} (made with another key? Else move {self._path} away to ask anew)"):
                batch = client.batches.retrieve(batch_id)
            if batch.status not in _ENDED:
                continue
            lines, problem = self._read_results(client, batch, answers)
            left = () if problem is None else tuple(name for name in part.custom_ids if name not in lines)
            if problem is None and _refuse_temperature(lines):
                self._put_part(part, None)
                self._save(refuses_temperature=True)
                continue
            missing = unreachable(f"batch {batch_id} {batch.status} without a result for this line")
            names = [name for name in part.custom_ids if name not in left]
            outcomes = {name: lines[name].outcome if name in lines else missing for name in names}
            count_replies(self.meter, (outcome.usage for outcome in outcomes.values()))
            self._usages += [outcome.usage for outcome in outcomes.values()]
            write(
                [
                    self._judge.make_verdict(wanted[name], outcome)
                    for name, outcome in outcomes.items()
                    if name in wanted
                ]
            )
            self._written.update(outcomes)
            field = next((line.wants_field for line in lines.values() if line.wants_field is not None), None)
            if field is None:  # else nobody was asked, and canaries say nothing of the judge
                self._record_canaries(part, outcomes)
            if problem is not None and left:
                unread.append(problem)
                self._put_part(part, part.model_copy(update={"custom_ids": left}))
                continue
            if field is not None:
                self._save(budget_field=field)
                self.notes.append(f"this model calls the budget {field}, and is asked so from now on")
            elif not any(line.is_answered for line in lines.values()) and batch.status != "expired":
                self._dead.append(_why_dead(batch, lines))
            self._put_part(part, None)
        if unread:
            raise unread[0]
        if self._state.refuses_temperature:
            raise JudgeError(
                f"{self.rubric.judge} at {self._state.endpoint}: this model does not take temperature "
                f"{self._judge.temperature:g}, so nothing of a batch was answered; the same command asks again "
                "without it, under a rubric of its own."
            )

    def _read_results(
        self, client: openai.OpenAI, batch: Batch, answers: Mapping[str, str] = MappingProxyType({})
    ) -> tuple[dict[str, _Line], JudgeError | None]:
        """Read both files of a batch as far as they can be read.

        Args:
            answers: What is judged, by the names of the lines.

        Returns:
            The lines by id, and why a file could not be read. An error file that is gone holds nothing that was paid
            for: its lines are asked again.
        """
        lines: dict[str, _Line] = {}
        problem: JudgeError | None = None
        for file_id in (batch.output_file_id, batch.error_file_id):
            if not file_id:  # some servers write "" where there is no file
                continue
            try:
                with self._trying(f"download the results of batch {batch.id}"):
                    content = client.files.content(file_id)
            except JudgeError as error:
                status = getattr(error.__cause__, "status_code", None)
                if file_id == batch.output_file_id or status not in (404, 410):
                    problem = problem or error
                continue
            for data in content.content.splitlines():
                name, line = self._read_line(data, answers)
                # An answer is never superseded by an error about the same line.
                if name is not None and (name not in lines or not lines[name].is_answered):
                    lines[name] = line
        return lines, problem

    def _read_line(self, data: bytes, answers: Mapping[str, str]) -> tuple[str | None, _Line]:
        nothing = _Line(unreachable("no result"), is_answered=False)
        try:
            line = json.loads(data)
        except (ValueError, RecursionError):
            return None, nothing
        name = line.get("custom_id") if isinstance(line, dict) else None
        if not isinstance(name, str):
            return None, nothing
        response = line.get("response") if isinstance(line.get("response"), Mapping) else {}
        status, body = response.get("status_code"), response.get("body")
        if status == 200:
            outcome = read_completion(json.dumps(body).encode(), self._judge.protocol.name, judged=answers.get(name))
            return name, _Line(outcome, is_answered=True)
        error = line.get("error") or (body.get("error") if isinstance(body, Mapping) else body)
        if is_filtered(error):
            return name, _Line(Outcome(None, "judge_filtered", json.dumps(error), is_free=True), is_answered=True)
        message = error.get("message") or error.get("code") if isinstance(error, Mapping) else error
        reason = " ".join(str(message).split())
        reason = reason if status is None else f"HTTP {status}: {reason}"
        sent = {"temperature": self._judge.temperature}
        code = error.get("code") if isinstance(error, Mapping) else None
        is_refused = self._judge.temperature is not None and refused_parameter(
            status if isinstance(status, int) else None, f"{code} {reason}", sent, list(sent)
        )
        other = self._other_field(status, reason)
        return name, _Line(unreachable(reason, is_free=True), False, other, bool(is_refused))

    def _other_field(self, status: object, reason: str) -> str | None:
        """The other name of the budget, where a line complains about this one."""
        used = self._state.budget_field
        other = "max_tokens" if used == "max_completion_tokens" else "max_completion_tokens"
        return other if status == 400 and f"'{used}'" in reason else None

    def _record_canaries(self, part: BatchPart, outcomes: Mapping[str, Outcome]) -> None:
        canaries = _canaries()
        if not any(name in canaries for name in part.custom_ids):
            return
        self._has_canaries = True
        verdicts = [
            self._judge.make_verdict(canary, outcomes[name]) for name, canary in canaries.items() if name in outcomes
        ]
        record = make_record(verdicts, self._judge.output_format, started_at=part.created_at)
        with exclusive(self._directory / "verdicts" / f"{self.rubric.rubric_id}.run.json"):
            append_run(self._directory, self.rubric.rubric_id, record)
        self.notes.append(render_record(record))
        self._no_label = self._no_label or why_no_label(self.rubric, verdicts)

    def _stop_where_nothing_is_answered(self) -> None:
        """Stop before more is sent where a whole batch came to nothing, or no canary of one got a label."""
        if self._no_label is not None:
            raise JudgeError(f"{self._no_label} What came back is kept; nothing more is sent.")
        if self._dead:
            reason = self._judge.conceal(self._dead[0], limit=REASON_CHARACTERS).rstrip(".")
            raise JudgeError(
                f"{self.rubric.judge} at {self._state.endpoint}: {amount(len(self._dead), 'batch', 'batches')} came "
                f"back without a single answer, the first: {reason}. Mend it, then the same command asks again."
            )


_ADVICE: Final[Mapping[int | None, str]] = {
    401: " (is OPENAI_API_KEY right for this endpoint?)",
    402: " (the account has no credit)",
    403: " (may this key use files and batches?)",
    404: " (does this endpoint have /files and /batches? Without --batch it is asked directly)",
    405: " (does this endpoint have /files and /batches? Without --batch it is asked directly)",
}

_NEVER_CREATED: Final = frozenset({400, 401, 402, 403, 404, 405, 413, 415, 422, 429})
"""Statuses of a creation that certainly created nothing."""


def _canaries() -> dict[str, Response]:
    """The canaries, by the names of their lines."""
    return {f"{_CANARY}{custom_id(canary)}": canary for canary in canary_responses()}


def _find_batch(client: openai.OpenAI, file_id: str) -> Batch | None:
    """Find the batch made of an input file among the account's."""
    return next((batch for batch in client.batches.list(limit=100) if batch.input_file_id == file_id), None)


def _refuse_temperature(lines: Mapping[str, _Line]) -> bool:
    """Say whether a batch came to nothing because its lines hold a temperature."""
    return not any(line.is_answered for line in lines.values()) and any(
        line.refuses_temperature for line in lines.values()
    )


def _why_dead(batch: Batch, lines: Mapping[str, _Line]) -> str:
    errors = [error.message for error in (batch.errors.data if batch.errors is not None else None) or ()]
    reasons = [message for message in errors if message] + [line.outcome.raw for line in lines.values()]
    return f"batch {batch.id} {batch.status}: {reasons[0] if reasons else 'no reason given'}"
