// The list of emoji that the server takes, against the one that this engine knows.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

const LIST = new URL("../../src/quotechat/protocol/emoji-17.0.txt", import.meta.url);
const TONES = ["\u{1f3fb}", "\u{1f3fc}", "\u{1f3fd}", "\u{1f3fe}", "\u{1f3ff}"];

test("every line of the list is an emoji to others too", { skip: process.versions.unicode !== "17.0" }, () => {
  // As text: where the flag v is not known, this file is still read.
  const emoji = new RegExp("^\\p{RGI_Emoji}$", "v");
  for (const line of readFileSync(LIST, "utf-8").trim().split("\n")) {
    const shown = line.replaceAll("T", TONES[0]).replaceAll("U", TONES[4]);
    assert.ok(emoji.test(shown), line);
  }
});
