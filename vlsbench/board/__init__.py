"""The board: what was counted, lists and ranks, columns, comparison, the paper's tables, HTML and Parquet."""
