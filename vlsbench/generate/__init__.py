"""Targets: what a model answers under each condition of the benchmark."""
