"""Quantizers for the codebooks of a cost map, and the checkpoints that go in and out.

From the codebook (:mod:`~halo_timing.quantize.codebook`) and the scale of a group of weights
(:mod:`~halo_timing.quantize.scales`) to one weight matrix (:mod:`~halo_timing.quantize.halo`,
:mod:`~halo_timing.quantize.rtn`) and a whole model (:mod:`~halo_timing.quantize.model`).
"""

from halo_timing.quantize.calibration import CalibrationFile, LayerStatistics
from halo_timing.quantize.estimator import NotFittedError, Quantizer
from halo_timing.quantize.gptq import GptqQuantizer
from halo_timing.quantize.halo import HaloQuantizer
from halo_timing.quantize.model import QuantizeOptions, quantize_checkpoint
from halo_timing.quantize.native import NativeFile
from halo_timing.quantize.plan import Plan, plan_model
from halo_timing.quantize.report import QuantizationReport
from halo_timing.quantize.rtn import RtnQuantizer
from halo_timing.quantize.tensor import QuantizedTensor

__all__ = [
    "CalibrationFile",
    "GptqQuantizer",
    "HaloQuantizer",
    "LayerStatistics",
    "NativeFile",
    "NotFittedError",
    "Plan",
    "QuantizationReport",
    "QuantizeOptions",
    "QuantizedTensor",
    "Quantizer",
    "RtnQuantizer",
    "plan_model",
    "quantize_checkpoint",
]
