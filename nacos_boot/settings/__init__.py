"""Tree to typed settings: sources merged, placeholders resolved, values bound and checked.

What a program declares its own settings with is here.
"""

from nacos_boot.settings.section import Duration, DurationOrZero, OpenSection, Section
from nacos_boot.settings.setting import setting

__all__ = ["Duration", "DurationOrZero", "OpenSection", "Section", "setting"]
