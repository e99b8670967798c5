"""The image formats that are accepted. Imports nothing, because every command needs the names."""

# Pillow's names of the formats whose decoders run inside the process. No other (EPS among them starts ghostscript) is
# ever tried. MPO is what cameras with two lenses and phones with a gain map make of JPEG. HEIF is opened if the extra
# is installed.
FORMATS = ("JPEG", "MPO", "PNG", "GIF", "WEBP", "BMP", "TIFF", "AVIF", "HEIF")
