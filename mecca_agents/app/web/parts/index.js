export * from "./geometry.js";
export * from "./slice_view.js";
