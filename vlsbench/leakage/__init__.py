"""What the text of a multimodal safety set gives away: harm, labels, and whether the image is needed at all.

    source.py           SOURCE → tables: files, folders, the Hub, a pandas or datasets table
    columns.py          which column is the text, the image, the label, …: guessed, said, or set
    formats.py          the published files of known sets, one entry each
    items.py            tables → the items that are audited
    records.py          the report, as it is written

Three numbers, never merged: harm leak (a judge reads text and pair), label predictability (text alone against the
labels that are there), image need. May import `dataset`, `metrics`, `generate` and `judge`; nothing above.
"""
