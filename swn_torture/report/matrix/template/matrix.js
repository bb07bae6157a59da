"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const { columns, requirements, cases, causes, choices, texts } = data;
  const form = document.querySelector(".filter");
  const output = form.querySelector("output");
  const place = document.getElementById("table");
  const totals = document.getElementById("totals");
  const panel = document.getElementById("evidence");
  const VIEWS = ["causes", "requirements", "cases", "choices", "totals"];
  const NOUNS = { causes: "causes", requirements: "requirements", cases: "cases", choices: "choices", totals: "lines" };
  const signs = Object.fromEntries(data.signs.map(([letter, sign, word, caseWord]) => [letter, { sign, word, caseWord }]));
  const requirementAt = new Map(requirements.map((row, index) => [row[0], index]));

  function h(tag, attributes, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes || {})) {
      if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
      else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, value === true ? "" : value);
    }
    element.append(...children.flat().filter((child) => child !== "" && child !== null && child !== undefined));
    return element;
  }
  const plural = (n, word) => `${n} ${word}${n === 1 ? "" : "s"}`;
  const requirement = (index) => (typeof index === "string" ? [index, -1, "", -1] : requirements[index]);
  const says = (index) => (index < 0 ? "" : texts[index]);
  const cite = (row) => [says(row[1]), row[2], row[0]].filter(Boolean).join(" · ");
  const published = (row) => (row[4] === undefined ? "" : h("a", { href: texts[row[4]], rel: "noreferrer" }, "the published section"));

  // Rows of each table. A row has an id, a search text, letters and what its cells show.
  function causeRows() {
    return causes.map((row) => ({
      kind: "causes", id: row.id, row, letters: row.cells.map((cell) => cell[0]),
      needs: row.requirements.map((id) => requirementAt.get(id)).filter((index) => index !== undefined),
      text: [row.id, row.title, row.reason, ...row.requirements].join(" "),
      label: () => [h("p", {}, row.title), h("code", { class: "id" }, row.id)],
      cell: (column) => {
        const [letter, found, judged] = row.cells[column];
        if (found.length) return `${found.length} of ${plural(judged, "case")}`;
        return letter === "p" ? "not seen" : signs[letter].word;
      },
    }));
  }
  function requirementRows() {
    return requirements.map((row, index) => ({
      kind: "requirements", id: row[0], index, group: says(row[1]), needs: [index],
      letters: columns.map((column) => column.verdicts[index]), text: [row[0], says(row[1]), row[2], says(row[3])].join(" "),
      label: () => [h("p", {}, says(row[3])), h("code", { class: "id" }, row[0]), " ", h("small", {}, row[2])],
      cell: (column) => {
        const failing = columns[column].failing[index];
        const word = signs[columns[column].verdicts[index]].word;
        return failing && failing.length > 1 ? `${word} (${failing.length})` : word;
      },
    }));
  }
  function caseRows() {
    return cases.map((row, index) => ({
      kind: "cases", id: row[0], index, group: row[0].split("[")[0].split(".").slice(0, 2).join("."), needs: row[4],
      letters: columns.map((column) => column.outcomes[index]), text: [row[0], says(row[1])].join(" "),
      label: () => [h("p", {}, says(row[1])), h("code", { class: "id" }, row[0])],
      cell: (column) => signs[columns[column].outcomes[index]].caseWord,
    }));
  }
  function choiceRows() {
    return choices.map((row) => ({
      kind: "choices", id: row.id, row, letters: row.cells.map((found) => found.map(([text]) => text).sort().join()), needs: [],
      text: [row.id, row.topic, row.text, ...row.readings, ...row.cells.flat().map(([text]) => texts[text])].join(" "),
      label: () => [h("p", {}, row.topic), h("code", { class: "id" }, row.id)],
      cell: (column) => row.cells[column].map(([text]) => texts[text]).join("; ") || "not seen",
      lines: (column) => {
        const found = row.cells[column].map(([text]) => texts[text]);
        return found.length > 4 ? [...found.slice(0, 3), `and ${found.length - 3} more`] : found;
      },
    }));
  }
  const makers = { causes: causeRows, requirements: requirementRows, cases: caseRows, choices: choiceRows };
  const made = {};
  const rowsOf = (view) => made[view] || (made[view] = makers[view]());

  // The state of the page: what the form shows, and the chosen cell.
  let chosen = null; // { kind, id, column }
  const shownColumns = () => columns.map((_, index) => index).filter((index) => {
    const box = form.querySelector(`input[name="column"][value="${index}"]`);
    return !box || box.checked;
  });
  function state() {
    const at = (name) => form.elements[name].value.trim();
    return { view: at("view"), q: at("q"), section: at("section"), level: at("level"), verdict: at("verdict"), diff: form.elements.diff.checked };
  }
  function remember() {
    const now = state();
    const query = new URLSearchParams();
    for (const name of ["view", "q", "section", "level", "verdict"]) if (now[name]) query.set(name, now[name]);
    if (now.diff) query.set("diff", "1");
    const hidden = columns.filter((_, index) => !shownColumns().includes(index));
    if (hidden.length) query.set("hide", hidden.map((column) => column.name).join(","));
    if (chosen) query.set("at", [chosen.kind, chosen.id, columns[chosen.column].name].join("~"));
    history.replaceState(null, "", `#${query}`);
  }
  function recall() {
    const query = new URLSearchParams(location.hash.slice(1));
    form.elements.view.value = VIEWS.includes(query.get("view")) ? query.get("view") : "causes";
    for (const name of ["q", "section", "level", "verdict"]) form.elements[name].value = query.get(name) || "";
    form.elements.diff.checked = query.get("diff") === "1";
    const hidden = (query.get("hide") || "").split(",");
    for (const box of form.querySelectorAll('input[name="column"]')) box.checked = !hidden.includes(columns[box.value].name);
    const [kind, id, name] = (query.get("at") || "").split("~");
    const column = columns.findIndex((each) => each.name === name);
    const known = makers[kind] && column >= 0 && rowsOf(kind).some((row) => row.id === id);
    chosen = known ? { kind, id, column } : null;
  }

  function fits(row, now, words, shown) {
    if (now.verdict && row.kind !== "choices" && !shown.some((column) => row.letters[column] === now.verdict)) return false;
    if (now.diff && !differs(shown.map((column) => row.letters[column]))) return false;
    if (row.kind !== "choices" && (now.section || now.level) && !row.needs.some((index) => (
      (!now.section || says(requirements[index][1]) === now.section) && (!now.level || requirements[index][2] === now.level)))) return false;
    row.lower = row.lower || row.text.toLowerCase();
    return words.every((word) => row.lower.includes(word));
  }
  const differs = (letters) => new Set(letters.filter((letter) => letter !== "-" && letter !== "")).size > 1;

  function apply() {
    const now = state();
    const shown = shownColumns();
    document.body.style.setProperty("--shown", Math.max(shown.length, 1));
    document.body.classList.toggle("many", shown.length > 3);
    for (const element of document.querySelectorAll("[data-col]")) element.hidden = !shown.includes(Number(element.dataset.col));
    for (const name of ["section", "level", "verdict"]) form.elements[name].closest("label").hidden = now.view === "choices" || (now.view === "totals" && name === "verdict");
    totals.hidden = now.view !== "totals";
    place.hidden = now.view === "totals";
    const words = now.q.toLowerCase().split(/\s+/).filter(Boolean);
    if (now.view === "totals") return applyTotals(now, words, shown);
    const all = rowsOf(now.view);
    const rows = all.filter((row) => fits(row, now, words, shown));
    place.replaceChildren(rows.length ? table(now.view, rows, shown) : h("p", { class: "nothing" }, all.length ? "No row fits these filters." : "There is none: no target has a finding."));
    output.textContent = rows.length === all.length ? `${all.length} ${NOUNS[now.view]}` : `${rows.length} of ${all.length} ${NOUNS[now.view]}`;
    mark();
  }
  function applyTotals(now, words, shown) {
    let count = 0;
    const rows = [...totals.querySelectorAll("tr[data-total]")];
    for (const row of rows) {
      const name = row.dataset.total.toLowerCase();
      const cells = shown.map((column) => row.querySelector(`[data-col="${column}"]`).textContent);
      row.hidden = !(words.every((word) => name.includes(word)) && (!now.diff || new Set(cells).size > 1)
        && (!now.section || now.section.toLowerCase() === name || row.closest("table").getAttribute("aria-labelledby") !== "by-section")
        && (!now.level || now.level.toLowerCase() === name || row.closest("table").getAttribute("aria-labelledby") !== "by-level"));
      count += !row.hidden;
    }
    output.textContent = count === rows.length ? `${count} lines` : `${count} of ${rows.length} lines`;
  }

  function table(view, rows, shown) {
    const head = h("tr", {}, h("th", { scope: "col" }, view[0].toUpperCase() + view.slice(1)), shown.map((column) => h("th", { scope: "col" }, columns[column].name)));
    const body = h("tbody");
    let group = null;
    const sizes = new Map();
    for (const row of rows) if (row.group) sizes.set(row.group, [...(sizes.get(row.group) || []), row]);
    for (const row of rows) {
      if (row.group && row.group !== group) {
        group = row.group;
        body.append(h("tr", { class: "section" }, h("th", { scope: "row" }, group), shown.map((column) => h("td", {}, tally(sizes.get(group), column)))));
      }
      body.append(h("tr", {}, h("th", { scope: "row" }, row.label()), shown.map((column) => h("td", {}, button(row, column)))));
    }
    const found = h("table", { class: `matrix ${view}`, role: "grid", "aria-label": view, "aria-readonly": "true" }, h("thead", {}, head), body);
    for (const tr of found.querySelectorAll("tr")) {
      tr.setAttribute("role", "row");
      for (const part of tr.children) part.setAttribute("role", part.tagName === "TD" ? "gridcell" : part.scope === "col" ? "columnheader" : "rowheader");
    }
    for (const part of found.querySelectorAll("thead, tbody")) part.setAttribute("role", "rowgroup");
    const first = found.querySelector(".cell");
    if (first) first.tabIndex = 0;
    return found;
  }
  function tally(rows, column) {
    const found = {};
    for (const row of rows) found[row.letters[column]] = (found[row.letters[column]] || 0) + 1;
    return Object.keys(signs).filter((letter) => found[letter]).map((letter) => (
      h("span", { class: `v-${letter}`, style: "color: var(--tone)" }, `${found[letter]} `, h("span", { "aria-hidden": "true" }, signs[letter].sign), h("span", { class: "hidden" }, signs[letter].word), " ")));
  }
  function button(row, column) {
    const letter = row.kind === "choices" ? (row.letters[column] ? "" : "-") : row.letters[column];
    const sign = letter ? h("span", { "aria-hidden": "true" }, `${signs[letter].sign} `) : "";
    const found = h("button", { type: "button", class: `cell${letter ? ` v-${letter}` : ""}`, tabindex: -1, "aria-pressed": "false", "data-column": column }, sign, h("span", { class: "word" }, row.kind === "choices" && letter !== "-" ? row.lines(column).map((line) => h("span", {}, line)) : row.cell(column)));
    found.setAttribute("aria-label", `${row.cell(column)}: ${row.id}, ${columns[column].name}`);
    found.dataset.row = row.id;
    return found;
  }

  // Evidence.
  function mark() {
    for (const cell of place.querySelectorAll('.cell[aria-pressed="true"]')) cell.setAttribute("aria-pressed", "false");
    const cell = chosenCell();
    if (cell) {
      cell.setAttribute("aria-pressed", "true");
      rove(cell);
    }
  }
  function chosenCell() {
    if (!chosen || chosen.kind !== state().view) return null;
    return place.querySelector(`.cell[data-column="${chosen.column}"][data-row="${CSS.escape(chosen.id)}"]`);
  }
  function choose(kind, id, column, focus = true) {
    chosen = { kind, id, column };
    show(focus);
    mark();
    remember();
  }
  function close() {
    const cell = chosenCell();
    chosen = null;
    panel.hidden = true;
    mark();
    remember();
    const next = cell || place.querySelector('.cell[tabindex="0"]');
    if (next) next.focus();
  }
  function show(focus) {
    const row = chosen && rowsOf(chosen.kind).find((each) => each.id === chosen.id);
    panel.hidden = !row;
    if (!row) return;
    const { kind, column } = chosen;
    const letter = kind === "choices" ? "" : row.letters[column];
    const title = { causes: () => row.row.title, requirements: () => says(requirements[row.index][3]), cases: () => says(cases[row.index][1]), choices: () => row.row.topic }[kind]();
    panel.replaceChildren(
      h("header", {}, h("div", {}, h("p", { class: `verdict v-${letter}` }, kind === "choices" ? columns[column].name : `${columns[column].name}: ${row.cell(column)}`), h("h2", {}, title), h("code", { class: "quiet" }, row.id)), h("button", { type: "button", class: "close", onclick: close }, "Close")),
      ...bodies[kind](row, column),
      ...others(row, column),
    );
    panel.scrollTop = 0;
    if (focus) panel.focus();
  }
  const caseLinks = (indexes, column, limit = 40) => {
    const item = (index) => {
      const letter = columns[column].outcomes[index];
      return h("li", {}, h("button", { type: "button", class: "link", onclick: () => choose("cases", cases[index][0], column) }, cases[index][0]), " ", h("span", { class: `v-${letter} quiet` }, signs[letter].caseWord));
    };
    const list = h("ul", { class: "list" }, indexes.slice(0, limit).map(item));
    if (indexes.length <= limit) return [list];
    return [list, h("details", {}, h("summary", {}, `${indexes.length - limit} more`), h("ul", { class: "list" }, indexes.slice(limit).map(item)))];
  };
  const requirementLink = (index, column) => {
    const row = requirement(index);
    if (typeof index === "string") return h("code", {}, index);
    return h("button", { type: "button", class: "link", onclick: () => choose("requirements", row[0], column) }, row[0]);
  };
  const bodies = {
    causes(row, column) {
      const [, found, judged] = row.row.cells[column];
      const parts = [];
      if (row.row.reason) parts.push(h("p", {}, row.row.reason));
      if (/^https?:/.test(row.row.bug)) parts.push(h("p", {}, h("a", { href: row.row.bug, rel: "noreferrer" }, row.row.bug)));
      if (row.row.known[column]) parts.push(h("p", { class: "quiet" }, "The baseline of this target lists it."));
      parts.push(h("h3", {}, "Requirements"), h("ul", { class: "list" }, row.row.requirements.map((id) => {
        const index = requirementAt.get(id);
        return h("li", {}, index === undefined ? id : [says(requirements[index][3]), " ", requirementLink(index, column), " ", h("small", {}, says(requirements[index][1]))]);
      })));
      parts.push(h("h3", {}, found.length ? `Cases that show it: ${found.length} of ${judged} judged` : `No case shows it; ${judged} judged`), ...caseLinks(found, column));
      return parts;
    },
    requirements(row, column) {
      const entry = requirements[row.index];
      const parts = [h("p", { class: "quiet" }, cite(entry), " · ", published(entry))];
      const failing = columns[column].failing[row.index] || [];
      const [because, reasons] = columns[column].behind[row.index] || [[], []];
      if (failing.length) parts.push(h("h3", {}, "Cases that found it"), ...caseLinks(failing, column));
      const first = failing.length ? evidence(failing[0], column) : null;
      if (first) parts.push(...findings(first, column, row.index).slice(0, 1));
      if (because.length) parts.push(h("h3", {}, "Not tested because of"), h("ul", { class: "list" }, because.map((id) => h("li", {}, requirementLink(requirementAt.has(id) ? requirementAt.get(id) : id, column)))));
      if (reasons.length) parts.push(h("h3", {}, "Why it was not tested"), h("ul", { class: "list" }, reasons.map((index) => h("li", {}, texts[index]))));
      const named = cases.map((_, index) => index).filter((index) => cases[index][4].includes(row.index) && columns[column].outcomes[index] !== "-");
      if (named.length) parts.push(h("h3", {}, `Cases that name it: ${named.length}`), ...caseLinks(named, column, 12));
      return parts;
    },
    cases(row, column) {
      const found = evidence(row.index, column);
      if (!found) return [h("p", {}, "The results of this target do not have this case.")];
      const [reason, , omitted, exchange, like, command, because, foundBy] = found;
      const parts = findings(found, column);
      if (!parts.length && says(reason)) parts.push(h("p", {}, says(reason)));
      if (because && foundBy >= 0) parts.push(h("p", {}, "Found by ", ...caseLinks([foundBy], column)));
      const rest = found[1].map((index) => data.checks[index]).filter((check) => check[1] === "p" || check[1] === "r");
      const others = [];
      if (rest.length) {
        others.push(h("h3", {}, parts.length ? "Other checks" : "Checks"), h("ul", { class: "list" }, rest.map((check) => h("li", {}, `${texts[check[3]] || "nothing observed"}${texts[check[4]] ? ` (${texts[check[4]]})` : ""}`, check[1] === "r" ? h("small", {}, " recorded ") : [h("small", {}, " allowed: "), h("small", {}, check[2].map((index) => texts[index]).join(" or ") || "not recorded")], " ", requirementLink(check[0], column)))));
        if (omitted) others.push(h("p", { class: "quiet" }, `${plural(omitted, "more check")} in the results.`));
      }
      const wrong = parts.length > 0; // then what came is read first
      if (!wrong) parts.push(...others);
      if (exchange >= 0) parts.push(...frames(data.exchanges[exchange]));
      else if (like >= 0) parts.push(h("p", {}, "A like finding with its PDUs: "), ...caseLinks([like], column));
      if (command >= 0) parts.push(h("h3", {}, "Run again"), h("code", { class: "command" }, texts[command].split("%").join(row.id)));
      if (wrong) parts.push(...others);
      if (row.needs.length) parts.push(h("h3", {}, "Requirements"), h("p", {}, row.needs.flatMap((index, n) => [n ? ", " : "", requirementLink(index, column)])));
      return parts;
    },
    choices(row, column) {
      const found = row.row.cells[column];
      return [
        h("p", {}, row.row.text),
        row.row.readings.length ? h("details", {}, h("summary", {}, "Known readings"), h("ul", { class: "list" }, row.row.readings.map((text) => h("li", {}, text)))) : "",
        h("h3", {}, "Observed"), found.length ? h("ul", { class: "list" }, found.map(([text, at]) => h("li", {}, texts[text], h("details", {}, h("summary", {}, plural(at.length, "case")), ...caseLinks(at, column))))) : h("p", {}, "No case observed it."),
      ];
    },
  };
  function evidence(index, column) {
    const at = columns[column].evidence[index];
    return at >= 0 ? data.evidence[at] : null;
  }
  function findings(found, column, only) {
    return found[1].map((index) => data.checks[index]).filter((check) => (check[1] === "f" || check[1] === "d") && (only === undefined || check[0] === only)).map(([index, letter, expected, observed, note]) => {
      const row = requirement(index);
      return h("div", { class: `finding v-${letter}` }, h("p", {}, says(row[3])), h("p", { class: "quiet" }, cite(row).replace(row[0], ""), requirementLink(index, column), " · ", published(row)),
        h("dl", { class: "versus" },
          h("div", {}, h("dt", {}, "Allowed"), h("dd", {}, expected.length ? expected.flatMap((text, n) => [n ? h("i", {}, " or ") : "", texts[text]]) : "not recorded")),
          h("div", { class: "observed" }, h("dt", {}, "Observed"), h("dd", {}, texts[observed] || "not recorded", texts[note] ? h("small", {}, ` ${texts[note]}`) : ""))));
    });
  }
  function frames([lines, octets, omitted]) {
    const dumps = new Map(octets);
    const way = { ">": ["→", "sent: "], "<": ["←", "received: "], ".": ["·", ""] };
    const items = lines.map(([direction, at, title], index) => h("li", {}, h("span", { "aria-hidden": "true" }, `${way[direction][0]} `), h("span", { class: "hidden" }, way[direction][1]), h("span", { class: "time" }, `+${at} ms `), texts[title],
      dumps.has(index) ? h("details", { open: direction === "<" }, h("summary", {}, "octets"), h("div", { class: "octets", tabindex: 0, role: "region", "aria-label": "Octets" }, dumps.get(index).map(([label, offset, hex]) => h("div", texts[label].startsWith("wrong: ") ? { class: "wrong" } : {}, h("pre", {}, dump(hex, offset)), h("b", {}, texts[label]))))) : ""));
    if (omitted) items.splice(lines.length / 2, 0, h("li", { class: "quiet" }, `${omitted} PDUs and events are left out`));
    return [h("h3", {}, "Exchange"), h("ol", { class: "frames" }, items)];
  }
  function dump(hex, offset) {
    const octets = hex.match(/../g) || [];
    const lines = [];
    for (let at = 0; at < octets.length; at += 16) {
      const piece = octets.slice(at, at + 16);
      const text = piece.map((each) => { const code = parseInt(each, 16); return code >= 32 && code < 127 ? String.fromCharCode(code) : "."; }).join("");
      lines.push(`${(offset + at).toString(16).padStart(4, "0")}  ${piece.join(" ").padEnd(47)}  ${text}`);
    }
    return lines.join("\n");
  }
  function others(row, column) {
    const rest = shownColumns().filter((index) => index !== column);
    if (!rest.length) return [];
    return [h("h3", {}, "Other targets"), h("ul", { class: "others" }, rest.map((index) => {
      const letter = row.kind === "choices" ? "" : row.letters[index];
      const found = row.kind === "cases" ? evidence(row.index, index) : null;
      const failed = found && found[1].map((at) => data.checks[at]).find((check) => check[1] === "f" || check[1] === "d");
      return h("li", {}, h("button", { type: "button", class: "link", onclick: () => choose(row.kind, row.id, index) }, columns[index].name), h("span", { class: `v-${letter}` }, h("span", { class: "word" }, row.cell(index)), failed ? h("small", {}, ` ${texts[failed[3]]}`) : ""));
    }))];
  }

  // Keys: one cell of the grid is in the order of Tab, the arrows move it.
  function rove(cell) {
    const old = place.querySelector('.cell[tabindex="0"]');
    if (old) old.tabIndex = -1;
    cell.tabIndex = 0;
  }
  place.addEventListener("click", (event) => {
    const cell = event.target.closest(".cell");
    if (cell) choose(state().view, cell.dataset.row, Number(cell.dataset.column));
  });
  place.addEventListener("keydown", (event) => {
    const cell = event.target.closest(".cell");
    if (!cell || event.ctrlKey || event.metaKey || event.altKey) return;
    const row = cell.closest("tr");
    const index = [...row.children].indexOf(cell.parentElement);
    const vertical = (from, step) => {
      let next = from[step];
      while (next && !next.querySelector(".cell")) next = next[step];
      return next && next.children[index].querySelector(".cell");
    };
    const beside = (number) => row.children[number] && row.children[number].querySelector(".cell");
    const next = {
      ArrowDown: () => vertical(row, "nextElementSibling"), ArrowUp: () => vertical(row, "previousElementSibling"),
      ArrowRight: () => beside(index + 1), ArrowLeft: () => beside(index - 1), Home: () => beside(1), End: () => beside(row.children.length - 1),
    }[event.key];
    const found = next && next();
    if (!next) return;
    event.preventDefault();
    if (found) {
      rove(found);
      found.focus();
    }
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && !panel.hidden) return close();
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input:not([type=radio]):not([type=checkbox]), select")) return;
    if (event.key === "/") {
      event.preventDefault();
      form.elements.q.focus();
    } else if (event.key === "d") {
      form.elements.diff.checked = !form.elements.diff.checked;
      changed();
    } else if (VIEWS[event.key - 1]) {
      form.elements.view.value = VIEWS[event.key - 1];
      changed();
    }
  });
  const changed = () => { apply(); remember(); };
  let waiting = 0;
  form.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(changed, 80);
  });
  form.addEventListener("reset", () => setTimeout(changed));
  form.addEventListener("submit", (event) => event.preventDefault());
  const keys = form.querySelector(".keys");
  keys.addEventListener("click", () => {
    const box = document.getElementById("keys");
    box.hidden = !box.hidden;
    keys.setAttribute("aria-expanded", String(!box.hidden));
  });
  window.addEventListener("hashchange", () => { if (location.hash.includes("=")) start(); });

  function start() {
    recall();
    apply();
    show(false);
  }
  document.documentElement.classList.add("js");
  start();
})();
