"""Networks as pure-functional Flax (Linen) modules; they import nothing else of this package."""
