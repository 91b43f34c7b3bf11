// Sends the forms of /docs and shows the answers as text.
"use strict";
for (const form of document.querySelectorAll("form[data-path]")) {
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    let path = form.dataset.path;
    const query = new URLSearchParams();
    const options = { method: form.dataset.method, headers: { Accept: "application/json" } };
    for (const input of form.querySelectorAll("[data-in]")) {
      if (input.dataset.in === "path") {
        path = path.replace(`{${input.name}}`, encodeURIComponent(input.value));
      } else if (input.dataset.in === "body") {
        options.body = input.value || "{}";
        options.headers["Content-Type"] = "application/json";
      } else if (input.value) {
        query.append(input.name, input.value);
      }
    }
    const address = query.size ? `${path}?${query}` : path;
    const output = form.querySelector("pre");
    output.hidden = false;
    output.textContent = "…";
    try {
      const response = await fetch(address, options);
      const text = await response.text();
      let shown = text;
      try {
        shown = JSON.stringify(JSON.parse(text), null, 2);
      } catch {
        // Not JSON: show it as it is.
      }
      output.textContent = `${options.method} ${address}\n${response.status}\n\n${shown.slice(0, 20000)}`;
    } catch (error) {
      output.textContent = String(error);
    }
  });
}
