// In Berlin, whatever the zone of this machine: clocks are set in this process.
process.env.TZ = "Europe/Berlin";
import assert from "node:assert/strict";
import { test } from "node:test";
import { localTime, momentOf, momentsOf, offsetAt } from "../../static/js/composer/moment.js";

const HOUR = 3_600_000;
const at = (text) => new Date(text).getTime();

test("an hour ahead is an hour ahead in the hour that comes twice", () => {
  const now = at("2027-10-31T02:10:00+02:00");
  const meant = now + HOUR;
  assert.equal(localTime(meant), "2027-10-31T02:10");
  assert.equal(momentOf(localTime(meant), { meant, now }), meant);
  assert.equal(offsetAt(meant), "UTC+1");
});

test("a time that comes twice has two moments, and the one that is not past is meant", () => {
  const both = [at("2027-10-31T02:30:00+02:00"), at("2027-10-31T02:30:00+01:00")];
  assert.deepEqual(momentsOf("2027-10-31T02:30"), both);
  assert.equal(momentOf("2027-10-31T02:30", { now: both[0] - 1 }), both[0]);
  assert.equal(momentOf("2027-10-31T02:30", { now: both[0] }), both[1]);
  assert.deepEqual(both.map(offsetAt), ["UTC+2", "UTC+1"]);
});

test("a time that is left out is the one that the clocks show instead", () => {
  assert.deepEqual(momentsOf("2027-03-28T02:30"), []);
  assert.equal(momentOf("2027-03-28T02:30"), at("2027-03-28T03:30:00+02:00"));
});

test("every other time is itself", () => {
  const moment = at("2027-07-01T12:00:00+02:00");
  assert.equal(momentOf(localTime(moment)), moment);
  assert.ok(Number.isNaN(momentOf("")));
});
