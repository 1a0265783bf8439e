// Numbers, times and states in words.

export const STATES = {
  QUEUED: "waiting", RUNNING: "running", COMPLETED: "done", FAILED: "failed", CANCELLED: "cancelled",
};

export const isOver = (state) => state === "COMPLETED" || state === "FAILED" || state === "CANCELLED";

export function bytes(count) {
  const units = ["bytes", "kB", "MB", "GB", "TB"];
  let unit = 0;
  let value = count;
  while (value >= 1000 && unit < units.length - 1) [value, unit] = [value / 1000, unit + 1];
  return `${unit && value < 9.95 ? value.toFixed(1) : Math.round(value)} ${units[unit]}`;
}

export function seconds(total) {
  const whole = Math.max(0, Math.round(total));
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
}

/** A moment of the API, in seconds since 1970. */
export function clock(time) {
  return new Date(1000 * time).toLocaleString([], { dateStyle: "medium", timeStyle: "short" });
}

export function capitalised(text) {
  return text ? text[0].toUpperCase() + text.slice(1) : text;
}

/** least_opacity as "Least opacity". */
export function label(name) {
  return capitalised(name.replace(/[_-]/g, " "));
}
