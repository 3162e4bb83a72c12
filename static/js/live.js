// The websocket: where it points, acknowledging frames, and saying so when it is lost. hx-ws does the rest.
const strip = document.getElementById("strip");
const SIGNED_OUT = 4401;
const NO_SUCH_CHAT = 4404;
const LOST_AFTER = 1000; // milliseconds without a connection before the page says so

const ACK_EVERY = 1000; // milliseconds
const ACK_AFTER = 16 * 1024; // characters of frames
let live = document.getElementById("live");
let since = live.dataset.since;
let connection = null;
let alarm = null;
let open = false;

htmx.config.ws = { reconnectDelay: 300, reconnectMaxDelay: 5000, reconnectCodes: [1000, 1001, 1005, 1006, 1011, 1012, 1013, 1014, 4012, 4408] };

// Goes to another address by way of a new element: hx-ws ties a connection to the element it began on.
export function connect(path) {
  const fresh = live.cloneNode();
  fresh.setAttribute("hx-ws:connect", path);
  live.replaceWith(fresh);
  connection?.socket?.close();
  live = fresh;
  htmx.process(live);
}

// Once a second is enough for the server to know that this page reads, or when there was much to read.
let acknowledged = 0;
let length = 0; // of what came since
let due = null;
function acknowledge(number, size) {
  acknowledged = number;
  length += size;
  if (length > ACK_AFTER) tell({});
  else due ??= setTimeout(tell, ACK_EVERY, {});
}

function tell(more) {
  clearTimeout(due);
  due = null;
  length = 0;
  const there = connection?.socket?.readyState === WebSocket.OPEN;
  if (there) connection.socket.send(JSON.stringify({ ack: acknowledged, ...more }));
  return there;
}

// The newest message on screen has this number. False without a connection.
export const hasRead = (seq) => tell({ read: seq });

function aim() {
  const url = new URL(connection.url);
  url.searchParams.set("since", since);
  connection.url = url.href;
}

function say(text, link) {
  strip.replaceChildren(text);
  if (!link) return;
  const anchor = Object.assign(document.createElement("a"), link);
  strip.append(" ", anchor);
}

function lost() {
  open = false;
  if (alarm || document.hidden) return;
  alarm = setTimeout(() => say(navigator.onLine ? "Reconnecting…" : "You are offline. Messages are sent when you are back."), LOST_AFTER);
}

function found() {
  open = true;
  clearTimeout(alarm);
  alarm = null;
  say("");
}

const mine = (handler) => (event) => event.target === live && handler(event.detail);

document.addEventListener("htmx:ws:before:connection", mine((detail) => {
  clearTimeout(due); // frames are numbered anew
  due = null;
  acknowledged = length = 0;
  connection = detail.connection;
  aim();
}));
document.addEventListener("htmx:ws:after:connection", mine(() => {
  found();
  document.dispatchEvent(new Event("chat:connected"));
}));
document.addEventListener("htmx:ws:close", mine(({ code, reason }) => {
  if (reason !== "closed") return;
  if (code !== SIGNED_OUT && code !== NO_SUCH_CHAT) return lost();
  found();
  if (code === SIGNED_OUT) say("You are signed out.", { href: `/accounts/login/?next=${location.pathname}`, textContent: "Sign in" });
  else say("This chat is gone.", { href: "/c/new", textContent: "New chat" });
}));
document.addEventListener("htmx:ws:before:message:incoming", mine(({ message }) => {
  // Frames are swapped one after the other, so this says that the one before is on the page.
  const frame = JSON.parse(message.data);
  if (frame.n !== undefined) acknowledge(frame.n, message.data.length);
  if (frame.t) since = frame.t;
  if (frame.reload) location.reload(); // it missed more than is worth sending
  aim();
}));
addEventListener("offline", lost);
addEventListener("online", () => connection?.socket?.readyState === WebSocket.OPEN && found());
document.addEventListener("visibilitychange", () => !document.hidden && !open && lost());

connect(live.dataset.socket);
