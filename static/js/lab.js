// The lab: readers of one room side by side, what each sees, and what it costs. This wires the page; lab/run.js measures.
import { copy } from "./page/copy.js";
import { Lane } from "./lab/lanes.js";
import { Plot } from "./lab/plot.js";
import { KINDS } from "./lab/readers.js";
import { Run } from "./lab/run.js";
import { delayTold, lossTold, teamTold } from "./lab/sentences.js";
import { CHOICES, fromQuery, toQuery } from "./lab/settings.js";
import { ALL, csv, decodeResults, encodeResults, FIRST, markdown, shown } from "./lab/stats.js";
import { Wire } from "./lab/wire.js";
import { reasonOf } from "./problem.js";

const $ = (id) => document.getElementById(id);
document.documentElement.classList.add("js");

const elements = [...$("lanes").children];
const kinds = elements.map(({ dataset }) => ({ ...dataset, ...KINDS[dataset.kind] }));
const lanes = elements.map((element) => new Lane(element));
const controls = $("controls").elements;
const plot = new Plot($("plot"), kinds);
const wire = new Wire($("wire"));
let run = null;
let rows = null;

// The settings: in the address, so that it can be handed out.
const isBox = (name) => controls[name].type === "checkbox";
const settings = () =>
  Object.fromEntries(
    Object.keys(CHOICES).map((name) => [
      name,
      isBox(name) ? CHOICES[name][Number(controls[name].checked)] : Number(controls[name].value),
    ]),
  );
for (const [name, value] of Object.entries(fromQuery(location.search))) {
  if (isBox(name)) controls[name].checked = value === CHOICES[name][1];
  else controls[name].value = value;
}
$("controls").addEventListener("change", () => history.replaceState(null, "", location.pathname + toQuery(settings())));

function fill(table, names) {
  rows.forEach((row, i) => {
    names.forEach((name, at) => {
      const cell = table.rows[i].cells[at + 1];
      cell.textContent = shown(row[name]);
      cell.classList.toggle("wrong", ["missed", "repeated"].includes(name) && row[name] > 0);
    });
    for (const name of ["p50", "perMinute", "perMessage", "missed"]) {
      lanes[i].figure(name, row[name], name === "missed" && row[name] > 0);
    }
  });
}

function show() {
  fill($("table"), FIRST);
  fill($("all"), ALL);
  $("team").textContent = teamTold(rows.filter((_, i) => !kinds[i].naive));
}

function told(text) {
  $("told").textContent = text;
}

function began() {
  run = new Run({ ...$("lab").dataset, settings, kinds, lanes, wire });
  wire.clear();
  $("cuts").replaceChildren();
  for (const lane of lanes) lane.clear();
  run.addEventListener("shown", () => {
    ({ rows } = run);
    show();
    plot.show(run.points, run.bands);
  });
  run.addEventListener("progress", ({ detail }) => ($("progress").textContent = detail.text));
  run.addEventListener("told", ({ detail }) => {
    const line = document.createElement("li");
    line.textContent = detail.text;
    $("cuts").append(line);
    told(detail.text);
    $("cut").disabled = !run || run.stopped;
  });
  running(true);
  told("Started.");
}

function running(isRunning) {
  $("start").textContent = isRunning ? "Stop" : "Start";
  for (const id of ["cut", "say"]) $(id).disabled = !isRunning;
  controls.poll.disabled = controls.tabs.disabled = isRunning;
}

function verdicts({ delay, loss }) {
  const chosen = (name) => document.querySelector(`[name=${name}]:checked`)?.value;
  $("verdict").textContent = [delayTold(chosen("delay-guess"), delay), lossTold(chosen("loss-guess"), loss)]
    .filter(Boolean)
    .join(" ");
}

$("controls").addEventListener("submit", async (event) => {
  event.preventDefault();
  if (run) {
    run.stopped = true;
    $("cut").disabled = $("say").disabled = true;
    told("Waiting for the last probe.");
    return;
  }
  began();
  try {
    await run.begin();
    $("progress").textContent = `${run.ledger.sent} probes sent.`;
    verdicts(run.outcome);
    told("Done. Missed is what was acknowledged and never arrived.");
  } catch (error) {
    told(`It could not be measured: ${reasonOf(error)}`);
  }
  run.close();
  run = null;
  running(false);
});

$("cut").addEventListener("click", () => {
  const { lasts } = settings();
  run.cut(lasts);
  $("cut").disabled = true;
  told(`The readers' network is cut for ${lasts} s. Messages go on being sent.`);
});

$("word").addEventListener("submit", (event) => {
  event.preventDefault();
  const { word } = event.target.elements;
  if (run && word.value.trim()) run.probe(word.value.trim());
  word.value = "";
});

// Results, to take away.
const save = (name, type, text) => {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type }));
  link.download = name;
  link.click();
  URL.revokeObjectURL(link.href);
};
const copied = async (text, what) =>
  told((await copy(text)) ? `${what} is copied.` : "This browser does not let the page copy: select the table.");
const address = () =>
  location.origin + location.pathname + toQuery(settings()) + (rows ? `#results=${encodeResults(rows)}` : "");
$("csv").addEventListener("click", () => rows && save("lab.csv", "text/csv", csv(rows)));
$("json").addEventListener("click", () => rows && save("lab.json", "application/json", JSON.stringify(rows, null, 2)));
$("copy-table").addEventListener("click", () => rows && copied(markdown(rows), "The table"));
$("copy-link").addEventListener("click", () => copied(address(), "The link"));
$("wire").addEventListener("click", ({ target }) => {
  if (target.dataset.copy) copied(target.dataset.copy, "The text");
});

const sent = /^#results=([\d.,;]+)$/.exec(location.hash);
rows =
  sent &&
  decodeResults(
    sent[1],
    kinds.map(({ name }) => name),
  );
if (rows) {
  show();
  told("These are the figures of a run that was sent to you. Start measures anew.");
}
