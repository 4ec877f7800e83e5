"""The voxel-wise methods with the gradient over all actions at once, in place of A2C's over a sampled one."""
