"""Reconciling: the record against itself and against Temporal, and the repairs that are safe."""
