// The files of a message in its <article>: pictures in a fixed place, players, and links to all else.
import { inOrder } from "../page/direction.js";

/** Fills the place for files; what is shown already stays. */
export function showFiles(place, files = []) {
  const key = files.map(({ id }) => id).join(" ");
  place.hidden = !files.length;
  if ((place.dataset.shown ?? "") === key) return describe(place, files);
  place.dataset.shown = key;
  place.replaceChildren(...files.map((file) => shown(file, place.dataset.at + file.id)));
  return undefined;
}

/** Says what the files show, as it may have been changed; nothing else of them can be. */
function describe(place, files) {
  for (const [at, { name, alt = name }] of files.entries()) {
    const image = place.children[at].querySelector("img");
    if (image) image.alt = inOrder(alt);
    else if (place.children[at].controls) place.children[at].setAttribute("aria-label", inOrder(alt));
  }
}

function shown(file, url) {
  if (file.thumb) return picture(file, url);
  if (/^(audio|video)\//.test(file.type)) return player(file, url);
  const link = made("a", { className: "file", href: url, download: file.name });
  link.append(named(file.name), made("span", { className: "size", textContent: sizeOf(file.size) }));
  return link;
}

function picture({ name, alt = name, width, height }, url) {
  const link = made("a", { className: "picture", href: url, target: "_blank", rel: "noopener" });
  // With both, the place is there before the picture is.
  link.append(
    made("img", { src: `${url}/thumb`, alt: inOrder(alt), width, height, loading: "lazy", decoding: "async" }),
  );
  return link;
}

function player({ name, alt = name, type }, url) {
  const element = made(type.startsWith("audio/") ? "audio" : "video", { src: url, controls: true, preload: "none" });
  element.setAttribute("aria-label", inOrder(alt));
  return element;
}

const named = (name) => made("bdi", { textContent: name });

const made = (kind, about) => Object.assign(document.createElement(kind), about);

/** A size for people: 1 B, 12 kB, 3.4 MB. */
export function sizeOf(bytes) {
  if (bytes < 1000) return `${bytes} B`;
  if (bytes < 1_000_000) return `${Math.round(bytes / 1000)} kB`;
  return `${(bytes / 1_000_000).toFixed(1)} MB`;
}
