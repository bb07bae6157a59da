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
    const want = state();
    const words = want.q.toLowerCase().split(/\s+/).filter(Boolean);
    const requirement = want.requirement.toLowerCase();
    const active = names.some((name) => want[name]);
    let shown = 0;
    for (const item of cases) {
      const data = item.dataset;
      const fits = (!want.outcome || data.outcome === want.outcome) && (!want.suite || data.suite === want.suite)
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

  // A hash with "=" is a filter; any other is a place in the page, which may lie folded or filtered away.
  function follow() {
    const hash = location.hash.slice(1);
    if (hash.includes("=")) {
      const query = new URLSearchParams(hash);
      for (const name of names) form.elements[name].value = query.get(name) || "";
      apply();
      return;
    }
    const place = hash && document.getElementById(hash);
    if (!place) return;
    if (place.closest("[hidden]")) {
      form.reset();
      apply();
    }
    for (let node = place; node; node = node.parentElement) if (node.tagName === "DETAILS") node.open = true;
    place.scrollIntoView();
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
