"""PyTorch reference of the networks and losses (needs the extra `parity`)."""
