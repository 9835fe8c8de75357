"""Cost maps in the formats of other tools: one function a format, from a cost map to files."""

from halo_timing.costmap.export.registry import FORMATS, Format, export

__all__ = ["FORMATS", "Format", "export"]
