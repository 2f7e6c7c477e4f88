"""Tests that share something dear run in one worker: what one makes for a module or a group is made once."""

from __future__ import annotations

import os

import pytest


def test_a_worker_names_the_group_of_its_tests(request: pytest.FixtureRequest) -> None:
    """The scheduler reads the group there and nowhere else; without it each test runs wherever a worker is free."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        pytest.skip("this is one process")
    assert request.node.nodeid.endswith("::test_a_worker_names_the_group_of_its_tests@tests/test_groups")
