// Draws the path over the scene: floor, what is looked at, cameras, the line they follow.

import { add, axesOf, dot } from "./math.js";

const GRID_CELLS = 8;
const FRUSTUM = 0.14; // its depth, in distances to the thing looked at
const HANDLE = 7;
const NEAR = 1e-3;

/** A point of the world in canvas pixels and depth. */
export function projected({ rows, translation, focal, center }, point) {
  const [x, y, depth] = rows.map((row, i) => dot(row, point) + translation[i]);
  return { x: (focal[0] * x) / depth + center[0], y: (focal[1] * y) / depth + center[1], depth };
}

/** The part of a line in front of the camera, stroked. */
function line(context, matrices, a, b, near) {
  const depth = (p) => dot(matrices.rows[2], p) + matrices.translation[2];
  const [da, db] = [depth(a), depth(b)];
  if (da <= near && db <= near) return;
  const cut = (p, q, dp, dq) => add(p, add(q, p, -1), (near - dp) / (dq - dp));
  const from = projected(matrices, da > near ? a : cut(a, b, da, db));
  const to = projected(matrices, db > near ? b : cut(b, a, db, da));
  context.moveTo(from.x, from.y);
  context.lineTo(to.x, to.y);
}

function lines(context, matrices, pairs, near, style, width) {
  context.beginPath();
  for (const [a, b] of pairs) line(context, matrices, a, b, near);
  context.strokeStyle = style;
  context.lineWidth = width;
  context.stroke();
}

/** A level floor below the anchor and a cross at what it looks at. */
function surroundings(context, matrices, { anchor, ahead }, colors, near) {
  const { right, up, back } = axesOf(anchor.rotation);
  const target = add(anchor.position, back, -ahead);
  const floor = add(target, up, -0.4 * ahead);
  const cell = (2 * ahead) / GRID_CELLS;
  const at = (i, j) => add(add(floor, right, (i - GRID_CELLS / 2) * cell), back, (j - GRID_CELLS / 2) * cell);
  const grid = [];
  for (let i = 0; i <= GRID_CELLS; i++) grid.push([at(i, 0), at(i, GRID_CELLS)], [at(0, i), at(GRID_CELLS, i)]);
  lines(context, matrices, grid, near, colors.grid, 1);
  const size = 0.08 * ahead;
  const cross = [right, up, back].map((axis) => [add(target, axis, -size), add(target, axis, size)]);
  lines(context, matrices, cross, near, colors.thing, 1.5);
}

function frustum(camera, size, aspect) {
  const { right, up, back } = axesOf(camera.rotation);
  const half = size * Math.tan(camera.fovY / 2);
  const middle = add(camera.position, back, -size);
  const corner = (x, y) => add(add(middle, right, x * half * aspect), up, y * half);
  const corners = [corner(-1, -1), corner(1, -1), corner(1, 1), corner(-1, 1)];
  return [...corners.map((c) => [camera.position, c]), ...corners.map((c, i) => [c, corners[(i + 1) % 4]]),
    [corner(-0.25, 1), corner(0, 1.35)], [corner(0.25, 1), corner(0, 1.35)]];
}

/**
 * model: {keys, frames, selected, anchor, ahead, aspect, width, height}; eye: {matrices}. With `through`, a rectangle in
 * canvas pixels, the picture's border is drawn instead of the cameras.
 */
export function drawOverlay(context, eye, model, colors, { width, height, through = null, scene = false }) {
  const matrices = eye.matrices(width, height);
  const near = NEAR * model.ahead;
  context.clearRect(0, 0, width, height);
  if (!scene) surroundings(context, matrices, model, colors, near);
  if (through) {
    shade(context, through, width, height, colors);
    return [];
  }
  const pairs = model.frames.slice(1).map((frame, i) => [model.frames[i].position, frame.position]);
  lines(context, matrices, pairs, near, colors.path, 2);
  const handles = model.keys.map((key, index) => {
    const chosen = index === model.selected;
    const style = chosen ? colors.chosen : colors.camera;
    lines(context, matrices, frustum(key, FRUSTUM * model.ahead, model.aspect), near, style, chosen ? 2.5 : 1.4);
    return { index, ...projected(matrices, key.position) };
  }).filter(({ depth }) => depth > near);
  for (const handle of handles) dot2d(context, handle, handle.index === model.selected, colors);
  return handles;
}

function dot2d(context, { x, y, index }, chosen, colors) {
  context.beginPath();
  context.arc(x, y, chosen ? HANDLE + 2 : HANDLE, 0, 2 * Math.PI);
  context.fillStyle = chosen ? colors.chosen : colors.camera;
  context.fill();
  context.fillStyle = colors.back;
  context.font = "600 10px system-ui, sans-serif";
  context.textAlign = "center";
  context.textBaseline = "middle";
  context.fillText(String(index + 1), x, y + 0.5);
}

/** Darkens what the picture does not show. */
function shade(context, [x, y, w, h], width, height, colors) {
  context.fillStyle = colors.shade;
  context.beginPath();
  context.rect(0, 0, width, height);
  context.rect(x, y, w, h);
  context.fill("evenodd");
  context.strokeStyle = colors.path;
  context.lineWidth = 1;
  context.strokeRect(x + 0.5, y + 0.5, w - 1, h - 1);
}

/** The key whose handle is at a point of the canvas; null where none is. */
export function handleAt(handles, x, y) {
  let best = null;
  for (const handle of handles) {
    if (Math.hypot(handle.x - x, handle.y - y) < 2 * HANDLE && (!best || handle.depth < best.depth)) best = handle;
  }
  return best;
}
