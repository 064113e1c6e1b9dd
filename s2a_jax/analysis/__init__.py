"""From one image to masks, biomarkers, quality and confidence; the same for every front end."""
