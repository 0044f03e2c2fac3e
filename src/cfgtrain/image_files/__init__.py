"""Image files: reading and writing pictures with their orientation, bit depth, transparency and metadata."""
