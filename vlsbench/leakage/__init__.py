"""What the text of a multimodal safety set gives away: harm, labels, and whether the image is needed at all.

    source.py           SOURCE → tables: files, folders, the Hub, a pandas or datasets table
    columns.py          which column is the text, the image, the label, …: guessed, said, or set
    formats.py          the published files of known sets, one entry each
    items.py            tables → the items that are audited
    records.py          the report, as it is written
    questions.py        what a judge is asked, our wordings; the formats of guards
    asking.py           the questions go out; every answer is kept
    judging.py          --judge, --guard: who is asked what, and what comes of it
    grades.py           what people found
    harm.py             findings → R1, R2, R1 - R2, R2 / R1; guard_twins.py: a guard on pairs with benign twins
    looking.py          a model's answers without the right image

Three numbers, never merged: harm leak (a judge reads text and pair), label predictability (text alone against the
labels that are there), image need. May import `dataset`, `metrics`, `generate` and `judge`; nothing above.
"""
