"""The rules of a store, `rules.json` at its top: whom its maintainer trusts, and how much may wait for review.

Who may write into the store writes the file; a submitter's pull request that touches it is refused
(`vlsbench.store.intake.why_not_a_submission_change`). A store without the file trusts nobody.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationError

from vlsbench.errors import SubmissionError
from vlsbench.files import read_regular
from vlsbench.records import Name, Record, explain

__all__ = ["RULES_FILE", "Rules", "read_rules"]

RULES_FILE = "rules.json"


class Rules(Record):
    """What a store's maintainer has decided beforehand."""

    trusted: tuple[Name, ...] = ()
    """Sign-in names whose submissions are accepted as they come in."""
    trusted_organizations: tuple[Name, ...] = ()
    """Organizations of the Hub whose members' submissions are, where the card names the organization."""
    reviewers: tuple[Name, ...] = ()
    """Sign-in names that may accept and reject on the board's own page."""
    max_open: Annotated[int, Field(ge=1)] = 20
    """Submissions of one name that may wait for review at once."""

    def trusts(self, who: str, member_of: str | None) -> bool:
        """Say whether a submission is accepted as it comes in.

        Args:
            who: The sign-in name; a name that somebody typed is trusted with nothing, and is not asked about.
            member_of: The organization that the card names, where the sign-in is a member of it.
        """
        return _holds(self.trusted, who) or (member_of is not None and _holds(self.trusted_organizations, member_of))

    def lets_review(self, who: str) -> bool:
        """Say whether a sign-in name may accept and reject."""
        return _holds(self.reviewers, who)


def _holds(names: Collection[str], name: str) -> bool:
    """Compare names as the Hub does, whose names are ASCII: case does not count, and nothing else is folded."""
    return name.isascii() and name.casefold() in {known.casefold() for known in names}


def read_rules(store: Path) -> Rules:
    """Read the rules of a store; without the file those that trust nobody.

    Raises:
        SubmissionError: If the file is not such rules.
    """
    path = store / RULES_FILE
    try:
        return Rules.model_validate_json(read_regular(path))
    except FileNotFoundError:
        return Rules()
    except OSError as error:
        raise SubmissionError(f"{path}: cannot be read ({error.strerror}).") from None
    except ValidationError as error:
        raise SubmissionError(
            f'{path}: {"; ".join(explain(error)[:5])}. Rules look like {{"trusted": ["ann"], "max_open": 20}}.'
        ) from None
