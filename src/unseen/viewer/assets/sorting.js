// Depth order of the splats, back to front.

export const NEAR = 0.01;

/**
 * Returns a function (means, z) -> Uint32Array: the indices of the splats in front of the camera, farthest first.
 * z holds the third row of world_to_camera. Two counting passes over 16 bits each sort the bits of the depths, which
 * order as the depths do because these are positive. Stands alone: its source is also the worker's.
 */
export function makeSorter(near) {
  const counts = new Uint32Array(65536);
  let keys = new Float32Array(0), first = new Uint32Array(0), second = new Uint32Array(0);
  return function sort(means, z) {
    const total = means.length / 3;
    if (keys.length !== total) {
      keys = new Float32Array(total);
      first = new Uint32Array(total);
      second = new Uint32Array(total);
    }
    const bits = new Uint32Array(keys.buffer);
    let count = 0;
    for (let i = 0, p = 0; i < total; i++, p += 3) {
      const depth = z[0] * means[p] + z[1] * means[p + 1] + z[2] * means[p + 2] + z[3];
      keys[i] = depth;
      if (depth > near) first[count++] = i;
    }
    const pass = (from, to, shift, reverse) => {
      counts.fill(0);
      for (let i = 0; i < count; i++) counts[(bits[from[i]] >>> shift) & 65535]++;
      for (let d = 0, sum = 0; d < 65536; d++) {
        const here = counts[d];
        counts[d] = sum;
        sum += here;
      }
      for (let i = 0; i < count; i++) {
        const place = counts[(bits[from[i]] >>> shift) & 65535]++;
        to[reverse ? count - 1 - place : place] = from[i];
      }
    };
    pass(first, second, 0, false);
    pass(second, first, 16, true);
    return first.subarray(0, count);
  };
}

/** Sorts fixed means in a worker, or on this thread where the browser refuses workers (some do for file://). */
export class BackgroundSorter {
  constructor(means, onOrder) {
    this.means = means;
    this.onOrder = onOrder;
    this.sort = makeSorter(NEAR);
    this.worker = null;
    this.busy = false;
    this.pending = null;
    try {
      const source = `const sort = (${makeSorter.toString()})(${NEAR}); let means;
        onmessage = ({ data }) => {
          if (data.means) { means = data.means; return; }
          const order = sort(means, data.z).slice();
          postMessage(order, [order.buffer]);
        };`;
      const url = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
      this.worker = new Worker(url);
      URL.revokeObjectURL(url);
      this.worker.onmessage = ({ data }) => this.finish(data);
      this.worker.onerror = () => this.abandonWorker();
      this.worker.postMessage({ means });
    } catch {
      this.worker = null;
    }
  }

  /** At once, on this thread. */
  sortNow(z) {
    this.onOrder(this.sort(this.means, z));
  }

  /** Asks for an order; while one is being made, only the latest further wish is kept. */
  request(z) {
    if (!this.worker) this.sortNow(z);
    else if (this.busy) this.pending = z;
    else {
      this.busy = true;
      this.worker.postMessage({ z });
    }
  }

  finish(order) {
    this.busy = false;
    this.onOrder(order);
    if (this.pending) {
      const z = this.pending;
      this.pending = null;
      this.request(z);
    }
  }

  abandonWorker() {
    const z = this.pending;
    this.stop();
    if (z) this.sortNow(z);
  }

  /** Ends the worker. */
  stop() {
    if (this.worker) this.worker.terminate();
    this.worker = null;
    this.busy = false;
    this.pending = null;
  }
}
