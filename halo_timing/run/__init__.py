"""The whole chain as steps that are made once, remembered by the hash of what made them, and resumed."""

from halo_timing.run.config import RunConfig
from halo_timing.run.pipeline import run

__all__ = ["RunConfig", "run"]
