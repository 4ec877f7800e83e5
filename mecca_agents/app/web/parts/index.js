export * from "./drawn_line.js";
export * from "./geometry.js";
export * from "./mark_shapes.js";
export * from "./slice_view.js";
