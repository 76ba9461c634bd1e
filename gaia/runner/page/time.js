// What happened over time: charts that have one time axis, and one cursor on it.

const LEFT = 68, RIGHT = 8;
// Height of a chart, of which so much is free above and below.
const TALL = 92, ABOVE = 7, BELOW = 5;
// The time that is looked at, in seconds since the run began; null for its end.
let cursor = null;
// The chosen task, as "stage/task/attempt".
let chosen = null;

const scaled = (width, end) => (at) => LEFT + ((width - LEFT - RIGHT) * at) / end;

// Round steps, at most `most` of them up to `top`.
function steps(top, most, base = 10) {
  const least = top / most;
  const power = base ** Math.floor(Math.log(least) / Math.log(base));
  const factors = base === 10 ? [1, 2, 5, 10] : [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024];
  const step = power * factors.find((factor) => factor * power >= least * 0.999);
  return Array.from({ length: Math.floor(top / step + 1e-9) + 1 }, (_, i) => i * step);
}

function times(end, most) {
  const nice = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400, 43200, 86400];
  const step = nice.find((one) => end / one <= most) || end / most;
  return Array.from({ length: Math.floor(end / step) + 1 }, (_, i) => i * step);
}

const round = (value) => bytes(value).replace(/\.0+(?=\D)/, "");
const clock = (at) => (at < 60 ? `${Number(at.toFixed(2))}\u00a0s` : seconds(at).replace("\u00a0min", "").replace("\u00a0h", "\u00a0h"));

// What the samples say, as rows of one kind: each stands for the time since the one before.
function series(run) {
  const names = [...new Set(run.samples.flatMap((row) => Object.keys(row.memory)))];
  const rank = (name) => (name === "scheduler" ? -1 : Number(name.replace(/\D/g, "")) || 0);
  names.sort((a, b) => rank(a) - rank(b) || (a < b ? -1 : 1));
  let before = { at: 0, read: 0 };
  const rows = run.samples.map((row) => {
    const passed = Math.max(row.at - before.at, 1e-3);
    const rate = Math.max(0, row.read - before.read) / passed;
    before = row;
    return { at: row.at, rate, cpu: row.cpu, memory: row.memory };
  });
  return { names, rows };
}

const sum = (values) => Object.values(values).reduce((a, b) => a + b, 0);
const rowAt = (rows, at) => rows.find((row) => row.at >= at) || rows[rows.length - 1];

// Averages over about a second or a hundredth of the run: samples of rates jump.
function smooth(rows, end) {
  const window = Math.max(1, end / 120);
  let first = 0;
  return rows.map((row, i) => {
    while (rows[first].at < row.at - window) first++;
    const group = rows.slice(first, i + 1);
    return { ...row, rate: group.reduce((total, one) => total + one.rate, 0) / group.length };
  });
}

function frame(id, label, said, width, height, content, end) {
  const x = scaled(width, end);
  const at = cursor == null ? null : Math.min(cursor, end);
  return s("svg", { class: "chart", id, "data-chart": id, width, height, viewBox: `0 0 ${width} ${height}`,
    role: "slider", tabindex: "0", "aria-label": label, "aria-valuemin": 0, "aria-valuemax": end.toFixed(2),
    "aria-valuenow": (at ?? end).toFixed(2), "aria-valuetext": said, "aria-orientation": "horizontal" },
  content, at == null ? null : s("line", { class: "cursor", x1: x(at), x2: x(at), y1: 0, y2: height }));
}

const rising = (top) => (value) => TALL - BELOW - ((TALL - ABOVE - BELOW) * value) / top;

function grid(width, top, format, base) {
  return steps(top, 3, base).map((value) => {
    const y = rising(top)(value);
    return [s("line", { class: "grid", x1: LEFT, x2: width - RIGHT, y1: y, y2: y }),
      s("text", { x: LEFT - 8, y: y + 4, "text-anchor": "end" }, format(value))];
  });
}

// Areas above each other, one for each name; `value` gives what it has in a row.
function stacked(rows, names, value, x, y) {
  const base = rows.map(() => 0);
  return names.map((name) => {
    const lower = [...base];
    rows.forEach((row, i) => { base[i] += value(row, name) || 0; });
    // A sample stands for the time before it, so that its value goes back to the sample before.
    const up = rows.map((row, i) => `${x(i ? rows[i - 1].at : 0).toFixed(1)},${y(base[i]).toFixed(1)} ${x(row.at).toFixed(1)},${y(base[i]).toFixed(1)}`);
    const down = rows.map((row, i) => `${x(row.at).toFixed(1)},${y(lower[i]).toFixed(1)} ${x(i ? rows[i - 1].at : 0).toFixed(1)},${y(lower[i]).toFixed(1)}`).reverse();
    const number = Number(name.replace(/\D/g, "")) || 0;
    return s("polygon", { class: name === "scheduler" ? "own" : `w${(number + 1) % 2}`, points: [...up, ...down].join(" ") }, s("title", {}, name));
  });
}

function stageStrip(run, width, end) {
  const x = scaled(width, end);
  const began = run.stages.filter((stage) => stage.began != null && stage.phase !== "skipped");
  const content = began.map((stage) => {
    const from = x(stage.began), to = Math.max(from + 1, x(stage.ended ?? end));
    const commit = stage.committing == null ? to : x(stage.committing);
    const fits = stage.name.length * 6.6 < to - from - 8;
    return s("g", {}, s("title", {}, `${stage.name}: ${seconds((stage.ended ?? end) - stage.began)}`),
      s("rect", { class: "band", x: from, y: 18, width: Math.max(0, commit - from), height: 6, fill: colour(stage.number) }),
      s("rect", { class: "commit", x: commit, y: 18, width: Math.max(0, to - commit), height: 6, fill: colour(stage.number) }),
      fits ? s("text", { x: from, y: 12 }, stage.name) : null);
  });
  return s("svg", { class: "chart", width, height: 26, viewBox: `0 0 ${width} 26`, role: "img",
    "aria-label": `Stages: ${began.map((stage) => `${stage.name} from ${seconds(stage.began)} to ${seconds(stage.ended ?? end)}`).join(", ")}` }, content);
}

function axis(width, end) {
  const x = scaled(width, end);
  const ticks = times(end, Math.max(2, Math.floor(width / 110)));
  return s("svg", { class: "chart", width, height: 18, viewBox: `0 0 ${width} 18`, "aria-hidden": "true" },
    ticks.map((at) => s("text", { x: x(at), y: 13, "text-anchor": x(at) > width - 30 ? "end" : "middle" }, clock(at))));
}

const over = (title, said, id) => h("div", { class: "over" }, h("h3", {}, title), h("span", { class: "small soft", id }, said));

function allTasks(run) {
  return run.stages.flatMap((stage) => [
    ...stage.done.map((task) => ({ ...task, stage })),
    ...stage.running.map((task) => ({ ...task, ended: null, stage })),
  ]).map((task) => ({ ...task, key: `${task.stage.number}/${task.task}/${task.attempt}`, took: (task.ended ?? run.elapsed) - task.began }));
}

function toldOf(task) {
  const shard = task.shard == null ? "" : `, shard ${task.shard}`;
  const attempt = task.attempt > 1 ? `, attempt ${task.attempt}` : "";
  const rate = task.ended != null && task.took > 0 ? `, ${bytes(task.bytes / task.took)}/s` : "";
  const state = task.ended == null ? ", still running" : "";
  return `${task.stage.name}, task ${task.task}${shard}${attempt}: ${seconds(task.took)} on ${task.worker} from ${seconds(task.began)}, ${bytes(task.bytes)}${rate}${state}`;
}

function rowsOf(tasks) {
  const workers = [...new Set(tasks.map((task) => task.worker))];
  const number = (name) => Number(name.replace(/\D/g, "")) || 0;
  return workers.sort((a, b) => number(a) - number(b) || (a < b ? -1 : 1));
}

// Tasks by worker. One tab stop; arrow keys choose a task.
function timeline(run, width, end, slow) {
  const tasks = allTasks(run), workers = rowsOf(tasks), x = scaled(width, end);
  const tall = workers.length > 24 ? 8 : workers.length > 8 ? 12 : 17;
  const height = Math.max(1, workers.length) * tall + 2;
  const tails = run.stages.filter((stage) => stage.committing != null && stage.phase !== "skipped").map((stage) => {
    const to = x(stage.ended ?? end);
    return s("rect", { class: "commit", x: x(stage.committing), y: 0, width: Math.max(0, to - x(stage.committing)), height, fill: "var(--line)" },
      s("title", {}, `${stage.name}: its tables are put together`));
  });
  const every = tall < 12 ? 4 : 1;
  const names = workers.map((name, i) => (i % every ? null : s("text", { x: LEFT - 8, y: i * tall + tall / 2 + 4, "text-anchor": "end" }, name)));
  const bars = tasks.map((task) => {
    const row = workers.indexOf(task.worker), from = x(task.began);
    const kind = `task${task.ended == null ? " on" : ""}${slow.has(task.key) ? " slow" : ""}${task.key === chosen ? " chosen" : ""}`;
    return s("rect", { class: kind, id: `task-${task.key.replaceAll("/", "-")}`, "data-task": task.key, role: "option",
      "aria-selected": task.key === chosen ? "true" : "false", "aria-label": toldOf(task), x: from.toFixed(1), y: row * tall + 1,
      width: Math.max(1, x(task.ended ?? end) - from).toFixed(1), height: tall - 2, fill: colour(task.stage.number) },
    s("title", {}, toldOf(task)));
  });
  const now = cursor == null ? null : s("line", { class: "cursor", x1: x(Math.min(cursor, end)), x2: x(Math.min(cursor, end)), y1: 0, y2: height });
  return s("svg", { class: "chart", id: "tasks", width, height, viewBox: `0 0 ${width} ${height}`, role: "listbox", tabindex: "0",
    "aria-label": "Tasks by worker; arrow keys choose one", "aria-describedby": "chosen",
    "aria-activedescendant": chosen == null ? null : `task-${chosen.replaceAll("/", "-")}` }, tails, names, bars, now);
}

// The task that arrow keys go to from the chosen one.
function nextTask(run, key) {
  const tasks = allTasks(run).sort((a, b) => a.began - b.began);
  if (!tasks.length) return null;
  const workers = rowsOf(tasks), here = tasks.find((task) => task.key === chosen);
  if (!here || key === "Home") return tasks[0].key;
  if (key === "End") return tasks[tasks.length - 1].key;
  let row = workers.indexOf(here.worker);
  if (key === "ArrowUp" || key === "ArrowDown") {
    row = Math.min(workers.length - 1, Math.max(0, row + (key === "ArrowUp" ? -1 : 1)));
    const there = tasks.filter((task) => task.worker === workers[row]);
    return there.reduce((best, task) => (Math.abs(task.began - here.began) < Math.abs(best.began - here.began) ? task : best)).key;
  }
  const line = tasks.filter((task) => task.worker === here.worker);
  const at = line.findIndex((task) => task.key === chosen) + (key === "ArrowLeft" ? -1 : 1);
  return line[Math.min(line.length - 1, Math.max(0, at))].key;
}

function overTime(run, width, slow) {
  const end = Math.max(run.elapsed, 1e-3), x = scaled(width, end);
  const { names, rows } = series(run);
  const told = run.stages.reduce((total, stage) => total + stage.done.length, 0);
  const total = run.stages.reduce((all, stage) => all + stage.finished - stage.resumed, 0);
  const tasks = allTasks(run), picked = tasks.find((task) => task.key === chosen);
  const charts = [];
  if (rows.length) {
    const soft = smooth(rows, end), here = cursor == null ? null : rowAt(soft, cursor);
    const when = here && `at ${clock(Math.min(cursor, end))}`;
    const most = Math.max(1, ...soft.map((row) => row.rate));
    const read = rows.length ? run.samples[run.samples.length - 1].read : 0;
    const rate = (row) => `${bytes(row.rate)}/s`;
    const said = here ? `${rate(here)} ${when}` : `${bytes(read / end)}/s on average, ${bytes(most)}/s at most`;
    const y = rising;
    const points = soft.map((row) => `${x(row.at).toFixed(1)},${y(most)(row.rate).toFixed(1)}`);
    charts.push(over("Throughput", said, "rate-said"), frame("rate", "Throughput over time", said, width, TALL, [
      grid(width, most, (value) => `${round(value)}/s`, 2),
      s("polygon", { class: "area", points: `${x(0)},${y(most)(0)} ${points.join(" ")} ${x(soft[soft.length - 1].at)},${y(most)(0)}` }),
      s("polyline", { class: "line", points: points.join(" ") })], end));

    const busy = rows.reduce((all, row, i) => all + sum(row.cpu) * (row.at - (i ? rows[i - 1].at : 0)), 0);
    const cores = run.versions.cores || 1, top = Math.max(cores * 1.05, ...rows.map((row) => sum(row.cpu)));
    const each = (row, field, format) => names.filter((name) => row[field][name] != null).slice(0, 6).map((name) => `${name} ${format(row[field][name])}`).join(", ");
    const cpuSaid = here ? `${sum(here.cpu).toFixed(2)} cores ${when} (${each(here, "cpu", (v) => v.toFixed(2))})`
      : `${(busy / rows[rows.length - 1].at).toFixed(2)} of ${cores} cores on average`;
    charts.push(over("Processor", cpuSaid, "cpu-said"), frame("cpu", "Processor cores in use over time, by worker", cpuSaid, width, TALL, [
      grid(width, top, (value) => `${Number(value.toFixed(1))}`, 10), stacked(rows, names, (row, name) => row.cpu[name], x, y(top)),
      s("line", { class: "limit", x1: LEFT, x2: width - RIGHT, y1: y(top)(cores), y2: y(top)(cores) })], end));

    const peak = Math.max(1, ...rows.map((row) => sum(row.memory)));
    const limit = run.settings.memory, memoryTop = peak * 1.1;
    const memorySaid = here ? `${bytes(sum(here.memory))} ${when} (${each(here, "memory", bytes)})`
      : `${bytes(peak)} at most${limit ? `, of ${bytes(limit)} allowed` : ""}`;
    charts.push(over("Memory", memorySaid, "memory-said"), frame("memory", "Memory over time, by worker", memorySaid, width, TALL, [
      grid(width, memoryTop, round, 2), stacked(rows, names, (row, name) => row.memory[name], x, y(memoryTop)),
      limit && limit <= memoryTop ? s("line", { class: "limit", x1: LEFT, x2: width - RIGHT, y1: y(memoryTop)(limit), y2: y(memoryTop)(limit) }) : null], end));
  }
  if (tasks.length) {
    const some = told < total ? `the ${count(told)} longest of ${count(total)}; ` : "";
    charts.push(over("Tasks", picked ? toldOf(picked) : `${some}outlined: the slowest`, "chosen"), timeline(run, width, end, slow));
  }
  if (!charts.length) return [];
  const few = rows.filter((_, i) => i % Math.ceil(rows.length / 24) === 0 || i === rows.length - 1);
  return [h("div", { class: "sheet times", id: "times" },
    stageStrip(run, width, end), charts, axis(width, end),
    h("div", { class: "keys small soft" }, run.stages.filter((stage) => stage.began != null).map((stage) => h("span", {}, swatch(stage.number), stage.name)),
      run.stages.some((stage) => stage.committing != null) ? h("span", {}, h("span", { class: "swatch", style: { background: "var(--line)" } }), "tables are put together") : null,
      names.includes("scheduler") ? h("span", {}, h("span", { class: "swatch", style: { background: "var(--grey)" } }), "scheduler") : null),
    few.length ? h("details", {}, h("summary", {}, "As numbers"), table("Samples over time",
      [["time", true], ["throughput", true], ...names.flatMap((name) => [[`${name}, cores`, true], [`${name}, memory`, true]])],
      few.map((row) => [clock(row.at), `${bytes(row.rate)}/s`, ...names.flatMap((name) => [row.cpu[name] == null ? NONE : row.cpu[name].toFixed(2), bytes(row.memory[name])])]),
      { sheet: false, tight: true })) : null)];
}
