"""What axe finds on a page."""

from __future__ import annotations

from typing import Any

import pytest

RUN = "axe.run({ resultTypes: ['violations'] }).then((found) => found.violations)"


def violations(page: Any) -> list[dict[str, Any]]:
    """Run axe on what the page shows; a page gets its script once, because each copy is compiled anew."""
    axe = pytest.importorskip("axe_playwright_python.base", reason="pip install axe-playwright-python")
    if not page.evaluate("'axe' in window"):
        page.evaluate(axe.AXE_SCRIPT)
    found: list[dict[str, Any]] = page.evaluate(RUN)
    return found
