// Progressive enhancement of the request wizard: each step also works without JavaScript.
"use strict";

// The price while the user types: members × price, as in price_estimate.py. The server calculates it again.
function estimate() {
  const form = document.querySelector("form[data-estimate]");
  if (!form) return;
  const typed = form.members.value.trim(), members = /^[0-9]+$/.test(typed) ? Number(typed) : 0;
  const known = members >= 1 && members <= Number(form.dataset.most);
  const won = (amount) => form.dataset.won.replace("0", amount.toLocaleString("en-US"));
  const fill = (part, card) => {
    const annual = members * Number(card.dataset.annual), list = members * Number(card.dataset.list);
    const amounts = { plan: card.dataset.plan, members: known ? members.toLocaleString("en-US") : "–",
      annual_month: won(annual), list_month: won(list), annual_saving: won(12 * (list - annual)) };
    part.querySelectorAll("[data-amount]").forEach((place) => { place.textContent = amounts[place.dataset.amount]; });
    part.querySelectorAll(".amounts, .sum-panel").forEach((place) => place.classList.toggle("unknown", !known));
  };
  form.querySelectorAll("[data-plan]").forEach((card) => fill(card, card));
  fill(form.querySelector(".estimate"), form.querySelector("[name=plan]:checked").closest("[data-plan]"));
}
document.addEventListener("input", estimate);
// The browser restores fields when the user comes back to a page.
window.addEventListener("pageshow", estimate);

// [Check for Duplicates] without a page load, which would clear the password fields.
document.addEventListener("click", async (event) => {
  const button = event.target.closest("button[data-duplicates]");
  if (!button) return;
  event.preventDefault();
  const typed = () => {
    const form = new FormData(button.form);
    return new URLSearchParams(["csrf_token", "kind", "group", "domain"].map((name) => [name, form.get(name) || ""]));
  };
  const request = typed();
  button.setAttribute("aria-busy", "true");
  const response = await fetch(button.dataset.duplicates, { method: "POST", body: request }).catch(() => null);
  const html = response && response.ok && !response.redirected ? await response.text() : null;
  button.removeAttribute("aria-busy");
  // Submit with this button; the form's default button would lead to the next step.
  if (html === null) button.form.requestSubmit(button);
  // A late response is ignored if the name has changed since the request.
  else if (`${request}` === `${typed()}`) document.getElementById("duplicates").innerHTML = html;
});

// A changed name clears the result of [Check for Duplicates], and is part of the administrator's account.
document.addEventListener("input", ({ target }) => {
  if (!target.matches("#group, #domain, [name=kind]")) return;
  document.getElementById("duplicates").textContent = "";
  const form = new FormData(target.form);
  document.querySelector("[data-account]").textContent = form.get(form.get("kind").toLowerCase());
});

// Passwords stay while another field has an error. The server neither stores nor returns a password (R7), and a page
// load clears it. The form is therefore validated by a request in the background. If a field is wrong, the page is
// replaced by that of the response, and the passwords are set again. They are only in variables of this function:
// sessionStorage, the history and the disk would outlive the page. A valid form is then submitted as without a script.
// So is one that cannot be validated, such as after the end of the session.
document.addEventListener("submit", async (event) => {
  const form = event.target, button = event.submitter;
  if (!("keepsPasswords" in form.dataset) || (button && button.name) || form.dataset.valid) return;
  event.preventDefault();
  event.stopImmediatePropagation();
  if (form.dataset.validating) return;
  form.dataset.validating = "yes";
  if (button) button.setAttribute("aria-busy", "true");
  const body = new URLSearchParams(new FormData(form));
  body.set("do", "validate");
  const response = await fetch(location.href, { method: "POST", body }).catch(() => null);
  const html = response && response.status === 422 && !response.redirected ? await response.text().catch(() => null) : null;
  delete form.dataset.validating;
  if (button) button.removeAttribute("aria-busy");
  document.getElementById("not-sent").hidden = response !== null;
  if (response === null) return;
  if (html === null) {
    form.dataset.valid = "yes";
    form.requestSubmit(button);
    delete form.dataset.valid;
    return;
  }
  const fresh = new DOMParser().parseFromString(html, "text/html");
  // The other fields as well: the user may have typed meanwhile.
  const typed = [...form.querySelectorAll("input[id]")].map(({ id, value }) => [id, value]);
  document.title = fresh.title;
  document.getElementById("main").replaceWith(fresh.getElementById("main"));
  typed.forEach(([id, value]) => { document.getElementById(id).value = value; });
  document.querySelectorAll("[data-rules]").forEach(checkRules);
  document.getElementById("problems").focus();
}, true);
