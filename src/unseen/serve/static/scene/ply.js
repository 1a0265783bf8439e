// Gaussians in a .ply of the original layout: fields by name, binary, little endian.

import { colorOf, makeArrays, shByte, sigmoid } from "./arrays.js";

const READ = {
  float: ["getFloat32", 4], float32: ["getFloat32", 4], double: ["getFloat64", 8], float64: ["getFloat64", 8],
  uchar: ["getUint8", 1], uint8: ["getUint8", 1], char: ["getInt8", 1], int8: ["getInt8", 1],
  short: ["getInt16", 2], int16: ["getInt16", 2], ushort: ["getUint16", 2], uint16: ["getUint16", 2],
  int: ["getInt32", 4], int32: ["getInt32", 4], uint: ["getUint32", 4], uint32: ["getUint32", 4],
};
const LONGEST_HEADER = 1 << 16;
const NEEDED = [
  "x", "y", "z", "rot_0", "rot_1", "rot_2", "rot_3", "scale_0", "scale_1", "scale_2", "opacity",
  "f_dc_0", "f_dc_1", "f_dc_2",
];

function header(buffer) {
  const text = new TextDecoder("latin1").decode(buffer.slice(0, LONGEST_HEADER));
  const end = text.indexOf("end_header\n");
  if (!text.startsWith("ply") || end < 0) throw new Error("it is no .ply file");
  if (!text.includes("format binary_little_endian")) throw new Error("only binary little-endian .ply files are shown");
  const fields = {};
  let count = 0, stride = 0, inside = null;
  for (const line of text.slice(0, end).split("\n")) {
    const words = line.trim().split(/\s+/);
    if (words[0] === "element") {
      if (inside === null && words[1] !== "vertex") throw new Error("its first element is not vertex");
      inside = words[1];
      if (inside === "vertex") count = Number(words[2]);
    } else if (words[0] === "property" && inside === "vertex") {
      if (!READ[words[1]]) throw new Error(`its property ${words[2]} is of type ${words[1]}`);
      fields[words[2]] = { offset: stride, read: READ[words[1]][0] };
      stride += READ[words[1]][1];
    }
  }
  return { fields, count, stride, start: end + "end_header\n".length };
}

export function readPly(buffer) {
  const { fields, count, stride, start } = header(buffer);
  const missing = NEEDED.filter((name) => !fields[name]);
  if (missing.length) throw new Error(`it holds no Gaussians: ${missing.join(", ")} are missing`);
  if (start + count * stride > buffer.byteLength) throw new Error("it is cut off");
  const view = new DataView(buffer, start);
  const rest = Object.keys(fields).filter((name) => name.startsWith("f_rest_")).length / 3;
  const degree = Math.sqrt(rest + 1) - 1;
  const arrays = makeArrays(count, Number.isInteger(degree) && degree <= 3 ? degree : 0);
  const column = (name, put) => {
    const { offset, read } = fields[name];
    for (let i = 0, at = offset; i < count; i++, at += stride) put(i, view[read](at, true));
  };
  const into = (array, names, of = (value) => value) => names.forEach((name, axis) => {
    column(name, (i, value) => { array.data[i * names.length + axis] = of(value); });
  });
  into(arrays.means, ["x", "y", "z"]);
  into(arrays.quats, ["rot_0", "rot_1", "rot_2", "rot_3"]);
  into(arrays.log_scales, ["scale_0", "scale_1", "scale_2"]);
  into(arrays.opacities, ["opacity"], sigmoid);
  into(arrays.rgb, ["f_dc_0", "f_dc_1", "f_dc_2"], colorOf);
  if (arrays.sh) readHarmonics(arrays.sh, arrays.sh.shape[1], column);
  return arrays;
}

/** f_rest is channel-major in the file, coefficient-major in the arrays. */
function readHarmonics(sh, rest, column) {
  for (let channel = 0; channel < 3; channel++) {
    for (let k = 0; k < rest; k++) {
      column(`f_rest_${channel * rest + k}`, (i, value) => { sh.data[(i * rest + k) * 3 + channel] = shByte(value); });
    }
  }
}
