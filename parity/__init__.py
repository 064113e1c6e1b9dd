"""PyTorch reference of the networks and losses, and programs that compare the package with it.

Run them from the root of a checkout. All but `parity.golden` need the extra `parity`.
"""
