"""MACs, adders, pipelines, widths, recipes and cells searched together: which is fastest for which codebooks."""
