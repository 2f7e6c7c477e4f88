"""Answers in the order of what was asked: an older one never comes over a newer one, whichever arrives first.

gradio shows an answer when it arrives, and orders only those to one event; a tab, its choosers, a header, a link and
Back write the same parts of a page. So the browser numbers its requests, and what an answer says of a part is shown
only where no newer request has written that part. Rule of the room: it changes what gradio 6.31 fetches and knows no
page.
"""

from __future__ import annotations

import json

__all__ = ["SAME", "SCRIPT"]

SAME = "vls: as it is"
"""Sent in place of every value where the page shows already what a text box, or the tab of a link, says. The answer
changes nothing."""

SCRIPT = """
<script>
// Requests that are not answered yet, in the order in which they were sent.
const vlsAsked = new Set();
let vlsTurn = 0;
// By the id of a part: the newest request that has written it, and what an answer said of it while a newer request was
// under way, which counts if that one leaves the part as it is.
const vlsWritten = new Map();
const vlsWaiting = new Map();

// The parts that a request writes; none where gradio is not there yet or the request is no event of the page.
function vlsParts(asked) {
  const found = globalThis.gradio_config?.dependencies?.find((event) => event.id === asked.fn_index);
  return found && asked.data?.[0] !== SAME ? found.outputs : null;
}

function vlsSelectsTab(parts) {
  const tabs = globalThis.gradio_config.components.filter((part) => part.type === "tabs").map((part) => part.id);
  return parts.some((part) => tabs.includes(part));
}

const vlsLeaves = (said) => said?.__type__ === "update" && Object.keys(said).length === 1;

// Take from an answer what a newer request has written or will write, and put in what such a request left as it is.
function vlsInOrder(request, said) {
  vlsAsked.delete(request);
  const asIs = () => ({ __type__: "update" });
  // What selects a tab is of an address, and nothing once the reader has gone on to another.
  const isLeft = request.isOfAddress && request.address !== window.location.search;
  const newer = [...vlsAsked].filter((other) => other.turn > request.turn);
  return said.map((mine, place) => {
    const part = request.parts[place];
    let update = isLeft ? asIs() : mine, turn = request.turn;
    const waiting = vlsWaiting.get(part);
    if (waiting && (vlsLeaves(update) || waiting.turn > turn)) ({ update, turn } = waiting);
    if (vlsLeaves(update)) return update;
    if ((vlsWritten.get(part) ?? 0) > turn) return asIs();
    if (newer.some((other) => other.parts.includes(part))) {
      vlsWaiting.set(part, { update, turn });
      return asIs();
    }
    vlsWaiting.delete(part);
    vlsWritten.set(part, turn);
    return update;
  });
}

const vlsFetch = window.fetch;
window.fetch = async function (address, how) {
  const isEvent = typeof how?.body === "string" && new URL(address, document.baseURI).pathname.endsWith("/run/predict");
  const parts = isEvent ? vlsParts(JSON.parse(how.body)) : null;
  if (!parts) return vlsFetch.call(window, address, how);
  const request = { turn: ++vlsTurn, parts, isOfAddress: vlsSelectsTab(parts), address: window.location.search };
  vlsAsked.add(request);
  try {
    const answer = await vlsFetch.call(window, address, how);
    if (!answer.ok) return answer;
    const said = await answer.json();
    if (said.data?.length === parts.length) said.data = vlsInOrder(request, said.data);
    return Response.json(said);
  } finally {
    vlsAsked.delete(request);
  }
};
</script>
""".replace("SAME", json.dumps(SAME))
"""Stands in the page's head, before gradio."""
