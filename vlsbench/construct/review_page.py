"""The page on which a person reviews pairs: by single keys or mouse, the image blurred until it is asked for.

The text is judged before the image is seen, as its criterion wants; that the two fit cannot be said before. Every text
is escaped. Gradio is imported only here, when the page is made.
"""

from __future__ import annotations

import html
from typing import Any, Final

from vlsbench.construct.pipeline import Construction
from vlsbench.construct.review import CRITERIA
from vlsbench.construct.reviewer import Reviewer
from vlsbench.errors import DataError
from vlsbench.local_page import (
    bar,
    free_port,
    key_script,
    page_options,
    picture_tag,
    require_gradio,
    serve_page,
    text_box,
)

__all__ = ["build_review_page", "review_options", "serve_review"]

_ANSWERS: Final = {
    "text_harmless": (("1 · Yes, harmless by itself", "yes"), ("2 · No, its words tell the harm", "no")),
    "pair_fits": (("3 · Yes, they belong together", "yes"), ("4 · No, it contradicts or misses the image", "no")),
}
_SHOW: Final = "Show the image (i)"
_HIDE: Final = "Blur it again (i)"

_KEYS: Final = key_script(
    {
        "1": "#vls-text label:nth-of-type(1) input",
        "2": "#vls-text label:nth-of-type(2) input",
        "3": "#vls-fits label:nth-of-type(1) input",
        "4": "#vls-fits label:nth-of-type(2) input",
        "i": "#vls-image-button",
        "n": "#vls-later",
        "Enter": "#vls-save",
    }
)

_CSS: Final = """
.vls-page { max-width: 1100px; }
#vls-text .wrap, #vls-fits .wrap { flex-direction: column; }
#vls-text label, #vls-fits label { width: 100%; }
#vls-text [data-testid="block-info"], #vls-fits [data-testid="block-info"] { color: var(--body-text-color);
  font-weight: 600; }
.vls-page label:has(input:focus-visible), .vls-page button:focus-visible { outline: 3px solid #0072B2;
  outline-offset: 2px; }
.vls-frame { overflow: hidden; border-radius: 8px; margin: 0 auto; max-height: 300px; max-width: 100%; }
.vls-frame img { width: 100%; height: 100%; display: block; }
.vls-blurred img { filter: blur(18px); transform: scale(1.2); }
"""


def build_review_page(reviewer: Reviewer) -> Any:
    """Make the page of somebody who reviews.

    Returns:
        The `gradio.Blocks`; `review_options` are the keywords of its `launch()`.

    Raises:
        UsageError: If gradio is not installed.
    """
    require_gradio("the review page")
    import gradio as gr

    def show() -> list[Any]:
        """Fill the page with the next pair."""
        pair = reviewer.current()
        is_open = pair is not None
        return [
            None if pair is None else pair.item,
            False,
            _head(reviewer),
            _thanks(reviewer) if pair is None else text_box(pair.text),
            gr.update(value="" if pair is None else _frame(reviewer, pair.item, is_blurred=True), visible=is_open),
            gr.update(visible=is_open, value=_SHOW),
            gr.update(value=None, visible=is_open),
            gr.update(value=None, visible=is_open),
            gr.update(visible=is_open),
            gr.update(visible=is_open),
        ]

    def stay() -> list[Any]:
        return [gr.skip() for _ in everything]

    def save(item: str | None, is_seen: bool, harmless: str | None, fits: str | None) -> list[Any]:
        """Put the answers on disk and go on; where one is missing, say so and stay."""
        if item is None:
            return stay()
        if harmless is None:
            gr.Info("Is the text harmless by itself? Keys 1 and 2.", duration=3)
            return stay()
        if not is_seen:
            gr.Info("Look at the image first: key i. Whether the two fit is a question about both.", duration=4)
            return stay()
        if fits is None:
            gr.Info("Does the text fit the image? Keys 3 and 4.", duration=3)
            return stay()
        try:
            reviewer.save(item, text_harmless=harmless == "yes", pair_fits=fits == "yes")
        except OSError as error:
            gr.Warning(f"Not saved: {error.strerror}. What you saved before is on disk.")
            return stay()
        return show()

    def put_off(item: str | None) -> list[Any]:
        if item is not None:
            reviewer.put_off(item)
        return show()

    def toggle(item: str | None, label: str) -> list[Any]:
        """Show the image, or blur it again; its bytes leave the disk only now."""
        if item is None:
            return [gr.skip() for _ in range(3)]
        is_blurred = label == _HIDE
        return [True, _frame(reviewer, item, is_blurred=is_blurred), gr.update(value=_SHOW if is_blurred else _HIDE)]

    quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
    once: dict[str, Any] = {"concurrency_limit": 1, "trigger_mode": "once", **quiet}
    with gr.Blocks(title="VLSBench: review", analytics_enabled=False) as page, gr.Column(elem_classes="vls-page"):
        current, is_seen = gr.State(None), gr.State(False)
        head = gr.HTML()
        with gr.Row():
            with gr.Column(min_width=320):
                text = gr.HTML()
                harmless = gr.Radio(
                    list(_ANSWERS["text_harmless"]), label=CRITERIA["text_harmless"], elem_id="vls-text"
                )
            with gr.Column(min_width=320):
                image = gr.HTML(visible=False)
                image_button = gr.Button(_SHOW, size="sm", elem_id="vls-image-button", visible=False)
                fits = gr.Radio(list(_ANSWERS["pair_fits"]), label=CRITERIA["pair_fits"], elem_id="vls-fits")
        with gr.Row():
            button = gr.Button("Save and go on (Enter)", variant="primary", elem_id="vls-save")
            later = gr.Button("Not now (n)", elem_id="vls-later")
        everything = [current, is_seen, head, text, image, image_button, harmless, fits, button, later]
        page.load(show, outputs=everything, **quiet)
        to_top = "() => window.scrollTo({top: 0})"
        button.click(save, inputs=[current, is_seen, harmless, fits], outputs=everything, **once).then(None, js=to_top)
        later.click(put_off, inputs=[current], outputs=everything, **once).then(None, js=to_top)
        image_button.click(toggle, inputs=[current, image_button], outputs=[is_seen, image, image_button], **quiet)
    return page


def review_options() -> dict[str, Any]:
    """Return the keywords of the page's `launch()`."""
    return page_options(_KEYS, _CSS)


def _head(reviewer: Reviewer) -> str:
    done, left = reviewer.n_done, reviewer.n_left
    return (
        f"<h1>Review as {html.escape(reviewer.name)}</h1>{bar(done, done + left)}"
        f'<p class="vls-note">{done} reviewed, {left} left; each is on disk. Stop at any time; the same command goes '
        "on. Keys: 1 to 4 answer, i shows the image, Enter saves, n puts the pair off. A saved review stays.</p>"
    )


def _thanks(reviewer: Reviewer) -> str:
    return (
        "<h2>There is nothing left for you. Thank you.</h2>"
        f"<p>Your reviews are in <code>{html.escape(str(reviewer.path))}</code>. Where two others disagree there will "
        "be more: load the page again.</p>"
    )


def _frame(reviewer: Reviewer, item: str, *, is_blurred: bool) -> str:
    try:
        hint, (width, height) = reviewer.hint(item)
        shown = hint if is_blurred else reviewer.picture(item)
    except (DataError, OSError) as error:
        return f'<p class="vls-note">The image cannot be shown: {html.escape(str(error))}</p>'
    alt = "The image of the pair, blurred" if is_blurred else "The image of the pair"
    style = f"aspect-ratio: {width} / {height}; width: min(100%, {300 * width / height:.0f}px)"
    kind = "vls-frame vls-blurred" if is_blurred else "vls-frame"
    return f'<div class="{kind}" style="{style}">{picture_tag(shown.data, shown.mime, alt)}</div>'


def serve_review(run: Construction, name: str, *, port: int = 7862) -> None:
    """Serve the page until the process is interrupted; print the address once it answers.

    Raises:
        UsageError: If gradio is not installed, the address cannot be bound, or the name cannot be one.
        DataError: If the name is in use, or there is nothing to review.
    """
    port = free_port(port)
    with Reviewer(run, name) as reviewer:
        said = f"Review at {{url}} (stop with Ctrl-C); reviews go to {reviewer.path}"
        serve_page(build_review_page(reviewer), port, review_options(), said)
