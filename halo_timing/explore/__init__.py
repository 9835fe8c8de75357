"""MACs, adders, pipelines, widths, recipes and cells searched together for the fastest."""
