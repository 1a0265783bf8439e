// Decodes the splats of a .glb with the PlayCanvas engine's own parser: node read_glb.mjs ENGINE FILE.glb OUT.json
import { readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { pathToFileURL } from "node:url";

const [engine, file, out] = process.argv.slice(2);
const folder = join(engine, "build/playcanvas/src/framework/parsers/glb/extensions");
const absolute = (_, path) => `from "${pathToFileURL(join(folder, path))}"`;
const parser = readFileSync(join(folder, "khr-gaussian-splatting.js"), "utf8").replace(/from "(\.[^"]+)"/g, absolute);
const exposed = `${parser}\nexport { createGSplatData };`; // the function that decodes, before anything is drawn
const { createGSplatData } = await import(`data:text/javascript,${encodeURIComponent(exposed)}`);

const data = readFileSync(file);
const jsonSize = data.readUInt32LE(12);
const gltf = JSON.parse(data.toString("utf8", 20, 20 + jsonSize));
const binary = new Uint8Array(data.subarray(28 + jsonSize)); // a copy, aligned
const views = gltf.bufferViews.map((v) => new Uint8Array(binary.buffer, v.byteOffset ?? 0, v.byteLength));
const splats = createGSplatData(gltf.meshes[0].primitives[0], gltf.accessors, views);
const columns = splats.getElement("vertex").properties.map((p) => [p.name, Array.from(p.storage)]);
writeFileSync(out, JSON.stringify({ activated: splats.activated, columns: Object.fromEntries(columns) }));
