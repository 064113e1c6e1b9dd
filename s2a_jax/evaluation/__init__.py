"""How good predictions are: counts on the device, metrics on the host, pictures."""
