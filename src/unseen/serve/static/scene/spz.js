// Gaussians in a .spz file of version 2 or 3: one gzip stream, columns of bytes. Axes right-up-back, as the file has them.

import { gunzip } from "/static/viewer/payload.js";
import { colorOf, makeArrays, shByte } from "./arrays.js";

const MAGIC = 0x5053474e;
const HEADER = 16;
const COLOR_SCALE = 0.15;

export async function readSpz(buffer) {
  const start = new Uint8Array(buffer, 0, 2);
  if (start[0] !== 0x1f || start[1] !== 0x8b) throw new Error("only .spz files of version 2 and 3 are shown");
  const bytes = await gunzip(new Uint8Array(buffer));
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const version = view.getUint32(4, true);
  if (view.getUint32(0, true) !== MAGIC || (version !== 2 && version !== 3)) throw new Error("it is no .spz file");
  const count = view.getUint32(8, true);
  const degree = view.getUint8(12);
  const arrays = makeArrays(count, degree);
  const rest = (degree + 1) ** 2 - 1;
  let at = HEADER;
  const column = (width) => {
    const part = bytes.subarray(at, at + width * count);
    if (part.length < width * count) throw new Error("it is cut off");
    at += width * count;
    return part;
  };
  readMeans(column(9), 2 ** -view.getUint8(13), arrays.means.data);
  column(1).forEach((value, i) => { arrays.opacities.data[i] = value / 255; });
  column(3).forEach((value, i) => { arrays.rgb.data[i] = colorOf((value / 255 - 0.5) / COLOR_SCALE); });
  column(3).forEach((value, i) => { arrays.log_scales.data[i] = value / 16 - 10; });
  if (version === 2) readThreeBytes(column(3), arrays.quats.data);
  else readSmallestThree(column(4), arrays.quats.data);
  if (rest) column(3 * rest).forEach((value, i) => { arrays.sh.data[i] = shByte((value - 128) / 128); });
  return arrays;
}

/** 24 bits with sign, little endian. */
function readMeans(bytes, unit, means) {
  for (let i = 0, at = 0; i < means.length; i++, at += 3) {
    means[i] = (((bytes[at] << 8) | (bytes[at + 1] << 16) | (bytes[at + 2] << 24)) >> 8) * unit;
  }
}

/** x, y, z as bytes; w is what a unit quaternion has left. */
function readThreeBytes(bytes, quats) {
  for (let i = 0, at = 0; i < quats.length; i += 4, at += 3) {
    const [x, y, z] = [bytes[at], bytes[at + 1], bytes[at + 2]].map((value) => value / 127.5 - 1);
    quats.set([Math.sqrt(Math.max(0, 1 - x * x - y * y - z * z)), x, y, z], i);
  }
}

/** Two bits name the largest of x, y, z, w; sign and nine bits hold each of the others, in their order. */
function readSmallestThree(bytes, quats) {
  const xyzw = new Float64Array(4);
  for (let i = 0, at = 0; i < quats.length; i += 4, at += 4) {
    const word = bytes[at] | (bytes[at + 1] << 8) | (bytes[at + 2] << 16) | (bytes[at + 3] << 24);
    const largest = word >>> 30;
    let shift = 20, sum = 0;
    for (let k = 0; k < 4; k++) {
      if (k === largest) continue;
      const part = (word >>> shift) & 1023;
      xyzw[k] = ((part & 512 ? -1 : 1) * (part & 511) * Math.SQRT1_2) / 511;
      sum += xyzw[k] * xyzw[k];
      shift -= 10;
    }
    xyzw[largest] = Math.sqrt(Math.max(0, 1 - sum));
    quats.set([xyzw[3], xyzw[0], xyzw[1], xyzw[2]], i);
  }
}
