"""Configurations: finding and loading a file, changing fields, filling in recipes, checking."""
