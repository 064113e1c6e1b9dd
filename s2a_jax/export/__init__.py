"""Networks as files for other runtimes, checked against the original when they are written."""
