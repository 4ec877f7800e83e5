// Points of a view: pixel (c, r) of its picture, counted from the left and the top, and voxels of the scan. A pixel
// reaches from c to c + 1, voxel i from i - 0.5 to i + 0.5.

export function between(value, low, high) {
  return Math.min(Math.max(value, low), high);
}

export function sizeOf(plane, shape) {
  return [shape[plane.right], shape[plane.up]];
}

export function pixelOf(plane, shape, voxel) {
  const [across, along] = sizeOf(plane, shape);
  const x = voxel[plane.right] + 0.5;
  const y = voxel[plane.up] + 0.5;
  return [plane.flip_right ? across - x : x, plane.flip_up ? y : along - y];
}

// The voxel at a pixel; along the view's own axis that of `depth`.
export function voxelOf(plane, shape, c, r, depth) {
  const [across, along] = sizeOf(plane, shape);
  const voxel = [...depth];
  voxel[plane.right] = (plane.flip_right ? across - c : c) - 0.5;
  voxel[plane.up] = (plane.flip_up ? r : along - r) - 0.5;
  return voxel;
}

// The rectangle of a box [low, high), of which an extent may be missing (null): [c, r, width, height] or null.
export function rectangleOf(plane, shape, extents) {
  const wide = extents[plane.right];
  const tall = extents[plane.up];
  if (!wide || !tall) return null;
  const corner = (a, b) => {
    const voxel = [0, 0, 0];
    voxel[plane.right] = a - 0.5;
    voxel[plane.up] = b - 0.5;
    return pixelOf(plane, shape, voxel);
  };
  const [c0, r0] = corner(wide[0], tall[0]);
  const [c1, r1] = corner(wide[1], tall[1]);
  return [Math.min(c0, c1), Math.min(r0, r1), Math.abs(c1 - c0), Math.abs(r1 - r0)];
}

export function holds(extent, index) {
  return !extent || (index >= extent[0] && index < extent[1]);
}
