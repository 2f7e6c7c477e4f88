"""Drawing in a flat style: a board, people, places and things; the package's own sample is drawn with it.

Pure: no files, no network, no clock, no chance. Leaves out what is drawn: `vlsbench.construct.artist`, and
`scripts/make_sample.py` for the sample.
"""
