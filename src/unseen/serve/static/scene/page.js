// The splats inside a viewer.html that `unseen` wrote: its data is read, nothing of the page is ever run or parsed as HTML.

import { unpack } from "/static/viewer/payload.js";

/** The text of <script id=… type=…>; neither JSON as it is written there nor base64 holds a "<". */
function scriptText(page, id) {
  const start = page.indexOf(`<script id="${id}"`);
  const begin = page.indexOf(">", start) + 1;
  const end = page.indexOf("<", begin);
  if (start < 0 || begin < 1 || end < 0) throw new Error("this page holds no splats");
  return page.slice(begin, end).trim();
}

export async function readPage(page) {
  const manifest = JSON.parse(scriptText(page, "manifest"));
  return { manifest, arrays: await unpack(manifest, scriptText(page, "payload")) };
}
