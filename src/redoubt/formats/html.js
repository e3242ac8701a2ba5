"use strict";
(function () {
  const filters = document.querySelector(".filters");
  if (!filters) return;
  document.documentElement.classList.add("js");
  const search = filters.querySelector("input[type=search]");
  const shown = filters.querySelector(".shown");
  const groups = Array.from(document.querySelectorAll(".group"), function (group) {
    return {
      group: group,
      text: (group.dataset.text || "").toLowerCase(),
      rows: Array.from(group.querySelectorAll("tr.row"), function (row) {
        return { row: row, text: (row.dataset.text || "").toLowerCase() };
      }),
    };
  });
  function checked(name) {
    const box = filters.querySelector("input[name=" + name + "]");
    return box && box.checked;
  }
  function apply() {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const off = Array.from(filters.querySelectorAll("input[data-severity]:not(:checked)"), function (box) {
      return box.dataset.severity;
    });
    const fixable = checked("fixable"), exploited = checked("exploited");
    let count = 0;
    groups.forEach(function (item) {
      let left = 0;
      item.rows.forEach(function (entry) {
        const data = entry.row.dataset;
        const keep = !off.includes(data.severity)
          && (!fixable || data.fixable !== undefined)
          && (!exploited || data.exploited !== undefined)
          && words.every(function (word) { return item.text.includes(word) || entry.text.includes(word); });
        entry.row.hidden = !keep;
        if (keep) left += 1;
      });
      item.group.hidden = left === 0;
      count += left;
    });
    shown.textContent = count.toLocaleString("en") + (count === 1 ? " row shown" : " rows shown");
  }
  filters.addEventListener("input", apply);
  apply();
})();
