// Progressive enhancement of forms: every form also works without JavaScript.
"use strict";

document.documentElement.classList.add("js");

const say = (text) => {
  const live = document.getElementById("live");
  if (live) live.textContent = text;
};

// A form is submitted once, and its button is busy until the next page. A download leaves the page as it is.
document.addEventListener("submit", (event) => {
  const form = event.target, button = event.submitter;
  if ("download" in form.dataset || event.defaultPrevented) return;
  if (form.dataset.sent) return event.preventDefault();
  form.dataset.sent = "yes";
  if (!button) return;
  button.setAttribute("aria-busy", "true");
  if (button.dataset.busy) [button.dataset.label, button.textContent] = [button.textContent, button.dataset.busy];
  say(button.dataset.busy || document.getElementById("live").dataset.working);
});
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
document.querySelectorAll("input[data-rules]").forEach((input) => {
  const rules = document.querySelectorAll(`#${input.dataset.rules} [data-rule]`);
  const validate = () => rules.forEach((rule) => {
    const kept = rule.dataset.rule === "no-run" ? !followsOn(input.value) : new RegExp(rule.dataset.rule).test(input.value);
    rule.className = input.value === "" ? "" : kept ? "kept" : "broken";
  });
  input.addEventListener("input", validate);
  validate();
});

// [Check for Duplicates] without a page load, which would clear the password field.
document.querySelectorAll("button[data-duplicates]").forEach((button) => {
  button.addEventListener("click", async (event) => {
    event.preventDefault();
    const typed = () => {
      const form = new FormData(button.form);
      return new URLSearchParams(["csrf_token", "kind", "group", "domain"].map((name) => [name, form.get(name) || ""]));
    };
    const request = typed();
    const response = await fetch(button.dataset.duplicates, { method: "POST", body: request }).catch(() => null);
    const html = response && response.ok && !response.redirected ? await response.text() : null;
    // Submit with this button; the form's default button would lead to the next step.
    if (html === null) button.form.requestSubmit(button);
    // A late response is ignored if the name has changed since the request.
    else if (`${request}` === `${typed()}`) document.getElementById("duplicates").innerHTML = html;
  });
});

// A changed name clears the result of [Check for Duplicates].
document.querySelectorAll("#group, #domain, [name=kind]").forEach((input) => input.addEventListener("input", () => {
  const result = document.getElementById("duplicates");
  if (result) result.textContent = "";
}));

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
  const label = button.querySelector("span") || button;
  await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
  if (!button.dataset.copied) return;
  label.textContent = button.dataset.copied;
  say(button.dataset.copied);
}));

document.querySelectorAll("[data-dismiss]").forEach((button) => button.addEventListener("click", () => button.parentElement.remove()));
