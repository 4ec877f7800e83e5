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

// The paths of a mark and their colours: what waits for the step is filled, and its sign is dark where it lies on that.
export function shapeOf({ kind, waiting, small }, colours) {
  const colour = colours[kind];
  const ink = waiting && kind !== "click" ? "#000" : colour;
  return { ...(small ? SMALL : LARGE)[kind], colour, ink, fill: waiting ? colour : "none" };
}
