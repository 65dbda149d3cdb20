// The debugger page. Messages are hostile text: they reach the page as text nodes alone.
"use strict";

const POLL_MS = 1000;
const PAGE = 100;
const FILTERS = ["q", "state", "type", "event", "code"];
const $ = (id) => document.getElementById(id);
const number = new Intl.NumberFormat("en");

const page = {
  filters: {},
  limit: PAGE,
  paused: false,
  seen: "", // the last counts and filters, to fetch messages only when something has changed
  codes: {},
  stats: null,
  shown: new Map(), // seq -> {message, row}
  selected: null,
};

function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

async function get(path) {
  const answer = await fetch(path);
  if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
  return answer.json();
}

// --- Filters live in the address, so that a view can be linked to --------------------------

function readAddress() {
  const given = new URLSearchParams(location.hash.slice(1));
  page.filters = Object.fromEntries(FILTERS.map((name) => [name, given.get(name) || ""]));
  $("search").value = page.filters.q;
  return given.get("seq");
}

function writeAddress() {
  const kept = new URLSearchParams(Object.entries(page.filters).filter(([, value]) => value));
  if (page.selected) kept.set("seq", page.selected.seq);
  history.replaceState(null, "", `#${kept}`);
}

function setFilters(changes) {
  Object.assign(page.filters, changes);
  page.limit = PAGE;
  writeAddress();
  refresh();
}

// --- Counts and what can be filtered by --------------------------------------------------

function showStats() {
  for (const place of document.querySelectorAll("[data-count]")) {
    const count = page.stats[place.dataset.count];
    place.textContent = number.format(count);
    place.parentElement.classList.toggle("some", count > 0);
  }
  const failed = page.stats.failed_requests;
  $("failed").textContent = failed ? `, ${number.format(failed)} without success` : "";
  for (const tile of document.querySelectorAll("[data-state]")) {
    tile.setAttribute("aria-pressed", tile.dataset.state === page.filters.state);
  }
  showMode();
  showCodes();
  showChips();
}

// Says when the sandbox does not behave as it does by default.
function showMode() {
  const steps = page.stats.fault_steps;
  const said = steps ? [`${number.format(steps)} ${steps === 1 ? "fault" : "faults"} scripted`] : [];
  for (const [name, value] of Object.entries(page.stats.unusual_settings)) {
    const shown = Array.isArray(value) ? number.format(value.length) : value;
    said.push(`${name.replaceAll("_", " ")}: ${shown}`);
  }
  $("mode").hidden = said.length === 0;
  $("mode").textContent = said.join(", ");
}

// Rebuilding a button takes the focus from it; give it back to the one that replaces it.
function replaceButtons(place, buttons) {
  const focused = place.contains(document.activeElement) && document.activeElement.dataset.key;
  place.replaceChildren(...buttons);
  if (focused) place.querySelector(`[data-key="${CSS.escape(focused)}"]`)?.focus();
}

function filterButton(key, name, value, ...children) {
  const button = element("button", { type: "button" }, ...children);
  const on = page.filters[name] === value;
  button.dataset.key = key;
  button.setAttribute("aria-pressed", on);
  button.addEventListener("click", () => setFilters({ [name]: on ? "" : value }));
  return button;
}

function byCount(counts) {
  return Object.entries(counts).sort(([a, n], [b, m]) => m - n || a.localeCompare(b));
}

function showCodes() {
  const codes = byCount(page.stats.by_code);
  $("dropped").hidden = codes.length + page.stats.failures.length === 0;
  const rows = codes.map(([code, count]) => element("li", {},
    filterButton(code, "code", code, ...reason(count, code, page.codes[code] || ""))));
  replaceButtons($("codes"), rows);
  $("failures").replaceChildren(...page.stats.failures.map(failure));
}

function failure({ status, detail, requests }) {
  const answer = status ? `answer ${status}` : "connection reset";
  const what = `${requests === 1 ? "Request" : "Requests"}: ${detail || "stored nevertheless"}`;
  return element("li", {}, element("p", {}, ...reason(requests, answer, what)));
}

function reason(count, code, meaning) {
  return [element("b", { textContent: number.format(count) }),
    element("code", { textContent: code }), element("span", { textContent: meaning })];
}

function showChips() {
  const chip = (name) => ([value, count]) => filterButton(`${name} ${value}`, name, value,
    value, " ", element("span", { textContent: number.format(count) }));
  replaceButtons($("chips"), [
    ...byCount(page.stats.by_type).map(chip("type")),
    ...byCount(page.stats.by_event).map(chip("event")),
  ]);
}

// --- The list ----------------------------------------------------------------------------

async function showMessages() {
  const wanted = new URLSearchParams({ ...page.filters, limit: page.limit, order: "desc" });
  const { total, messages } = await get(`api/messages?${wanted}`);
  placeRows(messages);
  $("shown").textContent = `${number.format(messages.length)} of ${number.format(total)}, newest first`;
  $("more").hidden = messages.length >= total;
  $("empty").hidden = total > 0;
  if (total === 0) showEmpty();
}

// Rows that stay are not moved: the focus and the place in the list survive new arrivals.
function placeRows(messages) {
  const list = $("messages");
  const wanted = new Set(messages.map((message) => message.seq));
  for (const [seq, { row }] of page.shown) {
    if (!wanted.has(seq)) {
      row.remove();
      page.shown.delete(seq);
    }
  }
  let next = list.firstElementChild;
  for (const message of messages) {
    const known = page.shown.get(message.seq);
    if (known) {
      next = known.row.nextElementSibling;
      continue;
    }
    const row = makeRow(message);
    page.shown.set(message.seq, { message, row });
    list.insertBefore(row, next);
  }
  markCurrent();
}

function makeRow(message) {
  const who = message.userId ?? message.anonymousId ?? "no usable id";
  const why = { duplicate: "duplicate of an earlier messageId", dropped: message.code }[message.state];
  const button = element("button", { type: "button", tabIndex: -1 },
    element("span", { className: "dot" }),
    element("span", { className: "what", textContent: title(message) }),
    element("span", { className: "who", textContent: who }),
    element("time", { className: "when", dateTime: message.receivedAt, title: message.receivedAt,
      textContent: clock(message.receivedAt) }));
  if (why) button.append(element("span", { className: "why", textContent: why }));
  button.addEventListener("click", () => {
    select(message);
    if (matchMedia("(max-width: 860px)").matches) $("detail").scrollIntoView();
  });
  const state = message.state === "dropped" ? "dropped-message" : message.state;
  const row = element("li", { className: state }, button);
  row.dataset.seq = message.seq;
  return row;
}

function title(message) {
  return message.event || message.type || "not a message";
}

function clock(iso) {
  return new Date(iso).toLocaleTimeString("en-GB");
}

function markCurrent() {
  const rows = [...$("messages").children];
  const current = rows.find((row) => row.dataset.seq === String(page.selected?.seq));
  for (const row of rows) {
    row.toggleAttribute("aria-current", false);
    row.firstElementChild.tabIndex = -1;
  }
  if (current) current.setAttribute("aria-current", "true");
  if (rows.length) (current || rows[0]).firstElementChild.tabIndex = 0;
}

function showEmpty() {
  const filtered = Object.values(page.filters).some(Boolean);
  if (filtered) {
    $("empty").textContent = "No message matches. ";
    const clear = element("button", { type: "button", textContent: "Clear the filters" });
    clear.addEventListener("click", clearFilters);
    $("empty").append(clear);
    return;
  }
  const call = `curl -u any-write-key: ${location.origin}/v1/track -d `
    + `'{"userId":"1","event":"Order Completed","properties":{"total":12.50}}'`;
  $("empty").replaceChildren("Nothing has arrived yet. Point a sender here, or try:",
    element("code", { textContent: call }));
}

function clearFilters() {
  $("search").value = "";
  setFilters(Object.fromEntries(FILTERS.map((name) => [name, ""])));
}

// --- One message --------------------------------------------------------------------------

function select(message) {
  page.selected = message;
  for (const id of ["facts", "json", "copy", "close"]) $(id).hidden = !message;
  $("hint").hidden = Boolean(message);
  $("detail-title").textContent = message ? title(message) : "Message";
  if (message) {
    $("facts").replaceChildren(...facts(message));
    $("json").replaceChildren(...pretty(message.raw));
    $("json").scrollTop = 0;
  }
  markCurrent();
  writeAddress();
}

function facts(message) {
  const { request } = message;
  const state = message.state === "dropped"
    ? `dropped: ${message.code}. ${page.codes[message.code] || ""}`
    : { accepted: "accepted", duplicate: "duplicate: this messageId was accepted before" }[message.state];
  const how = [`no. ${request.id} to /v1/${request.endpoint}`, `${request.messages} ${request.messages === 1 ? "message" : "messages"}`,
    `${number.format(request.bodyBytes)} bytes`, `key: ${request.auth}`,
    request.status ? `answer ${request.status}` : "connection reset"];
  if (request.fault) how.push(`fault: ${request.fault}`);
  const rows = [
    ["State", state, { dropped: "bad", duplicate: "warn" }[message.state]],
    ["Type", message.type],
    ["User", message.userId],
    ["Anonymous", message.anonymousId],
    ["messageId", message.messageId],
    ["Received", message.receivedAt],
    ["Request", how.join(", ")],
  ];
  return rows.filter(([, value]) => value).flatMap(([name, value, className = ""]) =>
    [element("dt", { textContent: name }), element("dd", { textContent: value, className })]);
}

// Lays the text out without parsing its numbers: 12.50 stays 12.50, and no digit is lost.
function pretty(raw) {
  const tokens = raw.match(/"(?:[^"\\]|\\.)*"|[{}[\],:]|[^\s{}[\],:"]+/g) || [];
  const parts = [];
  let depth = 0;
  const line = () => `\n${"  ".repeat(depth)}`;
  tokens.forEach((token, i) => {
    const next = tokens[i + 1];
    if (token === "{" || token === "[") {
      depth += 1;
      parts.push(token, next === "}" || next === "]" ? "" : line());
    } else if (token === "}" || token === "]") {
      depth -= 1;
      const empty = tokens[i - 1] === "{" || tokens[i - 1] === "[";
      parts.push(empty ? token : line() + token);
    } else if (token === ",") {
      parts.push(token + line());
    } else if (token === ":") {
      parts.push(": ");
    } else {
      parts.push(scalar(token, next === ":"));
    }
  });
  return parts;
}

function escape(character) {
  return [...Array(character.length).keys()]
    .map((i) => `\\u${character.charCodeAt(i).toString(16).padStart(4, "0")}`).join("");
}

function scalar(token, isKey) {
  if (token.startsWith('"')) {
    // \u00e9 is shown as é. What cannot be seen, or would turn the line round, stays escaped.
    const textContent = JSON.stringify(JSON.parse(token)).replace(/\p{Cf}/gu, escape);
    return element("span", { className: isKey ? "key" : "text", textContent });
  }
  return element("span", { className: /^[-\d]/.test(token) ? "number" : "word", textContent: token });
}

// --- Keys, buttons, and the loop -----------------------------------------------------------

function walk(step) {
  const rows = [...$("messages").children];
  const at = rows.findIndex((row) => row.dataset.seq === String(page.selected?.seq));
  const row = rows[Math.min(Math.max(at + step, 0), rows.length - 1)];
  if (!row) return;
  select(page.shown.get(Number(row.dataset.seq)).message);
  row.firstElementChild.focus();
}

function onKey(event) {
  const typing = event.target === $("search");
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "/" && !typing) {
    $("search").select();
    event.preventDefault();
  } else if (event.key === "Escape") {
    if (typing && $("search").value) clearFilters();
    else select(null);
  } else if (event.key === "ArrowDown" || event.key === "ArrowUp") {
    if (event.target === $("json")) return;
    walk(event.key === "ArrowDown" ? 1 : -1);
    event.preventDefault();
  }
}

async function copy() {
  await navigator.clipboard.writeText(page.selected.raw);
  $("copy").textContent = "Copied";
  setTimeout(() => { $("copy").textContent = "Copy JSON"; }, 1500);
}

async function forget() {
  if (!confirm("Forget every message and request that arrived?")) return;
  await fetch("api/messages", { method: "DELETE" });
  select(null);
  refresh();
}

function pause() {
  page.paused = !page.paused;
  $("pause").setAttribute("aria-pressed", page.paused);
  $("pause").textContent = page.paused ? "Resume" : "Pause";
  showConnection(page.paused ? "Paused" : "Live", page.paused ? "" : "live");
  if (!page.paused) refresh();
}

function showConnection(text, className) {
  if ($("connection").textContent !== text) $("connection").textContent = text;
  $("connection").className = `connection ${className}`;
}

async function refresh() {
  try {
    page.stats = await get("api/stats");
    const now = JSON.stringify([page.stats, page.filters, page.limit]);
    if (now !== page.seen) {
      showStats();
      await showMessages();
      page.seen = now;
    }
    if (!page.paused) showConnection("Live", "live");
  } catch {
    showConnection("Not connected: the sandbox does not answer", "lost");
  }
}

async function poll() {
  if (!page.paused && !document.hidden) await refresh();
  setTimeout(poll, POLL_MS);
}

async function start() {
  const seq = readAddress();
  document.addEventListener("keydown", onKey);
  let typing;
  $("search").addEventListener("input", () => {
    clearTimeout(typing);
    typing = setTimeout(() => setFilters({ q: $("search").value.trim() }), 150);
  });
  for (const tile of document.querySelectorAll("[data-state]")) {
    tile.addEventListener("click", () => setFilters({ state: tile.dataset.state, code: "" }));
  }
  $("more").addEventListener("click", () => { page.limit += PAGE; refresh(); });
  $("pause").addEventListener("click", pause);
  $("forget").addEventListener("click", forget);
  $("copy").addEventListener("click", copy);
  $("close").addEventListener("click", () => select(null));
  page.codes = await get("api/codes").catch(() => ({}));
  await poll();
  if (seq) {
    const { messages } = await get(`api/messages?seq=${encodeURIComponent(seq)}`);
    if (messages.length) select(messages[0]);
  }
}

start();
