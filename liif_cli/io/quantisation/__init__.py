"""How coarsely lossy files are quantised, as a level from 0 (clean) to 100.

The level of a JPEG is 100 less the quality by which libjpeg scales the tables of the standard;
other formats have the level of the JPEG that loses as much (docs/decisions/0012).
"""
