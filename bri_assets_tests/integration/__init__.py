"""The parts together: real processes, real models, real files."""
