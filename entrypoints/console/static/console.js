// Progressive enhancement of forms: every form also works without JavaScript.
"use strict";

document.documentElement.classList.add("js");

const say = (text) => {
  const live = document.getElementById("live");
  if (live) live.textContent = text;
};

function showBusy(button) {
  button.setAttribute("aria-busy", "true");
  if (button.dataset.busy) [button.dataset.label, button.textContent] = [button.textContent, button.dataset.busy];
  say(button.dataset.busy || document.getElementById("live").dataset.working);
}
// Confirm an action that leaves the page as it is: in the label of its button, and for screen readers.
function showDone(button) {
  (button.querySelector("span") || button).textContent = button.dataset.done;
  say(button.dataset.done);
}

// A form is submitted once, and its button is busy until the next page.
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (event.defaultPrevented) return;
  if (form.dataset.sent) return event.preventDefault();
  form.dataset.sent = "yes";
  if ("download" in form.dataset) download(event);
  else if (event.submitter) showBusy(event.submitter);
});
// A download does not replace the page: the file is fetched, so that its end is known. Another answer is shown as a page.
async function download(event) {
  const form = event.target, button = event.submitter;
  event.preventDefault();
  showBusy(button);
  const body = new URLSearchParams(new FormData(form));
  const response = await fetch(form.action, { method: "POST", body }).catch(() => null);
  const named = /filename="(.+)"/.exec(response?.headers.get("content-disposition") || "");
  if (!named) return form.submit();
  const href = URL.createObjectURL(await response.blob());
  Object.assign(document.createElement("a"), { href, download: named[1] }).click();
  URL.revokeObjectURL(href);
  delete form.dataset.sent;
  button.removeAttribute("aria-busy");
  showDone(button);
}
// The browser's [Back] shows the page as it was left.
window.addEventListener("pageshow", () => {
  document.querySelectorAll("form[data-sent]").forEach((form) => delete form.dataset.sent);
  document.querySelectorAll("[aria-busy]").forEach((button) => {
    button.removeAttribute("aria-busy");
    if (button.dataset.label) button.textContent = button.dataset.label;
  });
  say("");
});

// The rules beside a field are checked during typing; the server validates them again.
function followsOn(text) {
  const steps = [...text.toLowerCase()].map((character, at, all) => {
    const before = all[at - 1] || "";
    const alike = /[a-z]/.test(character) && /[a-z]/.test(before) || /[0-9]/.test(character) && /[0-9]/.test(before);
    const step = alike ? character.charCodeAt(0) - before.charCodeAt(0) : 0;
    return Math.abs(step) === 1 ? step : 0;
  });
  return steps.some((step, at) => step !== 0 && step === steps[at - 1]);
}
function checkRules(input) {
  document.querySelectorAll(`#${input.dataset.rules} [data-rule]`).forEach(({ dataset, classList }) => {
    const kept = dataset.rule === "no-run" ? !followsOn(input.value)
      : dataset.rule === "same" ? input.value === document.getElementById(input.dataset.same).value
      : new RegExp(dataset.rule, "u").test(input.value);
    classList.toggle("kept", input.value !== "" && kept);
    classList.toggle("broken", input.value !== "" && !kept);
  });
}
document.addEventListener("input", ({ target }) => {
  if (target.matches("[data-rules]")) checkRules(target);
  document.querySelectorAll(`[data-same="${target.id}"]`).forEach(checkRules);
});
document.querySelectorAll("[data-rules]").forEach(checkRules);

// Changing the language keeps the entered values of all forms on the page, except passwords.
document.querySelectorAll("button[name=language]").forEach((button) => button.addEventListener("click", () => {
  document.querySelectorAll("main input[id]:not([type=password])").forEach((input) => {
    if (!button.form.id || input.form === button.form) return;
    const copy = Object.assign(document.createElement("input"), { type: "hidden", name: input.name, value: input.value });
    button.form.append(copy);
  });
}));

// The account is in the URL's fragment, which browsers do not send to the server.
document.querySelectorAll("input[data-from-address]").forEach((input) => {
  if (input.value === "") input.value = decodeURIComponent(location.hash.slice(1));
});

document.querySelectorAll("button[data-copy]").forEach((button) => button.addEventListener("click", async () => {
  await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
  showDone(button);
}));

document.querySelectorAll("[data-dismiss]").forEach((button) => button.addEventListener("click", () => button.parentElement.remove()));
