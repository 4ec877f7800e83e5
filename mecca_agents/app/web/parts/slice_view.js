// One view: a slice with its outlines, marks, box and cross, and what the pointer does on it.
import { DrawnLine } from "./drawn_line.js";
import { between, holds, pixelOf, rectangleOf, sizeOf, voxelOf } from "./geometry.js";
import { Latest } from "./latest.js";
import { apart, shapeOf } from "./mark_shapes.js";

const STILL = 4; // pixels that a click may move
const PAINTING = ["brush", "eraser"];
const NEAR = 2; // slices from which clicks are still seen, faintly

export const SliceView = {
  props: ["plane", "scene", "cursor", "window", "zoom", "centre", "active"],
  emits: [
    "enter", "cursor", "zoomed", "panned", "alone", "windowing", "windowset", "boxdrawn", "pointset", "scribbledrawn",
    "lassodrawn", "brushdrawn", "failed",
  ],
  template: `
    <div class="mv-view" :class="['mv-' + scene.tool, { 'mv-active': active }]" :data-plane="plane.name.toLowerCase()"
      :data-index="index" :data-drawn="drawn" :data-wanted="url" @pointerenter="$emit('enter')">
      <svg ref="svg" role="img" :aria-label="plane.name + ' view, slice ' + (index + 1)" @wheel.prevent="onWheel"
        @pointerdown="onDown" @pointermove="onMove" @pointerup="onUp" @pointercancel="doing = null"
        @pointerleave="hover = null" @contextmenu.prevent>
        <g ref="frame" :transform="transform">
          <image v-if="image" :href="image" :width="size[0]" :height="size[1]" preserveAspectRatio="none"
            :style="{ imageRendering: scale > 6 ? 'pixelated' : 'auto' }" />
          <g v-for="([colour, path], number) in others" :key="'object' + number" opacity="0.75">
            <path :d="path" class="mv-case" :stroke-width="lines.objects.width + 2" :stroke-dasharray="lines.objects.dash" />
            <path :d="path" class="mv-line mv-is-objects" :stroke="colour" :stroke-width="lines.objects.width"
              :stroke-dasharray="lines.objects.dash" />
          </g>
          <template v-for="name in order" :key="name">
            <template v-if="paths[name]">
              <path :d="paths[name]" class="mv-case" :class="'mv-case-' + name" :stroke-width="lines[name].width + 2"
                :stroke-dasharray="lines[name].dash" />
              <path :d="paths[name]" class="mv-line" :class="'mv-is-' + name" :stroke="lines[name].colour"
                :stroke-width="lines[name].width" :stroke-dasharray="lines[name].dash" />
            </template>
          </template>
          <rect v-for="each in rectangles" :key="each.name" :x="each.at[0]" :y="each.at[1]" :width="each.at[2]"
            :height="each.at[3]" class="mv-line" :class="'mv-is-' + each.name" :stroke="each.line.colour"
            :stroke-width="each.line.width" :stroke-dasharray="each.line.dash" :opacity="each.opacity" />
          <path v-if="stroke" :d="stroke.path" class="mv-stroke" :stroke="stroke.colour" :stroke-width="brushWidth" />
        </g>
        <template v-if="cross">
          <line class="mv-cross" :x1="cross[0]" :x2="cross[0]" y1="0" :y2="room[1]" />
          <line class="mv-cross" :y1="cross[1]" :y2="cross[1]" x1="0" :x2="room[0]" />
        </template>
        <g v-for="(mark, number) in marks" :key="number" class="mv-mark" :opacity="mark.opacity"
          :class="['mv-mark-' + mark.kind, { 'mv-mark-small': mark.small }]" :transform="'translate(' + mark.at + ')'">
          <path :d="mark.rim" class="mv-rim" /><path :d="mark.body" :fill="mark.fill" :stroke="mark.colour" />
          <path v-if="mark.sign" :d="mark.sign" :stroke="mark.ink" />
        </g>
        <ellipse v-if="brushAt" class="mv-brush-tip" :cx="brushAt[0]" :cy="brushAt[1]" :rx="brushWidth / 2 * steps[0]"
          :ry="brushWidth / 2 * steps[1]" />
        <template v-if="drawing">
          <path :d="drawing.path" class="mv-case" stroke-width="4" />
          <path :d="drawing.path" class="mv-line mv-drawing" :stroke="drawing.colour" stroke-width="2" />
        </template>
      </svg>
      <span v-for="(word, side) in plane.edges" :key="side" :class="'mv-edge mv-edge-' + side">{{ word }}</span>
      <div class="mv-title">{{ plane.name }} <b>{{ index + 1 }}</b> / {{ count }}</div>
      <button class="mv-alone" type="button" title="This view alone (X)" aria-label="This view alone"
        @click="$emit('alone')"><svg viewBox="0 0 16 16" width="15" height="15"><path
          d="M1 6V1H6M10 1H15V6M15 10V15H10M6 15H1V10" fill="none" stroke="currentColor" stroke-width="1.8" /></svg></button>
      <input class="mv-slider" type="range" min="0" :max="count - 1" :value="index" :aria-label="plane.name + ' slice'"
        @input="slide($event.target.valueAsNumber)" />
    </div>`,
  data() {
    return { image: null, paths: {}, others: [], room: [1, 1], doing: null, hover: null, drawn: "" };
  },
  computed: {
    index() {
      return this.cursor[this.plane.axis];
    },
    count() {
      return this.scene.shape[this.plane.axis];
    },
    size() {
      return sizeOf(this.plane, this.scene.shape);
    },
    lines() {
      return this.scene.lines;
    },
    order() {
      return Object.keys(this.lines).filter((name) => !this.scene.hidden.includes(name));
    },
    scale() {
      return this.steps[0];
    },
    // Pixels of the screen for a pixel of the picture, across and along: millimetres look alike in all directions.
    steps() {
      const [sx, sy] = [this.scene.spacing[this.plane.right], this.scene.spacing[this.plane.up]];
      const fit = Math.min((this.room[0] - 24) / (this.size[0] * sx), (this.room[1] - 24) / (this.size[1] * sy));
      return [fit * this.zoom * sx, fit * this.zoom * sy];
    },
    origin() {
      const [c, r] = pixelOf(this.plane, this.scene.shape, this.centre);
      return [this.room[0] / 2 - c * this.steps[0], this.room[1] / 2 - r * this.steps[1]];
    },
    transform() {
      return `translate(${this.origin}) scale(${this.steps})`;
    },
    cross() {
      return this.scene.hidden.includes("cross") ? null : this.onScreen(this.cursor);
    },
    url() {
      const { base, version, display } = this.scene;
      const query = new URLSearchParams({ ...display, low: this.window[0], high: this.window[1], version });
      return `${base}/slice/${this.plane.name.toLowerCase()}/${this.index}?${query}`;
    },
    rectangles() {
      const drag = this.doing?.kind === "box" ? this.doing.extents : null;
      const { box, view, draft, hidden, shape } = this.scene;
      const shown = drag ?? draft ?? box;
      return [["view", view, 0.9], ["box", shown, 1]]
        .filter(([name, extents]) => extents && !hidden.includes(name))
        .map(([name, extents, opacity]) => ({
          name, at: rectangleOf(this.plane, shape, extents), line: this.lines[name],
          opacity: holds(extents[this.plane.axis], this.index) ? opacity : 0.35,
        }))
        .filter((each) => each.at);
    },
    marks() {
      if (this.scene.hidden.includes("clicks")) return [];
      const near = this.scene.marks
        .map((mark) => ({ ...mark, away: Math.abs(Math.round(mark.point[this.plane.axis]) - this.index) }))
        .filter((mark) => mark.away <= NEAR)
        .map((mark) => ({
          ...mark, ...shapeOf(mark, this.scene.colours), at: this.onScreen(mark.point), opacity: mark.away ? 0.35 : 1,
        }));
      return apart(near);
    },
    // Of the brush, in pixels of the picture: one voxel at least.
    brushWidth() {
      return Math.max(2 * this.scene.radius, 1);
    },
    brushAt() {
      return PAINTING.includes(this.scene.tool) ? this.hover : null;
    },
    stroke() {
      const { line, inside, kind } = this.doing ?? {};
      if (!line || !PAINTING.includes(kind)) return null;
      const at = line.points.map((point) => pixelOf(this.plane, this.scene.shape, point));
      return { path: `M${at.join("L")}L${at.at(-1)}`, colour: inside ? this.lines.mask.colour : "#000" };
    },
    drawing() {
      const { line, still, inside, kind } = this.doing ?? {};
      if (!line || still || PAINTING.includes(kind)) return null;
      const path = `M${line.points.map((point) => this.onScreen(point)).join("L")}${kind === "lasso" ? "Z" : ""}`;
      return { path, colour: this.scene.colours[inside ? "inside" : "outside"] };
    },
  },
  watch: {
    url: "load",
  },
  mounted() {
    this.latest = new Latest(
      (answer, url) => {
        this.image = answer.image;
        this.paths = answer.paths;
        this.others = answer.objects;
        this.drawn = url;
      },
      (message) => this.$emit("failed", message),
    );
    this.watching = new ResizeObserver(([entry]) => (this.room = [entry.contentRect.width, entry.contentRect.height]));
    this.watching.observe(this.$refs.svg);
    this.load();
  },
  unmounted() {
    this.latest.stop();
    this.watching.disconnect();
  },
  methods: {
    load() {
      this.latest.want(this.url);
    },
    onScreen(voxel) {
      const [c, r] = pixelOf(this.plane, this.scene.shape, voxel);
      return [this.origin[0] + c * this.steps[0], this.origin[1] + r * this.steps[1]];
    },
    pixelAt(event) {
      const { left, top } = this.$refs.svg.getBoundingClientRect();
      return [
        (event.clientX - left - this.origin[0]) / this.steps[0],
        (event.clientY - top - this.origin[1]) / this.steps[1],
      ];
    },
    voxelAt(event, depth = this.cursor) {
      return voxelOf(this.plane, this.scene.shape, ...this.pixelAt(event), depth);
    },
    slide(index) {
      const voxel = [...this.cursor];
      voxel[this.plane.axis] = index;
      this.$emit("cursor", voxel);
    },
    onWheel(event) {
      const up = event.deltaY < 0;
      if (event.ctrlKey || event.metaKey) {
        this.$emit("zoomed", { factor: up ? 1.2 : 1 / 1.2, plane: this.plane, at: this.pixelAt(event) });
      } else if (event.deltaY) {
        this.slide(this.index + (up ? 1 : -1));
      }
    },
    onDown(event) {
      const kind = kindOf(event, this.scene.tool);
      if (!kind) return;
      event.preventDefault();
      this.$refs.svg.setPointerCapture(event.pointerId);
      const from = this.voxelAt(event);
      this.doing = {
        kind, from, x: event.clientX, y: event.clientY, still: true, centre: this.centre, window: this.window,
        extents: null, inside: sideOf(event, this.scene.tool),
        line: ["inside", "outside", "lasso", ...PAINTING].includes(kind) ? new DrawnLine(this.scene.shape, from, event) : null,
      };
      if (kind === "move") this.$emit("cursor", this.doing.from);
    },
    onMove(event) {
      const doing = this.doing;
      this.hover = this.onScreen(this.voxelAt(event));
      if (!doing) return;
      const [dx, dy] = [event.clientX - doing.x, event.clientY - doing.y];
      doing.still = doing.still && Math.hypot(dx, dy) < STILL;
      if (doing.kind === "move") this.$emit("cursor", this.voxelAt(event));
      if (doing.kind === "pan") this.$emit("panned", this.moved(doing.centre, dx, dy));
      if (doing.kind === "window" && !doing.still) this.$emit("windowing", this.windowed(doing.window, dx, dy));
      if (doing.kind === "box" && !doing.still) doing.extents = this.extentsTo(doing.from, this.voxelAt(event));
      doing.line?.add(this.voxelAt(event, doing.from), event); // on one slice, whatever the wheel does meanwhile
    },
    onUp(event) {
      const doing = this.doing;
      this.doing = null;
      if (!doing) return;
      const end = this.voxelAt(event);
      if (doing.kind === "window" && !doing.still) this.$emit("windowset", this.window);
      if (doing.kind === "box" && !doing.still) {
        this.$emit("boxdrawn", { axis: this.plane.axis, start: doing.from, end });
      }
      if (doing.kind === "click" && doing.still) this.$emit("pointset", { point: doing.from, inside: null });
      if (PAINTING.includes(doing.kind)) {
        const { line, inside } = doing;
        this.$emit("brushdrawn", { points: line.points, axis: this.plane.axis, radius: this.scene.radius, inside });
      } else if (doing.inside !== null) this.mark(doing);
    },
    // With a tool that has sides: a press that did not move is a point, with the right button, too; another one a line.
    mark({ kind, from, still, inside, line }) {
      if (kind === "lasso") {
        if (!still) this.$emit("lassodrawn", { points: line.points, inside });
      } else if (still && kind !== "pan") {
        this.$emit("pointset", { point: from, inside });
      } else if (line) {
        this.$emit("scribbledrawn", { points: line.points, inside });
      }
    },
    moved(centre, dx, dy) {
      const [c, r] = pixelOf(this.plane, this.scene.shape, centre);
      const [across, along] = this.size;
      const pixel = [between(c - dx / this.steps[0], 0, across), between(r - dy / this.steps[1], 0, along)];
      return voxelOf(this.plane, this.scene.shape, ...pixel, centre);
    },
    // To the right is wider, up is darker: what was in the middle of the greys moves up with the level.
    windowed([low, high], dx, dy) {
      const [least, most] = this.scene.range;
      const unit = (most - least) / 400;
      const width = Math.max(high - low + dx * unit, unit);
      const level = (low + high) / 2 - dy * unit;
      return [level - width / 2, level + width / 2];
    },
    // What is drawn at the moment; along the view's own axis as it was.
    extentsTo(from, to) {
      const extents = [...(this.scene.draft ?? this.scene.box ?? [null, null, null])];
      for (const axis of [this.plane.right, this.plane.up]) {
        const [low, high] = [from[axis], to[axis]].sort((a, b) => a - b);
        const most = this.scene.shape[axis];
        extents[axis] = [between(Math.floor(low + 0.5), 0, most), between(Math.ceil(high + 0.5), 0, most)];
      }
      return extents;
    },
  },
};

function kindOf(event, tool) {
  if (event.button === 2) return "window";
  if (event.button === 1 || (event.button === 0 && event.shiftKey)) return "pan";
  return event.button === 0 ? tool : null;
}

// Which side of the target's border is marked, or null with a tool that has no sides; a brush paints inside, an eraser
// outside. The other side than the tool's is
// marked by the right button, and with Ctrl or Alt held (the command key on a Mac, where Ctrl + click is a right click).
function sideOf(event, tool) {
  if (!["inside", "outside", "lasso", ...PAINTING].includes(tool)) return null;
  if (event.button === 2 && ["lasso", ...PAINTING].includes(tool)) return null;
  const other = event.button === 2 || event.ctrlKey || event.altKey || event.metaKey;
  return !["outside", "eraser"].includes(tool) !== other;
}
