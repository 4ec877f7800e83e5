// What marks look like: those inside are round and have a plus, those outside are square and have a minus.
function circle(r) {
  return `M${-r} 0A${r} ${r} 0 1 1 ${r} 0A${r} ${r} 0 1 1 ${-r} 0Z`;
}

function square(r) {
  return `M${-r} ${-r}H${r}V${r}H${-r}Z`;
}

const LARGE = {
  click: { rim: circle(5.5), body: circle(4.5), sign: "M-8 0H-3M3 0H8M0 -8V-3M0 3V8" },
  inside: { rim: circle(6.5), body: circle(5.5), sign: "M-3 0H3M0 -3V3" },
  outside: { rim: square(6), body: square(5), sign: "M-3 0H3" },
};
const SMALL = {
  click: { rim: circle(2.2), body: circle(1.6) },
  inside: { rim: circle(2.2), body: circle(1.6) },
  outside: { rim: square(2), body: square(1.5) },
};

// The paths of a mark and their colours: what waits for the step is filled, and its sign is dark where it lies on that;
// what was seen is hollow, with a shade below a sign, which would not be found on a bright target.
export function shapeOf({ kind, waiting, small }, colours) {
  const colour = colours[kind];
  const paths = (small ? SMALL : LARGE)[kind];
  if (kind === "click") return { ...paths, colour, ink: colour, fill: waiting ? colour : "none" };
  return { ...paths, colour, ink: waiting ? "#000" : colour, fill: waiting ? colour : "#0007" };
}

const CELL = 8; // pixels of the screen

// Marks on the screen without those small ones that lie below a large one, or too close to another one of their kind, so
// that the scan is still seen between them; zooming in shows the others.
export function apart(marks) {
  const taken = new Set();
  const cells = ({ at }) => at.map((v) => Math.floor(v / CELL));
  for (const mark of marks.filter((mark) => !mark.small)) {
    const [column, row] = cells(mark);
    for (const c of [-1, 0, 1]) for (const r of [-1, 0, 1]) taken.add(`${mark.opacity} ${column + c} ${row + r}`);
  }
  return marks.filter((mark) => {
    if (!mark.small) return true;
    const [column, row] = cells(mark);
    const own = `${mark.kind} ${mark.opacity} ${column} ${row}`;
    if (taken.has(own) || taken.has(`${mark.opacity} ${column} ${row}`)) return false;
    taken.add(own);
    return true;
  });
}
