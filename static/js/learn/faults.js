// The fault of each step, by its name in examples/build-your-own.
import * as naive from "./naive.js";
import * as sinceTime from "./since_time.js";
import * as sinceNumber from "./since_number.js";
import * as longPoll from "./long_poll.js";
import * as websocket from "./websocket.js";
import * as commands from "./commands.js";
import * as twoWorkers from "./two_workers.js";
import * as restart from "./restart.js";

export const FAULTS = {
  "0-naive": naive,
  "1-since-time": sinceTime,
  "2-since-number": sinceNumber,
  "3-long-poll": longPoll,
  "4-websocket": websocket,
  "5-commands": commands,
  "6-two-workers": twoWorkers,
  "7-restart": restart,
};
