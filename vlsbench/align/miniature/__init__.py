"""The paper in miniature: a drawn world, a tiny vision-language model, and every recipe put to the same test.

    world      things, states, rooms; which are risky, by a written table; how a scene is drawn
    language   requests, helpful and safe answers, and the rule `world-rule` that labels an answer
    sets       what the recipes are trained on (with the dial) and what everything is measured on
    model      the tiny LLaVA: tokenizer, processor, chat template, and its training from scratch
    plan       seeds, sizes, cells and what was predicted of them before the first run
    measure    answers → labels → rates with intervals
    cells      one file per (seed, dial, arm); resumed where it stopped
    summary    the table over seeds and items; records: `miniature.json`; page: tables and plots of docs/miniature.md

Nothing here is a benchmark: rows of rubric `world-rule` are a list of their own, never beside rows of real models.
"""
