// A line while it is drawn by hand, in voxels of the scan: what was drawn beyond the scan lies on its border.
import { between } from "./geometry.js";

const APART = 2; // pixels of the screen from one point to the next
export const MOST_POINTS = 1000; // the server takes no more

export class DrawnLine {
  constructor(shape, voxel, event) {
    this.shape = shape;
    this.points = [];
    this.add(voxel, event);
  }

  // A point every few pixels; where they become too many, every other one goes: straight lines join them.
  add(voxel, event) {
    if (this.points.length && Math.hypot(event.clientX - this.x, event.clientY - this.y) < APART) return;
    if (this.points.length >= MOST_POINTS) this.points = this.points.filter((_, number) => number % 2 === 0);
    this.points.push(voxel.map((v, axis) => between(v, 0, this.shape[axis] - 1)));
    [this.x, this.y] = [event.clientX, event.clientY];
  }
}
