// What is loaded when somebody wants it: few visits of a room need it at once. The menu of messages and the panel of
// the connection follow a moment after the page, so that they are there without a server too.
import { load } from "./page/store.js";

const SOON = 1_000; // ms

/** What cannot be loaded now is asked for the next time. */
const once = (make) => {
  let made = null;
  return () =>
    (made ??= make().catch((error) => {
      made = null;
      throw error;
    }));
};

const soon = (loaded) => setTimeout(() => loaded().catch(() => {}), SOON);

/** The choice of emoji: {open(button, chosen)}. */
export function picker(element) {
  const loaded = once(async () => new (await import("./entries/emoji.js")).Picker(element));
  return { open: async (button, chosen) => (await loaded()).open(button, chosen) };
}

/** The menu of a message: {open(opener, options)}. */
export function menu(element) {
  const loaded = once(async () => new (await import("./entries/menu.js")).Menu(element));
  soon(loaded);
  return { open: async (opener, options) => (await loaded()).open(opener, options) };
}

/** What the connection does, for its panel: resolves to {show(status, …)}. */
export function panel(element, options) {
  const loaded = once(async () => new (await import("./live/panel.js")).Panel(element, options));
  const choice = element.querySelector("#event-numbers");
  choice.checked = load("event-numbers", false);
  document.documentElement.classList.toggle("numbers", choice.checked);
  soon(loaded);
  return loaded;
}

/** The files of a message: {take(message)} answers it with them, `isEmpty` is true while there is none, and `areHere` if
 *  the server has some. */
export function attachments(form, options) {
  let files = null;
  const loaded = once(async () => {
    const { Files } = await import("./files/field.js");
    files = new Files(form, options);
    // Chosen before it was here.
    const { file } = form.elements;
    if (file?.files.length) file.dispatchEvent(new Event("change", { bubbles: true }));
  });
  soon(loaded);
  return {
    take: (message) => (files ? files.take(message) : message),
    get areHere() {
      return Boolean(files?.areHere);
    },
    get isEmpty() {
      return files ? files.isEmpty : !form.elements.file?.files.length;
    },
  };
}

/** Pictures of the log, opened large; `message(id)` is what the page shows. */
export function views(log, message, life) {
  const fileOf = (link) =>
    message(link.closest("article").dataset.id).files.find(({ id }) => link.href.endsWith(`/${id}`));
  const loaded = once(async () => new (await import("./files/viewer.js")).Viewer(log, fileOf, life));
  log.addEventListener("click", async (event) => {
    const link = event.target.closest(".picture");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return; // a tab of its own
    event.preventDefault();
    const viewer = await loaded().catch(() => null);
    if (viewer) viewer.open(link);
    else location.assign(link.href);
  });
}

/** The form for what the files of a message show: {ask(files, waiting)}. */
export function describer(log, life) {
  const loaded = once(async () => new (await import("./files/describe.js")).Describer(log, life));
  return { ask: async (files, waiting) => (await loaded()).ask(files, waiting) };
}

/** The field for a time of one's own; until it is here, as the browser reads it. */
export function timeField(input, offset) {
  let [field, meant] = [null, null];
  const loaded = once(async () => {
    const { TimeField } = await import("./composer/time_field.js");
    field = new TimeField(input, offset);
    if (meant !== null) field.moment = meant;
  });
  soon(loaded);
  // What is typed is meant, not what stood there before.
  input.addEventListener("input", () => (meant = null));
  return {
    input,
    get moment() {
      return field ? field.moment : (meant ?? new Date(input.value).getTime());
    },
    set moment(moment) {
      if (field) {
        field.moment = moment;
        return;
      }
      meant = moment;
      const zone = new Date(moment).getTimezoneOffset() * 60_000;
      input.value = new Date(moment - zone).toISOString().slice(0, "2000-01-01T00:00".length);
    },
  };
}

/** What this person has scheduled, if there is something: {refresh()} asks the server. */
export function tray(element, { api, outbox, edit, freed, life }) {
  let refresh = null;
  const loaded = once(
    async () => new (await import("./outbox/scheduled.js")).Scheduled(element, { outbox, refresh, edit, freed, life }),
  );
  let shown = false;
  refresh = async () => {
    const { scheduled = [] } = await api.request("GET", `${api.roomUrl}/scheduled`).catch(() => ({}));
    shown ||= scheduled.length > 0;
    if (shown && !life.aborted) (await loaded()).show(scheduled);
  };
  return { refresh };
}

/** Opens the way to rooms, people and searches. */
export function switcher(dialog, options) {
  const loaded = once(async () => new (await import("./reader/switcher.js")).Switcher(dialog, options));
  return async () => (await loaded()).open();
}

/** Names behind an "@". */
export function completes(field, list, people) {
  const loaded = once(async () => new (await import("./person/mention.js")).Mentions(field, list, people));
  field.addEventListener("input", async function look() {
    if (!field.value.includes("@")) return;
    field.removeEventListener("input", look);
    (await loaded()).look();
  });
}

/** Notifications, where the browser has them and this room is to be told of: a function that hears what is new. */
export function bells(button, { place, life, ...options }) {
  // Neither exists in plain http:// under another name than localhost.
  if (!globalThis.Notification || !navigator.locks) return () => {};
  let bell = null;
  const loaded = once(async () => {
    const { Bell } = await import("./reader/bell.js");
    bell = new Bell(button, { place, life, ...options });
    return bell;
  });
  button.hidden = false;
  if (load(`bell:${place}`)) loaded();
  button.addEventListener("click", async () => bell ?? (await loaded()).turn());
  // Another tab has turned them on: this one counts as one in which somebody looks.
  const turned = ({ key, newValue }) => key === `quotechat:bell:${place}` && newValue && loaded();
  addEventListener("storage", turned, { signal: life });
  return (entry) => bell?.ring(entry);
}

/** Who types. */
export const typing = (connection, options) =>
  soon(async () => (await import("./composer/typing.js")).typing(connection, options));

/** Between short and long polling, on the page that has both. */
export const switches = async (connection, line) =>
  document.querySelector(".switch") && (await import("./live/switch.js")).switches(connection, line);

/** From room to room without loading a page. */
export function changesRooms(present, mount) {
  const ahead = new AbortController();
  const { pathname, search } = location;
  // Until it is here: back to a room that a page before a reload has gone on from.
  const returned = () => location.pathname + location.search !== pathname + search && location.reload();
  addEventListener("popstate", returned, { signal: ahead.signal });
  soon(async () => {
    const { Changing } = await import("./reader/changing.js");
    ahead.abort();
    return new Changing(present, mount);
  });
}
