"""VLSBench inside other harnesses: Inspect, lmms-eval."""
