"use strict";
(async () => {
  const form = document.querySelector(".filter");
  const output = form.querySelector("output");
  const plural = (n, word) => `${n} ${word}${n === 1 ? "" : "s"}`;
  const make = (tag, set, ...parts) => {
    const element = Object.assign(document.createElement(tag), set);
    element.append(...parts);
    return element;
  };

  // What passed, and the requirements without a failed check (swn_torture/report/page_data.py).
  async function unpacked() {
    try {
      const octets = Uint8Array.from(atob(document.getElementById("data").textContent), (each) => each.charCodeAt(0));
      const stream = new Blob([octets]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
      const data = await new Response(stream).json();
      for (const note of document.querySelectorAll(".unpacked")) note.remove();
      return data;
    } catch {
      return { texts: [], passed: {}, counted: [], apart: [] }; // an old browser: the notes stay
    }
  }
  const { texts: shared, passed, counted, apart } = await unpacked();
  const found = new Map();

  function checks(list) {
    return make("ul", {}, ...list.map(([id, observed = 0, note = 0, result = 0]) => make(
      "li", {}, make("a", { href: `#req-${shared[id]}` }, make("code", {}, shared[id])), ` ${shared[observed]}`,
      ...(note ? [" ", make("small", {}, shared[note])] : []), result ? ` (${shared[result]})` : "",
    )));
  }

  for (const [suite, list] of Object.entries(passed)) {
    document.getElementById(`passed-${suite}`).append(...list.map(([anchor, id, title, requirements, duration, done, file]) => {
      const item = make("details", { className: "case passed", id: `case-${anchor}` }, make(
        "summary", {}, make("span", { className: "title" }, shared[title]), make("code", {}, id), make("small", {}, shared[duration]),
      ));
      Object.assign(item.dataset, { outcome: "passed", suite, requirements: requirements.map((each) => shared[each]).join(" ") });
      item.addEventListener("toggle", () => {
        item.append(checks(done));
        if (file) item.append(make("p", { className: "capture" }, make("a", { href: file }, "Packet capture")));
      }, { once: true });
      found.set(item, [id, shared[title], ...done.flat().map((each) => shared[each])].join(" ").toLowerCase());
      return item;
    }));
  }

  for (const [name, list] of Object.entries({ counted, apart })) {
    document.querySelector(`#${name} tbody`).append(...list.map((entry) => {
      if (typeof entry === "string") return document.getElementById(`req-${entry}`);
      const [id, text, section, level, verdict, said, because, number] = entry;
      const number_of = number ? plural(number, "case") : "";
      const judged = shared[verdict] === "conforms";
      return make(
        "tr", { id: `req-${id}`, className: shared[verdict] },
        make("td", {}, `${text} `, make("code", {}, id)), make("td", {}, shared[section]), make("td", {}, shared[level]),
        make("td", {}, shared[said], ...(because ? [" ", make("small", {}, shared[because])] : [])),
        make("td", {}, judged ? make("a", { href: `#requirement=${id}` }, number_of) : number_of),
      );
    }));
  }

  // A paragraph of blocked cases stands for all of a test function; its text is that of their ids.
  const cases = [...document.querySelectorAll(".case, .blocked")];
  const parameters = (item) => (item.dataset.parameters ?? "").split(" ");
  const blockedIds = (item) => parameters(item).map((each) => item.firstChild.textContent + each).join(" ");
  const read = (item) => (item.matches(".blocked") ? blockedIds(item) : item.textContent).toLowerCase();
  const text = (item) => found.get(item) || found.set(item, read(item)).get(item);
  const number = cases.reduce((sum, item) => sum + parameters(item).length, 0);
  const rows = [...document.querySelectorAll("table.requirements tbody tr")];
  const ids = new Set(cases.flatMap((item) => item.dataset.requirements.split(" ")));
  document.getElementById("requirement-ids").append(...[...ids].sort().map((id) => make("option", { value: id })));
  const total = output.textContent;
  const names = ["q", "outcome", "suite", "requirement"];

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
        && words.every((word) => text(item).includes(word));
      item.hidden = !fits;
      shown += fits ? parameters(item).length : 0;
    }
    for (const part of document.querySelectorAll(".group, section.outcome")) {
      part.hidden = !part.querySelector(".case:not([hidden]), .blocked:not([hidden])");
    }
    for (const row of rows) {
      row.hidden = Boolean((requirement && !row.id.slice(4).toLowerCase().startsWith(requirement))
        || (words.length && !words.every((word) => row.textContent.toLowerCase().includes(word))));
    }
    document.querySelector(".nothing").hidden = shown > 0 || !cases.length;
    output.textContent = active ? `${shown} of ${plural(number, "case")}` : total;
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
