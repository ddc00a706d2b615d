"""Measurements that answer one question each; `python -m benchmarks` lists them."""
