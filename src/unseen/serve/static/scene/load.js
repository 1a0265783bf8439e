// Files of splats as what the viewer's stage shows: {manifest: {view, fps}, arrays}.

import { readPage } from "./page.js";
import { readPly } from "./ply.js";
import { readSplat } from "./splat.js";
import { readSpz } from "./spz.js";
import { framed } from "./frame.js";

const DOWN = [0, -1, 0]; // up in files that have y down
const READERS = {
  ".ply": { read: readPly, up: DOWN },
  ".spz": { read: readSpz, up: [0, 1, 0] },
  ".splat": { read: readSplat, up: DOWN },
};
const PREFERRED = [".html", ".spz", ".ply", ".splat"];

const suffixOf = (name) => name.slice(name.lastIndexOf(".")).toLowerCase();

/** Whether a file dropped on the page can be shown. */
export const showable = (name) => suffixOf(name) in READERS && !name.endsWith(".compressed.ply");

/** The one of a job's files that shows most; null where none does. */
export function bestScene(files) {
  const rank = ({ name }) => {
    const place = PREFERRED.indexOf(suffixOf(name));
    return place < 0 || name.endsWith(".compressed.ply") || name.includes("/") ? Infinity : place;
  };
  const best = [...files].sort((a, b) => rank(a) - rank(b))[0];
  return best && rank(best) < Infinity ? best : null;
}

/** Raises an Error that says why where a file cannot be shown. */
export async function loadSplats(name, buffer) {
  const suffix = suffixOf(name);
  if (suffix === ".html") return readPage(new TextDecoder().decode(buffer));
  if (!READERS[suffix]) throw new Error(`files that end in ${suffix} are not shown here`);
  const { read, up } = READERS[suffix];
  const arrays = await read(buffer);
  if (!arrays.means.shape[0]) throw new Error("it holds no splats");
  return { manifest: { view: framed(arrays.means.data, up), fps: 0 }, arrays };
}
