// The page of a run: everything is drawn from a snapshot, which stands in the page or comes live.

let run = JSON.parse(document.getElementById("snapshot").textContent);
const live = document.documentElement.dataset.live === "true";
let lost = false;

const WORDS = { waiting: "waiting", running: "running", committing: "putting together", done: "done", failed: "failed", skipped: "done before" };

function shareOf(stage) {
  if (stage.phase === "done" || stage.phase === "skipped") return 1;
  const read = stage.bytes ? stage.bytes_read / stage.bytes : stage.tasks ? stage.finished / stage.tasks : 0;
  return Math.min(0.999, stage.shards ? 0.9 + (0.1 * stage.shards_done) / stage.shards : 0.9 * read);
}

const current = () => run.stages.find((stage) => stage.phase === "running" || stage.phase === "committing" || stage.phase === "failed");
const failure = () => run.errors.findLast((error) => error.kind === "failed");
const total = (field) => run.stages.reduce((all, stage) => all + (stage[field] || 0), 0);

// What has gone into a stage, also into tasks that are not done; and out of it, into its tables.
const into = (stage) => stage.records_read ?? stage.records;
const out = (stage) => {
  const found = stage.tables.map((name) => run.tables[name]);
  return found.length && found.every(Boolean) ? found.reduce((all, one) => all + one.records, 0) : stage.written;
};

// Bytes a second since the last sample that is five seconds old: of a long run there are few.
function rateNow() {
  const before = run.samples.findLast((row) => row.at <= run.elapsed - 5) ?? run.samples[0];
  const passed = before ? run.elapsed - before.at : 0;
  return passed >= 0.5 ? Math.max(0, (total("bytes_read") - before.read) / passed) : null;
}

function timeLeft(rate) {
  const stage = current();
  if (!stage || stage.phase !== "running" || !rate || !stage.bytes) return null;
  return (stage.bytes - stage.bytes_read) / rate;
}

function head() {
  const running = run.phase === "running", rate = running ? rateNow() : run.elapsed ? total("bytes_read") / run.elapsed : null;
  const stage = current(), left = running ? timeLeft(rate) : null;
  const share = run.stages.length ? run.stages.reduce((all, one) => all + shareOf(one), 0) / run.stages.length : 0;
  const fact = (name, id, value, more) => h("div", {}, h("dt", {}, name), h("dd", { id }, value, more ? h("small", {}, more) : null));
  const state = running && stage ? `${stage.name}: ${WORDS[stage.phase]}` : WORDS[run.phase];
  const fresh = h("header", { id: "head" },
    h("div", { class: "name" }, h("span", { class: "brand" }, "gaia"), h("h1", {}, run.pipeline),
      h("span", { class: `state ${run.phase}`, id: "state" }, state)),
    h("dl", { class: "facts" },
      fact(running ? "Running for" : "Took", "elapsed", seconds(run.elapsed), new Date(run.started * 1000).toLocaleString("sv-SE")),
      fact("Read", "read", bytes(total("bytes_read")), stage && stage.bytes && running ? `${percent(stage.bytes_read, stage.bytes)} of ${bytes(stage.bytes)}` : "before compression"),
      fact("Throughput", "throughput", rate == null ? NONE : `${bytes(rate)}/s`, running ? "of late" : "on average"),
      running ? fact("Time left", "left", left == null ? NONE : seconds(left), "in this stage") : null,
      fact("Records", "records", short(run.stages.reduce((all, one) => all + into(one), 0)), `${short(run.stages.reduce((all, one) => all + out(one), 0))} written`),
      fact("Tasks", "tasks-done", `${count(total("finished"))}`, total("retried") ? `${count(total("retried"))} tried again` : `${run.stages.filter((one) => ["done", "skipped"].includes(one.phase)).length} of ${run.stages.length} stages done`),
      fact("Workers", "workers", count(run.settings.workers), run.versions.cores ? `on ${run.versions.cores} cores` : null)),
    h("div", { class: "way", id: "way", role: "progressbar", "aria-label": "How far the run is", "aria-valuemin": 0, "aria-valuemax": 100, "aria-valuenow": Math.floor(100 * share) },
      run.stages.map((one) => h("span", { class: one.phase, title: `${one.name}: ${WORDS[one.phase]}` }, h("i", { style: { width: `${100 * shareOf(one)}%` } })))));
  morph(document.getElementById("head"), fresh);
  const mark = running ? `${Math.floor(100 * share)} % ` : run.phase === "failed" ? "failed: " : "";
  document.title = `${mark}${run.pipeline} \u2013 Gaia`;
}

function note() {
  const error = run.phase === "failed" ? failure() : null;
  let fresh;
  if (error) {
    fresh = h("div", { class: "note bad", id: "note", role: "alert" },
      h("strong", {}, error.step ? `The run failed in \u201c${error.step}\u201d after ${seconds(run.elapsed)}` : `The run failed after ${seconds(run.elapsed)}`),
      h("pre", {}, error.text), live ? reportAt() : null);
  } else if (live && run.phase === "done") {
    fresh = h("div", { class: "note", id: "note", role: "status" }, "The run is done, and this page stays as it is. ", reportAt());
  } else if (lost) {
    fresh = h("div", { class: "note", id: "note", role: "status" },
      `The run can no longer be reached. This is how it was after ${seconds(run.elapsed)}.`);
  } else fresh = h("div", { id: "note", role: "status" });
  morph(document.getElementById("note"), fresh);
}

const reportAt = () => (run.report ? h("span", {}, "Its report: ", h("code", {}, run.report)) : null);

function plan() {
  const box = document.getElementById("plan");
  box.hidden = !box.querySelector("svg");
  for (const stage of run.stages) {
    const node = box.querySelector(`[data-stage="${CSS.escape(stage.name)}"]`);
    if (!node) continue;
    node.classList.remove(...Object.keys(WORDS));
    node.classList.add(stage.phase);
    const told = { waiting: "", skipped: "done before", failed: "failed" }[stage.phase];
    put(node, told ?? `${count(stage.finished)}/${count(stage.tasks)}`);
  }
  for (const [name, one] of Object.entries(run.tables)) {
    const node = box.querySelector(`[data-table="${CSS.escape(name)}"]`);
    if (!node) continue;
    node.classList.add("done");
    put(node, short(one.records));
  }
}

function put(node, text) {
  const place = node.querySelector(".gaia-live");
  if (place && place.textContent !== text) place.textContent = text;
}

function stages() {
  const rows = run.stages.map((stage) => [
    [swatch(stage.number), stage.name],
    h("span", { class: stage.phase === "failed" ? "bad" : stage.phase === "waiting" ? "soft" : null }, WORDS[stage.phase]),
    [`${count(stage.finished)} / ${count(stage.tasks)}`, bar(stage.tasks ? stage.finished / stage.tasks : stage.phase === "skipped" ? 1 : 0)],
    count(stage.running.length), count(stage.queued), count(stage.retried),
    bytes(stage.bytes_read), count(into(stage)), count(out(stage)),
    stage.shards ? `${count(stage.shards_done)} / ${count(stage.shards)}` : NONE,
    seconds(stage.began == null ? null : (stage.ended ?? run.elapsed) - stage.began),
  ]);
  fill("stages", "Stages", table("Stages",
    [["stage"], ["state"], ["tasks", true], ["running", true], ["queued", true], ["retried", true], ["read", true], ["records in", true], ["records out", true], ["shards made", true], ["time", true]],
    rows, { keys: run.stages.map((stage) => stage.name) }));
}

function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)];
}

// The ten tasks that took longest, and longer than is usual in their stage.
function slowest() {
  return allTasks(run).filter((task) => task.ended != null).sort((a, b) => b.took - a.took).slice(0, 10);
}

function slow(tasks) {
  const usual = new Map(run.stages.map((stage) => [stage.number, median(stage.done.map((task) => task.ended - task.began)) || 0]));
  const rows = tasks.map((task) => [
    [swatch(task.stage.number), task.stage.name], count(task.task), task.shard ?? NONE, task.worker, count(task.attempt),
    seconds(task.began), seconds(task.took), usual.get(task.stage.number) ? `${(task.took / usual.get(task.stage.number)).toFixed(1)}\u00d7` : NONE,
    bytes(task.bytes), task.took > 0 ? `${bytes(task.bytes / task.took)}/s` : NONE, count(task.records)]);
  fill("slowest", "Slowest tasks", rows.length ? table("Slowest tasks",
    [["stage"], ["task", true], ["shard", true], ["worker"], ["attempt", true], ["began", true], ["took", true], ["of the median", true], ["read", true], ["rate", true], ["records", true]], rows) : null);
}

function histogram(one, width) {
  const H = 64, most = Math.max(...one.histogram.map((part) => part.shards), 1), step = width / one.histogram.length;
  const top = one.histogram[one.histogram.length - 1].to;
  const bars = one.histogram.map((part, i) => s("rect", { x: (i * step + 0.5).toFixed(1), width: Math.max(1, step - 1).toFixed(1),
    y: (H - (H * part.shards) / most).toFixed(1), height: (part.shards ? Math.max(1.5, (H * part.shards) / most) : 0).toFixed(1) },
  s("title", {}, `${bytes(part.from)} to ${bytes(part.to)}: ${count(part.shards)} shards`)));
  return s("svg", { class: "chart", width, height: H + 18, viewBox: `0 0 ${width} ${H + 18}`, role: "img",
    "aria-label": `Shards by size: ${one.histogram.filter((part) => part.shards).map((part) => `${count(part.shards)} of ${bytes(part.from)} to ${bytes(part.to)}`).join(", ")}` },
  bars, s("line", { class: "grid", x1: 0, x2: width, y1: H + 0.5, y2: H + 0.5 }),
  s("text", { x: 0, y: H + 14 }, "0"), s("text", { x: width, y: H + 14, "text-anchor": "end" }, `${bytes(top)} a shard`));
}

function card(name, one, width) {
  const mean = one.shards ? one.bytes / one.shards : 0;
  const ratio = mean ? one.largest[0].bytes / mean : 1;
  const files = [one.format, one.compression === "none" ? null : one.compression].filter(Boolean).join(", ");
  const shardRows = one.largest.map((shard) => [String(shard.shard), bytes(shard.bytes), count(shard.records), mean ? `${(shard.bytes / mean).toFixed(2)}\u00d7` : NONE]);
  const columns = [["shard"], ["size", true], ["records", true], ["of the mean", true]];
  const hot = one.hottest || [];
  return h("article", { class: "sheet card", id: `card-${name}`, "aria-label": `Table ${name}` },
    h("h3", {}, name),
    h("p", { class: "small soft" }, `${count(one.records)} records in ${count(one.shards)} ${one.shards === 1 ? "shard" : "shards"}, ${bytes(one.bytes)} (${files})`),
    one.bytes ? histogram(one, width) : null,
    one.shards > 1 && one.bytes ? [
      h("p", { class: `small ${ratio > 2 ? "bad" : "soft"}` }, `The largest shard has ${ratio.toFixed(2)} times the mean.`),
      hot.map((shard) => h("div", { class: "small" }, h("h3", {}, `Hottest keys of shard ${shard.shard}`),
        shard.error ? h("p", { class: "soft" }, shard.error)
          : !shard.keys.length ? h("p", {}, "No key stands out.") : table(`Hottest keys of shard ${shard.shard} of ${name}`, [["key", false, "wrap mono"], ["share", true]],
            shard.keys.map((key) => [key.key, [percent(key.share, 1), bar(key.share)]]), { sheet: false, tight: true }),
        shard.error ? null : h("p", { class: "soft" }, `by ${count(shard.sampled)} of its ${count(shard.records)} records`))),
      h("details", {}, h("summary", {}, "Largest shards"), table(`Largest shards of ${name}`, columns, shardRows, { sheet: false, tight: true })),
    ] : null);
}

function tables() {
  const names = Object.keys(run.tables);
  const room = document.getElementById("main").clientWidth;
  const fitting = Math.max(1, Math.floor((room + 16) / (400 + 16)));
  const width = Math.max(180, Math.floor((room - 16 * (fitting - 1)) / fitting) - 38);
  fill("tables", "Tables", names.length ? h("div", { class: "cards" }, names.map((name) => card(name, run.tables[name], width))) : null);
}

function errors() {
  const letters = run.stages.flatMap((stage) => stage.letters || []).filter((name) => run.tables[name]);
  const seen = [...run.errors].reverse();
  fill("errors", "Errors and dead letters",
    letters.length ? h("p", { class: "small" }, "Dead letters: ", letters.map((name) => `${name} (${count(run.tables[name].records)})`).join(", ")) : null,
    seen.length ? h("ol", { class: "sheet log scroll", tabindex: "0", "aria-label": "Errors, the latest first" }, seen.map((error) => h("li", {},
      h("span", { class: "soft" }, seconds(error.at)),
      h("div", {}, h("strong", { class: error.kind === "failed" ? "bad" : null }, error.kind), error.step ? ` in ${error.step}` : "", h("pre", {}, error.text))))) : null);
}

// Where time was spent, of a run that was profiled.
function profile() {
  const found = run.profile;
  if (!found || !found.seconds) { fill("profile", "Profile"); return; }
  const named = new Map(run.stages.map((stage) => [stage.name, stage.number]));
  const steps = found.stages.flatMap((stage) => stage.steps.map((step) => [
    [swatch(named.get(stage.stage) ?? 0), step.step], stage.stage, seconds(step.seconds), [percent(step.share, 1), bar(step.share)], seconds(step.user), seconds(step.gaia)]));
  const lines = found.lines.map((line) => [
    `${line.file}:${line.line}`, line.text, line.function, line.step, seconds(line.seconds), percent(line.share, 1)]);
  fill("profile", "Profile",
    h("p", { class: "small soft" }, `${seconds(found.seconds)} in all workers: ${percent(found.user, found.seconds)} in your code, ${percent(found.gaia, found.seconds)} in Gaia.`),
    table("Time by step", [["step"], ["stage"], ["time", true], ["share", true], ["your code", true], ["Gaia", true]], steps),
    lines.length ? table("Hottest lines", [["line"], ["code", false, "mono"], ["function"], ["step"], ["time", true], ["share", true]], lines) : null);
}

const pairs = (entries) => h("dl", { class: "sheet columns" }, entries.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))));

function counters() {
  const entries = Object.entries(run.counters).sort(([a], [b]) => (a < b ? -1 : 1));
  fill("counters", "Counters", entries.length ? pairs(entries.map(([name, value]) => [name, count(value)])) : null);
}

function settings() {
  const shown = (name, value) => (value == null ? NONE : name === "memory" ? bytes(value) : Array.isArray(value) ? value.join(" ") : String(value));
  const list = (found) => pairs(Object.entries(found).map(([name, value]) => [name.replaceAll("_", " "), shown(name, value)]));
  fill("settings", "Settings and versions", h("div", { class: "pair" }, list(run.settings), list(run.versions)));
}

function overview() {
  const tasks = slowest();
  const often = new Set(tasks.slice(0, 5).map((task) => task.key));
  const room = document.getElementById("main").clientWidth, width = Math.max(260, room - (room < 560 ? 26 : 38));
  fill("time", "Over time", overTime(run, width, often));
}

function draw() {
  head(); note(); plan(); stages(); overview(); slow(slowest()); tables(); errors(); counters(); profile(); settings();
  document.documentElement.dataset.phase = run.phase;
}

// The time under the pointer, or where the arrow keys lead.
function pointed(event) {
  const chart = event.target.closest?.("[data-chart]");
  const bounds = chart?.getBoundingClientRect();
  const share = bounds ? (event.clientX - bounds.left - LEFT) / (bounds.width - LEFT - RIGHT) : -1;
  const next = share >= 0 && share <= 1 ? share * run.elapsed : null;
  if (next !== cursor && (chart || document.activeElement?.dataset.chart == null)) { cursor = next; overview(); }
}

function keyed(event) {
  const keys = ["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", "Home", "End", "Escape"];
  if (!keys.includes(event.key) || event.ctrlKey || event.metaKey || event.altKey) return;
  const chart = event.target.closest?.("[data-chart]");
  if (chart) {
    const step = run.elapsed / (event.shiftKey ? 10 : 100), at = cursor ?? run.elapsed;
    const goes = { ArrowLeft: at - step, ArrowDown: at - step, ArrowRight: at + step, ArrowUp: at + step, Home: 0, End: run.elapsed };
    cursor = event.key === "Escape" ? null : Math.min(run.elapsed, Math.max(0, goes[event.key]));
  } else if (event.target.id === "tasks") {
    chosen = event.key === "Escape" ? null : nextTask(run, event.key);
  } else return;
  event.preventDefault();
  overview();
}

document.addEventListener("pointermove", pointed);
document.addEventListener("pointerleave", () => { cursor = null; overview(); });
document.addEventListener("keydown", keyed);
document.addEventListener("click", (event) => {
  const task = event.target.closest?.("[data-task]");
  if (task) { chosen = task.dataset.task === chosen ? null : task.dataset.task; overview(); }
});
let width = window.innerWidth;
window.addEventListener("resize", () => { if (window.innerWidth !== width) { width = window.innerWidth; draw(); } });

draw();

if (live && run.phase === "running") {
  const events = new EventSource("events");
  events.onmessage = (event) => {
    run = JSON.parse(event.data);
    lost = false;
    // The run is over, and with it goes the server.
    if (run.phase !== "running") events.close();
    draw();
  };
  events.onerror = () => { lost = true; note(); };
}
