// The host's page: shows what is stored, and asks the durable HTTP API to do what the buttons say.
// Everything that comes from an app is put in as text, never as markup.

const REFRESH = 1500;
const PAGE = 50;
const STATUSES = ["Pending", "Running", "Suspended", "Completed", "Failed", "Terminated"];
const OVER = new Set(["Completed", "Failed", "Terminated", "Canceled"]);
const EVENTS = {
  0: "ExecutionStarted", 1: "ExecutionCompleted", 3: "ExecutionTerminated", 4: "TaskScheduled", 5: "TaskCompleted",
  6: "TaskFailed", 7: "SubOrchestrationInstanceCreated", 8: "SubOrchestrationInstanceCompleted",
  9: "SubOrchestrationInstanceFailed", 10: "TimerCreated", 11: "TimerFired", 12: "OrchestratorStarted",
  13: "OrchestratorCompleted", 14: "EventSent", 15: "EventRaised", 16: "ContinueAsNew", 17: "GenericEvent",
  19: "ExecutionSuspended", 20: "ExecutionResumed",
};

const view = document.getElementById("view");
const problem = document.getElementById("problem");
let shown = null;   // what the view was made from, to leave it alone while nothing changes
let opened = new Set();

// Elements

function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined && value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

const status = (text) => make("span", { class: `status ${text}` }, text);
const link = (id) => make("a", { href: `#/instances/${encodeURIComponent(id)}` }, id);
const time = (text) => make("time", { datetime: text, title: text }, text.replace("T", " ").replace(/(\.\d{3})\d*Z$/, "$1").replace("Z", ""));

function table(heads, rows) {
  return make("table", {}, make("thead", {}, make("tr", {}, ...heads.map((head) => make("th", { scope: "col" }, head)))),
    make("tbody", {}, ...rows));
}

// JSON texts are often JSON of JSON: unwrapped as long as they are.
function pretty(value) {
  let found = value;
  for (let depth = 0; depth < 4 && typeof found === "string"; depth += 1) {
    try { found = JSON.parse(found); } catch { break; }
  }
  if (Array.isArray(found) && found.length === 1 && typeof found[0] === "string") {
    try { found = JSON.parse(found[0]); } catch { /* a list of one text */ }
  }
  return typeof found === "string" ? found : JSON.stringify(found, null, 2);
}

const brief = (value) => {
  const text = value === null || value === undefined ? "" : pretty(value).replace(/\s+/g, " ");
  return text.length > 90 ? `${text.slice(0, 90)}…` : text;
};

// The host

async function ask(path, options = {}) {
  const response = await fetch(path, options);
  const text = await response.text();
  let body = text;
  try { body = JSON.parse(text); } catch { /* shown as it is */ }
  if (!response.ok) {
    const told = body && (body.Message || body.error);
    throw new Error(`${response.status}: ${told || text || response.statusText}`);
  }
  return body;
}

const send = (path, body) => ask(path, {
  method: "POST", headers: { "Content-Type": "application/json" }, body: body === undefined ? undefined : JSON.stringify(body),
});

async function doing(act) {
  problem.hidden = true;
  try {
    await act();
    await refresh(true);
  } catch (error) {
    problem.textContent = error.message;
    problem.hidden = false;
  }
}

function given(text, what) {
  if (text.trim() === "") return null;
  try { return JSON.parse(text); } catch (error) { throw new Error(`${what} is not JSON: ${error.message}`); }
}

// What the SDK's client sends: JSON text in JSON.
const encoded = (value) => (value === null ? undefined : JSON.stringify(value));

// Instances

function filters(query) {
  const form = make("form", { class: "filter", role: "search", onsubmit: (event) => { event.preventDefault(); go(); } },
    make("label", {}, "Id begins with", make("input", { name: "prefix", value: query.get("prefix") ?? "" })),
    make("label", {}, "Orchestrator", make("input", { name: "name", value: query.get("name") ?? "" })),
    make("label", {}, "Status", make("select", { name: "status", onchange: () => go() },
      make("option", { value: "" }, "any"),
      ...STATUSES.map((each) => make("option", { value: each, selected: each === query.get("status") }, each)))),
    make("button", {}, "Show"));
  const go = () => { location.hash = `#/instances?${new URLSearchParams([...new FormData(form)].filter(([, value]) => value))}`; };
  return form;
}

async function instances(query) {
  const wanted = new URLSearchParams(query);
  wanted.set("top", PAGE);
  const found = await ask(`/devhost/instances?${wanted}`);
  return [found, () => {
    const older = new URLSearchParams(query);
    if (found.length === PAGE) { older.set("before", found.at(-1).created); older.set("behind", found.at(-1).id); }
    return [
      filters(query),
      found.length === 0 ? make("p", { class: "empty" }, "No instances.") : table(
        ["Instance", "Orchestrator", "Status", "Created", "Updated", "Custom status"],
        found.map((each) => make("tr", {},
          make("td", { class: "id" }, link(each.id)), make("td", {}, each.name), make("td", {}, status(each.status)),
          make("td", { class: "time" }, time(each.created)), make("td", { class: "time" }, time(each.updated)),
          make("td", { class: "text" }, brief(each.custom_status))))),
      found.length === PAGE ? make("p", {}, make("a", { href: `#/instances?${older}` }, "Older")) : null,
      make("h3", {}, "Start an instance"), startForm(),
    ];
  }];
}

function startForm() {
  const form = make("form", { class: "action", onsubmit: (event) => { event.preventDefault(); doing(start); } },
    make("label", {}, "Orchestrator", make("select", { name: "function", required: true },
      ...functions.filter((each) => each.kind === "orchestrationTrigger").map((each) => make("option", {}, each.name)))),
    make("label", {}, "Id (empty: a new one)", make("input", { name: "id" })),
    make("label", {}, "Input (JSON)", make("textarea", { name: "input", rows: 1 })),
    make("button", {}, "Start"));
  async function start() {
    const values = new FormData(form);
    const id = values.get("id").trim();
    const answer = await send(
      `/durabletask/orchestrators/${encodeURIComponent(values.get("function"))}${id ? `/${encodeURIComponent(id)}` : ""}`,
      encoded(given(values.get("input"), "the input")));
    location.hash = `#/instances/${encodeURIComponent(answer.id)}`;
  }
  return form;
}

// One instance

async function instance(id) {
  const found = await ask(`/devhost/instances/${encodeURIComponent(id)}`);
  return [found, () => {
    const isOver = OVER.has(found.status);
    const at = `/durabletask/instances/${encodeURIComponent(id)}`;
    const button = (text, path, options = {}) => make("button", {
      class: options.danger ? "danger" : null,
      onclick: () => doing(() => (options.act ?? (() => send(`${at}/${path}?reason=from+the+page`)))()),
    }, text);
    return [
      make("h2", {}, id),
      make("dl", { class: "facts" },
        fact("Status", status(found.status)), fact("Orchestrator", found.name), fact("Version", found.version ?? "none"),
        fact("Created", time(found.created)), fact("Updated", time(found.updated)),
        fact("Execution", `${found.execution_id}, generation ${found.generation}`),
        found.parent_id ? fact("Parent", link(found.parent_id)) : null,
        found.children.length ? fact("Children", make("span", {}, ...found.children.flatMap((each) => [link(each), " "]))) : null),
      make("div", { class: "actions" },
        ...(isOver ? [
          button("Restart", "restart", { act: () => send(`${at}/restart?restartWithNewInstanceId=false`) }),
          found.status === "Failed" ? button("Rewind", "rewind") : null,
          button("Purge", "", { danger: true, act: async () => { await ask(at, { method: "DELETE" }); location.hash = "#/instances"; } }),
        ] : [
          found.status === "Suspended" ? button("Resume", "resume") : button("Suspend", "suspend"),
          button("Terminate", "terminate", { danger: true }),
        ])),
      isOver ? null : raise(at),
      make("h3", {}, "History"), timeline(found.events, isOver), make("div", { class: "payloads" },
        payload("Input", found.input), payload("Custom status", found.custom_status), payload("Output", found.output)),
      make("details", { open: opened.has("events"), ontoggle: remember("events") },
        make("summary", {}, `All ${found.events.length} events`), eventTable(found.events)),
    ];
  }];
}

const fact = (name, value) => make("div", {}, make("dt", {}, name), make("dd", {}, value));
const payload = (name, text) => (text === null || text === undefined ? null : make("section", {}, make("h3", {}, name), make("pre", {}, pretty(text))));
const remember = (key) => (event) => (event.target.open ? opened.add(key) : opened.delete(key));

function raise(at) {
  const form = make("form", { class: "action", "aria-label": "Raise an event", onsubmit: (event) => { event.preventDefault(); doing(act); } },
    make("label", {}, "Event", make("input", { name: "name", required: true })),
    make("label", {}, "Data (JSON)", make("textarea", { name: "data", rows: 1 })),
    make("button", {}, "Raise event"));
  async function act() {
    const values = new FormData(form);
    await send(`${at}/raiseEvent/${encodeURIComponent(values.get("name"))}`, JSON.stringify(given(values.get("data"), "the data")));
    form.reset();
  }
  return form;
}

// What the history says of each thing: when it began, when it ended, what went in and what came out.
function spans(events) {
  const found = [];
  const open = new Map();
  const begin = (key, span) => { open.set(key, span); found.push(span); };
  const end = (key, event, result, failed = false) => {
    const span = open.get(key);
    if (!span) return;
    open.delete(key);
    Object.assign(span, { to: event.Timestamp, output: result, failed });
  };
  for (const event of events) {
    const from = event.Timestamp;
    switch (event.EventType) {
      case 4: begin(event.EventId, { kind: "activity", name: event.Name, from, input: event.Input }); break;
      case 7: begin(event.EventId, { kind: "sub-orchestration", name: event.Name, from, input: event.Input, child: event.InstanceId }); break;
      case 10: begin(event.EventId, { kind: "timer", name: `until ${event.FireAt.slice(0, 19).replace("T", " ")}`, from }); break;
      case 14: {
        const request = JSON.parse(event.Input);
        const span = { kind: request.signal ? "signal" : "entity", name: `${event.InstanceId} ${request.op}`, from, input: request.input };
        if (request.signal) found.push({ ...span, to: from }); else begin(request.id, span);
        break;
      }
      case 5: case 8: end(event.TaskScheduledId, event, event.Result); break;
      case 6: case 9: end(event.TaskScheduledId, event, event.Reason, true); break;
      case 11: end(event.TimerId, event); break;
      case 15:
        if (open.has(event.Name)) end(event.Name, event, event.Input, event.Input.includes('"exceptionType"'));
        else found.push({ kind: "event", name: event.Name, from, to: from, output: event.Input });
        break;
      case 3: case 19: case 20: found.push({ kind: "control", name: EVENTS[event.EventType], from, to: from, output: event.Input ?? event.Reason }); break;
      default:
    }
  }
  return found;
}

function timeline(events, isOver) {
  const found = spans(events);
  if (found.length === 0) return make("p", { class: "empty" }, "Nothing was scheduled.");
  const first = Date.parse(events[0].Timestamp);
  const last = Math.max(...events.map((event) => Date.parse(event.Timestamp)), first + 1);
  const share = (text) => ((Date.parse(text) - first) / (last - first)) * 100;
  const rows = found.map((span, number) => {
    const left = Math.min(share(span.from), 99.5);
    const right = span.to ? share(span.to) : 100;
    const kind = span.failed ? "failed" : span.kind;
    const isOpen = !span.to && !isOver;
    const key = `span ${number}`;
    const detail = make("div", { class: "detail", hidden: !opened.has(key) },
      span.child ? make("p", {}, "Child ", link(span.child)) : null,
      span.input === undefined || span.input === null ? null : make("pre", {}, pretty(span.input)),
      span.output === undefined || span.output === null ? null : make("pre", {}, pretty(span.output)));
    const row = make("button", {
      class: "row", type: "button", "aria-expanded": opened.has(key) ? "true" : "false",
      onclick: () => {
        detail.hidden = !detail.hidden;
        if (detail.hidden) opened.delete(key); else opened.add(key);
        row.setAttribute("aria-expanded", String(!detail.hidden));
      },
    },
    make("span", { class: "name", title: span.name }, make("small", {}, span.kind), span.name),
    make("span", { class: "track" }, make("span", {
      class: `bar ${kind} ${isOpen ? "open" : ""}`, style: `left:${left}%;width:max(4px,${Math.max(right - left, 0)}%)`,
    })),
    make("span", { class: "took" }, span.failed ? "failed" : isOpen ? "open" : took(span)));
    return [row, detail];
  });
  return make("div", { class: "timeline" },
    make("div", { class: "axis" }, time(events[0].Timestamp), make("span", {}, duration(last - first))), ...rows.flat());
}

const took = (span) => (span.to ? duration(Date.parse(span.to) - Date.parse(span.from)) : "");
function duration(milliseconds) {
  if (milliseconds < 1000) return `${milliseconds} ms`;
  if (milliseconds < 120_000) return `${(milliseconds / 1000).toFixed(1)} s`;
  if (milliseconds < 7_200_000) return `${(milliseconds / 60_000).toFixed(0)} min`;
  return milliseconds < 172_800_000 ? `${(milliseconds / 3_600_000).toFixed(1)} h` : `${(milliseconds / 86_400_000).toFixed(1)} d`;
}

function eventTable(events) {
  return table(["#", "Time", "Event", "Content"], events.map((event, number) => {
    const { EventType, EventId, IsPlayed, Timestamp, ...rest } = event;
    return make("tr", {}, make("td", {}, String(number)), make("td", { class: "time" }, time(Timestamp)),
      make("td", {}, `${EVENTS[EventType] ?? EventType}${EventId >= 0 ? ` ${EventId}` : ""}`),
      make("td", { class: "text" }, JSON.stringify(rest)));
  }));
}

// Entities and functions

async function entities(query) {
  const found = await ask(`/devhost/entities?${query}`);
  return [found, () => {
    const form = make("form", { class: "filter", role: "search", onsubmit: (event) => { event.preventDefault(); location.hash = `#/entities?${new URLSearchParams(new FormData(form))}`; } },
      make("label", {}, "Name or key contains", make("input", { name: "text", value: query.get("text") ?? "" })), make("button", {}, "Show"));
    return [
      form,
      found.length === 0 ? make("p", { class: "empty" }, "No entities.") : table(["Entity", "Key", "State", "Updated"],
        found.map((each) => make("tr", {}, make("td", {}, each.name), make("td", { class: "id" }, each.key),
          make("td", { class: "text" }, make("pre", {}, pretty(each.state))), make("td", { class: "time" }, time(each.updated))))),
      make("h3", {}, "Signal an entity"), signal(),
    ];
  }];
}

function signal() {
  const form = make("form", { class: "action", onsubmit: (event) => { event.preventDefault(); doing(act); } },
    make("label", {}, "Entity", make("select", { name: "name", required: true },
      ...functions.filter((each) => each.kind === "entityTrigger").map((each) => make("option", {}, each.name)))),
    make("label", {}, "Key", make("input", { name: "key", required: true })),
    make("label", {}, "Operation", make("input", { name: "op", required: true })),
    make("label", {}, "Input (JSON)", make("textarea", { name: "input", rows: 1 })),
    make("button", {}, "Signal"));
  async function act() {
    const values = new FormData(form);
    await send(`/durabletask/entities/${encodeURIComponent(values.get("name"))}/${encodeURIComponent(values.get("key"))}`
      + `?op=${encodeURIComponent(values.get("op"))}`, encoded(given(values.get("input"), "the input")));
    form.reset();
  }
  return form;
}

async function functionList() {
  return [functions, () => [table(["Function", "Trigger", "Where"], functions.map((each) => make("tr", {},
    make("td", {}, each.name), make("td", {}, each.kind), make("td", { class: "text" }, each.detail))))]];
}

// Which view, and keeping it fresh

let functions = [];

async function load() {
  const [path, query] = location.hash.replace(/^#/, "").split("?");
  const [, area = "instances", id] = path.split("/");
  for (const each of document.querySelectorAll("nav a")) {
    if (each.hash === `#/${area}`) each.setAttribute("aria-current", "page"); else each.removeAttribute("aria-current");
  }
  const wanted = new URLSearchParams(query);
  if (area === "entities") return entities(wanted);
  if (area === "functions") return functionList();
  return id ? instance(decodeURIComponent(id)) : instances(wanted);
}

const isTyping = () => view.contains(document.activeElement) && document.activeElement.matches("input, textarea, select")
  || [...view.querySelectorAll("textarea, form.action input")].some((field) => field.value !== "");

async function refresh(force = false) {
  const at = location.hash;
  const [data, draw] = await load();
  const now = JSON.stringify([at, data]);
  if (location.hash !== at || now === shown || (!force && isTyping())) return;
  shown = now;
  view.replaceChildren(...draw().filter((child) => child !== null));
}

async function refreshHost() {
  const host = await ask("/devhost/state");
  document.getElementById("host").textContent = [
    host.clock ? `clock ${host.clock.slice(0, 19).replace("T", " ")}` : "system's clock",
    host.work === 0 ? "idle" : `${host.work} at work: ${host.busy.slice(0, 2).join(", ")}`,
  ].join(" · ");
}

async function tick() {
  try {
    if (!document.hidden) { await refresh(); await refreshHost(); }
    if (problem.dataset.lost) { problem.hidden = true; delete problem.dataset.lost; }
  } catch (error) {
    problem.textContent = error instanceof TypeError ? "The host does not answer." : error.message;
    problem.dataset.lost = "yes";
    problem.hidden = false;
  }
}

window.addEventListener("hashchange", async () => {
  opened = new Set();
  problem.hidden = true;
  view.focus({ preventScroll: true });
  await tick();
});
functions = await ask("/devhost/functions");
if (!location.hash) history.replaceState(null, "", "#/instances");
await tick();
setInterval(tick, REFRESH);
