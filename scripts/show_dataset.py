"""`make demo`, first part: load the package's own sample and show one pair with its twin."""

from __future__ import annotations

import os
from collections import Counter

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # the demo leaves this machine for the package index only

from vlsbench import load_dataset  # after the line above


def main() -> None:
    """Print what a reader wants to see first."""
    test = load_dataset("vlsbench", "twins", split="test")
    print(test)
    names = test.features["category"].names
    print("per category:", dict(Counter(names[number] for number in test["category"])))
    risky = next(row for row in test if row["risk"] == "risky")
    twin = next(row for row in test if row["instruction_id"] == risky["twin_id"])
    for row in (risky, twin):
        print(f"\n{row['instruction_id']} {row['risk']}: {row['instruction']!r}")
        print(f"   image: {row['image'].size[0]}x{row['image'].size[1]} px, {row['image_description']}")
        if row["safety_reason"]:
            print(f"   why it is risky: {row['safety_reason']}")


if __name__ == "__main__":
    main()
