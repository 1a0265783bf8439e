// Where the server wants a token: a form for it.

import { signIn } from "./api.js";
import { el } from "./dom.js";

/** `onDone()` is called when the server knows this browser. */
export function showSignIn(onDone) {
  const message = el("p", { class: "notice", role: "alert", hidden: true });
  const input = el("input", { id: "token", type: "password", autocomplete: "current-password", required: true });
  const submit = async (event) => {
    event.preventDefault();
    try {
      await signIn(input.value.trim());
      onDone();
    } catch (error) {
      message.textContent = error.message;
      message.hidden = false;
      input.focus();
    }
  };
  return el("section", { class: "column" }, el("h1", {}, "Sign in"),
    el("p", { class: "lead" }, "This server wants a token. Whoever started it has it."),
    el("form", { class: "sign-in", onsubmit: submit }, el("div", { class: "field" }, el("label", { for: "token" }, "Token"), input),
      el("button", { type: "submit", class: "primary" }, "Sign in")), message);
}
