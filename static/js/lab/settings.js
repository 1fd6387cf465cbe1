// The settings of a run, and the address that carries them: /lab?poll=5000&delay=100. Pure.

export const CHOICES = {
  rate: [0.5, 1, 2, 4], // messages a second
  poll: [500, 1_000, 2_000, 5_000], // ms between two short polls
  delay: [0, 25, 100, 300], // ms that the network adds each way
  lasts: [2, 5, 15, 30], // seconds that a cut lasts
  slow: [0, 1],
  tabs: [1, 2],
};
export const DEFAULTS = { rate: 1, poll: 2_000, delay: 0, lasts: 5, slow: 0, tabs: 1 };

/** The settings in a query, each one that is a choice; what is missing or odd is the default. */
export function fromQuery(search) {
  const query = new URLSearchParams(search);
  return Object.fromEntries(
    Object.entries(CHOICES).map(([name, choices]) => {
      const asked = query.has(name) ? Number(query.get(name)) : NaN;
      return [name, choices.includes(asked) ? asked : DEFAULTS[name]];
    }),
  );
}

/** The query of settings, without the defaults: "" or "?poll=5000". */
export function toQuery(settings) {
  const changed = Object.keys(CHOICES).filter((name) => settings[name] !== DEFAULTS[name]);
  const query = new URLSearchParams(changed.map((name) => [name, settings[name]])).toString();
  return query && `?${query}`;
}
