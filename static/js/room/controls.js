// The controls: actions on messages, keys, emoji, names behind an "@", and the dialog for other rooms.
import { Actions } from "../entries/actions.js";
import { Deletions } from "../outbox/deletions.js";
import { keyboard } from "../reader/keys.js";
import { completes, describer, menu, picker, switcher, switches, typing, views } from "../later.js";
import { tapShows } from "../entries/reveal.js";
import { People } from "../person/people.js";
import { $ } from "./open.js";

export function wireControls(page) {
  const { life, api, outbox, timeline, mine, log, tell, composer, reaction, hasEmoji } = page;
  const deletions = new Deletions({
    outbox,
    tell,
    farewell: (envelope) => api.command(envelope, { keepalive: true }).catch(() => {}),
    back: (id) => log.article(id)?.focus(),
    life,
  });
  const emoji = picker($("emoji"));
  offersEmoji($("add"), emoji, composer);
  const actions = new Actions({
    log: $("log"),
    url: location.origin + api.roomUrl,
    timeline,
    composer,
    outbox,
    deletions,
    reaction,
    hasEmoji,
    emojiOf: ({ id, reactions = {} }) => Object.keys(reactions).filter((each) => hasEmoji(id, each)),
    isOwn: (id) => mine.isOwn(id),
    account: "signIn" in $("chat").dataset,
    picker: emoji,
    describer: describer($("log"), life),
    menu: menu($("message-menu")),
    tell,
  });
  views($("log"), (id) => timeline.get(id), life);
  tapShows($("log"), (article) => actions.run("more", article));
  goes({ ...page, actions, deletions });
  return { actions };
}

/** The panel behind "+" goes when something in it was chosen. */
function offersEmoji(panel, emoji, composer) {
  panel.addEventListener("change", () => panel.hidePopover());
  panel.querySelector("[data-add=emoji]").addEventListener("click", () => {
    panel.hidePopover();
    emoji.open($("composer").querySelector("[popovertarget=add]"), (chosen) => composer.insert(chosen));
  });
}

/** The ways of the keyboard, names behind an "@", and those of the transport's own page. */
function goes({ life, api, connection, timeline, me, tell, composer, markRead, actions, deletions }) {
  const members = async () => (await api.request("GET", `${api.roomUrl}/members`)).members;
  const people = new People(timeline, me, "signIn" in $("chat").dataset ? members : null);
  completes(composer.field, $("mentions"), people);
  keyboard({
    log: $("log"),
    sheet: $("keys"),
    field: composer.field,
    undo: () => {
      tell.act();
      deletions.undo();
    },
    run: (action, article) => actions.run(action, article),
    open: switcher($("switcher"), {
      people,
      call: (name) => composer.insert(`@${name} `),
      search: $("switcher").dataset.search,
    }),
    done: markRead,
    life,
  });
  typing(connection, { field: composer.field, name: () => composer.user, element: $("typing") });
  switches(connection, $("way-line"));
}
