"""What is never built, whoever asks: refused by name before anything is asked, and by filter at every stage.

Three rules stand in the code and no configuration takes them away: sexual content with minors, sexual content of real
named people without their consent, and weapons of mass harm. A configuration can only add words. A text that a rule
matches is not written to any file: its digest is, with the name of the rule. The rules read words, so they also refuse
harmless texts ("a child in a swimsuit"); that is the side on which they err. What words do not say is asked of the
model that sees the image: every reply of a looking step has `prohibited`.

Pure: no files, no network.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from typing import Final, NamedTuple

from vlsbench.files import sha256_hex

__all__ = ["MINORS", "RULES", "Rule", "Safeguards"]

_MINOR: Final = (
    r"(?:minors?|under[- ]?aged?|child(?:ren|hood|like|ish)?|kids?|kiddie|toddlers?|bab(?:y|ies)|infants?|newborns?|"
    r"preteens?|pre-?teens?|tweens?|teens?|teenage(?:d|rs?)?|adolescents?|pubescents?|youths?|juveniles?|"
    r"school(?:girls?|boys?|child(?:ren)?|kids?)|girls?|boys?|lolis?|lolitas?|shotas?|jailbait|pupils?|kindergart\w+|"
    r"(?:elementary|primary|middle|high|junior)[- ]school\w*|"
    r"(?:[1-9]|1[0-7]|six|seven|eight|nine|ten|eleven|twelve|thirteen|fourteen|fifteen|sixteen|seventeen)"
    r"[- ]?(?:years?[- ]olds?|yr[- ]olds?|y\.?/?o\.?))"
)
_SEXUAL: Final = (
    r"(?:sex(?:y|ual\w*|ting|ed|s)?|sexualis\w+|sexualiz\w+|erotic\w*|porn\w*|nud(?:e|es|ity|ism)|naked|undress\w*|"
    r"topless|lingerie|underwear|bikini|swimsuit|seduc\w+|sensual\w*|provocative|fetish\w*|"
    r"stripp?(?:er|tease|ing)\w*|"
    r"orgasm\w*|masturbat\w*|genital\w*|breasts?|suggestive|lewd|hentai|"
    r"intimate (?:photo|picture|image|video)s?|adult (?:content|film|video|magazine)s?|adult-only|xxx|nsfw|"
    r"explicit|groom(?:ing|ed|ers?)|molest\w*|rap(?:e|ed|ing|ist)s?|prostitut\w*|escorts?)"
)
_REAL: Final = (
    r"(?:celebrit(?:y|ies)|real person|named person|ex-?(?:girl|boy)friend|ex-?wife|ex-?husband|deep-?fakes?)"
)
_MASS: Final = (
    r"(?:nerve agents?|sarin|novichok|mustard gas|chemical weapons?|biological weapons?|bio-?weapons?|anthrax|"
    r"weaponi[sz]ed? (?:virus|pathogen|bacteria)\w*|dirty bombs?|nuclear (?:weapon|bomb|device)s?|"
    r"radiological weapons?)"
)

MINORS: Final = "sexual content with minors"


class Rule(NamedTuple):
    """One thing that is never built: a text that holds every one of the patterns."""

    name: str
    patterns: tuple[re.Pattern[str], ...]

    def matches(self, text: str) -> bool:
        """Say whether a folded text holds what the rule names."""
        return all(pattern.search(text) for pattern in self.patterns)


def _rule(name: str, *patterns: str) -> Rule:
    return Rule(name, tuple(re.compile(rf"(?<![^\W_]){pattern}(?![^\W_])") for pattern in patterns))


RULES: Final[tuple[Rule, ...]] = (
    _rule(MINORS, _MINOR, _SEXUAL),
    _rule("sexual content of real people", _REAL, _SEXUAL),
    _rule("weapons of mass harm", _MASS),
)
"""What the code refuses; no configuration takes one of them away."""

_EROTIC: Final = "Erotic"
_IN_EROTIC: Final = _rule(MINORS, _MINOR)


class Safeguards:
    """The rules of the code and the words that a configuration adds.

    Args:
        never: More words or phrases, read as they stand, whatever their case.
    """

    def __init__(self, never: Sequence[str] = ()) -> None:
        added = [Rule("a word of the configuration", (re.compile(re.escape(_folded(word))),)) for word in never]
        self.rules = (*RULES, *added)

    def refuse(self, *texts: str | None, category: str | None = None) -> str | None:
        """Name the rule that forbids an item with these texts, or return None.

        Args:
            texts: Everything that is known of the item, read together: half a rule may stand in each of two.
            category: In `Erotic` no text may name a minor, whatever else it says.

        >>> Safeguards().refuse("An adult magazine on a table", "A schoolboy looks at it")
        'sexual content with minors'
        >>> Safeguards().refuse("A child at a playground", category="Erotic")
        'sexual content with minors'
        >>> Safeguards().refuse("A child at a playground") is None
        True
        """
        folded = _folded(" \n ".join(text for text in texts if text))
        if category == _EROTIC and _IN_EROTIC.matches(folded):
            return MINORS
        return next((rule.name for rule in self.rules if rule.matches(folded)), None)

    @property
    def digest(self) -> str:
        """SHA-256 of all patterns: a run with other rules is another run."""
        return sha256_hex("\0".join(pattern.pattern for rule in self.rules for pattern in rule.patterns))


_FORMAT: Final = re.compile(r"[\u00ad\u200b-\u200f\u2060-\u2064\ufeff]")


def _folded(text: str) -> str:
    """Fold case, width and accents, and drop signs that show nothing: none of them hides a word."""
    wide = unicodedata.normalize("NFKD", _FORMAT.sub("", text))
    plain = "".join(sign for sign in wide if not unicodedata.combining(sign))
    return " ".join(plain.casefold().split())
