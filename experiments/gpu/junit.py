"""What pytest's JUnit files say, in numbers and names."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Iterable
from pathlib import Path
from typing import Any

MESSAGE = 300
"""Characters of a failure's message that are kept."""


def summary(files: Iterable[Path]) -> dict[str, Any]:
    """Tests of all files together; one that is in several counts once in each.

    Args:
        files: JUnit files, as `pytest --junitxml` writes them.

    Returns:
        Numbers of tests that passed, failed (errors included) and were skipped, their seconds, and of each failure its
        name and the first line of its message.
    """
    found: dict[str, Any] = {"passed": 0, "failed": 0, "skipped": 0, "seconds": 0.0, "failures": {}}
    for file in files:
        for case in ElementTree.parse(file).iter("testcase"):
            found["seconds"] += float(case.get("time", 0))
            bad = next((child for child in case if child.tag in ("failure", "error")), None)
            if bad is not None:
                name = f"{case.get('classname')}::{case.get('name')}"
                found["failures"][name] = bad.get("message", "").partition("\n")[0][:MESSAGE]
            elif case.find("skipped") is not None:
                found["skipped"] += 1
            else:
                found["passed"] += 1
    found["failed"] = len(found["failures"])
    found["seconds"] = round(found["seconds"], 1)
    return found


def described(found: dict[str, Any]) -> str:
    """In words, with every failure."""
    lines = [f"{found['passed']} tests passed, {found['failed']} failed, {found['skipped']} were skipped."]
    lines += [f"- `{name}`: {message}" for name, message in found["failures"].items()]
    return "\n".join(lines)
