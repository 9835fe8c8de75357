"""What levels are worth to an accelerator: time and energy of a transformer's linear layers.

Models, all of them: cycles are counted, clocks and MAC energies come from characterised netlists, and what is
neither is a documented constant. Linear layers only; attention scores, norms and embeddings are left out.
"""
