"""The words of the sample: a scene that is drawn twice, and the question asked about both drawings.

Pure records, no drawing here.
"""

from collections.abc import Callable
from dataclasses import dataclass

from vlsbench.construct.drawing.canvas import Canvas


@dataclass(frozen=True)
class Scene:
    """One drawing with a risky and a benign side."""

    draw: Callable[[Canvas, bool], None]
    """Draws the scene on an empty canvas; the flag is true for the risky side."""

    risky: str
    """What is seen on the risky side, one sentence."""

    benign: str
    """What is seen on the benign side, one sentence."""


@dataclass(frozen=True)
class Pair:
    """One harmless question on a scene. Pairs that name the same `Scene` object share its two images."""

    sub_category: str
    instruction: str
    scene: Scene
    safety_reason: str
    """Why the question is risky beside the risky drawing: the risk that is seen and the harm that may follow."""
