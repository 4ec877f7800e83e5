// Three linked views of a scan. Where one looks is known here alone, so that looking around waits for nobody; the
// server is told of boxes, points and commands, and sends everything that is drawn.
import { SliceView } from "mecca-viewer/slice_view.js";
import { between, pixelOf, voxelOf } from "mecca-viewer/geometry.js";

const MOST_ZOOM = 40;

export default {
  components: { SliceView },
  props: [
    "base", "planes", "shape", "spacing", "version", "display", "window", "range", "tool", "marks", "box", "view", "draft",
    "lines", "colours", "hidden", "keys", "goto", "dirty", "radius",
  ],
  emits: ["boxdrawn", "pointset", "scribbledrawn", "lassodrawn", "brushdrawn", "command", "windowset", "failed"],
  template: `
    <div class="mv" :class="{ 'mv-one': alone !== null }" :data-base="base" :data-version="version"
      :data-clicks="marks.length" :data-box="JSON.stringify(box)" :data-draft="JSON.stringify(draft)">
      <slice-view
        v-for="(plane, number) in planes" :key="base + plane.name" :plane="plane" :scene="$props" :cursor="cursor"
        :window="shownWindow" :zoom="zoom" :centre="centre" :active="active === number"
        :class="{ 'mv-gone': alone !== null && alone !== number }"
        @enter="active = number" @cursor="moveTo" @zoomed="zoomAt" @panned="centre = $event" @alone="toggleAlone(number)"
        @windowing="localWindow = $event" @windowset="$emit('windowset', $event)" @boxdrawn="$emit('boxdrawn', $event)"
        @pointset="$emit('pointset', $event)" @scribbledrawn="$emit('scribbledrawn', $event)"
        @lassodrawn="$emit('lassodrawn', $event)" @brushdrawn="$emit('brushdrawn', $event)" @failed="$emit('failed', $event)" />
      <div v-if="!planes.length" class="mv-empty">Open a scan to begin.</div>
      <div class="mv-panel"><slot></slot></div>
    </div>`,
  data() {
    return { cursor: this.middle(), active: 0, alone: null, zoom: 1, centre: this.middle(), localWindow: null };
  },
  computed: {
    shownWindow() {
      return this.localWindow ?? this.window;
    },
  },
  watch: {
    base: "startOver",
    shape(now, before) {
      if (String(now) !== String(before)) this.startOver();
    },
    window() {
      this.localWindow = null;
    },
    goto(voxel) {
      if (voxel) this.moveTo(voxel.slice(0, 3));
    },
  },
  mounted() {
    window.addEventListener("keydown", this.onKey);
    window.addEventListener("beforeunload", this.onLeave);
  },
  unmounted() {
    window.removeEventListener("keydown", this.onKey);
    window.removeEventListener("beforeunload", this.onLeave);
  },
  methods: {
    middle() {
      return (this.shape ?? [1, 1, 1]).map((n) => Math.floor((n - 1) / 2));
    },
    startOver() {
      Object.assign(this, { cursor: this.middle(), centre: this.middle(), zoom: 1, alone: null, localWindow: null });
    },
    moveTo(voxel) {
      this.cursor = voxel.map((v, axis) => between(Math.round(v), 0, this.shape[axis] - 1));
    },
    toggleAlone(number) {
      this.alone = this.alone === null ? number : null;
    },
    zoomAt({ factor, plane, at }) {
      const zoom = between(this.zoom * factor, 1, MOST_ZOOM);
      const share = this.zoom / zoom; // what was under the pointer stays there
      const [c, r] = pixelOf(plane, this.shape, this.centre);
      const moved = voxelOf(plane, this.shape, at[0] + (c - at[0]) * share, at[1] + (r - at[1]) * share, this.centre);
      this.zoom = zoom;
      this.centre = zoom === 1 ? this.middle() : moved;
    },
    go(steps) {
      const plane = this.planes[this.active];
      const voxel = [...this.cursor];
      voxel[plane.axis] += steps;
      this.moveTo(voxel);
    },
    onKey(event) {
      if (!this.planes.length || isTyping(event.target) || document.querySelector(".q-dialog, .q-menu")) return;
      const bracket = "[]".includes(event.key); // many keyboards have these with AltGr or Option alone
      const ctrl = (event.ctrlKey || event.metaKey) && !bracket;
      const letter = event.key.toLowerCase(); // whatever Caps Lock is
      if ((event.altKey && !bracket) || (ctrl && !["z", "y"].includes(letter))) return;
      const named = event.shiftKey && event.key.length > 1 ? `Shift+${event.key}` : event.key;
      const key = ctrl ? `Ctrl+${event.shiftKey ? letter.toUpperCase() : letter}` : named;
      const command = this.keys[key] ?? this.keys[key.toLowerCase()];
      if (!command) return;
      event.preventDefault();
      if (!this.local(command) && !event.repeat) this.$emit("command", command);
    },
    onLeave(event) {
      if (this.dirty) event.preventDefault(); // the browser asks whether to leave what is not saved
    },
    local(command) {
      const plane = this.planes[this.active];
      const zoomBy = (factor) => this.zoomAt({ factor, plane, at: pixelOf(plane, this.shape, this.cursor) });
      const known = {
        next: () => this.go(1),
        previous: () => this.go(-1),
        "next 10": () => this.go(10),
        "previous 10": () => this.go(-10),
        "view 1": () => (this.active = 0),
        "view 2": () => (this.active = 1),
        "view 3": () => (this.active = 2),
        "zoom in": () => zoomBy(1.25),
        "zoom out": () => zoomBy(0.8),
        fit: () => Object.assign(this, { zoom: 1, centre: this.middle() }),
        alone: () => this.toggleAlone(this.active),
      };
      known[command]?.();
      return command in known;
    },
  },
};

function isTyping(element) {
  return element?.isContentEditable || ["INPUT", "TEXTAREA", "SELECT"].includes(element?.tagName)
    || element?.getAttribute?.("role") === "slider";
}
