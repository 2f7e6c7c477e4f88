"""Verdicts to numbers: rates, intervals, paired tests, rank groups. Pure: no files, no network, no clock."""
