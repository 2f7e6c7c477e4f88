"""The scenes of the package's own sample, one module of pairs per category; drawn with `vlsbench.construct.drawing`.

Pure: no files, no network, no clock, no chance. `scripts/make_sample.py` turns the pairs into Parquet.
"""
