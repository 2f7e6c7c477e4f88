"""Tests that need an extra: they skip where it is not installed, and nothing is imported to find out.

Every worker collects every test: what a module imports at its head is imported by each of them.
"""

from __future__ import annotations

import importlib.util

import pytest


def needs(*modules: str, extra: str) -> pytest.MarkDecorator:
    """Make the mark of tests that skip where one of the packages is missing."""
    is_missing = any(importlib.util.find_spec(module) is None for module in modules)
    return pytest.mark.skipif(is_missing, reason=f"needs the extra {extra!r}")
