// Tables are sorted, filtered and saved, pictures saved. Without this script the page has all the same numbers.
"use strict";
(() => {
  const plain = (text) => text.replace(/\s+/g, " ").replace(/\u2212/g, "-").trim();
  const valueOf = (cell) => plain(cell.querySelector(".value").textContent);
  const belowOf = (cell) => { const below = cell.querySelector(".below"); return below ? plain(below.textContent) : ""; };
  const numberOf = (text) => {
    const found = text.replace(/(\d),(?=\d{3})/g, "$1").match(/^[<>=\s]*([+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?)/i);
    return found ? Number(found[1]) : NaN;
  };

  const save = (name, blob) => {
    const link = document.createElement("a");
    link.download = name;
    link.href = URL.createObjectURL(blob);
    document.body.append(link);
    link.click();
    link.remove();
    setTimeout(() => URL.revokeObjectURL(link.href), 60000);
  };
  const button = (text, about, press) => {
    const made = document.createElement("button");
    made.type = "button";
    made.textContent = text;
    made.setAttribute("aria-label", about);
    made.addEventListener("click", press);
    return made;
  };

  // A column with intervals is two columns of a file.
  const columnsOf = (table) => {
    const rows = [...table.tBodies[0].rows].filter((row) => !row.hidden);
    const columns = [...table.tHead.rows[0].cells].flatMap((head, number) => {
      const cells = rows.map((row) => row.cells[number]);
      const name = plain(head.textContent);
      const first = [name, ...cells.map(valueOf)];
      return cells.some(belowOf) ? [first, [`${name}, interval`, ...cells.map(belowOf)]] : [first];
    });
    return columns[0].map((_, row) => columns.map((column) => column[row]));
  };
  const csv = (lines) => lines.map((line) => line.map((text) => /[",\n]/.test(text) ? `"${text.replace(/"/g, '""')}"` : text).join(",")).join("\r\n") + "\r\n";
  const letters = { "\\": "\\textbackslash{}", "~": "\\textasciitilde{}", "^": "\\textasciicircum{}", "<": "\\textless{}", ">": "\\textgreater{}",
    "\u03bb": "$\\lambda$", "\u2013": "--" };
  const latexText = (text) => text.replace(/[\\~^<>\u03bb\u2013]|[&%$#_{}]/g, (letter) => letters[letter] || `\\${letter}`).replace(/^-(?=\d)/, "$-$");
  const latex = (lines, numLeft) => {
    const rows = lines.map((line) => `  ${line.map(latexText).join(" & ")} \\\\`);
    const kinds = lines[0].map((_, number) => number < numLeft ? "l" : "r").join("");
    return [`\\begin{tabular}{${kinds}}`, "  \\hline", rows[0], "  \\hline", ...rows.slice(1), "  \\hline", "\\end{tabular}", ""].join("\n");
  };

  const sortBy = (table, number) => {
    const heads = [...table.tHead.rows[0].cells];
    const isUp = heads[number].getAttribute("aria-sort") === "descending";
    heads.forEach((head) => head.removeAttribute("aria-sort"));
    heads[number].setAttribute("aria-sort", isUp ? "ascending" : "descending");
    const rows = [...table.tBodies[0].rows].map((row) => {
      const text = valueOf(row.cells[number]);
      return { row, text, number: numberOf(text) };
    });
    const isNumeric = rows.filter((each) => !isNaN(each.number)).length * 2 > rows.length;
    const sign = isUp ? 1 : -1;
    rows.sort((a, b) => {
      if (!isNumeric) return sign * a.text.localeCompare(b.text, "en", { numeric: true });
      if (isNaN(a.number) || isNaN(b.number)) return isNaN(a.number) - isNaN(b.number); // what is no number comes last
      return sign * (a.number - b.number);
    });
    table.tBodies[0].append(...rows.map((each) => each.row));
  };

  for (const place of document.querySelectorAll(".table")) {
    const table = place.querySelector("table");
    const tools = place.querySelector(".tools");
    const about = table.caption ? table.caption.textContent : place.dataset.name;
    const rows = [...table.tBodies[0].rows];
    if (!table.tHead.textContent.trim()) continue; // facts, not numbers
    if (rows.length > 1) {
      [...table.tHead.rows[0].cells].forEach((head, number) => {
        if (!head.textContent.trim()) return;
        const sort = button(head.textContent, `sort by ${head.textContent.trim()}`, () => sortBy(table, number));
        head.replaceChildren(sort);
      });
    }
    if (rows.length > 7) {
      const filter = document.createElement("input");
      filter.type = "search";
      filter.placeholder = "filter rows";
      filter.setAttribute("aria-label", `filter rows: ${about}`);
      const count = document.createElement("span");
      count.setAttribute("role", "status");
      filter.addEventListener("input", () => {
        const words = plain(filter.value).toLowerCase().split(" ");
        rows.forEach((row) => { row.hidden = !words.every((word) => plain(row.textContent).toLowerCase().includes(word)); });
        const shown = rows.filter((row) => !row.hidden).length;
        count.textContent = shown < rows.length ? `${shown} of ${rows.length} rows` : "";
      });
      tools.append(filter, count);
    }
    const name = place.dataset.name;
    const numLeft = Number(place.dataset.numLeft);
    tools.append(
      button("CSV", `save as CSV: ${about}`, () => save(`${name}.csv`, new Blob([csv(columnsOf(table))], { type: "text/csv" }))),
      button("LaTeX", `save as LaTeX: ${about}`, () => save(`${name}.tex`, new Blob([latex(columnsOf(table), numLeft)], { type: "text/x-tex" }))),
    );
  }

  for (const figure of document.querySelectorAll("figure")) {
    const image = figure.querySelector("img");
    const name = figure.dataset.name;
    const bytes = () => Uint8Array.from(atob(image.currentSrc.split(",")[1]), (letter) => letter.charCodeAt(0));
    figure.querySelector(".tools").append(
      button("SVG", `save as SVG: ${image.alt}`, () => save(`${name}.svg`, new Blob([bytes()], { type: "image/svg+xml" }))),
      button("PNG", `save as PNG: ${image.alt}`, () => {
        const canvas = document.createElement("canvas");
        canvas.width = 2 * image.naturalWidth;
        canvas.height = 2 * image.naturalHeight;
        canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
        canvas.toBlob((blob) => save(`${name}.png`, blob));
      }),
    );
  }

  // A page that is made again while a run goes on: the reader stays where they are, with what they have unfolded.
  const live = document.querySelector("[data-reload-seconds]");
  if (live) {
    const folds = [...document.querySelectorAll("details")];
    const key = `report ${location.pathname}`;
    const before = JSON.parse(sessionStorage.getItem(key) || "null");
    history.scrollRestoration = "manual";
    if (before) {
      folds.forEach((fold) => { fold.open = before.open.includes(nameOf(fold)); });
      document.querySelectorAll("input[type=search]").forEach((input, number) => {
        if (before.filters[number]) { input.value = before.filters[number]; input.dispatchEvent(new Event("input")); }
      });
      scrollTo(0, before.top);
    }
    function nameOf(fold) { return fold.querySelector("summary").textContent.replace(/\d+/g, "#"); }
    const keep = () => sessionStorage.setItem(key, JSON.stringify({
      top: scrollY,
      open: folds.filter((fold) => fold.open).map(nameOf),
      filters: [...document.querySelectorAll("input[type=search]")].map((input) => input.value),
    }));
    addEventListener("pagehide", keep);
    setInterval(() => {
      const isBusy = document.hidden || !getSelection().isCollapsed || document.activeElement.matches("input");
      if (!isBusy) location.reload();
    }, 1000 * Number(live.dataset.reloadSeconds));
  }
})();
