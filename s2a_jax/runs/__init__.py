"""The folder of a run: what lies where, its metrics, and where it was computed."""
