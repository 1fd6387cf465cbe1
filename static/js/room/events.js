// Handles the events of the room, answers to commands, the state of the connection, and the browser's own events.
import { Expected } from "../live/expected.js";
import { refreshed } from "../live/snapshot.js";
import { adds, entriesOf } from "../entries/timeline.js";
import { onWaking } from "../live/wake.js";
import { every } from "../page/life.js";
import { $ } from "./open.js";
import { begin } from "./view.js";

const MOST_SHOWN = 800; // entries; a page that is open for days stays as quick as a new one

export function wireEvents(page) {
  const expected = new Expected();
  page.outbox.items.forEach((item) => expected.add(item));
  /** The server has it: in the log, or (an ack that comes first) soon. */
  const arrived = (clientId) => {
    expected.delete(clientId);
    page.outbox.settle(clientId);
    page.pending.remove(clientId);
  };
  handlesEvents(page, expected, arrived);
  handlesAnswers(page, expected);
  handlesConnection(page, arrived);
  handlesBrowser(page);
}

function handlesEvents(page, expected, arrived) {
  const { connection, outbox, timeline, mine, log, scroll, unread, history, pill, composer, pending } = page;

  connection.addEventListener("event", ({ detail: event }) => {
    pill.complete(event);
    if (!adds(event)) history.changed(event);
    if (page.latest && adds(event)) scroll.grown(1);
    else show(event, timeline.apply(event));
  });

  function show({ seq }, { added, changed }) {
    const own = Boolean(added) && expected.has(added);
    // Another page of this browser signs with the same name, and the server keeps the name for it.
    if (added && (own || (!added.quote && added.user === page.me()))) mine.wrote(added.id);
    log.show(added ? [added] : changed);
    for (const { id, deleted } of changed) if (deleted) forget(id);
    pending.reached(seq);
    if (!added) return;
    $("nothing").hidden = true;
    if (!added.quote) unread.messages += 1;
    if (own) arrived(added.quote?.client_id ?? added.client_id);
    else page.news(added);
    if (own || mine.isOwn(added.id)) log.allRead();
    scroll.grown(own ? 0 : 1);
    unread.reached(seq);
    if (scroll.stuck && log.size > MOST_SHOWN) {
      scroll.keepBottom(() => timeline.forget(log.prune(MOST_SHOWN / 2)));
      history.more = true;
    }
  }

  /** A message is deleted: its words stand nowhere. */
  function forget(id) {
    outbox.gone(id);
    composer.gone(id);
  }
}

function handlesAnswers(page, expected) {
  const { life, connection, outbox, timeline, mine, log, scroll, tell, pill, composer, pending, scheduled } = page;
  const { repaint } = page;
  const hear = (type, heard) => outbox.addEventListener(type, heard, { signal: life });

  hear("elsewhere", ({ detail: { item } }) => {
    expected.add(item);
    known();
  });
  hear("slow", () => connection.check());

  hear("removed", ({ detail: { item, answer, elsewhere = false } }) => {
    const { client_id: id, envelope, state } = item;
    if (state === "sent") stored(item, answer, elsewhere ? () => {} : tell);
    if (state === "discarded") {
      expected.delete(id);
      composer.gone(id);
      composer.refuse();
    }
    repaint(envelope.message?.id ?? answer.seq);
    // Its event was here before (a repeat), or will take the row away when it comes.
    pending.reached(connection.seq);
    pill.show();
  });

  /** Its event may be here before this tab hears that another one sent it: it is not new all the same. */
  function known() {
    const entry = timeline.entries.findLast((each) => expected.has(each) && !mine.isOwn(each.id));
    if (!entry) return;
    mine.wrote(entry.id);
    repaint(entry.id);
    log.allRead();
  }

  function stored({ client_id, envelope }, answer, say) {
    mine.did(envelope, answer);
    if (envelope.command === "cancel-scheduled" || answer.scheduled) scheduled.refresh();
    if (envelope.command === "send-message" && answer.scheduled) say("Scheduled.");
    if (envelope.command === "add-quote")
      say("Saved as a quote.", { label: "Undo", seconds: 8, act: () => unquote(client_id) });
  }

  /** Takes back a quote that was saved just now. */
  function unquote(clientId) {
    const id = timeline.entries.findLast(({ quote }) => quote?.client_id === clientId)?.quote.id;
    if (id) outbox.add({ command: "remove-quote", quote: { id } });
  }

  hear("changed", ({ detail: { item } }) => {
    expected.add(item);
    repaint(item.envelope.message?.id);
    pill.show();
    scroll.grown(0);
    if (item.state === "failed") refused(item);
  });

  function refused(item) {
    const { client_id: id, envelope, reason } = item;
    const nowhereElse = document.activeElement === document.body || composer.form.contains(document.activeElement);
    switch (envelope.command) {
      case "react":
      case "cancel-scheduled":
        outbox.discard(id);
        scheduled.refresh();
        return tell(reason);
      case "edit-message":
        if (envelope.message.message !== undefined && composer.isFree && nowhereElse) page.editAgain(item);
        return composer.refuse(reason);
      case "send-message":
        if (item.code === "forbidden") page.learnName();
        return composer.refuse(reason);
      default:
        return tell(reason);
    }
  }
}

function handlesConnection(page, arrived) {
  const { life, connection, outbox, timeline, mine, log, scroll, unread, history, pill, pending } = page;

  connection.addEventListener("status", ({ detail }) => {
    pill.show(detail);
    if (detail.state !== "live") return;
    outbox.flush();
    unread.reached(connection.seq); // a mark may have failed meanwhile
  });
  connection.addEventListener("reset", async () => {
    const snapshot = await refreshed(page);
    if (!snapshot || life.aborted) return;
    mine.add(snapshot.mine);
    timeline.replace(entriesOf(snapshot));
    log.replace(timeline.entries);
    history.more = snapshot.has_more;
    $("nothing").hidden = log.size > 0;
    for (const { client_id: id } of snapshot.messages) if (id) arrived(id);
    unread.messages = snapshot.about?.messages ?? unread.messages;
    connection.resume(snapshot.cursor);
    pending.reached(connection.seq);
    scroll.toBottom();
  });
}

function handlesBrowser(page) {
  const { life, connection, outbox, log, scroll, unread, missed } = page;

  const woken = () => {
    connection.wake();
    log.nameDays();
    outbox.flush();
  };
  onWaking(woken, life);
  every(60_000, () => log.nameDays(), life);
  addEventListener("offline", () => connection.check(), { signal: life });
  addEventListener("storage", (event) => outbox.heard(event), { signal: life });

  /** Somebody looks again: at the first that came meanwhile. */
  const looked = () => {
    if (page.latest) return;
    if (document.hidden) {
      if (unread.left()) log.readTo(unread.before);
    } else {
      if (scroll.stuck && log.firstNew) begin(page);
      if (!scroll.stuck) missed.show();
      unread.reached();
    }
  };
  document.addEventListener("visibilitychange", looked, { signal: life });
}
