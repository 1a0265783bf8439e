// What the page asks of the server.

/** An answer that is no success; `message` is the server's one line. */
export class ApiError extends Error {
  constructor(message, code, status) {
    super(message);
    this.code = code;
    this.status = status;
  }
}

const UNREACHABLE = "The server does not answer. Is it still running?";

function errorOf(text, status) {
  try {
    const { code, message } = JSON.parse(text).error;
    return new ApiError(message, code, status);
  } catch {
    return new ApiError(`The server answered with status ${status}.`, "unknown", status);
  }
}

async function ask(method, path, headers = {}) {
  let answer;
  try {
    answer = await fetch(path, { method, headers });
  } catch {
    throw new ApiError(UNREACHABLE, "unreachable", 0);
  }
  const text = await answer.text();
  if (!answer.ok) throw errorOf(text, answer.status);
  return text ? JSON.parse(text) : null;
}

const jobPath = (id) => `/v1/jobs/${encodeURIComponent(id)}`;

export const getKinds = async () => (await ask("GET", "/v1/kinds")).kinds;
export const getQueue = () => ask("GET", "/v1/queue");
/** {jobs, next}: the newest, or those before a job. */
export const getJobs = (before = null) => ask("GET", `/v1/jobs${before ? `?before=${encodeURIComponent(before)}` : ""}`);
/** Shows a token once; from then on the browser's cookie stands for it. */
export const signIn = (token) => ask("POST", "/v1/session", { Authorization: `Bearer ${token}` });
export const getJob = (id) => ask("GET", jobPath(id));
export const cancelJob = (id) => ask("POST", `${jobPath(id)}/cancel`);
export const deleteJob = (id) => ask("DELETE", jobPath(id));

/** Address of a result; its name may hold folders. */
export function fileUrl(id, name) {
  return `${jobPath(id)}/files/${name.split("/").map(encodeURIComponent).join("/")}`;
}

/**
 * Sends a job; files: {input name: [File]}. `onProgress(share)` follows the upload. Returns {done, abort}: a promise of
 * the job, and what stops the upload.
 */
export function submitJob(kind, settings, files, onProgress) {
  const body = new FormData();
  body.set("kind", kind);
  body.set("settings", JSON.stringify(settings));
  for (const [name, list] of Object.entries(files)) for (const file of list) body.append(name, file, file.name);
  const request = new XMLHttpRequest();
  const done = new Promise((resolve, reject) => {
    request.upload.onprogress = (event) => event.lengthComputable && onProgress(event.loaded / event.total);
    request.onload = () => {
      if (request.status < 300) resolve(JSON.parse(request.responseText));
      else reject(errorOf(request.responseText, request.status));
    };
    request.onerror = () => reject(new ApiError(UNREACHABLE, "unreachable", 0));
    request.onabort = () => reject(new ApiError("The upload was stopped.", "aborted", 0));
    request.open("POST", "/v1/jobs");
    request.send(body);
  });
  return { done, abort: () => request.abort() };
}

const POLL_MS = 3000;

/**
 * Calls `onEvent(name, data)` for every state, progress, note and preview of a job, and goes on after a lost connection; where
 * the stream is refused it calls `onLost()` every few seconds. Returns what ends it.
 */
export function followJob(id, onEvent, onLost) {
  const source = new EventSource(`${jobPath(id)}/events`);
  let timer = 0;
  for (const name of ["state", "progress", "note", "preview"]) {
    source.addEventListener(name, (event) => onEvent(name, JSON.parse(event.data)));
  }
  source.onerror = () => {
    if (source.readyState === EventSource.CLOSED && !timer) timer = setInterval(onLost, POLL_MS);
  };
  return () => {
    source.close();
    clearInterval(timer);
  };
}
