"""Comparison of several networks on the same cases: plan, runs, statistics, output."""
