"""OpenCV as a decoder that says nothing: what it finds is raised, not printed."""

from __future__ import annotations

from types import ModuleType


def opencv() -> ModuleType:
    """The module, imported when it is first needed."""
    import cv2

    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    return cv2
