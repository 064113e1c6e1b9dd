"""The jitted step and everything around it: sharding, optimizer, checkpoints, the loop."""
