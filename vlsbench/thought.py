"""Tell a thought from an answer in what a model wrote: the one place that knows how models mark their thoughts.

Marks are those that vLLM (vllm/reasoning) and SGLang (srt/parser/reasoning_parser.py) look for, and those that models
were seen to write beside them. A thought stands at the beginning, behind a byte order mark, blanks and the mark of the
assistant's turn; or its opening mark stood in the prompt, and only the closing one is in the text; further blocks may
follow. A thought that is not closed was cut, and has no answer. A mark that a text talks about stays where it is: in
code, in quotation marks, or in the middle of a sentence.

Pure. Every text takes time in proportion to its length: what is looked for is looked for once, or from where the last
search ended.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable
from typing import Final, NamedTuple

from vlsbench.errors import amount, plural

__all__ = ["Parts", "ends_in_thought", "marks_among", "separate", "thoughts_note"]


class Parts(NamedTuple):
    """What a model wrote, taken apart."""

    thought: str | None
    """Without its marks; "" where they stand around nothing; None where there are none."""
    answer: str
    """The text as it stands where there is no thought; "" where there is nothing but a thought."""


class _Kind(NamedTuple):
    """A pair of marks, as patterns that begin with one certain sign: a text is searched for these signs first."""

    opening: str
    closing: str
    is_any_place: bool = False
    """Nothing but a thought is marked like this, so it is one in the middle of a text too."""
    is_lone: bool = False
    """Chat templates put the opening mark into the prompt, so that the closing one stands alone."""
    is_whole: bool = False
    """It is no thought unless it is closed: an answer may begin so."""


def _tag(name: str, *, is_sure: bool = False) -> _Kind:
    # Bounded: what is no mark costs no search to the end of the text.
    return _Kind(rf"<\s?{name}(?:[\s/:][^<>]{{0,200}})?>", rf"<\s?/\s?{name}\s?>", is_sure, is_sure)


def _token(opening: str, closing: str) -> _Kind:
    return _Kind(opening, closing, is_any_place=True, is_lone=True)


_KINDS: Final = (
    *(_tag(name, is_sure=True) for name in ("think(?:ing)?", "thought", "seed:think", "mm:think", "longcat_think")),
    *(_tag(name) for name in ("thoughts", "thought_process", "reason(?:ing)?", "rationale", "reflect(?:ion)?")),
    *(
        _tag(name)
        for name in ("analysis", "scratchpad", "in(?:ner|ternal)_(?:monologue|thoughts?)", "chain_of_thought")
    ),
    *(_tag(name) for name in ("cot", "deep_?think(?:ing)?", "think(?:ing)?_process")),
    _Kind(r'<details\s[^<>]{0,200}?type="reasoning"[^<>]{0,200}>', r"</details>"),  # Open WebUI
    *(_token(f"&lt;{name}&gt;", f"&lt;/{name}&gt;") for name in ("think(?:ing)?", "thought")),
    _token("◁think▷", "◁/think▷"),
    _token(r"\[(?:think(?:ing)?|thought)\](?!\()", r"\[/(?:think(?:ing)?|thought)\]"),  # not a link
    _Kind(r"\[reasoning\](?!\()", r"\[/reasoning\]"),
    _token(r"\[unused16\]", r"\[unused17\]"),
    _token("<unused94>", "<unused95>"),
    _token(r"<[|｜]begin[_▁]of[_▁]th(?:ought|ink|inking)[|｜]>", r"<[|｜]end[_▁]of[_▁]th(?:ought|ink|inking)[|｜]>"),
    _token(r"<\|start_thinking\|>", r"<\|end_thinking\|>"),
    _token(r"<\|inner_prefix\|>", r"<\|inner_suffix\|>"),
    _token(r"<\|open\|>think<\|sep\|>", r"<\|close\|>think<\|sep\|>"),
    _token(r"<\|think(?:ing)?\|>", r"<(?:/\||\|/|\|end_)think(?:ing)?\|>"),
    _token(r"<\|channel>(?:thought|analysis)?\s", r"<channel\|>"),
    _Kind(r"<\|content_thinking\|>", r"<\|end_message\|>", is_any_place=True),
    # LLaVA-CoT: stages, then the conclusion.
    _Kind("<summary>", "(?=<conclusion>)", is_whole=True),
)
"""A block begins with one of these. Case does not matter: `<Think>` is written too."""

_WORDS: Final = (
    _Kind(r"here(?:'s|\ is)\ my\ thought\ process:", r"here(?:'s|\ is)\ my\ response:", is_whole=True),
    _Kind(r"to=self<\|message\|>", r"<\|eom\|>"),
)
"""Marks that are words, which count at the very beginning only (Granite; models that name whom a message is to)."""

_HEAD: Final = re.compile(
    r"(?:<\|start\|>\s{0,9}assistant\s{0,9})?<\|channel\|>\s{0,9}(?P<channel>analysis|commentary|final)"
    r"(?:\b[^<`]{0,200}(?:<\|constrain\|>[^<]{0,50})?<\|message\|>|(?!\s{0,9}<\|(?!channel\|>)))"
)
"""What a message of the harmony format (gpt-oss) begins with; tools may take `<|message|>` away. Only the channel
`final` is the answer."""

_CUT_HEAD: Final = re.compile(r"<\|channel\|>\s{0,9}\w{0,10}\s{0,9}(?:<\|?\w{0,10})?\Z")

_RESIDUE: Final = re.compile(r"(?:assistant)?analysis(?P<is_glued>(?=[^\W\d_a-z]))?")
"""What is left of `<|channel|>analysis<|message|>` where a tokenizer dropped the marks: the word, glued to a sentence.
The final message then begins behind `assistantfinal`."""

_RESIDUE_END: Final = "assistantfinal"

_FRONT: Final = re.compile(
    r"""(?:
      [\s\ufeff\u200b-\u200f\u2060]
    | <\|(?:im_start|start|turn)\|?>\s*(?:assistant|model)\b | <\|start_header_id\|>\s*assistant\s*<\|end_header_id\|>
    | <[|｜]assistant[|｜]> | <start_of_turn>\s*model\b | <\|message_model\|> | <\|start_of_turn_token\|>
    | <\|chatbot_token\|> | <\|begin_of_text\|> | <[|｜]begin[_▁]of[_▁]sentence[|｜]> | </?s> | <bos> | \[/inst\]
    | (?:\*\*|\#{1,6}\ )?(?:assistant|model)(?:\*\*)?\s?:(?:\*\*)? | assistant\n
    )*+""",
    re.VERBOSE | re.IGNORECASE,
)
"""What may stand before a thought: nothing that anybody would read. Without a thought behind it, it is left alone."""

_WRAPS: Final = (
    *(
        (rf"<{name}>", f"</{name}>")
        for name in (
            "answer",
            "response",
            "output",
            "final",
            "final_answer",
            "final_response",
            "solution",
            "conclusion",
        )
    ),
    ("<|begin_of_solution|>", "<|end_of_solution|>"),
    ("<|begin_of_answer|>", "<|end_of_answer|>"),
    ("<|start_response|>", "<|end_response|>"),
    ("<|start_text|>", "<|end_text|>"),
    ("<|open|>response<|sep|>", "<|close|>response<|sep|>"),
    ("<|content_text|>", "<|end_message|>"),
)
"""What stands around the answer behind a thought. Without a thought before it, it is a part of the answer."""

_ENDS: Final = (
    *("<|im_end|>", "<|endoftext|>", "<|eot_id|>", "<|end|>", "<|return|>", "<|call|>", "<|eom|>", "<|eot|>", "</s>"),
    *("<eos>", "<end_of_turn>", "<turn|>", "<|end_of_text|>", "<|end_message|>", "<|content_model_end_sampling|>"),
    *("<|end_of_turn_token|>", "<|end_of_msg|>", "<|close|>message<|sep|>", "<|user|>", "[eos]", "[eot]"),
    *("<|end_of_sentence|>", "<｜end▁of▁sentence｜>", "<|start|>assistant", "<|start|>"),
)
"""How a turn ends. Cut off behind an answer that a thought was taken from."""

_CHANNELS: Final = frozenset({"<|channel|>", "<|channel>", "<|open|>"})
_PARTS: Final = frozenset(
    {
        *_CHANNELS,
        *("<|start|>", "<|constrain|>", "<|message|>", "<|end|>", "<|return|>", "<|close|>", "<|sep|>", "<channel|>"),
        *("<|START_RESPONSE|>", "<|END_RESPONSE|>", "<|START_TEXT|>", "<|END_TEXT|>", "<|message_model|>"),
        *("<|content_text|>", "<|begin_of_solution|>", "<|end_of_solution|>"),
    }
)
"""Tokens that marks are made of, where a tokenizer has marks at all: `<|end|>` alone ends the turn of other models."""

_CODE: Final = re.compile(r"```.*?```|~~~.*?~~~|`[^`\n]+`", re.DOTALL)
_SENTENCE_ENDS: Final = frozenset(".!?…。！？>▷]")
_LEFT_QUOTES: Final = frozenset("`'\"“‘«(")
_RIGHT_QUOTES: Final = frozenset("`'\"”’»)")
_TALK: Final = frozenset(("and", "or", "to", "/", ",", "&", "...", "…", "until", "through"))
"""What stands between two marks that a sentence talks about."""

_MAX_WRAPS: Final = 4
"""Wraps within wraps that are opened."""

_MAX_PASSES: Final = 6
"""No text that a model wrote needed more than two."""


def _union(patterns: Iterable[str]) -> re.Pattern[str]:
    """Match any of the patterns; the group's name is the place of the one that did."""
    first = re.compile(r"\\?.")  # outside the group: so the engine looks for these signs only
    parts = [(first.match(pattern)[0], place, pattern) for place, pattern in enumerate(patterns)]  # type: ignore[index]
    joined = "|".join(f"{sign}(?P<k{place}>{pattern[len(sign) :]})" for sign, place, pattern in parts)
    return re.compile(joined, re.IGNORECASE)


_OPENING: Final = _union(kind.opening for kind in _KINDS)
_CLOSING_OF: Final = tuple(re.compile(kind.closing, re.IGNORECASE) for kind in _KINDS)
_LONE: Final = tuple(place for place, kind in enumerate(_KINDS) if kind.is_lone)
_LONE_CLOSING: Final = _union(_KINDS[place].closing for place in _LONE)
_WRAP: Final = _union(re.escape(opening) for opening, _ in _WRAPS)
_WRAP_END: Final = tuple(re.compile(re.escape(closing), re.IGNORECASE) for _, closing in _WRAPS)
_WORD: Final = tuple(
    (re.compile(kind.opening, re.IGNORECASE), re.compile(kind.closing, re.IGNORECASE), kind.is_whole) for kind in _WORDS
)
_ENDS_OPEN: Final = re.compile(rf"(?:{_OPENING.pattern}|<\|channel\|>analysis<\|message\|>)\s*\Z", re.IGNORECASE)
_FIRST_WORDS: Final = re.compile(rf"{_FRONT.pattern}(?:(?:assistant)?analysis|here(?:'s|\ is)\ my)", _FRONT.flags)
"""What a text begins with that has marks, and none of the signs `<`, `[`, `◁` and `&lt;`."""

_END_CHARACTERS: Final = max(map(len, _ENDS))
_MARK_CHARACTERS: Final = 300
"""More than any opening mark has."""


def _place(match: re.Match[str]) -> int:
    """Return the place of the kind that a match of `_OPENING`, `_CLOSING` or `_WRAP` is of."""
    return int((match.lastgroup or "k0")[1:])


def separate(text: str, *, is_open: bool = False) -> Parts:
    r"""Take apart what a model wrote.

    Args:
        is_open: The prompt is known to end inside a thought.

    >>> separate("<think>Is it a cliff?</think>\n\nStep back.")
    Parts(thought='Is it a cliff?', answer='Step back.')
    >>> separate("<think>Is it a")
    Parts(thought='Is it a', answer='')
    >>> separate("A cliff.</think>Step back.")
    Parts(thought='A cliff.', answer='Step back.')
    >>> separate("The tag <think> opens a thought.")
    Parts(thought=None, answer='The tag <think> opens a thought.')
    """
    # Most answers have none of these signs, and every line of a file comes by here.
    if not (is_open or "<" in text or "[" in text or "◁" in text or "&" in text or _FIRST_WORDS.match(text)):
        return Parts(None, text)
    thoughts: list[str] = []
    rest = text
    for _ in range(_MAX_PASSES):  # so that an answer that was taken out is taken for one again
        found = _separate_once(rest, is_open=is_open and not thoughts)
        if found.thought is None:
            break
        thoughts.append(found.thought)
        rest = found.answer
    if not thoughts:
        return Parts(None, text)
    return Parts(_joined(thoughts), rest)


def ends_in_thought(prompt: str) -> bool:
    r"""Say whether a prompt ends with the opening mark of a thought, as some chat templates end theirs.

    >>> ends_in_thought("<|im_start|>assistant\n<think>\n"), ends_in_thought("<think>\n\n</think>\n\n")
    (True, False)
    """
    return _ENDS_OPEN.search(prompt, max(0, len(prompt.rstrip()) - _MARK_CHARACTERS)) is not None


def marks_among(tokens: Iterable[str]) -> frozenset[str]:
    """Return the tokens of a tokenizer that thoughts are marked with: left out of a text, nobody could tell them apart.

    >>> sorted(marks_among(["<|im_end|>", "[THINK]", "[/THINK]"])), marks_among(["<|end|>"])
    (['[/THINK]', '[THINK]'], frozenset())
    """
    found = frozenset(tokens)
    patterns = (_OPENING, *_CLOSING_OF)
    marks = {token for token in found for p in patterns if (match := p.match(token)) and match.end() == len(token)}
    return frozenset(marks | found & _PARTS) if marks or found & _CHANNELS else frozenset()


def thoughts_note(n_thoughts: int, n_answers: int) -> str:
    """Say how many answers have a thought, for a row and for whoever checks it.

    >>> thoughts_note(41, 41)
    'thoughts: 41 of 41 answers have a thought that was not judged'
    """
    have = plural(n_thoughts, "has", "have")
    return f"thoughts: {n_thoughts:,} of {amount(n_answers, 'answer')} {have} a thought that was not judged"


def _joined(texts: Iterable[str]) -> str:
    return "\n\n".join(text for text in (text.strip() for text in texts) if text)


def _separate_once(text: str, *, is_open: bool) -> Parts:
    if (parts := _separate_channels(text) or _separate_words(text)) is not None:
        return parts
    found = _take_apart(text, is_open=is_open)
    return Parts(None, text) if found is None else Parts(_joined(found.thoughts), _without_end(found.answer))


# --- Blocks -------------------------------------------------------------------------------------------------


class _Marks:
    """Where the marks of a text stand; each kind is looked for once, when it is asked for."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.openings = list(_OPENING.finditer(text))
        self.has_lone = _LONE_CLOSING.search(text) is not None
        self._openings_of: defaultdict[int, list[int]] = defaultdict(list)
        for opening in self.openings:
            self._openings_of[_place(opening)].append(opening.start())
        self._closings_of: dict[int, list[re.Match[str]]] = {}
        self._unspoken_of: dict[int, list[re.Match[str]]] = {}
        self._bare_of: dict[int, list[re.Match[str]]] = {}
        self._code = [match.span() for match in _CODE.finditer(text)] if "`" in text or "~~~" in text else []

    def is_in_code(self, at: int) -> bool:
        place = bisect_right(self._code, (at, len(self.text)))
        return place > 0 and at < self._code[place - 1][1]

    def _closings(self, kind: int) -> list[re.Match[str]]:
        """Closing marks that do not stand in quotation marks."""
        if kind not in self._closings_of:
            matches = _CLOSING_OF[kind].finditer(self.text)
            self._closings_of[kind] = [match for match in matches if not _is_wrapped(self.text, match)]
        return self._closings_of[kind]

    def _unspoken(self, kind: int) -> list[re.Match[str]]:
        """Of them, those that are no word of a sentence."""
        if kind not in self._unspoken_of:
            self._unspoken_of[kind] = [match for match in self._closings(kind) if not _is_spoken(self.text, match)]
        return self._unspoken_of[kind]

    def _bare(self, kind: int) -> list[re.Match[str]]:
        """Of them, those that do not stand in code either."""
        if kind not in self._bare_of:
            self._bare_of[kind] = [match for match in self._unspoken(kind) if not self.is_in_code(match.start())]
        return self._bare_of[kind]

    def end_of_first(self, kind: int, at: int) -> re.Match[str] | None:
        """Return what closes a thought at the beginning. What it says of marks is read as such where it can be."""
        return _first_from(self._unspoken(kind), at) or _first_from(self._closings(kind), at)

    def end_of_later(self, kind: int, at: int) -> re.Match[str] | None:
        """Return what closes a thought between parts of an answer."""
        return _first_from(self._bare(kind), at)

    def lone_end(self, at: int) -> re.Match[str] | None:
        """Return the last closing mark from a place on whose opening one stood in the prompt."""
        if not self.has_lone:
            return None
        last = None
        for kind in _LONE:
            place = bisect_left(self._openings_of[kind], at)
            end = self._openings_of[kind][place] if place < len(self._openings_of[kind]) else len(self.text)
            place = bisect_left(self._bare(kind), end, key=_start)
            match = self._bare(kind)[place - 1] if place else None
            if match is not None and match.start() >= at and (last is None or match.start() > last.start()):
                last = match
        return last

    def any_end(self, at: int) -> re.Match[str] | None:
        """Return the first closing mark from a place on, of whatever kind."""
        ends = [match for kind in _LONE if (match := _first_from(self._closings(kind), at)) is not None]
        return min(ends, key=_start, default=None)


def _start(match: re.Match[str]) -> int:
    return match.start()


def _first_from(matches: list[re.Match[str]], at: int) -> re.Match[str] | None:
    place = bisect_left(matches, at, key=_start)
    return matches[place] if place < len(matches) else None


class _Found(NamedTuple):
    thoughts: list[str]
    answer: str


def _take_apart(text: str, *, is_open: bool = False, depth: int = 0) -> _Found | None:
    """Take the thoughts out of a text; None where it has none.

    Args:
        depth: How many wraps were opened: within them marks are believed that stand alone elsewhere.
    """
    marks = _Marks(text)
    if not marks.openings and not marks.has_lone and not is_open and not depth:
        return None
    thoughts, at = _take_first(marks, is_open=is_open)
    is_found = bool(thoughts) or depth > 0
    if is_found and depth < _MAX_WRAPS and (inside := _unwrap(text[at:])) is not None:
        within = _take_apart(inside, depth=depth + 1)
        return _Found([*thoughts, *(within.thoughts if within else ())], within.answer if within else inside)
    parts = _take_later(marks, at, thoughts, is_first=not is_found)
    if not thoughts:
        return None
    return _Found(thoughts, _joined(parts))


def _take_first(marks: _Marks, *, is_open: bool) -> tuple[list[str], int]:
    """Take the thoughts that stand at the beginning.

    Returns:
        The thoughts, and where what stands behind them begins.
    """
    text, at = marks.text, 0
    thoughts: list[str] = []
    while True:
        start = _front_end(text, at)
        opening = _OPENING.match(text, start)
        if opening is None:
            closing = marks.lone_end(at) or (marks.any_end(at) if is_open and not thoughts else None)
            if closing is None and is_open and not thoughts:
                return [text], len(text)
            if closing is None:
                return thoughts, _answer_start(text, at, start) if thoughts else 0
            thoughts.append(text[at : closing.start()])
            at = closing.end()
            continue
        kind = _place(opening)
        is_empty = opening[0].endswith(("/>", "/&gt;"))
        closing = None if is_empty else marks.end_of_first(kind, opening.end())
        if closing is None and not is_empty and _KINDS[kind].is_whole:
            return thoughts, _answer_start(text, at, start) if thoughts else 0
        inside = "" if is_empty else text[opening.end() : len(text) if closing is None else closing.start()]
        end = opening.end() if is_empty else len(text) if closing is None else closing.end()
        if not thoughts and inside.strip().casefold() in _TALK and _goes_on(text, end):
            return [], 0
        thoughts.append(inside)
        at = end


def _answer_start(text: str, at: int, front_end: int) -> int:
    """Pass over the mark of a turn behind a thought; blanks and words there may be the answer's own."""
    return front_end if "<" in text[at:front_end] else at


def _take_later(marks: _Marks, at: int, thoughts: list[str], *, is_first: bool) -> list[str]:
    """Take the thoughts that stand between parts of an answer.

    Args:
        is_first: No thought was found before: only sure marks count, and only whole blocks.

    Returns:
        The parts of the answer.
    """
    text, parts = marks.text, []
    for opening in marks.openings:
        start, kind = opening.start(), _place(opening)
        is_one = _KINDS[kind].is_any_place if is_first else not _KINDS[kind].is_whole
        if start < at or not is_one or marks.is_in_code(start) or not _begins(text, start):
            continue
        closing = marks.end_of_later(kind, opening.end())
        if closing is None and is_first:
            continue
        parts.append(text[at:start])
        thoughts.append(text[opening.end() : len(text) if closing is None else closing.start()])
        at = len(text) if closing is None else closing.end()
    return [*parts, text[at:]]


def _front_end(text: str, at: int) -> int:
    match = _FRONT.match(text, at)
    return at if match is None else match.end()


def _unwrap(text: str) -> str | None:
    """Open what stands around the answer; None where nothing does. What stands behind it is kept."""
    wrap = _WRAP.match(text, _front_end(text, 0))
    if wrap is None:
        return None
    end = _WRAP_END[_place(wrap)].search(text, wrap.end())
    if end is None:
        return text[wrap.end() :]
    behind = _without_end(text[end.end() :])
    inside = text[wrap.end() : end.start()].strip()
    return f"{inside}\n\n{behind}" if behind else inside


def _without_end(text: str) -> str:
    """Cut blanks and what ends a turn off the end."""
    end = len(text)
    while True:
        while end and text[end - 1].isspace():
            end -= 1
        tail = text[max(0, end - _END_CHARACTERS) : end].casefold()
        mark = next((mark for mark in _ENDS if tail.endswith(mark)), None)
        if mark is None:
            return text[:end].strip()
        end -= len(mark)


# --- What a text talks about --------------------------------------------------------------------------------


def _begins(text: str, at: int) -> bool:
    """Whether a block can begin here: at the beginning of a line, or behind a sentence."""
    while at and text[at - 1] in " \t":
        at -= 1
    return not at or text[at - 1] == "\n" or text[at - 1] in _SENTENCE_ENDS


def _is_wrapped(text: str, match: re.Match[str]) -> bool:
    """Whether a mark stands in quotation marks, backticks or brackets."""
    start, end = match.span()
    return start > 0 and end < len(text) and text[start - 1] in _LEFT_QUOTES and text[end] in _RIGHT_QUOTES


def _is_spoken(text: str, match: re.Match[str]) -> bool:
    """Whether a closing mark is a word of a sentence: a word and a blank before it, and the sentence goes on."""
    start, end = match.span()
    at = start
    while at and text[at - 1] in " \t":
        at -= 1
    if at in (0, start) or not (text[at - 1].isalnum() or text[at - 1] == ","):
        return False
    return end == len(text) or text[end] in ".,;:!?)" or _goes_on(text, end)


def _goes_on(text: str, at: int) -> bool:
    """Whether a sentence goes on here: a blank, and a word that does not begin a sentence."""
    start = at
    while at < len(text) and text[at] in " \t":
        at += 1
    return at > start and at < len(text) and text[at].isalpha() and not text[at].isupper()


# --- Words and channels -------------------------------------------------------------------------------------


def _separate_words(text: str) -> Parts | None:
    """Take apart a text that begins with a mark that is words; None where it does not."""
    start = _front_end(text, 0)
    for opening, closing, is_whole in _WORD:
        if (first := opening.match(text, start)) is None:
            continue
        last = closing.search(text, first.end())
        if last is None:
            return None if is_whole else Parts(text[first.end() :].strip(), "")
        answer = text[last.end() :].strip().removeprefix("to=user<|message|>")
        return Parts(text[first.end() : last.start()].strip(), _without_end(answer))
    return None


def _separate_channels(text: str) -> Parts | None:
    """Take apart a text of the harmony format; None where it is none."""
    start = _front_end(text, 0)
    residue = _RESIDUE.match(text, start)
    if residue is not None and (residue["is_glued"] is not None or _RESIDUE_END in text):
        thought, _, answer = text[residue.end() :].partition(_RESIDUE_END)
        return Parts(thought.strip(), _without_end(answer))
    if "<|channel|>" not in text:
        return None
    heads = [match for match in _HEAD.finditer(text) if text[match.start() - 1 : match.start()] not in _LEFT_QUOTES]
    thoughts: list[str] = []
    answers: list[str] = []
    if not heads or heads[0].start() > start:
        before = text[: heads[0].start()].rstrip() if heads else ""
        if before.endswith("<|end|>"):  # the template opened the first message
            thoughts.append(_without_end(before))
        elif not heads and _CUT_HEAD.match(text, start):
            return Parts(text[start:], "")
        else:
            return None
    for place, head in enumerate(heads):
        end = heads[place + 1].start() if place + 1 < len(heads) else len(text)
        into = answers if head["channel"] == "final" else thoughts
        into.append(_without_end(text[head.end() : end]))
    return Parts(_joined(thoughts), _joined(answers))
