"use strict";
(() => {
  const form = document.querySelector(".filter");
  const output = form.querySelector("output");
  const cases = [...document.querySelectorAll(".case")];
  const rows = [...document.querySelectorAll("table.requirements tbody tr")];
  const names = ["q", "outcome", "suite", "requirement"];
  const plural = (n, word) => `${n} ${word}${n === 1 ? "" : "s"}`;

  function state() {
    return Object.fromEntries(names.map((name) => [name, form.elements[name].value.trim()]));
  }

  function apply() {
    const filter = state();
    const words = filter.q.toLowerCase().split(/\s+/).filter(Boolean);
    const requirement = filter.requirement.toLowerCase();
    const active = names.some((name) => filter[name]);
    let shown = 0;
    for (const item of cases) {
      const data = item.dataset;
      const fits = (!filter.outcome || data.outcome === filter.outcome) && (!filter.suite || data.suite === filter.suite)
        && (!requirement || data.requirements.toLowerCase().split(" ").some((id) => id.startsWith(requirement)))
        && words.every((word) => data.text.includes(word));
      item.hidden = !fits;
      shown += fits;
    }
    for (const part of document.querySelectorAll(".group, section.outcome")) {
      part.hidden = !part.querySelector(".case:not([hidden])");
    }
    for (const row of rows) {
      row.hidden = Boolean((requirement && !row.id.slice(4).toLowerCase().startsWith(requirement))
        || (words.length && !words.every((word) => row.textContent.toLowerCase().includes(word))));
    }
    document.querySelector(".nothing").hidden = shown > 0 || !cases.length;
    output.textContent = active ? `${shown} of ${plural(cases.length, "case")}` : plural(cases.length, "case");
  }

  function remember() {
    const query = new URLSearchParams(Object.entries(state()).filter(([, value]) => value));
    history.replaceState(null, "", `#${query}`);
  }

  // A hash with "=" is a filter. Any other is an element of the page, which may be folded or filtered out.
  function follow() {
    const hash = location.hash.slice(1);
    if (hash.includes("=")) {
      const query = new URLSearchParams(hash);
      for (const name of names) form.elements[name].value = query.get(name) || "";
      apply();
      return;
    }
    const element = hash && document.getElementById(hash);
    if (!element) return;
    if (element.closest("[hidden]")) {
      form.reset();
      apply();
    }
    for (let node = element; node; node = node.parentElement) if (node.tagName === "DETAILS") node.open = true;
    element.scrollIntoView();
  }

  let waiting = 0;
  form.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(() => { apply(); remember(); }, 120);
  });
  form.addEventListener("reset", () => setTimeout(() => { apply(); remember(); }));
  form.addEventListener("submit", (event) => event.preventDefault());
  window.addEventListener("hashchange", follow);

  for (const box of document.querySelectorAll(".repro")) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = "Copy";
    button.addEventListener("click", async () => {
      const code = box.querySelector("code");
      try {
        await navigator.clipboard.writeText(code.textContent);
      } catch {
        getSelection().selectAllChildren(code);
        document.execCommand("copy");
      }
      button.textContent = "Copied";
      setTimeout(() => { button.textContent = "Copy"; }, 1500);
    });
    box.append(button);
  }

  apply();
  follow();
})();
