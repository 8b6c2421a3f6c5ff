"use strict";
// Of many scenarios, the plots are drawn when they come near the screen.
(() => {
  const places = document.querySelectorAll(".late");
  if (!places.length) return;
  const observer = new IntersectionObserver(
    (entries) => {
      for (const { isIntersecting, target } of entries) {
        if (!isIntersecting) continue;
        observer.unobserve(target);
        target.innerHTML = target.textContent; // escaped when it was written
        target.classList.remove("late");
      }
    },
    { rootMargin: "1000px" },
  );
  places.forEach((place) => observer.observe(place));
})();

(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const table = document.getElementById("trial-table");
  if (!data || !table) return;
  const PAGE = 50;
  const byId = (id) => document.getElementById(id);
  const { columns, count } = data;
  const outcomes = columns.find((column) => column.title === "Outcome");
  const state = { sort: -1, down: false, text: "", outcome: "", page: 0 };
  let rows = [];
  let haystacks = null;

  const PREFIXES = {
    s: [[3600, "h"], [60, "min"], [1, "s"], [1e-3, "ms"], [1e-6, "µs"], [1e-9, "ns"]],
    J: [[1e3, "kJ"], [1, "J"], [1e-3, "mJ"], [1e-6, "µJ"]],
    B: [[1e12, "TB"], [1e9, "GB"], [1e6, "MB"], [1e3, "kB"], [1, "B"]],
  };

  const number = (value) => {
    const size = Math.abs(value);
    if (size !== 0 && (size >= 1e6 || size < 1e-4)) return value.toExponential(2);
    return String(Number(value.toPrecision(size >= 1000 ? 6 : 3)));
  };

  const format = (column, value) => {
    if (value === null) return "";
    if (column.words) return column.words[value];
    if (column.title === "Seed") return String(value);
    const steps = PREFIXES[column.unit];
    if (!steps || value === 0) return number(value) + (column.unit ? " " + column.unit : "");
    const [factor, unit] =
      steps.find(([size]) => Math.abs(value) >= size * 0.9995) || steps[steps.length - 1];
    return number(value / factor) + " " + unit;
  };

  const searched = (row) => {
    haystacks ??= Array.from({ length: count }, (_, index) =>
      columns
        .filter((column) => column.kind === "text" || column.title === "Seed")
        .map((column) => format(column, column.values[index]))
        .join("\n")
        .toLowerCase(),
    );
    return haystacks[row];
  };

  // Texts are sorted once; afterwards their ranks are compared like numbers.
  const ranks = (column) => {
    if (!column.words) return column.values;
    if (!column.ranks) {
      const order = column.words.map((_, index) => index);
      const compare = new Intl.Collator("en", { numeric: true }).compare;
      order.sort((a, b) => compare(column.words[a], column.words[b]));
      const rank = [];
      order.forEach((word, place) => (rank[word] = place));
      column.ranks = column.values.map((word) => rank[word]);
    }
    return column.ranks;
  };

  const select = () => {
    const words = state.text.toLowerCase().split(/\s+/).filter(Boolean);
    rows = [];
    for (let row = 0; row < count; row += 1) {
      if (state.outcome && outcomes.words[outcomes.values[row]] !== state.outcome) continue;
      if (words.length && !words.every((word) => searched(row).includes(word))) continue;
      rows.push(row);
    }
    if (state.sort >= 0) {
      const keys = ranks(columns[state.sort]);
      const sign = state.down ? -1 : 1;
      rows.sort((a, b) => {
        const [x, y] = [keys[a], keys[b]];
        if (x === null || y === null) return (x === null) - (y === null) || a - b;
        return sign * (x - y) || a - b;
      });
    }
  };

  const element = (name, attributes, text) => {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    if (text !== undefined) made.textContent = text;
    return made;
  };

  const draw = () => {
    const pages = Math.max(1, Math.ceil(rows.length / PAGE));
    state.page = Math.min(Math.max(state.page, 0), pages - 1);
    const first = state.page * PAGE;
    const shown = rows.slice(first, first + PAGE);
    const lines = shown.map((row) => {
      const line = element("tr", { role: "row" });
      for (const column of columns) {
        const value = format(column, column.values[row]);
        const kind = column.kind === "number" ? "number" : "";
        const cell = element("td", { role: "cell", "data-label": column.title, class: kind });
        if (column === outcomes) {
          const badge = "badge " + value.replace(" ", "-");
          cell.append(element("strong", { class: badge }, value.toUpperCase()));
        } else {
          cell.textContent = value;
        }
        if (column.title === "Message") cell.classList.add("long");
        if (value === "") cell.classList.add("empty");
        line.append(cell);
      }
      return line;
    });
    table.tBodies[0].replaceChildren(...lines);
    const range = shown.length ? `${first + 1} to ${first + shown.length} of ` : "";
    const all = rows.length === count ? "" : ` (${count} in all)`;
    byId("trial-count").textContent = `${range}${rows.length} trials${all}`;
    byId("page-number").textContent = `Page ${state.page + 1} of ${pages}`;
    document.querySelector(".pages").hidden = pages === 1;
    for (const [id, off] of [
      ["page-first", state.page === 0],
      ["page-back", state.page === 0],
      ["page-next", state.page === pages - 1],
      ["page-last", state.page === pages - 1],
    ]) {
      // Not disabled: a disabled button would lose the focus of who pages by keyboard.
      byId(id).setAttribute("aria-disabled", String(off));
    }
  };

  const refresh = () => {
    state.page = 0;
    select();
    draw();
  };

  const sortBy = (index, down) => {
    state.sort = index;
    state.down = down;
    heads.forEach((head, place) => {
      const order = place !== index ? "none" : down ? "descending" : "ascending";
      head.setAttribute("aria-sort", order);
    });
    refresh();
  };

  const headRow = element("tr", { role: "row" });
  const heads = columns.map((column, index) => {
    const kind = column.kind === "number" ? "number" : "";
    const head = element("th", { scope: "col", role: "columnheader", class: kind });
    head.setAttribute("aria-sort", "none");
    const button = element("button", { type: "button" }, column.title);
    button.addEventListener("click", () =>
      sortBy(index, state.sort === index ? !state.down : false),
    );
    head.append(button);
    headRow.append(head);
    return head;
  });
  table.tHead.append(headRow);

  const sorts = byId("sort-by");
  sorts.append(element("option", { value: "-1" }, "order of the run"));
  columns.forEach((column, index) => {
    sorts.append(element("option", { value: `${index}` }, `${column.title}, ascending`));
    sorts.append(element("option", { value: `${index} down` }, `${column.title}, descending`));
  });
  sorts.addEventListener("change", () => {
    const [index, down] = sorts.value.split(" ");
    sortBy(Number(index), down === "down");
  });

  for (const word of outcomes ? outcomes.words : []) {
    byId("filter-outcome").append(element("option", { value: word }, word));
  }
  byId("filters").hidden = false;
  byId("filters").addEventListener("submit", (event) => event.preventDefault());
  byId("filter-text").addEventListener("input", (event) => {
    state.text = event.target.value;
    refresh();
  });
  byId("filter-outcome").addEventListener("change", (event) => {
    state.outcome = event.target.value;
    refresh();
  });
  const turn = (id, page) =>
    byId(id).addEventListener("click", () => {
      state.page = page();
      draw();
    });
  turn("page-first", () => 0);
  turn("page-back", () => state.page - 1);
  turn("page-next", () => state.page + 1);
  turn("page-last", () => Infinity);
  refresh();
})();
