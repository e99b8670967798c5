"""The image formats that are accepted. Imports nothing, because every command needs the names."""

# Pillow's names of the formats whose decoders run inside the process. Others are never tried: EPS, for example, starts
# ghostscript. MPO is JPEG with further images, from cameras with two lenses and phones that add a gain map. HEIF is
# opened if the extra is installed.
FORMATS = ("JPEG", "MPO", "PNG", "GIF", "WEBP", "BMP", "TIFF", "AVIF", "HEIF")
