"""Pairs built: elements or images in, an audited dataset out, by chat models, image models and people.

    config.py           the TOML file that says what is built, with what
    safeguards.py       what is never built
    records.py          what is kept of a call, a query, a pair; the closed list of losses
    prompts.py          the wordings and the shapes of the replies they ask for
    journal.py          every reply that was paid for, by what was asked
    chains.py           what an item asks, call after call; many items at once
    chat.py, images.py  whom chains ask: endpoints that chat; an endpoint, diffusers, a folder, the artist
    asking.py           all of them at once, into one journal
    artist.py, drawing/ an artist that draws what the words of a prompt name
    stages.py           1a, 1b, 2, 3, 4 and twins: one chain each
    sameness.py         texts told again, images that look alike
    stage_files.py      the files between stages
    gate.py             what the texts give away: batches go back, or fail
    harm.py             how many pairs are unsafe by their text alone, where a judge is configured
    pipeline.py         the stages in order, over one folder
    yields.py           what came through, what was lost and why, what it cost
    review.py           what people say of the pairs, and what it comes to; files for labelling tools
    reviewer.py         one person's reviews; review_page.py, the page they are made on
    forecast.py         what a run would ask
    publish.py          the dataset's folder

Stages are files: each can be run again from the one before it, and nothing that a reply is on disk for is paid twice.
May import `dataset`, `metrics`, `generate`, `judge` and `leakage`. The Hub's formats are handed in by `cli`.
"""
