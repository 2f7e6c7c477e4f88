"""`offline` and `offline:FOLDER`: the offline judge as its name opens it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from vlsbench.errors import UsageError
from vlsbench.judge.kinds import JudgeKind, JudgeListing, Opening
from vlsbench.judge.offline import OfflineJudge
from vlsbench.judge.run import OpenJudge, Write
from vlsbench.records import LABELS, Probabilities, Response, Rubric, Verdict

__all__ = ["KIND", "OfflineRun"]


def _rounded(p: tuple[float, float, float]) -> Probabilities:
    """Keep four digits: the fifth says nothing, and the last ones differ between processors."""
    return Probabilities(refusal=round(p[0], 4), warning=round(p[1], 4), unsafe=round(p[2], 4))


class OfflineRun(OpenJudge):
    """The offline judge, behind the seam of a run."""

    def __init__(self, calibrated: Path | None = None) -> None:
        """Load weights: the packaged ones, or those that `vlsbench calibrate` wrote into a folder."""
        name = "offline"
        settings: dict[str, str | int | float] = {}
        if calibrated is None:
            self._judge = OfflineJudge.load()
        else:
            from vlsbench.judge.offline.calibrate import open_calibrated

            self._judge, record = open_calibrated(calibrated)
            name = record.judge
            settings = {"labels_sha256": record.labels_sha256, "n_labels": record.n_labels}
            if self._judge.model.thresholds is not None:
                per_label = zip(LABELS, self._judge.thresholds, strict=True)
                settings |= {f"threshold_{label}": value for label, value in per_label}
        self.rubric = Rubric(
            judge=name,
            protocol=f"v{self._judge.version}",
            evidence=("response",),
            weights_sha256=self._judge.weights_sha256,
            settings={"threshold": self._judge.threshold, **settings},
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


def _open(opening: Opening) -> OfflineRun:
    judge = OfflineRun(Path(opening.model) if opening.model else None)
    if opening.protocol not in (None, judge.rubric.protocol):
        raise UsageError(f"the judge 'offline' has the protocol {judge.rubric.protocol!r}; found {opening.protocol!r}")
    return judge


def _list() -> list[JudgeListing]:
    rubric = OfflineRun().rubric
    digests = {"weights": rubric.weights_sha256 or ""}
    return [JudgeListing("offline", rubric.protocol, "nothing: no key, no GPU, no download", None, digests)]


KIND = JudgeKind(
    backend="offline",
    forms=("offline", "offline:FOLDER"),
    open=_open,
    listings=_list,
    may_stand_alone=True,
    is_free=True,
    is_language_model=False,
    sees_dataset=False,
    opens_dry=True,
    batch_size=256,  # a matrix product
)
