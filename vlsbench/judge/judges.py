"""Open a judge by its name: `offline`, or `openai:MODEL` over an OpenAI-compatible endpoint."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from vlsbench.errors import UsageError
from vlsbench.judge.run import Judge, Write
from vlsbench.records import Probabilities, Response, Rubric, Verdict

__all__ = ["OfflineRun", "open_judge"]


def _rounded(p: tuple[float, float, float]) -> Probabilities:
    """Keep four digits: the fifth says nothing, and the last ones differ between processors."""
    return Probabilities(refusal=round(p[0], 4), warning=round(p[1], 4), unsafe=round(p[2], 4))


class OfflineRun:
    """The offline judge, behind the seam of a run."""

    def __init__(self) -> None:
        """Load the packaged weights."""
        from vlsbench.judge.offline import OfflineJudge

        self._judge = OfflineJudge.load()
        self.rubric = Rubric(
            judge="offline",
            protocol=f"v{self._judge.version}",
            evidence=("response",),
            weights_sha256=self._judge.weights_sha256,
            settings={"threshold": self._judge.threshold},
        )

    def judge(self, responses: Sequence[Response], write: Write) -> None:
        """Judge all responses in one batch."""
        rubric_id = self.rubric.rubric_id
        verdicts = []
        for response, prediction in zip(
            responses, self._judge.predict([response.response or "" for response in responses]), strict=True
        ):
            p = prediction.probabilities
            verdicts.append(
                Verdict(
                    instruction_id=response.instruction_id,
                    condition=response.condition,
                    label=prediction.label,
                    failure=prediction.failure,
                    rubric=rubric_id,
                    raw=prediction.reason,
                    probabilities=None if p is None else _rounded(p),
                    response_sha256=response.digest,
                )
            )
        write(verdicts)


def open_judge(
    name: str,
    *,
    protocol: str = "v1",
    dataset: Literal["release", "sample"] = "release",
    data: Path | None = None,
    concurrency: int = 16,
    base_url: str | None = None,
) -> Judge:
    """Open a judge.

    Args:
        name: `offline` or `openai:MODEL`.
        protocol: How it judges.
        dataset: Which dataset the responses answer; a model judge sees its images and texts.
        data: Folder of the release; None for the packaged sample.
        concurrency: Requests of a model judge in flight at once.
        base_url: Endpoint of a model judge; None for `OPENAI_BASE_URL` or OpenAI's own.

    Raises:
        UsageError: If there is no such judge or protocol.
        DataError: If the judge needs the dataset and it is not there.
        JudgeError: If the judge cannot be set up (no key).
    """
    if name == "offline":
        judge = OfflineRun()
        if protocol != judge.rubric.protocol:
            raise UsageError(f"the judge 'offline' has the protocol {judge.rubric.protocol!r}; found {protocol!r}")
        return judge
    backend, _, model = name.partition(":")
    if backend != "openai" or not model:
        raise UsageError(f"--judge is 'offline' or 'openai:MODEL'; found {name!r}")
    from vlsbench.dataset.source import open_source
    from vlsbench.judge.model import ModelJudge

    source = open_source(data, name=dataset)
    return ModelJudge(model, source=source, protocol=protocol, base_url=base_url, concurrency=concurrency)
