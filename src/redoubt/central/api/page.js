"use strict";
(function () {
  const main = document.querySelector("main");
  const form = document.querySelector("form.credentials");

  function element(name, attributes, ...children) {
    const made = document.createElement(name);
    Object.entries(attributes || {}).forEach(function (pair) { made.setAttribute(pair[0], pair[1]); });
    children.forEach(function (child) { made.append(child); });
    return made;
  }

  function authorization() {
    const text = form.elements.credentials.value.trim();
    if (!text) return {};
    if (text.split(".").length === 3 && !text.includes(":")) return { Authorization: "Bearer " + text };
    const bytes = new TextEncoder().encode(text);
    return { Authorization: "Basic " + btoa(String.fromCharCode.apply(null, bytes)) };
  }

  function resolve(document_, schema) {
    const path = schema && schema.$ref;
    if (!path) return schema || {};
    return path.slice(2).split("/").reduce(function (found, key) { return (found || {})[key]; }, document_) || {};
  }

  function example(document_, given, depth) {
    const schema = resolve(document_, given);
    if (schema.default !== undefined) return schema.default;
    if (schema.enum) return schema.enum[0];
    const one = (schema.oneOf || schema.anyOf || []).find(function (each) { return each.type !== "null"; });
    if (one) return example(document_, one, depth);
    if (schema.type === "array") return depth > 5 ? [] : [example(document_, schema.items, depth + 1)];
    if (schema.type === "object" || schema.properties) {
      const made = {};
      if (depth > 5) return made;
      Object.entries(schema.properties || {}).forEach(function (pair) {
        made[pair[0]] = example(document_, pair[1], depth + 1);
      });
      return made;
    }
    return { integer: 0, number: 0, boolean: false, string: "" }[schema.type] ?? null;
  }

  function shown(value) { return JSON.stringify(value, null, 2); }

  function operation(document_, path, method, told) {
    const inputs = [];
    const inside = element("div", {}, element("p", {}, told.description || ""));
    const parameters = (told.parameters || []).map(function (each) { return resolve(document_, each); });
    if (parameters.length) {
      const table = element("table", {});
      parameters.forEach(function (parameter) {
        const input = element("input", { "aria-label": parameter.name });
        inputs.push({ parameter: parameter, input: input });
        const where = parameter.in + (parameter.required ? ", needed" : "");
        table.append(element("tr", {}, element("td", {}, element("code", {}, parameter.name)),
          element("td", {}, where), element("td", {}, parameter.description || ""), element("td", {}, input)));
      });
      inside.append(table);
    }
    let body = null;
    const content = told.requestBody && told.requestBody.content && told.requestBody.content["application/json"];
    if (content) {
      body = element("textarea", { "aria-label": "Body", spellcheck: "false" });
      body.value = shown(example(document_, content.schema, 0));
      inside.append(element("p", {}, "Body"), body);
    }
    Object.entries(told.responses || {}).forEach(function (pair) {
      const json = pair[1].content && pair[1].content["application/json"];
      if (!pair[0].startsWith("2") || !json) return;
      inside.append(element("p", {}, "Answer " + pair[0]), element("pre", {}, shown(example(document_, json.schema, 0))));
    });
    const answer = element("pre", { hidden: "" });
    const button = element("button", { type: "button" }, "Send");
    button.addEventListener("click", async function () {
      let target = path;
      const query = new URLSearchParams();
      inputs.forEach(function (each) {
        const value = each.input.value;
        if (each.parameter.in === "path") target = target.replace("{" + each.parameter.name + "}", encodeURIComponent(value));
        else if (each.parameter.in === "query" && value) query.append(each.parameter.name, value);
      });
      const headers = authorization();
      if (body) headers["Content-Type"] = "application/json";
      answer.hidden = false;
      answer.textContent = "…";
      try {
        const tail = query.toString() ? "?" + query : "";
        const got = await fetch(target + tail, {
          method: method.toUpperCase(), headers: headers, body: body ? body.value : undefined, credentials: "omit",
        });
        const text = await got.text();
        let pretty = text;
        try { pretty = shown(JSON.parse(text)); } catch (error) { /* not JSON: as it is */ }
        answer.className = got.ok ? "" : "failed";
        answer.textContent = got.status + " " + got.statusText + "\n\n" + pretty;
      } catch (error) {
        answer.className = "failed";
        answer.textContent = String(error);
      }
    });
    inside.append(button, answer);
    const head = element("summary", {}, element("b", {}, method.toUpperCase()), element("code", {}, path),
      element("span", {}, told.summary || ""));
    const made = element("details", {}, head, inside);
    made.dataset.text = (method + " " + path + " " + (told.summary || "")).toLowerCase();
    return made;
  }

  function draw(document_) {
    const groups = new Map();
    Object.entries(document_.paths).forEach(function (pair) {
      ["get", "post", "put", "patch", "delete"].forEach(function (method) {
        const told = pair[1][method];
        if (!told) return;
        const tag = (told.tags || ["Other"])[0];
        if (!groups.has(tag)) groups.set(tag, []);
        groups.get(tag).push(operation(document_, pair[0], method, told));
      });
    });
    main.textContent = "";
    Array.from(groups.keys()).sort().forEach(function (tag) {
      main.append(element("section", {}, element("h2", {}, tag), ...groups.get(tag)));
    });
  }

  form.addEventListener("submit", function (event) { event.preventDefault(); });
  form.elements.search.addEventListener("input", function () {
    const words = form.elements.search.value.toLowerCase().split(/\s+/).filter(Boolean);
    document.querySelectorAll("section").forEach(function (section) {
      let left = 0;
      section.querySelectorAll("details").forEach(function (one) {
        one.hidden = !words.every(function (word) { return one.dataset.text.includes(word); });
        if (!one.hidden) left += 1;
      });
      section.hidden = left === 0;
    });
  });
  fetch("/api/docs/openapi.json", { credentials: "omit" })
    .then(function (got) { return got.json(); })
    .then(draw)
    .catch(function (error) { main.textContent = "openapi.json cannot be read: " + error; });
})();
