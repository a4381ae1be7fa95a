"""One picture: reading and writing it, 16 bits and floats, checks of its file, blending."""
