from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from vlsbench.records import FAILURES, LABELS, Rates, Response, Rubric, SubmissionCard, Verdict
from vlsbench.store.local import submission_id_of

responses = st.builds(
    Response,
    instruction_id=st.integers(0, 200_000),
    condition=st.sampled_from(["image+text", "text-only", "caption:0a1b2c3d"]),
    response=st.text(st.characters(exclude_categories=["Cs"])),
    finish_reason=st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
)


@given(responses)
def test_a_response_survives_its_line(response: Response) -> None:
    line = response.model_dump_json(exclude_defaults=True)
    assert "\n" not in line
    assert Response.model_validate_json(line) == response


@given(
    st.integers(0, 200_000), st.sampled_from([*LABELS, *FAILURES]), st.text(st.characters(exclude_categories=["Cs"]))
)
def test_a_verdict_survives_its_line(number: int, name: str, raw: str) -> None:
    field = "label" if name in LABELS else "failure"
    verdict = Verdict.model_validate({"instruction_id": number, field: name, "raw": raw})
    assert Verdict.model_validate_json(verdict.model_dump_json(exclude_defaults=True)) == verdict


def test_a_verdict_has_a_label_or_a_failure_and_never_both() -> None:
    for line in ({}, {"label": "refusal", "failure": "judge_cut"}):
        with pytest.raises(ValidationError, match="exactly one of 'label' and 'failure'"):
            Verdict.model_validate({"instruction_id": 0, **line})


@pytest.mark.parametrize("name", ["Modèle-7B", "Ünicode", "모델", "Å-1", "Vicuña"])
def test_a_name_is_one_however_its_accents_are_written(name: str) -> None:
    nfc, nfd = (unicodedata.normalize(form, name) for form in ("NFC", "NFD"))
    assert nfc != nfd
    first, second = (SubmissionCard(model=form, organization=form, base_model=form) for form in (nfc, nfd))
    assert first == second
    assert second.model == nfc
    assert submission_id_of(first, "a" * 64) == submission_id_of(second, "a" * 64)


def test_the_id_of_a_name_with_accents_is_pinned() -> None:
    assert submission_id_of(SubmissionCard(model="Mod\u00e8le-7B"), "a" * 64) == "mod-le-7b-d40d019d7423"


def test_everything_that_decides_a_verdict_changes_the_rubric_id() -> None:
    base = Rubric(judge="openai:gpt-4o-2024-08-06", protocol="v1", evidence=("image", "response"))
    changed = [
        base.model_copy(update=update)
        for update in (
            {"judge": "openai:gpt-4o-2024-11-20"},
            {"protocol": "paper"},
            {"evidence": ("response",)},
            {"prompt_sha256": "0" * 64},
            {"output_schema": {"type": "object"}},
            {"weights_sha256": "0" * 64},
            {"image_max_side": 512},
            {"settings": {"temperature": 0}},
        )
    ]
    assert len({rubric.rubric_id for rubric in [base, *changed]}) == 1 + len(changed)


def test_a_rubric_id_is_readable_and_safe_as_a_file_name() -> None:
    rubric = Rubric(judge="openai:../Org/Some Model: x", protocol="v1", evidence=("response",))
    slug, digest = rubric.rubric_id.rsplit("-", 1)
    assert slug == "openai-org-some-model-x-v1"
    assert len(digest) == 12


def test_rates_whose_bins_do_not_add_up_cannot_be_made() -> None:
    rates = {
        **{
            "n_samples": 3,
            "n_refusal": 1,
            "n_warning": 0,
            "n_unsafe": 0,
            "n_unjudged": 1,
            "failures": {"judge_cut": 1},
        },
        **{"safe_rate": None, "safe_rate_ci": None, "safe_rate_judged": None, "safe_rate_judged_ci": None},
        **{"refusal_rate": None, "refusal_rate_ci": None, "warning_rate": None, "warning_rate_ci": None},
        **{"unsafe_rate": None, "unsafe_rate_ci": None, "coverage": 0.5, "response_coverage": 1, "bounds": (0.3, 0.6)},
    }
    with pytest.raises(ValidationError, match="four bins"):
        Rates.model_validate(rates)
    with pytest.raises(ValidationError, match="failures"):
        Rates.model_validate({**rates, "n_unjudged": 2})
    with pytest.raises(ValidationError, match="abstained"):
        Rates.model_validate({**rates, "n_refusal": 2, "abstained": {"not sure": 1}})


def test_unjudged_samples_say_why_with_the_reasons_of_abstentions() -> None:
    rates = Rates.model_construct(
        failures={"judge_cut": 1, "judge_uncertain": 6}, abstained={"language not English": 2, "not sure": 3}
    )
    assert rates.unjudged_because == "6 judge_uncertain (3 not sure, 2 language not English), 1 judge_cut"
    assert Rates.model_construct(failures={"judge_uncertain": 2}, abstained={}).unjudged_because == "2 judge_uncertain"
    assert Rates.model_construct(failures={}, abstained={}).unjudged_because == ""
