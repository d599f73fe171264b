// What makes forms more comfortable. Every one of them works without it.
"use strict";

document.documentElement.classList.add("js");

// A form is sent once, however often its button is clicked.
document.addEventListener("submit", (event) => {
  const button = event.submitter;
  if (!button || !button.hasAttribute("data-once")) return;
  if (event.target.dataset.sent) event.preventDefault();
  event.target.dataset.sent = "yes";
  button.setAttribute("aria-busy", "true");
});
window.addEventListener("pageshow", () => {
  document.querySelectorAll("form[data-sent]").forEach((form) => delete form.dataset.sent);
});

// Rules that stand beside a field are ticked off while one types; the server judges them again.
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
  const judge = () => rules.forEach((rule) => {
    const kept = rule.dataset.rule === "no-run" ? !followsOn(input.value) : new RegExp(rule.dataset.rule).test(input.value);
    rule.className = input.value === "" ? "" : kept ? "kept" : "broken";
  });
  input.addEventListener("input", judge);
  judge();
});

// [Check for Duplicates] without losing the password that has been typed.
document.querySelectorAll("button[data-duplicates]").forEach((button) => {
  button.addEventListener("click", async (event) => {
    event.preventDefault();
    const typed = () => {
      const form = new FormData(button.form);
      return new URLSearchParams(["proof", "kind", "group", "domain"].map((name) => [name, form.get(name) || ""]));
    };
    const asked = typed();
    const answer = await fetch(button.dataset.duplicates, { method: "POST", body: asked }).catch(() => null);
    const said = answer && answer.ok && !answer.redirected ? await answer.text() : null;
    // Sent as by this button: the form's own one would lead to the next step.
    if (said === null) button.form.requestSubmit(button);
    // A late answer says nothing of what has been typed meanwhile.
    else if (`${asked}` === `${typed()}`) document.getElementById("duplicates").innerHTML = said;
  });
});

// What was said of a name is about that name alone.
document.querySelectorAll("#group, #domain, [name=kind]").forEach((input) => input.addEventListener("input", () => {
  const said = document.getElementById("duplicates");
  if (said) said.textContent = "";
}));

// Another language keeps what was typed: that of the page's other forms too, but no password.
document.querySelectorAll("button[name=language]").forEach((button) => button.addEventListener("click", () => {
  document.querySelectorAll("main input[id]:not([type=password])").forEach((input) => {
    if (!button.form.id || input.form === button.form) return;
    const copy = Object.assign(document.createElement("input"), { type: "hidden", name: input.name, value: input.value });
    button.form.append(copy);
  });
}));

// An account after the # of an address has been sent to no server.
document.querySelectorAll("input[data-from-address]").forEach((input) => {
  if (input.value === "") input.value = decodeURIComponent(location.hash.slice(1));
});

document.querySelectorAll("button[data-copy]").forEach((button) => {
  button.addEventListener("click", () => navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent));
});
