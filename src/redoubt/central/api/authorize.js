"use strict";
(function () {
  const CALLBACK = /^http:\/\/(localhost|127\.0\.0\.1):[1-9][0-9]{0,4}\/callback(\/[A-Za-z0-9_-]{1,128})?$/;
  const callback = new URLSearchParams(location.hash.slice(1)).get("authorizeCallback") || "";

  function part(name) { return document.querySelector(name); }

  function show(name) {
    ["ask", "wrong", "done"].forEach(function (each) { part("section." + each).hidden = each !== name; });
  }

  if (!CALLBACK.test(callback)) {
    show("wrong");
    return;
  }

  const form = part("form");
  const buttons = Array.from(form.querySelectorAll("button"));

  function back(target) {
    show("done");
    // In place of this page: the token is not to be gone back to.
    location.replace(target);
  }

  function basic(user, password) {
    const bytes = new TextEncoder().encode(user + ":" + password);
    return "Basic " + btoa(Array.from(bytes, function (byte) { return String.fromCharCode(byte); }).join(""));
  }

  async function log_in() {
    const answer = await fetch("/v1/login/roxctl", {
      method: "POST",
      credentials: "omit",
      cache: "no-store",
      redirect: "error",
      headers: {
        "Authorization": basic(form.elements.user.value, form.elements.password.value),
        "Content-Type": "application/json",
      },
      body: JSON.stringify({ callback: callback }),
    });
    const told = await answer.json();
    if (!answer.ok) throw new Error(String(told.message || "Central refused: " + answer.status));
    if (!String(told.location).startsWith(callback + "?")) throw new Error("Central answered something else");
    return told.location;
  }

  form.addEventListener("submit", async function (event) {
    event.preventDefault();
    part(".failure").textContent = "";
    buttons.forEach(function (button) { button.disabled = true; });
    try {
      back(await log_in());
    } catch (error) {
      const told = error instanceof TypeError ? "Central does not answer; try again" : error.message;
      part(".failure").textContent = told;
      form.elements.password.value = "";
      form.elements.password.focus();
    } finally {
      buttons.forEach(function (button) { button.disabled = false; });
    }
  });

  part("button.deny").addEventListener("click", function () {
    const said = new URLSearchParams({ error: "access_denied", errorDescription: "refused in the browser" });
    back(callback + "?" + said);
  });

  part(".where").textContent = new URL(callback).host;
  part(".here").textContent = location.host;
  show("ask");
  form.elements.password.focus();
})();
