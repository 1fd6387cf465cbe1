// A moment in a `datetime-local`, which knows no offset: in the hour that comes twice it stands for two.

/** Milliseconds as a `datetime-local` has them. */
export const localTime = (moment) =>
  new Date(moment - new Date(moment).getTimezoneOffset() * 60_000).toISOString().slice(0, 16);

/** "UTC+2", "UTC−3:30": the offset of the viewer's clock at `moment`, in milliseconds. */
export function offsetAt(moment) {
  const east = -new Date(moment).getTimezoneOffset();
  const minutes = Math.abs(east) % 60;
  const hours = Math.floor(Math.abs(east) / 60);
  return `UTC${east < 0 ? "−" : "+"}${hours}${minutes ? `:${String(minutes).padStart(2, "0")}` : ""}`;
}

/** All moments that the viewer's clocks show as `local`, the earlier first: mostly one, in some hours two or none. */
export function momentsOf(local) {
  const near = new Date(local).getTime();
  if (Number.isNaN(near)) return [];
  // Clocks are set by at most an hour nearly everywhere, and by less than three everywhere.
  const candidates = [];
  for (let shift = -180; shift <= 180; shift += 15) candidates.push(near + shift * 60_000);
  return candidates.filter((moment) => localTime(moment) === local.slice(0, 16));
}

/** What `local` stands for: `meant` where that is one of its moments, else the first that is not past, else the last. */
export function momentOf(local, { meant = NaN, now = Date.now() } = {}) {
  const found = momentsOf(local);
  if (found.includes(meant)) return meant;
  const ahead = found.find((moment) => moment > now);
  // In the hour that is left out the browser takes the one after it.
  return ahead ?? found.at(-1) ?? new Date(local).getTime();
}
