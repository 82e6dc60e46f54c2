// Results of the search of built pages for words, in its own code: node search.js FOLDER WORD...; prints a JSON line for each word.
"use strict";
const fs = require("fs"), path = require("path"), vm = require("vm");
const [folder, ...words] = process.argv.slice(2);
const nothing = { dataset: {}, addEventListener() {}, appendChild: (x) => x, removeChild() {}, style: {} };
const page = {
  console, URLSearchParams, SPHINX_HIGHLIGHT_ENABLED: false, setTimeout() {}, navigator: { userAgent: "" }, localStorage: { setItem() {}, getItem: () => null },
  location: { search: "", href: "" }, addEventListener() {},
  document: {
    documentElement: nothing, body: nothing, head: nothing, readyState: "loading", addEventListener() {},
    getElementById: () => null, createElement: () => ({ ...nothing }), querySelector: () => null, querySelectorAll: () => [],
  },
};
page.window = page;
vm.createContext(page);
const scripts = ["doctools.js", "documentation_options.js", "english-stemmer.js", "language_data.js", "searchtools.js"];
const files = scripts.map((name) => path.join(folder, "_static", name)).concat(path.join(folder, "searchindex.js"));
const code = files.filter((file) => fs.existsSync(file)).map((file) => fs.readFileSync(file, "utf8")).join("\n;\n");
vm.runInContext(code + "\n;globalThis.Search = Search;", page);
for (const word of words) {
  const parsed = page.Search._parseQuery(word);
  const found = page.Search._performSearch(...parsed);
  // Results are in ascending order; each begins with document and title.
  console.log(JSON.stringify(found.reverse().slice(0, 10).map(([document, title, anchor]) => [document, title, anchor])));
}
