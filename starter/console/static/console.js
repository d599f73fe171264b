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
    const form = new FormData(button.form);
    const asked = new URLSearchParams(["proof", "kind", "group", "domain"].map((name) => [name, form.get(name) || ""]));
    const answer = await fetch(button.dataset.duplicates, { method: "POST", body: asked }).catch(() => null);
    if (answer && answer.ok && !answer.redirected) document.getElementById("duplicates").innerHTML = await answer.text();
    else button.form.requestSubmit();
  });
});

// The cost of cancelling on the chosen date, at once. What is not worked out yet cannot be confirmed.
document.querySelectorAll("form[data-live]").forEach((form) => {
  const date = form.elements.date;
  const quote = document.getElementById("quote");
  const confirms = (heading, cost) => {
    document.querySelectorAll("[data-chosen]").forEach((input) => { input.value = date.value; });
    document.querySelectorAll("[data-cost]").forEach((input) => { input.value = cost; });
    document.querySelectorAll("[data-chosen-text]").forEach((text) => { text.textContent = heading; });
    document.querySelectorAll("button.danger").forEach((button) => { button.disabled = heading === ""; });
  };
  const show = async () => {
    const wanted = date.value;
    confirms("", "");
    quote.setAttribute("aria-busy", "true");
    const answer = await fetch(`${form.dataset.live}?date=${encodeURIComponent(wanted)}`).catch(() => null);
    if (date.value !== wanted) return;
    if (!answer || !answer.ok || answer.redirected) return form.requestSubmit();
    quote.innerHTML = await answer.text();
    quote.removeAttribute("aria-busy");
    const sum = quote.querySelector("[data-penalty]");
    confirms(sum ? quote.querySelector("h3").textContent : "", sum ? sum.dataset.penalty : "");
  };
  date.addEventListener("change", show);
  document.querySelectorAll("a[data-date]").forEach((link) => link.addEventListener("click", (event) => {
    event.preventDefault();
    date.value = link.dataset.date;
    show();
  }));
});

// An account after the # of an address has been sent to no server.
document.querySelectorAll("input[data-from-address]").forEach((input) => {
  if (input.value === "") input.value = decodeURIComponent(location.hash.slice(1));
});

document.querySelectorAll("button[data-copy]").forEach((button) => {
  button.addEventListener("click", () => navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent));
});
