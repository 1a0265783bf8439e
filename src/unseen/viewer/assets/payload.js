// Unpacks the arrays that unseen/viewer/packing.py embedded: base64 of gzip of byte planes.

const TYPES = { u8: Uint8Array, u16: Uint16Array, i16: Int16Array, u32: Uint32Array, f32: Float32Array };

function fromBase64(text) {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(text);
  const characters = atob(text);
  const bytes = new Uint8Array(characters.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = characters.charCodeAt(i);
  return bytes;
}

export async function gunzip(bytes) {
  if (typeof DecompressionStream === "undefined") {
    throw new Error("This browser is too old to unpack the splats: it lacks DecompressionStream.");
  }
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/** Bytes stored plane by plane (all first bytes, all second bytes, ...) as a typed array. */
function joinPlanes(planes, type, count) {
  const array = new TYPES[type](count);
  const size = array.BYTES_PER_ELEMENT;
  const bytes = new Uint8Array(array.buffer);
  for (let plane = 0; plane < size; plane++) {
    const source = planes.subarray(plane * count, (plane + 1) * count);
    for (let i = 0; i < count; i++) bytes[i * size + plane] = source[i];
  }
  return array;
}

/** Undoes differences along the first axis; typed arrays wrap around as the differences did. */
function accumulate(array, stride) {
  for (let i = stride; i < array.length; i++) array[i] += array[i - stride];
}

/** Whole numbers 0..max spread over [lo, hi], which have one entry or one per last axis. */
export function spread(array, lo, hi) {
  const max = array.BYTES_PER_ELEMENT === 1 ? 255 : 65535;
  const steps = lo.map((low, axis) => (hi[axis] - low) / max);
  const out = new Float32Array(array.length);
  const axes = lo.length;
  for (let i = 0, axis = 0; i < out.length; i++) {
    out[i] = lo[axis] + steps[axis] * array[i];
    if (++axis === axes) axis = 0;
  }
  return out;
}

/** All arrays by name: {data, shape, lo, hi}; `spread` is left to whoever needs floats. */
export async function unpack(manifest, base64) {
  const bytes = await gunzip(fromBase64(base64));
  const arrays = {};
  let offset = 0;
  for (const { name, type, shape, delta, lo, hi } of manifest.arrays) {
    const count = shape.reduce((product, side) => product * side, 1);
    const size = count * TYPES[type].BYTES_PER_ELEMENT;
    const data = joinPlanes(bytes.subarray(offset, offset + size), type, count);
    if (delta) accumulate(data, count / shape[0]);
    arrays[name] = { data, shape, lo, hi };
    offset += size;
  }
  return arrays;
}
