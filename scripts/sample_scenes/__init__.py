"""The scenes of the package's own sample: drawing primitives first, then one module of pairs per category.

Pure: no files, no network, no clock, no chance. `scripts/make_sample.py` turns the pairs into Parquet.
"""
