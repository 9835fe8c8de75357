"""Judging quantized language models, and collecting from them what calibration needs.

Everything here works on models that `transformers` loads, and needs the extra ``quality`` (torch,
transformers); the quantizers themselves do not.
"""
