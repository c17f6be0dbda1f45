"use strict";
const $ = (id) => document.getElementById(id);
const articles = [...document.querySelectorAll("article")];
const filters = [...document.querySelectorAll("select[data-filter]")];
function filter() {
  let shown = 0;
  for (const article of articles) {
    // A name of a tool may hold any character but a line break, which separates them here.
    const has = (select) => !select.value || article.dataset[select.dataset.filter].split("\n").includes(select.value);
    const fits = filters.every(has);
    article.hidden = !fits;
    shown += fits;
  }
  $("shown").textContent = shown;
  $("empty").hidden = shown > 0;
}
function tell(token) {
  document.querySelector(".t.on")?.classList.remove("on");
  if (!token) { $("told").textContent = ""; return; }
  token.classList.add("on");
  const { id, weight, loss } = token.dataset;
  const facts = [`“${token.textContent}”`, `token ${id}`, `weight ${weight}`];
  if (token.classList.contains("key")) facts.push("key token");
  if (token.classList.contains("stop")) facts.push("stop target");
  if (weight === "0") facts.push("masked");
  if (loss !== undefined) facts.push(`loss ${loss}`, `probability ${(100 * Math.exp(-loss)).toPrecision(3)} %`);
  $("told").textContent = facts.join("   ·   ");
}
for (const select of filters) select.onchange = filter;
$("scale").onchange = () => { document.body.className = $("scale").value; };
for (const event of ["pointerover", "click"])
  document.addEventListener(event, (e) => tell(e.target.closest(".t")));
filter();
