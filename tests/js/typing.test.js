// Who is writing: what the page says to the server, and what it shows of others.
import assert from "node:assert/strict";
import { mock, test } from "node:test";
import { inWords, typing } from "../../static/js/composer/typing.js";

test("names are told in words", () => {
  assert.equal(inWords([]), "");
  assert.equal(inWords(["Ann"]), "Ann is typing");
  assert.equal(inWords(["Ann", "Bo"]), "Ann and Bo are typing");
  assert.equal(inWords(["Ann", "Bo", "Cleo"]), "Several people are typing");
});

class Field extends EventTarget {
  value = "";
  write(text) {
    this.value = text;
    this.dispatchEvent(new Event("input"));
  }
}

class Connection extends EventTarget {
  said = [];
  typing(user) {
    this.said.push(user);
  }
  tell(kind, detail) {
    this.dispatchEvent(new CustomEvent(kind, { detail }));
  }
}

test("a name is shown for five seconds, until its message comes, and never one's own", () => {
  mock.timers.enable({ apis: ["setTimeout", "Date"], now: 10_000 });
  const field = new Field();
  const connection = new Connection();
  const element = { textContent: "" };
  typing(connection, { field, name: () => "Ann", element });

  field.write("h");
  field.write("hi");
  field.write(" ");
  assert.deepEqual(connection.said, ["Ann"]);
  mock.timers.tick(3_000);
  field.write("hi all");
  assert.deepEqual(connection.said, ["Ann", "Ann"]);

  connection.tell("typing", [{ user: "Ann" }, { user: "Bo" }, { id: "k3v9aaaabbbb", user: "Cleo" }]);
  assert.equal(element.textContent, "Bo and Cleo are typing");
  connection.tell("event", { command: "message-sent", message: { user: "Bo" } });
  assert.equal(element.textContent, "Cleo is typing");
  mock.timers.tick(4_000);
  connection.tell("typing", [{ user: "Cleo" }]);
  mock.timers.tick(4_000);
  assert.equal(element.textContent, "Cleo is typing");
  mock.timers.tick(1_000);
  assert.equal(element.textContent, "");
  mock.timers.reset();
});
