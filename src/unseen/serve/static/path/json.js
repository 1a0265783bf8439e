// Camera paths as FlashWorld's JSON: cameras to world, OpenGL axes, quaternion wxyz, intrinsics in pixels.

const TOLERANCE = 1e-3; // of a quaternion's length
const MOST_CAMERAS = 2000;

/** The request of a path: frames of `width` x `height` pixels. */
export function toJson(frames, width, height) {
  return {
    image_prompt: null, text_prompt: "", image_index: 0, resolution: [frames.length, height, width],
    cameras: frames.map(({ position, rotation, fovY }) => {
      const focal = (0.5 * height) / Math.tan(0.5 * fovY);
      return { quaternion: rotation, position, fx: focal, fy: focal, cx: width / 2, cy: height / 2 };
    }),
  };
}

const numbers = (value, count) => Array.isArray(value) && value.length === count && value.every(Number.isFinite);

/** Keys, size and the whole content of a request or a bare list of cameras; raises an Error in one line. */
export function fromJson(text) {
  let content;
  try {
    content = JSON.parse(text);
  } catch {
    throw new Error("The file is not JSON.");
  }
  const list = Array.isArray(content) ? content : content?.cameras;
  if (!Array.isArray(list) || !list.length) throw new Error("The file holds no list of cameras.");
  if (list.length > MOST_CAMERAS) throw new Error(`The file holds ${list.length} cameras: at most ${MOST_CAMERAS} are shown.`);
  const size = numbers(content.resolution, 3) ? { height: content.resolution[1], width: content.resolution[2] }
    : { width: Math.round(2 * list[0]?.cx) || 0, height: Math.round(2 * list[0]?.cy) || 0 };
  if (!(size.width > 0 && size.height > 0)) throw new Error("The file tells no size: expected resolution [views, height, width].");
  const keys = list.map((camera, index) => keyOf(camera, index, size));
  return { keys, ...size, content: Array.isArray(content) ? {} : content };
}

function keyOf(camera, index, { height }) {
  const fail = (what) => { throw new Error(`Camera ${index}: ${what}.`); };
  if (!camera || typeof camera !== "object") fail("expected an object with quaternion, position, fx, fy, cx, cy");
  const { quaternion, position, fy, cy } = camera;
  if (!numbers(quaternion, 4)) fail("its quaternion is not four numbers");
  if (!numbers(position, 3)) fail("its position is not three numbers");
  const length = Math.hypot(...quaternion);
  if (Math.abs(length - 1) > TOLERANCE) fail(`its quaternion has length ${length.toPrecision(3)}, expected 1`);
  if (!(fy > 0)) fail("its focal length fy is not a positive number");
  const seen = cy > 0 ? 2 * cy : height; // pixels of the picture, which may be larger than the views
  return { position, rotation: quaternion.map((q) => q / length), fovY: 2 * Math.atan((0.5 * seen) / fy) };
}

/** The picture of a data URL as a file; null where the text is none. */
export function fromDataUrl(text) {
  const found = /^data:image\/(png|jpeg|webp);base64,/.exec(text);
  if (!found) return null;
  const characters = atob(text.slice(found[0].length));
  const bytes = Uint8Array.from(characters, (character) => character.charCodeAt(0));
  return new File([bytes], `picture.${found[1] === "jpeg" ? "jpg" : found[1]}`, { type: `image/${found[1]}` });
}
