// Pages of older messages: what is added to the log, and what has happened meanwhile.
import assert from "node:assert/strict";
import { test } from "node:test";
import { History } from "../../static/js/entries/history.js";

/** A history whose requests are answered by the test: `answer(page)`. */
function historyOf({ oldest }) {
  const link = { hidden: false, textContent: "", matches: () => false, addEventListener() {} };
  const shown = [];
  let answer = null;
  const older = () => new Promise((resolve) => (answer = resolve));
  const scroller = { addEventListener() {} };
  const history = new History({ scroller, link, oldest, older, show: (...page) => shown.push(page) });
  return { history, link, shown, answer: (page) => answer(page) };
}

test("a page that does not adjoin what is shown any more is not added", async () => {
  let oldest = 71;
  const { history, link, shown, answer } = historyOf({ oldest: () => oldest });
  const loaded = history.load();
  oldest = 401; // a new snapshot, or a page that was open long
  history.more = true;
  answer({ messages: [{ id: 70 }], has_more: false });
  await loaded;
  assert.deepEqual(shown, []);
  assert.ok(history.more);
  assert.equal(link.textContent, "Earlier messages");
  const again = history.load();
  answer({ messages: [{ id: 400 }], has_more: false });
  await again;
  assert.equal(shown.length, 1);
  assert.ok(!history.more);
});

test("a page comes with the events that changed entries while it was under way, and no others", async () => {
  const { history, shown, answer } = historyOf({ oldest: () => 71 });
  const edit = (id) => ({ command: "message-edited", message: { id, message: "edited" } });
  history.changed(edit(1));
  for (const changes of [[edit(69), edit(70)], []]) {
    const loaded = history.load();
    for (const event of changes) history.changed(event);
    answer({ messages: [], has_more: true });
    await loaded;
    assert.deepEqual(shown.at(-1)[1], changes);
    history.changed(edit(2)); // nothing is under way
  }
});
