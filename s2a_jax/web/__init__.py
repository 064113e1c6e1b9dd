"""The web page of `serve`: images in, overlays, numbers and downloads out; nothing is kept."""
