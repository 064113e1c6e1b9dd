"""What people hand in: images, masks, DICOM and TIFF files, tables of eyes; no JAX."""
