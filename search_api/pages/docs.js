// Sends the forms of /docs and shows the answers as text, with the headers that tell something.
"use strict";
const MOST = 20000;
const TELLING = /^(content-type|etag|link|retry-after|x-(?!request-id|content|frame).*)$/;

function requestOf(form) {
  let path = form.dataset.path;
  const query = new URLSearchParams();
  const options = { method: form.dataset.method, headers: { Accept: "application/json" } };
  for (const input of form.querySelectorAll("[data-in]")) {
    if (input.dataset.in === "path") {
      path = path.replace(`{${input.name}}`, () => encodeURIComponent(input.value));
    } else if (input.dataset.in === "body") {
      options.body = input.value || "{}";
      options.headers["Content-Type"] = "application/json";
    } else if (input.value && input.dataset.in === "header") {
      options.headers[input.name] = input.value;
    } else if (input.value) {
      query.append(input.name, input.value);
    }
  }
  return [query.size ? `${path}?${query}` : path, options];
}

function shown(text) {
  let whole = text;
  try {
    whole = JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    // Not JSON: show it as it is.
  }
  return whole.length > MOST
    ? `${whole.slice(0, MOST)}\n… ${whole.length - MOST} characters more`
    : whole;
}

for (const form of document.querySelectorAll("form[data-path]")) {
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const [address, options] = requestOf(form);
    const output = form.querySelector("pre");
    output.hidden = false;
    output.textContent = "…";
    try {
      const response = await fetch(address, options);
      const text = await response.text();
      const headers = [...response.headers].filter(([name]) => TELLING.test(name));
      output.textContent = [
        `${options.method} ${address}`,
        response.status,
        ...headers.map(([name, value]) => `${name}: ${value}`),
        "",
        shown(text),
      ].join("\n");
    } catch (error) {
      output.textContent = String(error);
    }
  });
}
