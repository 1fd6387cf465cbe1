// The chat page: its room, and from there to others. Holds nothing itself.
import { changesRooms } from "./later.js";
import { fitAboveKeyboard } from "./page/viewport.js";
import { mount } from "./room/mount.js";

document.documentElement.classList.add("js");
fitAboveKeyboard(document.body);
changesRooms(mount(), mount);
