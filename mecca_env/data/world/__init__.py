"""Where the voxels of a file lie in the world, in millimetres: headers, and whether two grids are one."""
