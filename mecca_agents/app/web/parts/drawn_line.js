// A line while it is drawn by hand, in voxels of the scan: what was drawn beyond the scan lies on its border.
import { between } from "./geometry.js";

const APART = 2; // pixels of the screen from one point to the next, at first
export const MOST_POINTS = 1000; // the server takes no more

export class DrawnLine {
  constructor(shape, voxel, event) {
    this.shape = shape;
    this.points = [];
    this.apart = APART;
    this.add(voxel, event);
  }

  // A point every few pixels, joined by straight lines; where they become too many, every other one goes, and those that
  // follow lie twice as far apart.
  add(voxel, event) {
    if (this.points.length && Math.hypot(event.clientX - this.x, event.clientY - this.y) < this.apart) return;
    if (this.points.length >= MOST_POINTS) {
      this.points = this.points.filter((_, number) => number % 2 === 0);
      this.apart *= 2;
    }
    this.points.push(voxel.map((v, axis) => between(v, 0, this.shape[axis] - 1)));
    [this.x, this.y] = [event.clientX, event.clientY];
  }
}
