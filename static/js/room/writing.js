// The composer, files, the messages that the server has not acknowledged, and the scheduled ones.
import { Composer } from "../composer/composer.js";
import { Drafts } from "../outbox/drafts.js";
import { attachments, tray } from "../later.js";
import { Pending } from "../outbox/pending.js";
import { save } from "../page/store.js";
import { hasKeyboard } from "../page/viewport.js";
import { $ } from "./open.js";

export function wireWriting(page) {
  const { life, api, place, by, latest, outbox, timeline, mine, log, scroll, tell } = page;
  const message = (id) => timeline.get(id);

  const send = (written, instead) => {
    save("user", written.user);
    outbox.add({ command: "send-message", message: files.take(written) }, { instead });
    if (latest) location.assign(latest); // the outbox goes on there
    scroll.toBottom();
  };

  /** A refused message again, as it is now. */
  const resend = (id, changed) => {
    const item = outbox.find(id);
    if (!item) return send(changed);
    save("user", changed.user);
    const { reply_to: parent, files: kept } = item.envelope.message;
    const again = { ...changed };
    if (kept) again.files = kept;
    // What it answers may be what was refused: it is kept no longer.
    if (parent && !item.field?.endsWith("reply_to")) again.reply_to = parent;
    outbox.retry(id, { command: "send-message", message: again });
    return undefined;
  };

  const editAgain = ({ envelope: { message: changed } }) =>
    composer.change({ id: changed.id, message: message(changed.id)?.message ?? "" }, changed.message);

  const composer = new Composer($("composer"), {
    drafts: new Drafts(place, { by }),
    tell,
    message,
    article: (id) => log.article(id),
    refused: (id) => outbox.find(id),
    hasFiles: () => files.areHere,
    send,
    mend: resend,
    edit: (id, text) => outbox.add({ command: "edit-message", message: { id, message: text } }),
    editLast: () => {
      const last = timeline.messages.findLast(({ id, deleted }) => mine.isOwn(id) && !deleted);
      if (last) page.actions.edit(last);
    },
    life,
  });

  const files = attachments(composer.form, {
    api,
    place,
    user: () => composer.user,
    refuse: (text) => composer.refuse(text),
    life,
  });

  /** An account may have another name by now, given in another tab: it is the one to send again under. */
  const learnName = async () => {
    const { account } = $("composer").elements.user.readOnly ? await api.get("/me").catch(() => ({})) : {};
    if (account && !life.aborted) composer.name.take(account.name);
  };

  /** What had the focus is gone. */
  const freed = () => hasKeyboard() && composer.focus();

  const pending = new Pending($("outbox"), outbox, {
    message,
    edit: (item) => {
      if (item.envelope.command === "edit-message") editAgain(item);
      else composer.correct(item);
    },
    rename: ({ client_id: id, envelope }, user) => {
      composer.name.take(user);
      composer.refuse();
      resend(id, { ...envelope.message, user });
    },
    retry: ({ client_id: id, envelope }) => {
      const user = composer.user || envelope.message?.user;
      if (envelope.command === "send-message") resend(id, { ...envelope.message, user });
      else outbox.retry(id);
    },
    freed,
    life,
  });
  /** A scheduled message, written on instead of what it was. */
  const takeBack = (message) => {
    if (composer.isFree) composer.take(message);
    else tell("Send what you are writing first.");
    return composer.text === message.message;
  };

  const scheduled = tray($("scheduled"), { api, outbox, edit: takeBack, freed, life });
  return { composer, files, pending, editAgain, learnName, scheduled };
}
